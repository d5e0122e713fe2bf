"""Tables of the proof service: verdicts, and predictions that nobody has proved yet."""

from dataclasses import dataclass

from eil.proof.v1 import proof_pb2
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS
from eil_mesh.event_log import SCHEMA as FOLLOWED_SCHEMA
from eil_mesh.reward import MICRO
from eil_mesh.store import Connection, Tx

ACTIONS_TOPIC = "eil.act.actions"
VERDICTS_TOPIC = "eil.proof.verdicts"
SCHEMA = (
    FOLLOWED_SCHEMA
    + """
CREATE TABLE IF NOT EXISTS verdicts (
  seq INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  prediction_id TEXT NOT NULL,
  source TEXT NOT NULL,
  measured INTEGER NOT NULL,
  valid INTEGER NOT NULL,
  given_us INTEGER NOT NULL,
  owner TEXT NOT NULL,
  minted_u INTEGER NOT NULL,
  booked INTEGER NOT NULL,
  savings_j REAL NOT NULL,
  body BLOB NOT NULL,
  UNIQUE (tenant, prediction_id)
) STRICT;
CREATE INDEX IF NOT EXISTS verdicts_by_source ON verdicts (tenant, source, given_us);
CREATE INDEX IF NOT EXISTS verdicts_unbooked ON verdicts (booked) WHERE booked = 0;
CREATE TABLE IF NOT EXISTS open_predictions (
  tenant TEXT NOT NULL,
  prediction_id TEXT NOT NULL,
  source TEXT NOT NULL,
  window_end_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, prediction_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS open_predictions_by_source ON open_predictions (tenant, source, window_end_us);
"""
)
DAY_US = 86_400 * MICROSECONDS


class _Validity:
    """Share of the verdicts since the start of the process that are valid, of those that rest on measurement."""

    def __init__(self) -> None:
        self._measured, self._valid = 0, 0

    def count(self, valid: bool) -> None:
        self._measured += 1
        self._valid += valid
        metrics.PROOF_VALIDATION_RATE.set(self._valid / self._measured)


_validity = _Validity()


@dataclass(frozen=True, slots=True)
class Owed:
    """A reward that the ledger has not booked yet."""

    tenant: str
    owner: str
    verdict: proof_pb2.Verdict
    """As it stands in the store."""


def find(conn: Connection, tenant: str, prediction_id: str) -> proof_pb2.Verdict | None:
    """The tenant's verdict on a prediction."""
    row = conn.execute(
        "SELECT body FROM verdicts WHERE tenant = ? AND prediction_id = ?", (tenant, prediction_id)
    ).fetchone()
    return proof_pb2.Verdict.FromString(row[0]) if row else None


def earned_today_u(conn: Connection, tenant: str, source: str, now_us: int) -> int:
    """What a source earned in the last 24 hours, 10⁻⁶ PFT."""
    row = conn.execute(
        "SELECT coalesce(sum(minted_u), 0) FROM verdicts WHERE tenant = ? AND source = ? AND given_us > ?",
        (tenant, source, now_us - DAY_US),
    ).fetchone()
    return row[0]


def give(tx: Tx, tenant: str, owner: str, verdict: proof_pb2.Verdict) -> None:
    """Store a verdict, close its prediction and write it to the journal."""
    response = verdict.response
    measured = response.evidence == "measured"
    tx.conn.execute(
        "INSERT INTO verdicts (tenant, prediction_id, source, measured, valid, given_us, owner, minted_u, booked, savings_j, body)"
        " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (
            tenant,
            response.prediction_id,
            verdict.source,
            measured,
            response.valid,
            tx.now_us,
            owner,
            verdict.minted_u,
            verdict.minted_u == 0,
            response.expected_energy_savings if response.valid and measured else 0.0,
            verdict.SerializeToString(),
        ),
    )
    tx.conn.execute(
        "DELETE FROM open_predictions WHERE tenant = ? AND prediction_id = ?", (tenant, response.prediction_id)
    )
    tx.journal.append(tx.now_us, tenant, VERDICTS_TOPIC, verdict.source, verdict)
    metrics.PROOFS.labels("valid" if response.valid else "invalid" if measured else "unmeasured").inc()
    if measured:
        _validity.count(response.valid)


def owed(conn: Connection, limit: int = 100) -> list[Owed]:
    """Rewards that the ledger has not booked yet, oldest first."""
    rows = conn.execute("SELECT tenant, owner, body FROM verdicts WHERE booked = 0 ORDER BY seq LIMIT ?", (limit,))
    return [Owed(row[0], row[1], proof_pb2.Verdict.FromString(row[2])) for row in rows]


def booked(tx: Tx, reward: Owed, amount_u: int) -> None:
    """Note that the ledger has decided on a reward, and what it minted."""
    changed = tx.conn.execute(
        "UPDATE verdicts SET booked = 1 WHERE tenant = ? AND prediction_id = ? AND booked = 0",
        (reward.tenant, reward.verdict.response.prediction_id),
    )
    if changed.rowcount:
        metrics.PFT_MINTED.inc(amount_u / MICRO)


def newest(conn: Connection, tenant: str, source: str, before: int, limit: int) -> list[tuple[int, proof_pb2.Verdict]]:
    """Verdicts with their sequence numbers, newest first."""
    rows = conn.execute(
        "SELECT seq, body FROM verdicts WHERE tenant = ? AND (? = '' OR source = ?) AND seq < ? ORDER BY seq DESC LIMIT ?",
        (tenant, source, source, before, limit),
    )
    return [(row[0], proof_pb2.Verdict.FromString(row[1])) for row in rows]


def record(conn: Connection, tenant: str, source: str) -> proof_pb2.GetRecordResponse:
    """Counts of the tenant's verdicts."""
    row = conn.execute(
        "SELECT coalesce(sum(measured), 0), coalesce(sum(measured * valid), 0), coalesce(sum(minted_u), 0),"
        " coalesce(sum(savings_j), 0.0) FROM verdicts WHERE tenant = ? AND (? = '' OR source = ?)",
        (tenant, source, source),
    ).fetchone()
    return proof_pb2.GetRecordResponse(measured=row[0], valid=row[1], minted_u=row[2], valid_savings_j=row[3])
