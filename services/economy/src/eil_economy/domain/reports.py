"""What an owner or an auditor may ask: balances, supply, statement."""

import sqlite3
from typing import Final

from eil_economy.domain.book import COLUMNS
from eil_economy.domain.errors import AccountNotFound, InvalidPage
from eil_economy.domain.records import Balance, Line, Page, Supply, Transfer
from eil_economy.domain.tokens import ISSUANCE, require_token

MAX_PAGE: Final = 1000
_ACCOUNT: Final = "SELECT owner, token, kind, balance_u, reserved_u, incoming_u FROM account WHERE tenant = ?"


def balances(conn: sqlite3.Connection, tenant: str, owner: str | None = None) -> tuple[Balance, ...]:
    """The tenant's accounts, or one owner's, by owner and token; empty if there are none. Issuance is among them."""
    if owner is None:
        rows = conn.execute(f"{_ACCOUNT} ORDER BY owner, token", (tenant,))
    else:
        rows = conn.execute(f"{_ACCOUNT} AND owner = ? ORDER BY token", (tenant, owner))
    return tuple(Balance(*row) for row in rows.fetchall())


def supply(conn: sqlite3.Connection, tenant: str, token: str) -> Supply:
    """Minted, burned, circulating and pending issue of one token in one tenant. Raises UnknownToken."""
    issue = conn.execute(
        "SELECT minted_u, burned_u FROM supply WHERE tenant = ? AND token = ?", (tenant, require_token(token))
    ).fetchone()
    pending = conn.execute(
        "SELECT reserved_u FROM account WHERE tenant = ? AND owner = ? AND token = ?", (tenant, ISSUANCE, token)
    ).fetchone()
    minted_u, burned_u = issue or (0, 0)
    return Supply(token, minted_u, burned_u, pending[0] if pending else 0)


def statement(
    conn: sqlite3.Connection, tenant: str, owner: str, token: str, before_seq: int | None = None, limit: int = 50
) -> Page:
    """The account's lines, newest first, continuing before `before_seq`. Raises AccountNotFound, InvalidPage."""
    if not 0 < limit <= MAX_PAGE:
        raise InvalidPage(f"limit is {limit}: a page holds 1 to {MAX_PAGE} lines.", "limit")
    key = (tenant, require_token(token), owner)
    known = conn.execute("SELECT 1 FROM account WHERE tenant = ? AND token = ? AND owner = ?", key).fetchone()
    if known is None:
        raise AccountNotFound(f"{owner!r} holds no {token} account: check the owner and the token.", "owner")
    bound = 2**63 - 1 if before_seq is None else before_seq
    # Two indexed walks of one page each: an OR over both columns would sort the account's whole history.
    sides = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {COLUMNS} FROM transfer WHERE tenant = ? AND token = ? AND {side} = ? AND seq < ? "
        "ORDER BY seq DESC LIMIT ?)"
        for side in ("source", "destination")
    )
    rows = conn.execute(
        f"SELECT * FROM ({sides}) ORDER BY seq DESC LIMIT ?",
        (*key, bound, limit + 1, *key, bound, limit + 1, limit + 1),
    ).fetchall()
    lines = tuple(_line(Transfer(*row), owner) for row in rows[:limit])
    return Page(lines, lines[-1].transfer.seq if len(rows) > limit else None)


def _line(transfer: Transfer, owner: str) -> Line:
    if transfer.source == owner:
        return Line(transfer, transfer.destination, -transfer.moved_u, transfer.held_u, 0, transfer.source_after_u)
    return Line(transfer, transfer.source, transfer.moved_u, 0, transfer.held_u, transfer.destination_after_u)
