"""Tables of what is declared and seen of a source beside its decisions: its levers, and since when its clock stands where it does."""

import math
from collections.abc import Iterable

from eil.decision.v1 import decision_pb2
from eil_mesh.errors import InvalidArgument
from eil_mesh.store import Connection, Tx

from eil_decision.controls import journal
from eil_decision.domain.levers import FLEET, Lever, contradictions

SCHEMA = """
CREATE TABLE IF NOT EXISTS levers (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clocks (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  clock_us INTEGER NOT NULL,
  since_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;
"""


def set_levers(tx: Tx, tenant: str, source: str, declared: Iterable[decision_pb2.Lever], by: str) -> None:
    """Declare a source's levers in place of those before.

    Raises:
        InvalidArgument: they contradict each other or themselves.
    """
    message = decision_pb2.SetLeversRequest(source=source, levers=declared)
    if violations := contradictions([lever_of(lever) for lever in message.levers]):
        first = next(iter(violations.items()))
        raise InvalidArgument(
            f"the levers of {source!r} contradict themselves ({first[0]} {first[1]}); nothing was changed: declare them again",
            violations=violations,
        )
    if levers_message(tx.conn, tenant, source) == message:
        return
    tx.conn.execute(
        "INSERT INTO levers VALUES (?,?,?) ON CONFLICT (tenant, source) DO UPDATE SET body = excluded.body",
        (tenant, source, message.SerializeToString()),
    )
    journal(tx, tenant, decision_pb2.Control(change="levers", source=source, by=by, levers=message.levers))


def levers_message(conn: Connection, tenant: str, source: str) -> decision_pb2.SetLeversRequest:
    """A source's levers as they were declared; none if nothing was."""
    row = conn.execute("SELECT body FROM levers WHERE tenant = ? AND source = ?", (tenant, source)).fetchone()
    return decision_pb2.SetLeversRequest.FromString(row[0]) if row else decision_pb2.SetLeversRequest(source=source)


def levers(conn: Connection, tenant: str, source: str) -> tuple[Lever, ...]:
    """A source's levers, for the domain."""
    return tuple(map(lever_of, levers_message(conn, tenant, source).levers))


def lever_of(message: decision_pb2.Lever) -> Lever:
    """A lever of the contract."""
    return Lever(
        name=message.name,
        kind=message.kind,
        low=message.low,
        high=message.high,
        step=message.step or (1.0 if message.kind in FLEET else 0.0),
        ramp_per_s=message.ramp_per_s or math.inf,
        delay_s=message.delay_s,
        start_j=message.start_energy if message.HasField("start_energy") else None,
        wear_j=message.wear_energy,
        channel=message.channel,
        safe=message.safe if message.HasField("safe") else None,
        explore=message.explore,
        within_s=message.within_s,
        parked_w=message.parked_w,
    )


def note_clock(tx: Tx, tenant: str, source: str, clock_us: int) -> None:
    """Remember since when, on the wall, a source's clock stands where it does."""
    tx.conn.execute(
        "INSERT INTO clocks VALUES (?,?,?,?) ON CONFLICT (tenant, source) DO UPDATE SET clock_us = excluded.clock_us,"
        " since_us = excluded.since_us WHERE clocks.clock_us <> excluded.clock_us",
        (tenant, source, clock_us, tx.now_us),
    )


def standing_since_us(conn: Connection, tenant: str, source: str, clock_us: int, now_us: int) -> int:
    """Since when, on the wall, decisions have found a source's clock at this moment; now if they have not yet."""
    row = conn.execute(
        "SELECT since_us FROM clocks WHERE tenant = ? AND source = ? AND clock_us = ?", (tenant, source, clock_us)
    ).fetchone()
    return row[0] if row else now_us
