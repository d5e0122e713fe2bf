"""The ledger in words of one account each. Nothing here is shared with the ledger but the meaning."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["transfer", "mint", "burn", "exchange", "post", "void"]
Account = tuple[str, str, str]
OK, REPLAY = "OK", "REPLAY"
LIMIT_U = 2**62


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sends. `timeout_us` > 0 reserves; `back_u` is what an exchange gives in return, in PFT for CEU."""

    kind: Kind
    tenant: str
    id: str
    source: str
    destination: str
    token: str
    amount_u: int
    timeout_us: int = 0
    pending_id: str = ""
    back_u: int = 0


@dataclass(slots=True)
class Model:
    """Balances, reservations and the requests that were carried out. `apply` answers OK, REPLAY, or the reason of a refusal."""

    balance: dict[Account, int] = field(default_factory=lambda: defaultdict(int))
    reserved: dict[Account, int] = field(default_factory=lambda: defaultdict(int))
    done: dict[tuple[str, str], Request] = field(default_factory=dict)
    open: dict[tuple[str, str], int] = field(default_factory=dict)
    ended: dict[tuple[str, str], str] = field(default_factory=dict)

    def apply(self, r: Request, now_us: int) -> str:
        """What comes of a request at this moment [µs]; the state follows."""
        if r.kind in ("post", "void"):
            return self._resolve(r, now_us)
        legs = self._legs(r)
        for _, source, destination, amount in legs:
            if not 0 < amount <= LIMIT_U:
                return "AMOUNT_NOT_POSITIVE" if amount <= 0 else "AMOUNT_TOO_LARGE"
            if source == destination:
                return "SELF_TRANSFER"
        if (r.tenant, r.id) in self.done:
            return REPLAY if self.done[r.tenant, r.id] == r else "EXISTS_WITH_DIFFERENT_FIELD"
        for token, source, _, amount in legs:
            account = (r.tenant, source, token)
            if source != "@issuance" and account not in self.balance:
                return "ACCOUNT_NOT_FOUND"
            if source != "@issuance" and self.balance[account] - self.reserved[account] < amount:
                return "INSUFFICIENT_BALANCE"
        for token, source, destination, amount in legs:
            moved, held = (0, amount) if r.timeout_us else (amount, 0)
            self._move(r.tenant, token, source, destination, moved, held)
        self.done[r.tenant, r.id] = r
        if r.timeout_us:
            self.open[r.tenant, r.id] = now_us + r.timeout_us
        return OK

    def sweep(self, now_us: int) -> int:
        """Ends what is due: burns are carried out, the rest returns; answers how many ended."""
        due = [key for key, expires_us in self.open.items() if expires_us <= now_us]
        for key in due:
            self._end(key, self.done[key].amount_u if self.done[key].kind == "burn" else 0, "PENDING_EXPIRED")
            if self.done[key].kind == "burn":
                self.ended[key] = "ALREADY_POSTED"
        return len(due)

    def _resolve(self, r: Request, now_us: int) -> str:
        key = (r.tenant, r.pending_id)
        if r.kind == "post" and not 0 < r.amount_u <= LIMIT_U:
            return "AMOUNT_NOT_POSITIVE" if r.amount_u <= 0 else "AMOUNT_TOO_LARGE"
        if key not in self.done:
            return "PENDING_NOT_FOUND"
        if not self.done[key].timeout_us:
            return "NOT_PENDING"
        if (r.tenant, r.id) in self.done:
            return REPLAY if self.done[r.tenant, r.id] == r else "EXISTS_WITH_DIFFERENT_FIELD"
        if key in self.ended:
            return self.ended[key]
        if now_us >= self.open[key]:
            return "PENDING_EXPIRED"
        if r.kind == "post" and r.amount_u > self.done[key].amount_u:
            return "EXCEEDS_PENDING"
        self.done[r.tenant, r.id] = r
        self._end(
            key, r.amount_u if r.kind == "post" else 0, "ALREADY_POSTED" if r.kind == "post" else "ALREADY_VOIDED"
        )
        return OK

    def _end(self, key: tuple[str, str], amount: int, how: str) -> None:
        ((token, source, destination, held),) = self._legs(self.done[key])
        self._move(key[0], token, source, destination, amount, -held)
        del self.open[key]
        self.ended[key] = how

    def _legs(self, r: Request) -> list[tuple[str, str, str, int]]:
        if r.kind == "exchange":
            return [("CEU", r.source, r.destination, r.amount_u), ("PFT", r.destination, r.source, r.back_u)]
        return [(r.token, r.source, r.destination, r.amount_u)]

    def _move(self, tenant: str, token: str, source: str, destination: str, moved: int, held: int) -> None:
        self.balance[tenant, source, token] -= moved
        self.balance[tenant, destination, token] += moved
        self.reserved[tenant, source, token] += held
