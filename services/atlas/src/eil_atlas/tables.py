"""Tables of the graph. Nodes: sources, states, shifts. Edges follow from the keys, so that they cannot disagree with the nodes:

* a source CONSUMES_ENERGY in the states that carry its name,
* a state TRANSITIONS_TO the next one of its source in time,
* a shift was DETECTED_IN the state of its source whose window holds the moment of detection.

Every key begins with the tenant.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  clock_us INTEGER NOT NULL,
  sends_power INTEGER NOT NULL,
  regime TEXT NOT NULL,
  regime_us INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS power (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  time_us INTEGER NOT NULL,
  power_w REAL NOT NULL,
  PRIMARY KEY (tenant, source, time_us)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS states (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  start_us INTEGER NOT NULL,
  energy_j REAL NOT NULL,
  covered_s REAL NOT NULL,
  entropy_per_k REAL NOT NULL,
  power_method TEXT NOT NULL,
  regime TEXT NOT NULL,
  offset INTEGER NOT NULL,
  PRIMARY KEY (tenant, source, start_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS states_by_time ON states (tenant, start_us, source);
CREATE TABLE IF NOT EXISTS shifts (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  detected_us INTEGER NOT NULL,
  id TEXT NOT NULL,
  onset_us INTEGER NOT NULL,
  from_regime TEXT NOT NULL,
  to_regime TEXT NOT NULL,
  PRIMARY KEY (tenant, source, detected_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS shifts_by_time ON shifts (tenant, detected_us, source);
"""
NEIGHBOURS = 32
"""Samples before a window that tell the sample period, as in the regime service."""


@dataclass(slots=True)
class Source:
    """A row of `sources`. `clock_us` is its newest sample, `regime` what it was at `regime_us`, `offset` the entry that said so."""

    tenant: str
    name: str
    clock_us: int = 0
    sends_power: bool = False
    regime: str = ""
    regime_us: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """A row of `states`. Entropy is `energy_j` × `entropy_per_k` (S/E of the newest energy state in the window [1/K])."""

    start_us: int
    energy_j: float
    covered_s: float
    entropy_per_k: float
    power_method: str
    regime: str


