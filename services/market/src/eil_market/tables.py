"""Tables of the market service: pools without their reserves, which the ledger holds; who owns shares; intents.

An intent is an operation on a pool, worked out to the last unit and written down before the ledger is asked. It is kept when done, so that
its transfers' ids, which follow from its request id, are never used for another one.
"""

from dataclasses import astuple, dataclass, fields, replace

from eil.market.v1 import market_pb2
from eil_mesh.errors import AlreadyExists, InvalidArgument
from eil_mesh.requests import remember
from eil_mesh.store import Connection, Tx
from google.protobuf.message import Message

from eil_market.domain.pool import Pool

SCHEMA = """
CREATE TABLE IF NOT EXISTS pools (
  tenant TEXT NOT NULL,
  pair TEXT NOT NULL,
  shares INTEGER NOT NULL CHECK (shares > 0),
  x_price_sum TEXT NOT NULL,
  y_price_sum TEXT NOT NULL,
  updated_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, pair)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS holdings (
  tenant TEXT NOT NULL,
  pair TEXT NOT NULL,
  owner TEXT NOT NULL,
  shares INTEGER NOT NULL CHECK (shares >= 0),
  PRIMARY KEY (tenant, pair, owner)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS intents (
  tenant TEXT NOT NULL,
  kind TEXT NOT NULL,
  request_id TEXT NOT NULL,
  pair TEXT NOT NULL,
  owner TEXT NOT NULL,
  request BLOB NOT NULL,
  response BLOB NOT NULL,
  transfers BLOB NOT NULL,
  shares INTEGER NOT NULL,
  own_change INTEGER NOT NULL,
  x_price_sum TEXT NOT NULL,
  y_price_sum TEXT NOT NULL,
  updated_us INTEGER NOT NULL,
  done INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, kind, request_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tariffs (
  tenant TEXT PRIMARY KEY,
  body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS intents_by_time ON intents (tenant, pair, updated_us) WHERE done = 1;
CREATE INDEX IF NOT EXISTS intents_unfinished ON intents (tenant, pair) WHERE done = 0;
"""
KINDS: dict[str, type[Message]] = {
    "swap": market_pb2.SwapRequest,
    "add": market_pb2.AddLiquidityRequest,
    "remove": market_pb2.RemoveLiquidityRequest,
}
Answer = market_pb2.SwapResponse | market_pb2.AddLiquidityResponse | market_pb2.RemoveLiquidityResponse
ANSWERS: dict[str, type[Answer]] = {
    "swap": market_pb2.SwapResponse,
    "add": market_pb2.AddLiquidityResponse,
    "remove": market_pb2.RemoveLiquidityResponse,
}


@dataclass(frozen=True, slots=True)
class Intent:
    """An operation to be carried out exactly once; messages as bytes, price sums as text (they outgrow 64 bits)."""

    tenant: str
    kind: str
    request_id: str
    pair: str
    owner: str
    request: bytes
    response: bytes
    transfers: bytes
    shares: int
    """Outstanding after it."""
    own_change: int
    x_price_sum: str
    y_price_sum: str
    updated_us: int


_COLUMNS = ", ".join(field.name for field in fields(Intent))
_PLACES = ", ".join("?" * len(fields(Intent)))


def load(conn: Connection, tenant: str, pair: str, now_us: int) -> Pool:
    """The pool without its reserves; a new one if nobody ever put liquidity in."""
    token_x, _, token_y = pair.partition("-")
    row = conn.execute(
        "SELECT shares, x_price_sum, y_price_sum, updated_us FROM pools WHERE tenant = ? AND pair = ?", (tenant, pair)
    ).fetchone()
    if row is None:
        return Pool(token_x, token_y, updated_us=now_us)
    return replace(
        Pool(token_x, token_y, shares=row[0], updated_us=row[3]),
        x_price_sum_q64us=int(row[1]),
        y_price_sum_q64us=int(row[2]),
    )


def own_shares(conn: Connection, tenant: str, pair: str, owner: str) -> int:
    """Shares of one owner."""
    row = conn.execute(
        "SELECT shares FROM holdings WHERE tenant = ? AND pair = ? AND owner = ?", (tenant, pair, owner)
    ).fetchone()
    return row[0] if row else 0


def unfinished(conn: Connection, tenant: str, pair: str) -> list[Intent]:
    """Intents of a pool that may or may not have reached the ledger; there is one at most."""
    rows = conn.execute(f"SELECT {_COLUMNS} FROM intents WHERE tenant = ? AND pair = ? AND done = 0", (tenant, pair))
    return [Intent(*row) for row in rows]


def unfinished_pools(conn: Connection) -> list[tuple[str, str]]:
    """(tenant, pair) of every pool with an unfinished intent."""
    rows = conn.execute("SELECT DISTINCT tenant, pair FROM intents WHERE done = 0 ORDER BY tenant, pair")
    return [tuple(row) for row in rows]


