"""What proofs teach: verdicts of the proof service make a source's intervals wider or narrower.

The logarithm of a factor on the half-widths is tracked like a quantile (Gibbs and Candès 2021): a prediction that did not hold moves it up
by RATE · level, one that held down by RATE · (1 − level). It never falls below 1: proofs do not narrow what telemetry
has calibrated.
"""

from __future__ import annotations

import math

from eil.events.v1 import event_log_pb2
from eil.proof.v1 import proof_pb2
from eil_mesh.store import Connection, Tx

SCHEMA = """
CREATE TABLE IF NOT EXISTS feedback (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  proofs INTEGER NOT NULL,
  held INTEGER NOT NULL,
  log_widening REAL NOT NULL,
  PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;
"""
TOPICS = ("eil.proof.verdicts",)
RATE, LEVEL, WIDEST = 0.1, 0.9, 3.0


def handle(tx: Tx, event: event_log_pb2.Event) -> None:
    """Learn from one event.

    Raises:
        DecodeError: it cannot be read.
    """
    verdict = proof_pb2.Verdict.FromString(event.payload)
    response = verdict.response
    if not verdict.source or response.evidence != "measured" or "energy_conservation" in response.checks.untested:
        return
    held = response.checks.energy
    learn(tx.conn, event.tenant, verdict.source, held)


def learn(conn: Connection, tenant: str, source: str, held: bool) -> None:
    """Count a verdict on a source's energy."""
    step = RATE * (LEVEL - 1.0 if held else LEVEL)
    log_widening = min(math.log(WIDEST), max(0.0, _log_widening(conn, tenant, source) + step))
    conn.execute(
        "INSERT INTO feedback VALUES (?, ?, 1, ?, ?) ON CONFLICT (tenant, source) DO UPDATE SET proofs = feedback.proofs + 1,"
        " held = feedback.held + excluded.held, log_widening = excluded.log_widening",
        (tenant, source, held, log_widening),
    )


def widening(conn: Connection, tenant: str, source: str) -> float:
    """The factor on a source's half-widths; 1 while nothing was proven."""
    return math.exp(_log_widening(conn, tenant, source))


def _log_widening(conn: Connection, tenant: str, source: str) -> float:
    row = conn.execute("SELECT log_widening FROM feedback WHERE tenant = ? AND source = ?", (tenant, source)).fetchone()
    return row[0] if row else 0.0
