"""Tables of verifications of savings."""

from dataclasses import dataclass

from eil.proof.v1 import proof_pb2
from eil_mesh.clock import to_us
from eil_mesh.store import Connection, Tx

from eil_proof import bonus

VERIFICATIONS_TOPIC = "eil.proof.verifications"
SCHEMA = (
    bonus.SCHEMA
    + """
CREATE TABLE IF NOT EXISTS verifications (
  seq INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  source TEXT NOT NULL,
  reporting_start_us INTEGER NOT NULL,
  reporting_end_us INTEGER NOT NULL,
  open INTEGER NOT NULL,
  body BLOB NOT NULL,
  commitment BLOB NOT NULL,
  record BLOB,
  UNIQUE (tenant, id)
) STRICT;
CREATE INDEX IF NOT EXISTS verifications_by_source ON verifications (tenant, source, reporting_end_us);
CREATE INDEX IF NOT EXISTS verifications_open ON verifications (open) WHERE open = 1;
"""
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A verification with the JSON of its commitment and, once evaluated, of its record."""

    verification: proof_pb2.Verification
    commitment: bytes
    record: bytes | None


def find(conn: Connection, tenant: str, verification_id: str) -> Stored | None:
    """The tenant's verification of that id."""
    row = conn.execute(
        "SELECT body, commitment, record FROM verifications WHERE tenant = ? AND id = ?", (tenant, verification_id)
    ).fetchone()
    return Stored(proof_pb2.Verification.FromString(row[0]), row[1], row[2]) if row else None


def overlapping(conn: Connection, tenant: str, source: str, start_us: int, end_us: int) -> str:
    """Id of a verification of the source that could decide and that has part of a reporting period; "" if none has."""
    row = conn.execute(
        "SELECT id FROM verifications WHERE tenant = ? AND source = ? AND reporting_start_us < ? AND reporting_end_us > ?"
        " AND (open = 1 OR record IS NOT NULL) ORDER BY seq LIMIT 1",
        (tenant, source, end_us, start_us),
    ).fetchone()
    return row[0] if row else ""


def begin(tx: Tx, tenant: str, verification: proof_pb2.Verification, commitment: bytes, *, can_decide: bool) -> None:
    """Store a commitment and write it to the journal."""
    tx.conn.execute(
        "INSERT INTO verifications (tenant, id, source, reporting_start_us, reporting_end_us, open, body, commitment)"
        " VALUES (?,?,?,?,?,?,?,?)",
        (
            tenant,
            verification.verification_id,
            verification.source,
            to_us(verification.reporting_start),
            to_us(verification.reporting_end),
            can_decide,
            verification.SerializeToString(),
            commitment,
        ),
    )
    if can_decide:
        bonus.owe(tx, tenant, verification)
    tx.journal.append(tx.now_us, tenant, VERIFICATIONS_TOPIC, verification.source, verification)


def update(tx: Tx, tenant: str, verification: proof_pb2.Verification, record: bytes | None) -> None:
    """Store what became of a verification and write it to the journal; with a record it is closed."""
    tx.conn.execute(
        "UPDATE verifications SET body = ?, record = ?, open = open * ? WHERE tenant = ? AND id = ?",
        (verification.SerializeToString(), record, record is None, tenant, verification.verification_id),
    )
    bonus.owe(tx, tenant, verification)
    tx.journal.append(tx.now_us, tenant, VERIFICATIONS_TOPIC, verification.source, verification)


def newest(
    conn: Connection, tenant: str, source: str, before: int, limit: int
) -> list[tuple[int, proof_pb2.Verification]]:
    """Verifications with their sequence numbers, newest first."""
    rows = conn.execute(
        "SELECT seq, body FROM verifications WHERE tenant = ? AND (? = '' OR source = ?) AND seq < ? ORDER BY seq DESC LIMIT ?",
        (tenant, source, source, before, limit),
    )
    return [(row[0], proof_pb2.Verification.FromString(row[1])) for row in rows]


def open_ones(conn: Connection) -> list[tuple[str, str]]:
    """(tenant, id) of what waits for its evaluation, the reporting period that ends first before others."""
    rows = conn.execute("SELECT tenant, id FROM verifications WHERE open = 1 ORDER BY reporting_end_us, seq")
    return [tuple(row) for row in rows]
