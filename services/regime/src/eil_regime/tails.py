"""Batches that lie in no segment yet: the newest small ones of each source, as they came, in one blob.

A segment is written anew whenever rows join it, and so is a detector whenever it is saved; for a single sample that is a hundred times what
the sample holds. So small batches gather here and go into a segment together, and the detector is saved then. In between, the detector
that was saved and the batches here stand for the detector that is: shown to it in their order, they lead to the same bits.
"""

import struct
from dataclasses import dataclass

from eil_mesh.store import Connection

from eil_regime.segments import Segment, pack, unpack

SCHEMA = """
CREATE TABLE IF NOT EXISTS tails (
  source_id INTEGER PRIMARY KEY REFERENCES sources (id),
  opened_us INTEGER NOT NULL,
  received_us INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
"""
MOST_BYTES = 4096
"""A tail that would grow longer goes into a segment."""
_PIECE = struct.Struct("<HI")  # channels, bytes of the packed rows


@dataclass(frozen=True, slots=True)
class Tail:
    """The batches of one source. Empty where there are none."""

    opened_us: int = 0
    """When the first was received."""
    body: bytes = b""

    def pieces(self) -> list[Segment]:
        """The batches in the order in which they came."""
        found, at = [], 0
        while at < len(self.body):
            channels, size = _PIECE.unpack_from(self.body, at)
            rows = at + _PIECE.size + channels
            found.append(unpack(self.body[at + _PIECE.size : rows], self.body[rows : rows + size]))
            at = rows + size
        return found

    def grown(self, batch: Segment) -> "Tail":
        """With one more batch."""
        packed = pack(batch)
        body = b"".join((self.body, _PIECE.pack(len(batch.channels), len(packed)), batch.channels, packed))
        return Tail(self.opened_us if self.body else int(batch.received_us[0]), body)


def find(conn: Connection, source_id: int) -> Tail:
    """The tail of a source."""
    row = conn.execute("SELECT opened_us, body FROM tails WHERE source_id = ?", (source_id,)).fetchone()
    return Tail(row[0], row[1]) if row else Tail()


def save(conn: Connection, source_id: int, tail: Tail, received_us: int) -> None:
    """Write a tail; `received_us`: when its newest batch was received."""
    conn.execute(
        "INSERT INTO tails VALUES (?,?,?,?) ON CONFLICT (source_id) DO UPDATE SET opened_us = excluded.opened_us,"
        " received_us = excluded.received_us, body = excluded.body",
        (source_id, tail.opened_us, received_us, tail.body),
    )


def drop(conn: Connection, source_id: int) -> None:
    """Take a tail away: its batches lie in a segment."""
    conn.execute("DELETE FROM tails WHERE source_id = ?", (source_id,))


def idle(conn: Connection, received_before_us: int, limit: int) -> list[int]:
    """Sources whose tails were received before a moment, some of them."""
    rows = conn.execute(
        "SELECT source_id FROM tails WHERE received_us < ? ORDER BY received_us LIMIT ?", (received_before_us, limit)
    )
    return [row[0] for row in rows]
