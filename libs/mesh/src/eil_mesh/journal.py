"""The append-only journal of a service: outbox of its events and audit chain in one table.

Entry n carries hash_n = SHA-256(hash_{n-1} ‖ n ‖ time ‖ tenant ‖ topic ‖ key ‖ digest), each part with its length, where digest =
SHA-256(salt ‖ payload): a payload may be erased later while its salted digest keeps the chain whole. hash_0 is 32 zero bytes.
"""

import hashlib
import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from eil_mesh import tracing
from eil_mesh.database import Connection

SCHEMA = """
CREATE TABLE IF NOT EXISTS journal (
  offset INTEGER PRIMARY KEY,
  time_us INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  topic TEXT NOT NULL,
  key TEXT NOT NULL,
  payload BLOB,
  salt BLOB NOT NULL,
  digest BLOB NOT NULL,
  hash BLOB NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS journal_stands BEFORE DELETE ON journal
  BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS journal_holds BEFORE UPDATE OF offset, time_us, tenant, topic, key, digest, hash ON journal
  BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TABLE IF NOT EXISTS erasures (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  up_to INTEGER NOT NULL,
  "done" INTEGER NOT NULL,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retired (topic TEXT PRIMARY KEY, up_to INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS traced (entry INTEGER PRIMARY KEY, traceparent TEXT NOT NULL) STRICT;
"""

GENESIS = bytes(32)
COUNTED = 1_000_000
"""Entries counted at most, where somebody asks how many wait."""
_COLUMNS = '"offset", time_us, tenant, topic, key, payload, salt, digest, hash'
TRACED = 1_000_000
"""Newest entries of which the trace is kept."""


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry: where the chain stands."""

    offset: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as it stands in the table; `payload` is None once erased."""

    offset: int
    time_us: int
    tenant: str
    topic: str
    key: str
    payload: bytes | None
    salt: bytes
    digest: bytes
    hash: bytes
    traceparent: str = ""
    """Where it was written while a trace was recorded; no part of the hash."""


def chain_hash(previous: bytes, offset: int, time_us: int, tenant: str, topic: str, key: str, digest: bytes) -> bytes:
    """Hash of an entry; see the module's docstring."""
    h = hashlib.sha256(previous)
    h.update(struct.pack(">QQ", offset, time_us))
    for part in (tenant.encode(), topic.encode(), key.encode(), digest):
        h.update(struct.pack(">I", len(part)))
        h.update(part)
    return h.digest()


class Journal:
    """Appends to the journal inside the caller's transaction. `head` is the chain's end as this transaction sees it."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        row = conn.execute('SELECT "offset", hash FROM journal ORDER BY "offset" DESC LIMIT 1').fetchone()
        self.head = Head(row[0], row[1]) if row else Head(0, GENESIS)

    def append(self, time_us: int, tenant: str, topic: str, key: str, message: Message) -> int:
        """Append one fact; returns its offset."""
        payload, salt = message.SerializeToString(deterministic=True), secrets.token_bytes(16)
        digest = hashlib.sha256(salt + payload).digest()
        offset = self.head.offset + 1
        entry_hash = chain_hash(self.head.hash, offset, time_us, tenant, topic, key, digest)
        self._conn.execute(
            "INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?)",
            (offset, time_us, tenant, topic, key, payload, salt, digest, entry_hash),
        )
        if traceparent := tracing.carried():
            self._conn.execute("INSERT INTO traced VALUES (?,?)", (offset, traceparent))
            self._conn.execute("DELETE FROM traced WHERE entry <= ?", (offset - TRACED,))
        self.head = Head(offset, entry_hash)
        return offset


def entries(
    conn: Connection,
    from_offset: int,
    *,
    tenant: str = "",
    topics: Sequence[str] = (),
    limit: int = 500,
    traces: bool = True,
) -> list[Entry]:
    """Entries from an offset on, oldest first, of one tenant and some topics where these are given.

    Without `traces` none are looked up: a journal that an earlier release left has no table of them.
    """
    where, parameters = _where(from_offset, tenant, topics)
    trace, beside = ("coalesce(traceparent, '')", 'LEFT JOIN traced ON entry = "offset"') if traces else ("''", "")
    rows = conn.execute(
        f'SELECT {_COLUMNS}, {trace} FROM journal {beside} WHERE {where} ORDER BY "offset" LIMIT ?',
        (*parameters, limit),
    )
    return [Entry(*row) for row in rows]


def newest(conn: Connection) -> int:
    """Offset of the newest entry; 0 while there is none."""
    return conn.execute('SELECT coalesce(max("offset"), 0) FROM journal').fetchone()[0]


def backlog(
    conn: Connection, from_offset: int, *, tenant: str = "", topics: Sequence[str] = ()
) -> tuple[int, int | None]:
    """How many entries lie from an offset on, `COUNTED` at most, and when the oldest of them was written [µs]."""
    where, parameters = _where(from_offset, tenant, topics)
    row = conn.execute(
        f'SELECT count(*), min(time_us) FROM (SELECT time_us FROM journal WHERE {where} ORDER BY "offset" LIMIT ?) AS found',
        (*parameters, COUNTED),
    ).fetchone()
    return row[0], row[1]


def _where(from_offset: int, tenant: str, topics: Sequence[str]) -> tuple[str, list[object]]:
    where, parameters = '"offset" >= ?', list[object]([from_offset])
    if tenant:
        where += " AND tenant = ?"
        parameters.append(tenant)
    if topics:
        where += f" AND topic IN ({','.join('?' * len(topics))})"
        parameters.extend(topics)
    return where, parameters


def verify(conn: Connection) -> Iterator[str]:
    """Walk the whole chain; yields a sentence for every entry that does not hold."""
    previous, expected = GENESIS, 1
    for entry in _all(conn):
        if entry.offset != expected:
            yield f"entries {expected} to {entry.offset - 1} are missing"
        if entry.payload is not None and hashlib.sha256(entry.salt + entry.payload).digest() != entry.digest:
            yield f"the payload of entry {entry.offset} was altered"
        wanted = chain_hash(previous, entry.offset, entry.time_us, entry.tenant, entry.topic, entry.key, entry.digest)
        if wanted != entry.hash:
            yield f"the hash of entry {entry.offset} does not follow from the entry before it"
        previous, expected = entry.hash, entry.offset + 1


def _all(conn: Connection) -> Iterator[Entry]:
    """Every entry, a page at a time: a journal may be larger than memory."""
    place = -(2**63)
    while page := entries(conn, place, traces=False):
        yield from page
        place = page[-1].offset + 1
