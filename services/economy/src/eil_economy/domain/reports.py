"""What an owner or an auditor may ask: balances, supply, statement, history."""

import sqlite3
from typing import Final

from eil_economy.domain.book import COLUMNS
from eil_economy.domain.errors import AccountNotFound, InvalidPage
from eil_economy.domain.records import Balance, Line, Page, Supply, Transfer
from eil_economy.domain.tokens import ISSUANCE, TOKENS, require_token

MAX_PAGE: Final = 1000
_LAST: Final = 2**63 - 1
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
    _require_page(limit)
    key = (tenant, require_token(token), owner)
    known = conn.execute("SELECT 1 FROM account WHERE tenant = ? AND token = ? AND owner = ?", key).fetchone()
    if known is None:
        raise AccountNotFound(f"{owner!r} holds no {token} account: check the owner and the token.", "owner")
    found = _touching(conn, tenant, owner, (token,), _LAST if before_seq is None else before_seq, limit + 1)
    lines = tuple(_line(transfer, owner) for transfer in found[:limit])
    return Page(lines, lines[-1].transfer.seq if len(found) > limit else None)


def history(
    conn: sqlite3.Connection,
    tenant: str,
    owner: str | None = None,
    token: str | None = None,
    before_seq: int | None = None,
    limit: int = 100,
) -> tuple[tuple[Transfer, ...], int | None]:
    """The tenant's transfers, newest first, of one owner or token if given; and where to continue, None at the end.

    Raises UnknownToken, InvalidPage.
    """
    _require_page(limit)
    tokens = TOKENS if token is None else (require_token(token),)
    bound = _LAST if before_seq is None else before_seq
    if owner is not None:
        found = _touching(conn, tenant, owner, tokens, bound, limit + 1)
    else:
        rows = conn.execute(
            f"SELECT {COLUMNS} FROM transfer WHERE tenant = ? AND token IN ({', '.join('?' * len(tokens))}) AND seq < ? "
            "ORDER BY seq DESC LIMIT ?",
            (tenant, *tokens, bound, limit + 1),
        )
        found = [Transfer(*row) for row in rows]
    return tuple(found[:limit]), found[limit - 1].seq if len(found) > limit else None


def _require_page(limit: int) -> None:
    if not 0 < limit <= MAX_PAGE:
        raise InvalidPage(f"limit is {limit}: a page holds 1 to {MAX_PAGE} lines.", "limit")


def _touching(
    conn: sqlite3.Connection, tenant: str, owner: str, tokens: tuple[str, ...], before_seq: int, limit: int
) -> list[Transfer]:
    # Indexed walks of one page each: an OR over both columns would sort the account's whole history.
    walks = [(token, side) for token in tokens for side in ("source", "destination")]
    union = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {COLUMNS} FROM transfer WHERE tenant = ? AND token = ? AND {side} = ? AND seq < ? "
        "ORDER BY seq DESC LIMIT ?)"
        for _, side in walks
    )
    values = [value for token, _ in walks for value in (tenant, token, owner, before_seq, limit)]
    rows = conn.execute(f"SELECT * FROM ({union}) ORDER BY seq DESC LIMIT ?", (*values, limit))
    return [Transfer(*row) for row in rows]


def _line(transfer: Transfer, owner: str) -> Line:
    if transfer.source == owner:
        return Line(transfer, transfer.destination, -transfer.moved_u, transfer.held_u, 0, transfer.source_after_u)
    return Line(transfer, transfer.source, transfer.moved_u, 0, transfer.held_u, transfer.destination_after_u)
