"""What becomes of what was kept: segments and objects that are old enough are forgotten, and contents that nothing names are removed.

Rows go first, in transactions; contents go in the sweep alone, when no row has named them for a day. So a content that is put again while
its object is deleted stays, and a crash leaves at most a content to sweep.
"""

import asyncio
from collections.abc import Iterator, Mapping
from itertools import islice

import structlog
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.errors import FailedPrecondition, NotFound, Unavailable
from eil_mesh.store import Connection, Store, Tx

from eil_atlas import checkpoints, objects, segment_index

log = structlog.get_logger("eil.atlas")
EVERY_S = 6 * 3600.0
ORPHAN_S = 86400.0
"""Age from which a content without a row is removed."""
ROWS = 500
"""Rows forgotten in one transaction, and contents looked up at a time."""


async def tend(
    store: Store, contents: objects.Objects, clock: Clock, keep_segments_s: float, expire_s: Mapping[str, float]
) -> None:
    """Forget and sweep, for ever. `expire_s`: how long objects of a media type are kept [s]."""
    while True:
        now_us = clock.now_us()
        while await store.write(lambda tx, now_us=now_us: expire_segments(tx, now_us - _us(keep_segments_s))) >= ROWS:
            pass
        for media_type, age_s in expire_s.items():
            before_us = now_us - _us(age_s)
            while await store.write(lambda tx, t=media_type, us=before_us: expire_objects(tx, t, us)) >= ROWS:
                pass
        try:
            await sweep(store, contents)
        except Unavailable as error:
            log.warning("contents were not swept", reason=error.message)
        await asyncio.sleep(EVERY_S)


def expire_segments(tx: Tx, before_us: int) -> int:
    """Forget segments that ended before a moment [µs], some of them if there are many; returns how many. The file of one that a checkpoint
    names as its data stays an object."""
    old = segment_index.older(tx.conn, before_us, ROWS)
    for segment in old:
        forget_segment(tx, segment)
    return len(old)


def forget_source(tx: Tx, tenant: str, source: str) -> None:
    """Forget the segments of a source. The file of one that a checkpoint names as its data stays an object."""
    for segment in segment_index.of_source(tx.conn, tenant, source):
        forget_segment(tx, segment)


def forget_segment(tx: Tx, segment: segment_index.Entry) -> None:
    """Take a segment out of the index; its object goes, too, unless something else names it."""
    segment_index.drop(tx, segment)
    if not held(tx.conn, segment.tenant, segment.digest):
        _drop(tx, segment.tenant, segment.digest)


def expire_objects(tx: Tx, media_type: str, before_us: int) -> int:
    """Forget objects of a media type that were put before a moment [µs] and that nothing names, some of them; returns how many."""
    old = tx.conn.execute(
        f"SELECT tenant, digest FROM objects WHERE media_type = ? AND created_us < ? AND NOT ({HELD}) LIMIT ?",
        (media_type, before_us, ROWS),
    ).fetchall()
    for tenant, digest in old:
        _drop(tx, tenant, digest)
    return len(old)


HELD = (
    "EXISTS (SELECT 1 FROM segments s WHERE s.tenant = objects.tenant AND s.digest = objects.digest)"
    " OR EXISTS (SELECT 1 FROM checkpoints c WHERE c.tenant = objects.tenant AND c.digest = objects.digest)"
    " OR EXISTS (SELECT 1 FROM checkpoint_data d WHERE d.tenant = objects.tenant AND d.digest = objects.digest)"
)
"""That an object is named by a segment or a checkpoint."""


def held(conn: Connection, tenant: str, digest: str) -> bool:
    """Whether a segment or a checkpoint names an object."""
    return segment_index.named(conn, tenant, digest) or checkpoints.named(conn, tenant, digest)


def delete_object(tx: Tx, tenant: str, digest: str) -> None:
    """Delete a tenant's object.

    Raises:
        NotFound: the tenant has none such.
        FailedPrecondition: a segment or a checkpoint names it.
    """
    objects.media_type_of(tx.conn, tenant, digest)
    if held(tx.conn, tenant, digest):
        raise FailedPrecondition(
            f"object {digest} is a segment of telemetry or belongs to a checkpoint, and stays; delete the checkpoint first; segments go "
            "with their age",
            reason="OBJECT_IN_USE",
        )
    _drop(tx, tenant, digest)


def _drop(tx: Tx, tenant: str, digest: str) -> None:
    tx.conn.execute("DELETE FROM objects WHERE tenant = ? AND digest = ?", (tenant, digest))


async def sweep(store: Store, contents: objects.Objects, age_s: float = ORPHAN_S) -> int:
    """Remove contents that were put longer ago than that [s] and have no row; returns how many.

    Raises:
        Unavailable: the server is away.
    """
    old, removed = contents.older(age_s), 0
    while names := await asyncio.to_thread(lambda: list(islice(old, ROWS))):
        orphans = await store.read(lambda conn, names=names: list(_without_row(conn, names)))
        for name in orphans:
            removed += await asyncio.to_thread(contents.remove, name, age_s)
    if removed:
        metrics.OBJECTS_SWEPT.inc(removed)
    return removed


def _without_row(conn: Connection, names: list[str]) -> Iterator[str]:
    tenants = {objects.part_of(row[0]): row[0] for row in conn.execute("SELECT DISTINCT tenant FROM objects")}
    for name in names:
        part, _, digest = name.split("/")
        try:
            objects.media_type_of(conn, tenants[part], digest)
        except (KeyError, NotFound):
            yield name


def _us(seconds: float) -> int:
    return round(seconds * MICROSECONDS)
