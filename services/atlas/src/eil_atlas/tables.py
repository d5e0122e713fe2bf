"""What the learner works on: sources, power samples and windows that are not settled yet, and shifts. Every key begins with the tenant."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from operator import attrgetter

from eil_mesh.store import Connection

SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  clock_us INTEGER NOT NULL,
  sends_power INTEGER NOT NULL,
  regime TEXT NOT NULL,
  regime_us INTEGER NOT NULL,
  "offset" INTEGER NOT NULL,
  place_row REAL,
  place_rack REAL,
  row_us INTEGER NOT NULL,
  rack_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS power (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  time_us INTEGER NOT NULL,
  power_w REAL NOT NULL,
  PRIMARY KEY (tenant, source, time_us)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS windows (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  start_us INTEGER NOT NULL,
  energy_j REAL NOT NULL,
  covered_s REAL NOT NULL,
  entropy_per_k REAL NOT NULL,
  power_method TEXT NOT NULL,
  "offset" INTEGER NOT NULL,
  PRIMARY KEY (tenant, source, start_us)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shifts (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  detected_us INTEGER NOT NULL,
  id TEXT NOT NULL,
  onset_us INTEGER NOT NULL,
  from_regime TEXT NOT NULL,
  to_regime TEXT NOT NULL,
  said_regime TEXT NOT NULL,
  PRIMARY KEY (tenant, source, detected_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS shifts_by_time ON shifts (tenant, detected_us, source);
"""
NEIGHBOURS = 32
"""Samples before a window that tell the sample period, as in the regime service."""
ROWS_AT_ONCE = 4000
"""Rows of a statement that deletes."""


@dataclass(slots=True)
class Source:
    """A row of `sources`. `clock_us` is its newest sample. The telemetry with the highest `offset` said `regime` of the moment `regime_us`.
    Row and rack were said at `row_us` and `rack_us`."""

    tenant: str
    name: str
    clock_us: int = 0
    sends_power: bool = False
    regime: str = ""
    regime_us: int = 0
    offset: int = 0
    place_row: float | None = None
    place_rack: float | None = None
    row_us: int = 0
    rack_us: int = 0


@dataclass(slots=True)
class Window:
    """A row of `windows`. Entropy is `energy_j` × `entropy_per_k` (S/E of the newest energy state in the window [1/K]), which the journal
    entry at `offset` said; 0 if none spoke of this window."""

    start_us: int
    energy_j: float = 0.0
    covered_s: float = 0.0
    entropy_per_k: float = 0.0
    power_method: str = ""
    offset: int = 0


@dataclass(slots=True)
class FoundShift:
    """A row of `shifts`: `to_regime` is the name of the stretch after it, `said_regime` what the shift itself called it."""

    detected_us: int
    id: str
    onset_us: int
    from_regime: str
    to_regime: str
    said_regime: str


_COLUMNS = [field.name if field.name != "offset" else '"offset"' for field in fields(Source)]
_SAVE = (
    f"INSERT INTO sources ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) ON CONFLICT (tenant, name)"
    f" DO UPDATE SET {', '.join(f'{name}=excluded.{name}' for name in _COLUMNS[2:])}"
)
_source_values = attrgetter(
    *(field.name for field in fields(Source))
)  # astuple copies deeply, at twenty times the cost
_window_values = attrgetter(*(field.name for field in fields(Window)))
_SHIFT = "SELECT detected_us, id, onset_us, from_regime, to_regime, said_regime FROM shifts WHERE tenant=? AND source=?"


def find_source(conn: Connection, tenant: str, name: str) -> Source:
    """The tenant's source of that name, blank if it is new."""
    row = conn.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM sources WHERE tenant = ? AND name = ?", (tenant, name)
    ).fetchone()
    if row is None:
        return Source(tenant, name)
    source = Source(*row)
    source.sends_power = bool(source.sends_power)
    return source


def save_source(conn: Connection, source: Source) -> None:
    """Write a source."""
    conn.execute(_SAVE, [int(value) if value is True or value is False else value for value in _source_values(source)])


def add_power(conn: Connection, source: Source, points: Sequence[tuple[int, float]]) -> list[int]:
    """Store power samples (time [µs], power [W]); returns the times that were new. The first value of a time stands."""
    if not points:
        return []
    key = (source.tenant, source.name)
    low_us, high_us = min(points)[0], max(points)[0]
    known = {
        row[0]
        for row in conn.execute(
            "SELECT time_us FROM power WHERE tenant=? AND source=? AND time_us>=? AND time_us<=?",
            (*key, low_us, high_us),
        )
    }
    fresh: dict[int, float] = {}
    for time_us, power_w in points:
        if time_us not in known:
            fresh.setdefault(time_us, power_w)
    conn.executemany("INSERT INTO power VALUES (?,?,?,?)", [(*key, *point) for point in fresh.items()])
    return list(fresh)


