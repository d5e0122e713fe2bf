"""Answers from the graph: pages of states and shifts, and the energy map."""

import sqlite3

from eil.atlas.v1 import atlas_pb2
from eil_mesh.clock import from_us

from eil_atlas.domain.windows import WINDOW_S, WINDOW_US, state_id

END_OF_TIME_US = 2**62


def list_states(
    conn: sqlite3.Connection, tenant: str, domain: str, source: str, before: tuple[int, str], limit: int
) -> list[tuple[tuple[int, str], atlas_pb2.StateRecord]]:
    """States older than the place `before` (window's begin [µs], source), newest first, each with its own place."""
    where, values = ("AND source = ?", (source,)) if source else ("", ())
    rows = conn.execute(
        "SELECT source, start_us, energy_j, entropy_per_k, regime, (SELECT max(start_us) FROM states p"
        "  WHERE p.tenant = s.tenant AND p.source = s.source AND p.start_us < s.start_us) AS previous_us"
        f" FROM states s WHERE tenant = ? AND (start_us, source) < (?, ?) {where}"
        " ORDER BY start_us DESC, source DESC LIMIT ?",
        (tenant, *before, *values, limit),
    )
    return [((row["start_us"], row["source"]), _state(tenant, domain, row)) for row in rows]


def _state(tenant: str, domain: str, row: sqlite3.Row) -> atlas_pb2.StateRecord:
    previous_us = row["previous_us"]
    return atlas_pb2.StateRecord(
        id=state_id(tenant, row["source"], row["start_us"]),
        source=row["source"],
        timestamp=from_us(row["start_us"]),
        energy=row["energy_j"],
        entropy=row["energy_j"] * row["entropy_per_k"],
        domain=domain,
        regime=row["regime"],
        previous_id="" if previous_us is None else state_id(tenant, row["source"], previous_us),
    )


def list_shifts(
    conn: sqlite3.Connection, tenant: str, source: str, before: tuple[int, str], limit: int
) -> list[tuple[tuple[int, str], atlas_pb2.ShiftRecord]]:
    """Shifts older than the place `before` (detection [µs], source), newest first, each with its own place."""
    where, values = ("AND h.source = ?", (source,)) if source else ("", ())
    rows = conn.execute(
        "SELECT h.*, s.start_us FROM shifts h LEFT JOIN states s ON s.tenant = h.tenant AND s.source = h.source"
        f" AND s.start_us = h.detected_us - h.detected_us % {WINDOW_US}"
        f" WHERE h.tenant = ? AND (h.detected_us, h.source) < (?, ?) {where}"
        " ORDER BY h.detected_us DESC, h.source DESC LIMIT ?",
        (tenant, *before, *values, limit),
    )
    return [((row["detected_us"], row["source"]), _shift(tenant, row)) for row in rows]


def _shift(tenant: str, row: sqlite3.Row) -> atlas_pb2.ShiftRecord:
    return atlas_pb2.ShiftRecord(
        id=row["id"],
        source=row["source"],
        onset=from_us(row["onset_us"]),
        from_regime=row["from_regime"],
        to_regime=row["to_regime"],
        state_id="" if row["start_us"] is None else state_id(tenant, row["source"], row["start_us"]),
    )


def newest_end_us(conn: sqlite3.Connection, tenant: str) -> int | None:
    """End of the tenant's newest state [µs]; None if it has no state."""
    row = conn.execute("SELECT max(start_us) FROM states WHERE tenant = ?", (tenant,)).fetchone()
    return None if row[0] is None else row[0] + WINDOW_US


def energy_map(conn: sqlite3.Connection, tenant: str, start_us: int, end_us: int) -> atlas_pb2.GetEnergyMapResponse:
    """The map of the windows that begin in [start_us, end_us)."""
    window = (tenant, start_us, end_us)
    # SQLite takes a bare column beside max() from the row that holds the maximum: the newest state's regime.
    nodes = conn.execute(
        "SELECT source, sum(energy_j) AS energy_j, sum(energy_j * entropy_per_k) AS entropy, count(*) AS states, regime, max(start_us)"
        " FROM states WHERE tenant = ? AND start_us >= ? AND start_us < ? GROUP BY source ORDER BY source",
        window,
    ).fetchall()
    edges = conn.execute(
        "SELECT source, from_regime, to_regime, count(*) AS times FROM shifts"
        " WHERE tenant = ? AND detected_us >= ? AND detected_us < ? GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        window,
    )
    return atlas_pb2.GetEnergyMapResponse(
        nodes=[
            atlas_pb2.MapNode(
                source=row["source"],
                energy=row["energy_j"],
                entropy=row["entropy"],
                regime=row["regime"],
                states=row["states"],
            )
            for row in nodes
        ],
        edges=[
            atlas_pb2.MapEdge(
                source=row["source"], from_regime=row["from_regime"], to_regime=row["to_regime"], count=row["times"]
            )
            for row in edges
        ],
        start=from_us(start_us),
        end=from_us(end_us),
        unit="J",
        total_energy=sum(row["energy_j"] for row in nodes),
        resolution_s=WINDOW_S,
    )
