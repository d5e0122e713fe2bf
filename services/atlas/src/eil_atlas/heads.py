"""Anchored heads of the mesh's journals: who anchored what, once and for all."""

from cryptography.exceptions import InvalidSignature
from eil.atlas.v1 import atlas_pb2
from eil_mesh.anchor import check_head
from eil_mesh.clock import from_us, to_us
from eil_mesh.errors import FailedPrecondition, InvalidArgument, PermissionDenied
from eil_mesh.store import Connection, Tx

SCHEMA = """
CREATE TABLE IF NOT EXISTS heads (
  journal TEXT,
  "offset" INTEGER,
  hash BLOB,
  public_key BLOB,
  signature BLOB,
  time_us INTEGER,
  PRIMARY KEY (journal, "offset")
);
CREATE INDEX IF NOT EXISTS heads_by_time ON heads (time_us);
"""
LARGEST_OFFSET = 2**63 - 1


def check(head: atlas_pb2.JournalHead, service: str | None) -> None:
    """Check what a head says of itself.

    Raises:
        PermissionDenied: `service`, which sends it, is not the one whose journal it is.
        InvalidArgument: its signature is not that of the key it names, or its offset is none.
    """
    owner = head.journal.partition("/")[0]
    if service is None or owner != service:
        raise PermissionDenied(
            f"{service or 'this caller'} may not anchor {head.journal!r}: a service anchors its own journal alone",
            reason="NOT_YOUR_JOURNAL",
        )
    if head.offset > LARGEST_OFFSET:
        raise InvalidArgument(
            f"offset {head.offset} is beyond the end of any journal; nothing was anchored",
            violations={"head.offset": f"must be at most {LARGEST_OFFSET}"},
        )
    try:
        check_head(head)
    except InvalidSignature:
        raise InvalidArgument(
            f"the signature does not fit entry {head.offset} of {head.journal}; nothing was anchored: sign journal, offset and hash with "
            "the key that the head names",
            reason="SIGNATURE_INVALID",
            violations={"head.signature": "was not made by head.public_key"},
        ) from None


def anchor(tx: Tx, head: atlas_pb2.JournalHead) -> None:
    """Keep a checked head. The first key of a journal is its key for ever; the same head again changes nothing.

    Raises:
        FailedPrecondition: it was signed by another key (KEY_CHANGED), or contradicts an anchored head (HEAD_CONTRADICTED).
    """
    pinned = tx.conn.execute("SELECT public_key FROM heads WHERE journal = ? LIMIT 1", (head.journal,)).fetchone()
    if pinned and pinned[0] != head.public_key:
        raise FailedPrecondition(
            f"{head.journal} was anchored under another key; whoever sends this is not who began the journal, or its key was replaced: "
            "restore the service's key file",
            reason="KEY_CHANGED",
        )
    key = (head.journal, head.offset)
    known = tx.conn.execute('SELECT hash FROM heads WHERE journal = ? AND "offset" = ?', key).fetchone()
    if known and known[0] != head.hash:
        raise FailedPrecondition(
            f"entry {head.offset} of {head.journal} was anchored with another hash: the journal was rewritten since; "
            "check it with `eil audit verify`",
            reason="HEAD_CONTRADICTED",
        )
    tx.conn.execute(
        'INSERT INTO heads VALUES (?,?,?,?,?,?) ON CONFLICT (journal, "offset") DO NOTHING',
        (*key, head.hash, head.public_key, head.signature, to_us(head.time)),
    )


def newest(conn: Connection, journal: str, limit: int) -> list[atlas_pb2.JournalHead]:
    """Anchored heads, newest first, of one journal if it is named."""
    if journal:
        where, values = 'WHERE journal = ? ORDER BY "offset" DESC', (journal, limit)
    else:
        where, values = "ORDER BY time_us DESC", (limit,)
    rows = conn.execute(
        f'SELECT journal, "offset", hash, public_key, signature, time_us FROM heads {where} LIMIT ?', values
    )
    return [
        atlas_pb2.JournalHead(
            journal=row["journal"],
            offset=row["offset"],
            hash=row["hash"],
            public_key=row["public_key"],
            signature=row["signature"],
            time=from_us(row["time_us"]),
        )
        for row in rows
    ]
