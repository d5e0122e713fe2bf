"""One instant of several SQLite databases: nothing is committed in any of them between the copies.

Copies that are taken one after the other do not fit together: a follower may have handled what the copied journal does not hold yet. So
the write lock of every database is taken, a reader is pinned to what each holds, and the locks are let go: writers wait for
milliseconds, the copies are then made from the pinned readers while the services go on.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

LOCK_S = 8.0
"""Longest wait for a writer to finish its transaction [s]; a service's own writes wait ten."""


@dataclass(frozen=True, slots=True)
class Instant:
    """Readers pinned to the same moment, by database."""

    readers: dict[Path, sqlite3.Connection]
    taken_us: int
    held_s: float

    def copy(self, path: Path, to: Path) -> None:
        """Copy a database as it was at that moment, page by page in its place."""
        to.unlink(missing_ok=True)
        with closing(sqlite3.connect(to)) as copied:
            copied.execute("PRAGMA synchronous=OFF")
            self.readers[path].backup(copied)


@contextmanager
def instant(paths: Sequence[Path]) -> Iterator[Instant]:
    """Pin all databases to one moment.

    Raises:
        sqlite3.Error: a database cannot be read, or is locked for longer than `LOCK_S`.
    """
    with ExitStack() as stack:
        writers = [stack.enter_context(closing(_open(path))) for path in paths]
        readers = {path: stack.enter_context(closing(_open(path))) for path in paths}
        began = time.monotonic()
        for writer in writers:
            writer.execute("BEGIN IMMEDIATE")
        taken_us = time.time_ns() // 1000
        for reader in readers.values():
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        for writer in writers:
            writer.execute("ROLLBACK")
        yield Instant(readers, taken_us, time.monotonic() - began)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=LOCK_S)