def propose(tx: Tx, intent: Intent) -> None:
    """Write down an intent.

    Raises:
        AlreadyExists: its request id was used for an operation so long ago that the answer is forgotten.
    """
    key = (intent.tenant, intent.kind, intent.request_id)
    if tx.conn.execute("SELECT 1 FROM intents WHERE tenant = ? AND kind = ? AND request_id = ?", key).fetchone():
        raise AlreadyExists(
            f"request id {intent.request_id!r} was used before; use a new id for a new request",
            reason="REQUEST_ID_REUSED",
        )
    tx.conn.execute(f"INSERT INTO intents ({_COLUMNS}) VALUES ({_PLACES})", astuple(intent))


def drop(tx: Tx, intent: Intent) -> None:
    """Forget an intent that the ledger refused: nothing moved, its request id is free again."""
    tx.conn.execute(
        "DELETE FROM intents WHERE tenant = ? AND kind = ? AND request_id = ? AND done = 0",
        (intent.tenant, intent.kind, intent.request_id),
    )


def finish(tx: Tx, intent: Intent) -> None:
    """Bring the pool to where the intent leaves it and keep the answer; once, however often it is called."""
    closed = tx.conn.execute(
        "UPDATE intents SET done = 1 WHERE tenant = ? AND kind = ? AND request_id = ? AND done = 0",
        (intent.tenant, intent.kind, intent.request_id),
    )
    if not closed.rowcount:
        return
    tx.conn.execute(
        "INSERT INTO pools VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, pair) DO UPDATE SET shares = excluded.shares,"
        " x_price_sum = excluded.x_price_sum, y_price_sum = excluded.y_price_sum, updated_us = excluded.updated_us",
        (intent.tenant, intent.pair, intent.shares, intent.x_price_sum, intent.y_price_sum, intent.updated_us),
    )
    if intent.own_change:
        held = own_shares(tx.conn, intent.tenant, intent.pair, intent.owner)
        tx.conn.execute(
            "INSERT INTO holdings VALUES (?, ?, ?, ?)"
            " ON CONFLICT (tenant, pair, owner) DO UPDATE SET shares = excluded.shares",
            (intent.tenant, intent.pair, intent.owner, held + intent.own_change),
        )
    request = KINDS[intent.kind].FromString(intent.request)
    remember(tx, intent.tenant, request, ANSWERS[intent.kind].FromString(intent.response))


def observed(conn: Connection, tenant: str, pair: str, at_us: int) -> Pool | None:
    """The pool as the newest operation up to a moment left it, else as the first one did; None if there was none."""
    found = "SELECT response, kind, shares, x_price_sum, y_price_sum, updated_us FROM intents WHERE tenant = ? AND pair = ? AND done = 1"
    row = conn.execute(
        f"{found} AND updated_us <= ? ORDER BY updated_us DESC, kind DESC, request_id DESC LIMIT 1",
        (tenant, pair, at_us),
    ).fetchone()
    row = row or conn.execute(f"{found} ORDER BY updated_us, kind, request_id LIMIT 1", (tenant, pair)).fetchone()
    if row is None:
        return None
    left = ANSWERS[row[1]].FromString(row[0]).pool
    token_x, _, token_y = pair.partition("-")
    return Pool(token_x, token_y, left.reserve0_u, left.reserve1_u, row[2], int(row[3]), int(row[4]), row[5])


def newest(conn: Connection, tenant: str, pair: str, before: str, limit: int) -> list[Intent]:
    """Finished intents of a tenant, newest first; of one pair, or of all where it is empty.

    Args:
        before: `place_of` the last one of the page before; "" begins anew.

    Raises:
        InvalidArgument: it is no such place.
    """
    time, _, rest = before.partition(".")
    kind, _, request_id = rest.partition(".")
    if before and not (time.isdecimal() and len(time) <= 18 and kind in KINDS):
        raise InvalidArgument(
            f"{before!r} is no page token; send `next_page_token` of the page before, or none to begin anew",
            violations={"page_token": "is not a token that a page gave"},
        )
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM intents WHERE tenant = ? AND (? = '' OR pair = ?) AND done = 1"
        " AND (? = '' OR (updated_us, kind, request_id) < (?, ?, ?)) ORDER BY updated_us DESC, kind DESC, request_id DESC LIMIT ?",
        (tenant, pair, pair, before, int(time or 0), kind, request_id, limit),
    )
    return [Intent(*row) for row in rows]


def place_of(intent: Intent) -> str:
    """Where an intent stands among all, for the next page."""
    return f"{intent.updated_us}.{intent.kind}.{intent.request_id}"


def put_tariff(tx: Tx, tenant: str, tariff: market_pb2.PutTariffRequest) -> None:
    """Keep a tenant's tariff in place of the one before."""
    tx.conn.execute(
        "INSERT INTO tariffs VALUES (?, ?) ON CONFLICT (tenant) DO UPDATE SET body = excluded.body",
        (tenant, tariff.SerializeToString()),
    )


def tariff(conn: Connection, tenant: str) -> market_pb2.PutTariffRequest:
    """A tenant's tariff, without steps if none was declared."""
    row = conn.execute("SELECT body FROM tariffs WHERE tenant = ?", (tenant,)).fetchone()
    return market_pb2.PutTariffRequest.FromString(row[0]) if row else market_pb2.PutTariffRequest()
