"""Quotes: what a swap was said to give, until when; checked by a key that only this process has, so that nothing is stored."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from eil_market.domain.errors import QuoteExpired, QuoteForeign


@dataclass(frozen=True, slots=True)
class Quote:
    """A swap, and what it gives until `expires_us`."""

    tenant: str
    token_in: str
    token_out: str
    amount_in_u: int
    amount_out_u: int
    expires_us: int


class Quotes:
    """Gives quotes and knows its own again. With the process its key goes: a quote outlives no restart."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def seal(self, quote: Quote) -> str:
        """The quote as a text that cannot be altered."""
        return f"{quote.expires_us}.{quote.amount_out_u}.{self._mac(quote)}"

    def opened(self, text: str, tenant: str, token_in: str, token_out: str, amount_in_u: int, now_us: int) -> Quote:
        """The quote of a text, for the swap that it was given for.

        Raises:
            QuoteForeign: it was not given by this process for this swap.
            QuoteExpired: its time is past.
        """
        expires, _, rest = text.partition(".")
        amount_out, _, mac = rest.partition(".")
        if not (expires.isdecimal() and amount_out.isdecimal()):
            raise QuoteForeign("this is no quote: take one with GET /v1/market/quote", "quote")
        quote = Quote(tenant, token_in, token_out, amount_in_u, int(amount_out), int(expires))
        if not hmac.compare_digest(mac.encode(), self._mac(quote).encode()):
            raise QuoteForeign(
                "the quote was given for another swap or altered, or the market has restarted since: take a new one for exactly this swap",
                "quote",
            )
        if now_us > quote.expires_us:
            raise QuoteExpired(
                f"the quote expired {(now_us - quote.expires_us) / 1e6:.1f} s ago: take a new one", "quote"
            )
        return quote

    def _mac(self, quote: Quote) -> str:
        return hmac.new(self._key, repr(quote).encode(), hashlib.sha256).hexdigest()
