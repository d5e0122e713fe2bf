"""The ledger's values: what is asked (`Instruction`), what was recorded (`Transfer`), what is held (`Balance`)."""

from dataclasses import dataclass
from typing import Literal

from eil_economy.domain.tokens import ISSUANCE

Purpose = Literal["transfer", "mint", "burn"]
Phase = Literal["posted", "pending", "post", "void", "expire"]
AccountKind = Literal["ordinary", "issuance"]


@dataclass(frozen=True, slots=True)
class Instruction:
    """A movement asked for: `amount_u` of `token` from `source` to `destination`, with the reason that is recorded.

    The default purpose can never touch issuance; mints and burns are made by `minting` and `burning`.
    """

    transfer_id: str
    source: str
    destination: str
    token: str
    amount_u: int
    reason: str
    reference: str = ""
    purpose: Purpose = "transfer"

    @classmethod
    def minting(
        cls, transfer_id: str, owner: str, token: str, amount_u: int, reason: str, reference: str = ""
    ) -> "Instruction":
        """New tokens for `owner`."""
        return cls(transfer_id, ISSUANCE, owner, token, amount_u, reason, reference, "mint")

    @classmethod
    def burning(
        cls, transfer_id: str, owner: str, token: str, amount_u: int, reason: str, reference: str = ""
    ) -> "Instruction":
        """Tokens of `owner` taken out of circulation."""
        return cls(transfer_id, owner, ISSUANCE, token, amount_u, reason, reference, "burn")


@dataclass(frozen=True, slots=True)
class Transfer:
    """One immutable line of the book; its effect is data.

    `moved_u` left the source's balance for the destination's; `held_u` is the change of the reservation (positive when
    reserved, negative when resolved). `source_after_u` and `destination_after_u` are the balances after it.
    """

    seq: int
    tenant: str
    transfer_id: str
    phase: Phase
    purpose: Purpose
    token: str
    source: str
    destination: str
    moved_u: int
    held_u: int
    reason: str
    reference: str
    pending_id: str | None
    timeout_us: int | None
    link_id: str | None
    created_us: int
    source_after_u: int
    destination_after_u: int
    replayed: bool = False

    @property
    def amount_u(self) -> int:
        """What moved, or what was reserved or released where nothing moved."""
        return self.moved_u or abs(self.held_u)

    @property
    def expires_us(self) -> int | None:
        """When a reservation ends by itself; None for every other phase."""
        return None if self.timeout_us is None else self.created_us + self.timeout_us


@dataclass(frozen=True, slots=True)
class Balance:
    """One account: posted balance, what pending transfers reserve of it, and what pending transfers may bring."""

    owner: str
    token: str
    kind: AccountKind
    balance_u: int
    reserved_u: int
    incoming_u: int

    @property
    def available_u(self) -> int:
        """What can be spent now; never negative for an ordinary account."""
        return self.balance_u - self.reserved_u


@dataclass(frozen=True, slots=True)
class Supply:
    """Issue of one token in one tenant; `pending_u` is reserved for mints that wait for their proof."""

    token: str
    minted_u: int
    burned_u: int
    pending_u: int

    @property
    def circulating_u(self) -> int:
        """Minted minus burned, which is also the sum of all ordinary balances."""
        return self.minted_u - self.burned_u


@dataclass(frozen=True, slots=True)
class Line:
    """One transfer as one account sees it: signed changes and the balance after it."""

    transfer: Transfer
    counterparty: str
    change_u: int
    reserved_change_u: int
    incoming_change_u: int
    balance_after_u: int


@dataclass(frozen=True, slots=True)
class Page:
    """Lines newest first; `next_before_seq` continues the statement and is None at its end."""

    lines: tuple[Line, ...]
    next_before_seq: int | None


@dataclass(frozen=True, slots=True)
class Statement:
    """An account in a period: posted balance before, lines oldest first, posted balance after; `next_after_seq` continues the lines."""

    opening_u: int
    lines: tuple[Line, ...]
    closing_u: int
    next_after_seq: int | None