def neighbours_us(conn: Connection, source: Source, first_us: int, last_us: int) -> tuple[int, int]:
    """Times of the samples just before `first_us` and just after `last_us`; where there is none, these times themselves."""
    key = (source.tenant, source.name)
    before, after = conn.execute(
        "SELECT (SELECT max(time_us) FROM power WHERE tenant=? AND source=? AND time_us<?),"
        " (SELECT min(time_us) FROM power WHERE tenant=? AND source=? AND time_us>?)",
        (*key, first_us, *key, last_us),
    ).fetchone()
    return first_us if before is None else before, last_us if after is None else after


def _oldest_needed_us(conn: Connection, source: Source, from_us: int) -> int:
    row = conn.execute(
        "SELECT min(time_us) FROM (SELECT time_us FROM power WHERE tenant=? AND source=? AND time_us<=?"
        " ORDER BY time_us DESC LIMIT ?) AS newest",
        (source.tenant, source.name, from_us, NEIGHBOURS),
    ).fetchone()
    return from_us if row[0] is None else row[0]


def power_around(conn: Connection, source: Source, from_us: int, to_us: int) -> tuple[list[int], list[float]]:
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


def settle(conn: Connection, source: Source, settled_us: int) -> None:
    """Forget the windows that begin before a moment, and the samples that no window from then on needs any more."""
    key = (source.tenant, source.name)
    conn.execute("DELETE FROM windows WHERE tenant=? AND source=? AND start_us<?", (*key, settled_us))
    oldest_us = _oldest_needed_us(conn, source, settled_us)
    conn.execute("DELETE FROM power WHERE tenant=? AND source=? AND time_us<?", (*key, oldest_us))


def find_windows(conn: Connection, source: Source, first_us: int, last_us: int) -> dict[int, Window]:
    """The windows that begin in [first_us, last_us], by their begin."""
    rows = conn.execute(
        'SELECT start_us, energy_j, covered_s, entropy_per_k, power_method, "offset" FROM windows'
        " WHERE tenant=? AND source=? AND start_us>=? AND start_us<=?",
        (source.tenant, source.name, first_us, last_us),
    )
    return {row[0]: Window(*row) for row in rows}


def save_windows(conn: Connection, source: Source, windows: Iterable[Window]) -> None:
    """Write windows."""
    conn.executemany(
        "INSERT INTO windows VALUES (?,?,?,?,?,?,?,?) ON CONFLICT (tenant, source, start_us) DO UPDATE SET"
        " energy_j=excluded.energy_j, covered_s=excluded.covered_s, entropy_per_k=excluded.entropy_per_k,"
        ' power_method=excluded.power_method, "offset"=excluded."offset"',
        [(source.tenant, source.name, *_window_values(window)) for window in windows],
    )


def add_shift(conn: Connection, source: Source, shift: FoundShift) -> None:
    """Store a shift."""
    conn.execute("INSERT INTO shifts VALUES (?,?,?,?,?,?,?,?)", (source.tenant, source.name, *astuple(shift)))


def enter_regime(conn: Connection, source: Source, shift: FoundShift) -> None:
    """Write what regime a shift entered."""
    conn.execute(
        "UPDATE shifts SET to_regime=? WHERE tenant=? AND source=? AND detected_us=?",
        (shift.to_regime, source.tenant, source.name, shift.detected_us),
    )


def shift_before(conn: Connection, source: Source, time_us: int) -> FoundShift | None:
    """The newest shift detected before a moment."""
    row = conn.execute(
        f"{_SHIFT} AND detected_us<? ORDER BY detected_us DESC LIMIT 1", (source.tenant, source.name, time_us)
    ).fetchone()
    return FoundShift(*row) if row else None


def shifts_since(conn: Connection, source: Source, time_us: int, limit: int = ROWS_AT_ONCE) -> list[FoundShift]:
    """The shifts detected at a moment or later, oldest first."""
    rows = conn.execute(
        f"{_SHIFT} AND detected_us>=? ORDER BY detected_us LIMIT ?", (source.tenant, source.name, time_us, limit)
    )
    return [FoundShift(*row) for row in rows]


def forget_source(conn: Connection, tenant: str, name: str) -> None:
    """Delete what the learner knows of a source."""
    for table in ("power", "windows", "shifts"):
        conn.execute(f"DELETE FROM {table} WHERE tenant=? AND source=?", (tenant, name))
    conn.execute("DELETE FROM sources WHERE tenant=? AND name=?", (tenant, name))
