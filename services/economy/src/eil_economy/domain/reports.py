"""What an owner or an auditor may ask: balances, supply, statement, history."""

from typing import Final

from eil_economy.domain.book import COLUMNS
from eil_economy.domain.database import Database
from eil_economy.domain.errors import AccountNotFound, InvalidPage, InvalidPeriod
from eil_economy.domain.records import Balance, Line, Page, Statement, Supply, Transfer
from eil_economy.domain.tokens import ISSUANCE, TOKENS, require_token

MAX_PAGE: Final = 1000
_LAST: Final = 2**63 - 1
_ACCOUNT: Final = "SELECT owner, token, kind, balance_u, reserved_u, incoming_u FROM account WHERE tenant = ?"


def balances(conn: Database, tenant: str, owner: str | None = None) -> tuple[Balance, ...]:
    """The tenant's accounts, or one owner's, by owner and token; empty if there are none. Issuance is among them."""
    if owner is None:
        rows = conn.execute(f"{_ACCOUNT} ORDER BY owner, token", (tenant,))
    else:
        rows = conn.execute(f"{_ACCOUNT} AND owner = ? ORDER BY token", (tenant, owner))
    return tuple(Balance(*row) for row in rows.fetchall())


def supply(conn: Database, tenant: str, token: str) -> Supply:
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
    conn: Database, tenant: str, owner: str, token: str, before_seq: int | None = None, limit: int = 50
) -> Page:
    """The account's lines, newest first, continuing before `before_seq`. Raises AccountNotFound, InvalidPage."""
    _require_page(limit)
    _require_known(conn, tenant, owner, token)
    found = _touching(conn, tenant, owner, (token,), _LAST if before_seq is None else before_seq, limit + 1)
    lines = tuple(_line(transfer, owner) for transfer in found[:limit])
    return Page(lines, lines[-1].transfer.seq if len(found) > limit else None)


def period_statement(
    conn: Database, tenant: str, owner: str, token: str, period: tuple[int, int], after_seq: int = 0, limit: int = 100
) -> Statement:
    """The account in a period [start, end), µs since 1970: what it held before, its lines after `after_seq`, oldest first, and what it
    held at the end. Opening plus all lines' changes is closing, whatever the clock did: the period's bounds are places in the book.

    Raises InvalidPeriod, InvalidPage, AccountNotFound.
    """
    start_us, end_us = period
    if start_us >= end_us:
        raise InvalidPeriod(
            f"the period begins {start_us - end_us} µs after its end, or with it: let it begin before.", "start"
        )
    _require_page(limit)
    _require_known(conn, tenant, owner, token)
    opening, closing = (_last_before(conn, tenant, owner, token, moment_us) for moment_us in period)
    first, last = (line.transfer.seq if line else 0 for line in (opening, closing))
    rows = _walked(
        conn, (tenant, token, owner), "seq > ? AND seq <= ?", (max(first, after_seq), last), "ASC", limit + 1
    )
    lines = tuple(_line(Transfer(*row), owner) for row in rows[:limit])
    return Statement(
        opening.balance_after_u if opening else 0,
        lines,
        closing.balance_after_u if closing else 0,
        lines[-1].transfer.seq if len(rows) > limit else None,
    )


def _last_before(conn: Database, tenant: str, owner: str, token: str, moment_us: int) -> Line | None:
    rows = _walked(conn, (tenant, token, owner), "created_us < ?", (moment_us,), "DESC", 1)
    return _line(Transfer(*rows[0]), owner) if rows else None


def _walked(
    conn: Database, key: tuple[str, str, str], where: str, values: tuple[int, ...], order: str, limit: int
) -> list[tuple]:
    """Lines that touch the account (tenant, token, owner): one indexed walk for each side, since an OR would sort its whole history."""
    sides = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {COLUMNS} FROM transfer WHERE tenant = ? AND token = ? AND {side} = ? AND {where} "
        f"ORDER BY seq {order} LIMIT ?) AS {side}_walk"
        for side in ("source", "destination")
    )
    return conn.execute(
        f"SELECT * FROM ({sides}) AS walks ORDER BY seq {order} LIMIT ?",
        (*key, *values, limit, *key, *values, limit, limit),
    ).fetchall()


def _require_known(conn: Database, tenant: str, owner: str, token: str) -> None:
    key = (tenant, require_token(token), owner)
    known = conn.execute("SELECT 1 FROM account WHERE tenant = ? AND token = ? AND owner = ?", key).fetchone()
    if known is None:
        raise AccountNotFound(f"{owner!r} holds no {token} account: check the owner and the token.", "owner")


def history(
    conn: Database,
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
    conn: Database, tenant: str, owner: str, tokens: tuple[str, ...], before_seq: int, limit: int
) -> list[Transfer]:
    # Indexed walks of one page each: an OR over both columns would sort the account's whole history.
    walks = [(token, side) for token in tokens for side in ("source", "destination")]
    union = " UNION ALL ".join(
        f"SELECT * FROM (SELECT {COLUMNS} FROM transfer WHERE tenant = ? AND token = ? AND {side} = ? AND seq < ? "
        f"ORDER BY seq DESC LIMIT ?) AS walk{number}"
        for number, (_, side) in enumerate(walks)
    )
    values = [value for token, _ in walks for value in (tenant, token, owner, before_seq, limit)]
    rows = conn.execute(f"SELECT * FROM ({union}) AS walks ORDER BY seq DESC LIMIT ?", (*values, limit))
    return [Transfer(*row) for row in rows]


def _line(transfer: Transfer, owner: str) -> Line:
    if transfer.source == owner:
        return Line(transfer, transfer.destination, -transfer.moved_u, transfer.held_u, 0, transfer.source_after_u)
    return Line(transfer, transfer.source, transfer.moved_u, 0, transfer.held_u, transfer.destination_after_u)
