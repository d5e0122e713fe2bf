"""Topology in the store: links that operators draw between sources, places that sources say themselves, and shifts."""

from collections.abc import Sequence
from dataclasses import dataclass

from eil_mesh.errors import ResourceExhausted
from eil_mesh.store import Connection, Tx

from eil_atlas.changes import Link, Place, Shift

SCHEMA = """
CREATE TABLE IF NOT EXISTS links (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  to_source TEXT NOT NULL,
  kind TEXT NOT NULL,
  weight REAL NOT NULL,
  PRIMARY KEY (tenant, source, to_source, kind)
) STRICT, WITHOUT ROWID;
"""
MOST_LINKS = 20_000
"""Links that a tenant may draw: questions about topology read them all."""
_SHIFT = "SELECT source, detected_us, id, onset_us, from_regime, to_regime FROM shifts WHERE tenant=?"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time [start_us, end_us) that a source spent in one regime."""

    regime: str
    start_us: int
    end_us: int


def put_links(tx: Tx, tenant: str, links: Sequence[Link]) -> None:
    """Draw links; one that is there gets the new weight.

    Raises:
        ResourceExhausted: the tenant would have too many.
    """
    tx.conn.executemany(
        "INSERT INTO links VALUES (?,?,?,?,?) ON CONFLICT (tenant, source, to_source, kind) DO UPDATE SET weight=excluded.weight",
        [(tenant, link.source, link.to_source, link.kind, link.weight) for link in links],
    )
    if tx.conn.execute("SELECT count(*) FROM links WHERE tenant=?", (tenant,)).fetchone()[0] > MOST_LINKS:
        raise ResourceExhausted(
            f"a tenant may draw {MOST_LINKS} links and this would be more; nothing was changed: delete some first",
            reason="TOO_MANY_LINKS",
        )


def delete_links(tx: Tx, tenant: str, links: Sequence[Link]) -> list[Link]:
    """Take links away; returns those that were there, with weight 0."""
    key = "tenant=? AND source=? AND to_source=? AND kind=?"
    gone = []
    for link in links:
        if tx.conn.execute(f"DELETE FROM links WHERE {key}", (tenant, link.source, link.to_source, link.kind)).rowcount:
            gone.append(Link(link.source, link.to_source, link.kind, 0.0))
    return gone


def links(conn: Connection, tenant: str, after: tuple[str, str, str], limit: int) -> list[Link]:
    """Links that follow a key (source, to, kind), by key."""
    rows = conn.execute(
        "SELECT source, to_source, kind, weight FROM links WHERE tenant=? AND source>=? AND (source, to_source, kind) > (?,?,?)"
        " ORDER BY source, to_source, kind LIMIT ?",
        (tenant, after[0], *after, limit),
    )
    return [Link(*tuple(row)) for row in rows]


def links_of(conn: Connection, tenant: str, source: str) -> list[Link]:
    """Links that begin or end at a source, with weight 0: to be taken away with it."""
    rows = conn.execute(
        "SELECT source, to_source, kind, 0.0 FROM links WHERE tenant=? AND (source=? OR to_source=?)",
        (tenant, source, source),
    )
    return [Link(*tuple(row)) for row in rows]


def places(conn: Connection, tenant: str) -> list[Place]:
    """Where sources stand that said so, by name."""
    rows = conn.execute(
        "SELECT name, place_row, place_rack FROM sources WHERE tenant=? AND (place_row IS NOT NULL OR place_rack IS NOT NULL)"
        " ORDER BY name",
        (tenant,),
    )
    return [Place(*tuple(row)) for row in rows]


def list_shifts(conn: Connection, tenant: str, source: str, before: tuple[int, str], limit: int) -> list[Shift]:
    """Shifts older than the place `before` (detection [µs], source), newest first."""
    where, values = (" AND source=?", (source,)) if source else ("", ())
    rows = conn.execute(
        f"{_SHIFT}{where} AND detected_us<=? AND (detected_us, source) < (?, ?) ORDER BY detected_us DESC, source DESC LIMIT ?",
        (tenant, *values, before[0], *before, limit),
    )
    return [Shift(*tuple(row)) for row in rows]


def shifts_within(conn: Connection, tenant: str, start_us: int, end_us: int, limit: int) -> list[Shift]:
    """Shifts detected in [start_us, end_us), newest first."""
    rows = conn.execute(
        f"{_SHIFT} AND detected_us>=? AND detected_us<? ORDER BY detected_us DESC, source DESC LIMIT ?",
        (tenant, start_us, end_us, limit),
    )
    return [Shift(*tuple(row)) for row in rows]


def find_shift(conn: Connection, tenant: str, source: str, shift_id: str) -> Shift | None:
    """A source's shift by its id, the newest if that is ""."""
    where, values = (" AND id=?", (shift_id,)) if shift_id else ("", ())
    row = conn.execute(
        f"{_SHIFT} AND source=?{where} ORDER BY detected_us DESC LIMIT 1", (tenant, source, *values)
    ).fetchone()
    return Shift(*tuple(row)) if row else None


def regime_changes(conn: Connection, tenant: str, start_us: int, end_us: int) -> list[tuple[str, str, str, int]]:
    """(source, regime left, regime entered, how often) of the shifts detected in [start_us, end_us)."""
    rows = conn.execute(
        "SELECT source, from_regime, to_regime, count(*) FROM shifts WHERE tenant=? AND detected_us>=? AND detected_us<?"
        " GROUP BY source, from_regime, to_regime ORDER BY source, from_regime, to_regime",
        (tenant, start_us, end_us),
    )
    return [tuple(row) for row in rows]


def stretches(conn: Connection, tenant: str, source: str, start_us: int, end_us: int, limit: int) -> list[Stretch]:
    """The stretches of a source that a span meets, oldest first, cut to the span; none if the source is not known."""
    known = conn.execute("SELECT regime FROM sources WHERE tenant=? AND name=?", (tenant, source)).fetchone()
    if known is None:
        return []
    key = (tenant, source)
    before = conn.execute(
        f"{_SHIFT} AND source=? AND detected_us<=? ORDER BY detected_us DESC LIMIT 1", (*key, start_us)
    ).fetchone()
    rows = conn.execute(
        f"{_SHIFT} AND source=? AND detected_us>? AND detected_us<? ORDER BY detected_us LIMIT ?",
        (*key, start_us, end_us, limit),
    ).fetchall()
    inside = [Shift(*tuple(row)) for row in rows]
    first = Shift(*tuple(before)).to_regime if before else inside[0].from_regime if inside else None
    if first is None:
        following = conn.execute(
            f"{_SHIFT} AND source=? AND detected_us>=? ORDER BY detected_us LIMIT 1", (*key, end_us)
        ).fetchone()
        first = Shift(*tuple(following)).from_regime if following else known[0]
    begins = [start_us, *(shift.detected_us for shift in inside)]
    ends = [*begins[1:], end_us]
    names = [first, *(shift.to_regime for shift in inside)]
    return [Stretch(*one) for one in zip(names, begins, ends, strict=True)][:limit]
