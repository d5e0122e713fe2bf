"""What the one writer of a book knows of it without asking again.

Asking a server costs a wait. As long as nobody else writes, which the store's fence ensures, accounts are what this writer made of them.
Which ids are taken it knows of the newest alone: an older one that comes again is refused by the database, and its request is then done
anew without memory. Whatever is undone empties the memory.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from eil_economy.domain.database import Database
from eil_economy.domain.records import Transfer

MOST: Final = 50_000
"""Accounts, and ids, that are remembered at most."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a new line meets: the number of the newest line, [balance, reserved] by owner of both accounts, what was ever minted, and
    whether its id is taken. `assumed`: the id is not among the newest, and nobody asked about older ones."""

    seq: int
    accounts: dict[str, tuple[int, int]]
    minted_u: int | None
    known: bool
    assumed: bool = False


@dataclass(slots=True)
class Memory:
    """Accounts as (balance, reserved) by tenant, token and owner; what was minted by tenant and token; the newest ids and line."""

    seq: int | None = None
    accounts: dict[tuple[str, str, str], tuple[int, int]] = field(default_factory=dict)
    minted_u: dict[tuple[str, str], int] = field(default_factory=dict)
    ids: dict[tuple[str, str], None] = field(default_factory=dict)

    def standing(self, wanted: Transfer) -> Standing | None:
        """What is known; None where that is not enough."""
        tenant, token = wanted.tenant, wanted.token
        source = self.accounts.get((tenant, token, wanted.source))
        destination = self.accounts.get((tenant, token, wanted.destination))
        minted_u = self.minted_u.get((tenant, token))
        if self.seq is None or source is None or destination is None or (tenant, wanted.transfer_id) in self.ids:
            return None
        if wanted.purpose != "transfer" and minted_u is None:
            return None
        return Standing(
            self.seq, {wanted.source: source, wanted.destination: destination}, minted_u, known=False, assumed=True
        )

    def learn(self, wanted: Transfer, found: Standing) -> None:
        """Remember what was asked for `wanted`."""
        if len(self.accounts) > MOST:
            self.accounts.clear()
        self.seq = found.seq
        for owner, account in found.accounts.items():
            self.accounts[wanted.tenant, wanted.token, owner] = account
        if found.minted_u is not None:
            self.minted_u[wanted.tenant, wanted.token] = found.minted_u

    def follow(self, line: Transfer, now: Standing) -> None:
        """Remember what `line`, written now, changed."""
        self.seq = line.seq
        key = (line.tenant, line.token)
        _, reserved_u = now.accounts.get(line.source, (0, 0))
        self.accounts[*key, line.source] = (line.source_after_u, reserved_u + line.held_u)
        _, reserved_u = now.accounts.get(line.destination, (0, 0))
        self.accounts[*key, line.destination] = (line.destination_after_u, reserved_u)
        if line.purpose == "mint" and line.moved_u:
            self.minted_u[key] = (now.minted_u or 0) + line.moved_u
        self.ids[line.tenant, line.transfer_id] = None
        if len(self.ids) > MOST:
            del self.ids[next(iter(self.ids))]


def memory_of(conn: Database) -> Memory | None:
    """The connection's memory, if it keeps one and may be trusted now; else None."""
    held: Any = conn
    if getattr(held, "careful", True):
        return None
    if held.memory is None:
        held.memory = Memory()
    return held.memory


def forget(conn: Database) -> None:
    """Something was undone."""
    held: Any = conn
    if hasattr(held, "memory"):
        held.memory = None
