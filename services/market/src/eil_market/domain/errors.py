"""What a market refuses, and why: one small tree, each leaf with a stable reason and a kind."""

from typing import ClassVar, Literal

Kind = Literal["invalid", "precondition"]


class MarketError(Exception):
    """A refusal. `kind` is its family, `reason` its stable name, `field` the request field at fault, if one is."""

    kind: ClassVar[Kind]
    reason: ClassVar[str]

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidAmount(MarketError):
    """The amount is not an integer in 1 … 2**62 millionths of a token."""

    kind = "invalid"
    reason = "INVALID_AMOUNT"


class UnknownToken(MarketError):
    """The pool does not hold this token."""

    kind = "invalid"
    reason = "UNKNOWN_TOKEN"


class InvalidPriceInput(MarketError):
    """A quantity that a price is computed from is not a finite number in its range."""

    kind = "invalid"
    reason = "INVALID_PRICE_INPUT"


class InvalidHistory(MarketError):
    """Counts of verdicts or an interval's level make no sense."""

    kind = "invalid"
    reason = "INVALID_HISTORY"


class DeadlineExpired(MarketError):
    """The request's deadline is past."""

    kind = "precondition"
    reason = "DEADLINE_PASSED"


class QuoteExpired(MarketError):
    """The quote's time is past."""

    kind = "precondition"
    reason = "QUOTE_EXPIRED"


class QuoteForeign(MarketError):
    """The quote was not given for this swap, or by another process."""

    kind = "precondition"
    reason = "QUOTE_FOREIGN"


class SlippageExceeded(MarketError):
    """The pool moved: the trade would give less, or cost more, than the request allows."""

    kind = "precondition"
    reason = "SLIPPAGE"


class TradeTooLarge(MarketError):
    """One trade may take in only a small share of the pool's reserve."""

    kind = "precondition"
    reason = "TRADE_TOO_LARGE"


class InsufficientLiquidity(MarketError):
    """The pool is empty, too small for the request, or the request too small for the pool."""

    kind = "precondition"
    reason = "INSUFFICIENT_LIQUIDITY"


class WindowTooShort(MarketError):
    """A time-weighted price needs two observations at different times, with liquidity between them."""

    kind = "precondition"
    reason = "WINDOW_TOO_SHORT"