def find_source(conn: sqlite3.Connection, tenant: str, name: str) -> Source:
    """The tenant's source of that name, blank if it is new."""
    row = conn.execute("SELECT * FROM sources WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
    return Source(**{**dict(row), "sends_power": bool(row["sends_power"])}) if row else Source(tenant, name)


def save_source(conn: sqlite3.Connection, source: Source) -> None:
    """Write a source."""
    conn.execute(
        "INSERT INTO sources VALUES (?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET clock_us=excluded.clock_us,"
        " sends_power=excluded.sends_power, regime=excluded.regime, regime_us=excluded.regime_us, offset=excluded.offset",
        (
            source.tenant,
            source.name,
            source.clock_us,
            source.sends_power,
            source.regime,
            source.regime_us,
            source.offset,
        ),
    )


def forget_source(conn: sqlite3.Connection, tenant: str, name: str) -> None:
    """Forget that there was such a source."""
    conn.execute("DELETE FROM sources WHERE tenant = ? AND name = ?", (tenant, name))


def add_power(conn: sqlite3.Connection, source: Source, points: Sequence[tuple[int, float]]) -> list[int]:
    """Store power samples (time [µs], power [W]); returns the times that were new. The first value of a time stands."""
    key = (source.tenant, source.name)
    return [
        time_us
        for time_us, power_w in points
        if conn.execute("INSERT INTO power VALUES (?,?,?,?) ON CONFLICT DO NOTHING", (*key, time_us, power_w)).rowcount
    ]


def neighbours_us(conn: sqlite3.Connection, source: Source, first_us: int, last_us: int) -> tuple[int, int]:
    """Times of the samples just before `first_us` and just after `last_us`; where there is none, these times themselves."""
    return tuple(
        conn.execute(
            "SELECT coalesce((SELECT max(time_us) FROM power WHERE tenant=?1 AND source=?2 AND time_us<?3), ?3),"
            " coalesce((SELECT min(time_us) FROM power WHERE tenant=?1 AND source=?2 AND time_us>?4), ?4)",
            (source.tenant, source.name, first_us, last_us),
        ).fetchone()
    )


def _oldest_needed_us(conn: sqlite3.Connection, source: Source, from_us: int) -> int:
    row = conn.execute(
        "SELECT min(time_us) FROM (SELECT time_us FROM power WHERE tenant=? AND source=? AND time_us<=?"
        " ORDER BY time_us DESC LIMIT ?)",
        (source.tenant, source.name, from_us, NEIGHBOURS),
    ).fetchone()
    return from_us if row[0] is None else row[0]


def power_around(conn: sqlite3.Connection, source: Source, from_us: int, to_us: int) -> tuple[list[int], list[float]]:
    """Times [µs] and power [W] of a stretch with its neighbours: some before it and one after."""
    key = (source.tenant, source.name)
    rows = conn.execute(
        "SELECT time_us, power_w FROM power WHERE tenant=? AND source=? AND time_us>=? AND time_us<? ORDER BY time_us",
        (*key, _oldest_needed_us(conn, source, from_us), to_us),
    ).fetchall()
    rows += conn.execute(
        "SELECT time_us, power_w FROM power WHERE tenant=? AND source=? AND time_us>=? ORDER BY time_us LIMIT 1",
        (*key, to_us),
    ).fetchall()
    return [row[0] for row in rows], [row[1] for row in rows]


def drop_power(conn: sqlite3.Connection, source: Source, settled_us: int) -> None:
    """Forget the samples that no window from `settled_us` on needs any more."""
    conn.execute(
        "DELETE FROM power WHERE tenant=? AND source=? AND time_us<?",
        (source.tenant, source.name, _oldest_needed_us(conn, source, settled_us)),
    )


def add_states(conn: sqlite3.Connection, source: Source, states: Iterable[State], *, measured: bool) -> None:
    """Make the states that are missing; those that stand get a new energy if it was `measured`, and keep what is known of them."""
    conflict = (
        "UPDATE SET energy_j=excluded.energy_j, covered_s=excluded.covered_s,"
        " entropy_per_k=iif(entropy_per_k=0, excluded.entropy_per_k, entropy_per_k)"
        if measured
        else "NOTHING"
    )
    conn.executemany(
        f"INSERT INTO states VALUES (?,?,?,?,?,?,?,?,0) ON CONFLICT DO {conflict}",
        (
            (source.tenant, source.name, s.start_us, s.energy_j, s.covered_s, s.entropy_per_k, s.power_method, s.regime)
            for s in states
        ),
    )


def describe_state(
    conn: sqlite3.Connection,
    source: Source,
    start_us: int,
    entropy_per_k: float,
    power_method: str,
    regime: str,
    offset: int,
) -> None:
    """Say of a state what the journal entry at `offset` says; the newest entry stands."""
    conn.execute(
        "UPDATE states SET entropy_per_k=iif(?1=0, entropy_per_k, ?1), power_method=?2, regime=?3, offset=?4"
        " WHERE tenant=?5 AND source=?6 AND start_us=?7 AND offset<?4",
        (entropy_per_k, power_method, regime, offset, source.tenant, source.name, start_us),
    )


def rename_regime(conn: sqlite3.Connection, source: Source, since_us: int, old: str, new: str) -> None:
    """Give the states since a moment the regime's settled name in place of the provisional one."""
    conn.execute(
        "UPDATE states SET regime=? WHERE tenant=? AND source=? AND start_us>=? AND regime=?",
        (new, source.tenant, source.name, since_us, old),
    )


def add_shift(
    conn: sqlite3.Connection, source: Source, detected_us: int, shift_id: str, onset_us: int, left: str, entered: str
) -> None:
    """Store a shift; `entered` is "" while it is not known."""
    conn.execute(
        "INSERT INTO shifts VALUES (?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        (source.tenant, source.name, detected_us, shift_id, onset_us, left, entered),
    )


def enter_regime(conn: sqlite3.Connection, source: Source, time_us: int, regime: str) -> int:
    """Name the regime that the newest shift up to `time_us` entered; returns when it was detected [µs], 0 if there is none."""
    row = conn.execute(
        "SELECT max(detected_us) FROM shifts WHERE tenant=? AND source=? AND detected_us<=?",
        (source.tenant, source.name, time_us),
    ).fetchone()
    if row[0] is None:
        return 0
    conn.execute(
        "UPDATE shifts SET to_regime=? WHERE tenant=? AND source=? AND detected_us=? AND to_regime!=?",
        (regime, source.tenant, source.name, row[0], regime),
    )
    return row[0]


def regimes_left(conn: sqlite3.Connection, source: Source, since_us: int) -> list[tuple[int, str]]:
    """(detected [µs], regime left) of the shifts since a moment, oldest first."""
    rows = conn.execute(
        "SELECT detected_us, from_regime FROM shifts WHERE tenant=? AND source=? AND detected_us>=? ORDER BY detected_us",
        (source.tenant, source.name, since_us),
    )
    return [(row[0], row[1]) for row in rows]
