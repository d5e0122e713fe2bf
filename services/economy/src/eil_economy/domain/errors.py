"""What a ledger refuses, and why: one small tree, each leaf with a stable reason and a kind."""

from typing import ClassVar, Literal

Kind = Literal["invalid", "not_found", "conflict", "exhausted", "precondition"]


class LedgerError(Exception):
    """A refusal. `kind` is its family, `reason` its stable name, `field` the request field at fault, if one is."""

    kind: ClassVar[Kind]
    reason: ClassVar[str]

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidAmount(LedgerError):
    """The amount is not an integer in 1 … 2**62 millionths of a token."""

    kind = "invalid"
    reason = "INVALID_AMOUNT"


class AmountNotPositive(InvalidAmount):
    """The amount is zero or negative."""

    reason = "AMOUNT_NOT_POSITIVE"


class AmountTooLarge(InvalidAmount):
    """The amount exceeds 2**62 millionths of a token."""

    reason = "AMOUNT_TOO_LARGE"


class UnknownToken(LedgerError):
    """The token is none of CEU, PFT, MUNT."""

    kind = "invalid"
    reason = "UNKNOWN_TOKEN"


class InvalidName(LedgerError):
    """A tenant, owner, id, reason or reference is empty, too long, or taken from the ledger's own names."""

    kind = "invalid"
    reason = "INVALID_NAME"


class InvalidTimeout(LedgerError):
    """A reservation's timeout is out of range."""

    kind = "invalid"
    reason = "INVALID_TIMEOUT"


class SelfTransfer(LedgerError):
    """Source and destination are the same account."""

    kind = "invalid"
    reason = "SELF_TRANSFER"


class IssuanceReserved(LedgerError):
    """Only a mint may debit, and only a burn may credit, the issuance account."""

    kind = "invalid"
    reason = "ISSUANCE_RESERVED"


class InvalidLink(LedgerError):
    """A chain of linked transfers is empty, too long, or names one id twice."""

    kind = "invalid"
    reason = "INVALID_LINK"


class InvalidPage(LedgerError):
    """The page size is out of range."""

    kind = "invalid"
    reason = "INVALID_PAGE"


class AccountNotFound(LedgerError):
    """The owner holds no account in this token."""

    kind = "not_found"
    reason = "ACCOUNT_NOT_FOUND"


class PendingNotFound(LedgerError):
    """No transfer of this tenant has the id that should be resolved."""

    kind = "not_found"
    reason = "PENDING_NOT_FOUND"


class DifferentTransfer(LedgerError):
    """The id is taken by a transfer that differs; `field` names the first differing field."""

    kind = "conflict"
    reason = "EXISTS_WITH_DIFFERENT_FIELD"


class Overdraft(LedgerError):
    """The source's available balance (posted minus reserved) is smaller than the amount."""

    kind = "exhausted"
    reason = "INSUFFICIENT_BALANCE"


class BudgetExhausted(LedgerError):
    """A principal's budget is smaller than the amount, refill included."""

    kind = "exhausted"
    reason = "BUDGET_EXHAUSTED"

    def __init__(self, message: str, left_u: int, wait_us: int | None) -> None:
        """`left_u` could be spent, 10⁻⁶ CEU; in `wait_us` refill covers the amount, None: never by itself."""
        super().__init__(message)
        self.left_u, self.wait_us = left_u, wait_us


class SupplyExhausted(LedgerError):
    """The mint would lift the token's lifetime issue in this tenant over 2**62 millionths."""

    kind = "exhausted"
    reason = "SUPPLY_EXHAUSTED"


class NotPending(LedgerError):
    """The transfer to resolve was never a reservation."""

    kind = "precondition"
    reason = "NOT_PENDING"


class AlreadyResolved(LedgerError):
    """A reservation resolves once; this one has."""

    kind = "precondition"
    reason = "ALREADY_RESOLVED"


class AlreadyPosted(AlreadyResolved):
    """The reservation was posted before."""

    reason = "ALREADY_POSTED"


class AlreadyVoided(AlreadyResolved):
    """The reservation was voided before."""

    reason = "ALREADY_VOIDED"


class PendingExpired(AlreadyResolved):
    """The reservation's time ran out before it was resolved."""

    reason = "PENDING_EXPIRED"


class ExceedsPending(LedgerError):
    """More is to be posted than was reserved."""

    kind = "precondition"
    reason = "EXCEEDS_PENDING"


class InvalidPeriod(LedgerError):
    """A statement's period is empty or upside down."""

    kind = "invalid"
    reason = "INVALID_PERIOD"


class InvalidTerms(LedgerError):
    """A licence's terms contradict each other or are out of range."""

    kind = "invalid"
    reason = "INVALID_TERMS"


class InvalidInputs(LedgerError):
    """A claim brings other inputs than its policy takes."""

    kind = "invalid"
    reason = "INVALID_INPUTS"


class ProofRequired(LedgerError):
    """A mint of PFT names no proof."""

    kind = "invalid"
    reason = "PROOF_REQUIRED"


class PolicyUnknown(LedgerError):
    """No mint policy of this name and version is in force."""

    kind = "not_found"
    reason = "POLICY_UNKNOWN"


class LicenceNotFound(LedgerError):
    """The holder has no licence of the model."""

    kind = "not_found"
    reason = "LICENCE_NOT_FOUND"


class LicenceExpired(LedgerError):
    """Every licence that the holder has of the model ran out."""

    kind = "precondition"
    reason = "LICENCE_EXPIRED"


class LicenceUsedUp(LedgerError):
    """The holder's licences of the model allow no more steps in this period."""

    kind = "exhausted"
    reason = "LICENCE_USED_UP"
