"""Whose turn it is to write to a service's state in PostgreSQL, as one of its processes sees it.

Who holds the schema's advisory lock writes, and says in the table `writer` where it is reached. Who waits for the lock is listed by the
server, so that a writer that is to go knows whether somebody follows.
"""

import asyncio
from typing import Any, Final

import psycopg

from eil_mesh.postgres import connect, lock

WAIT_S: Final = 1.0
"""Length of one wait for the lock [s]: each is a statement, and one that waited for days would keep the server from cleaning up."""


class Turn:
    """Sessions of a process that waits, or asks who writes.

    Args:
        url: where the server is.
        name: the schema.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        self._waiting: psycopg.Connection[Any] | None = None
        self._asking: psycopg.Connection[Any] | None = None
        self._one = asyncio.Lock()

    async def take(self, patience_s: float) -> psycopg.Connection[Any] | None:
        """A session that holds the writer's lock; None if another process held it all the time.

        Raises:
            psycopg.Error: the server cannot be reached.
        """
        return await asyncio.to_thread(self._take, patience_s)

    async def writer(self) -> str:
        """Address of the process that began to write last; empty if none ever did, or none that others may reach.

        Raises:
            psycopg.Error: the server cannot be reached.
        """
        try:
            found = await self._ask("SELECT address FROM writer", ())
        except (
            psycopg.errors.UndefinedTable,
            psycopg.errors.UndefinedColumn,
        ):  # the first process, or a release before
            return ""
        return found or ""

    async def awaited(self) -> bool:
        """Whether another process waits for the lock.

        Raises:
            psycopg.Error: the server cannot be reached.
        """
        statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"
        return bool(await self._ask(statement, (self._application(),)))

    def close(self) -> None:
        """Close the sessions, but for one that was given away."""
        for raw in (self._waiting, self._asking):
            if raw is not None:
                raw.close()
        self._waiting = self._asking = None

    def _application(self) -> str:
        return f"eil-{self._name}-standby"

    def _take(self, patience_s: float) -> psycopg.Connection[Any] | None:
        raw = self._waiting
        if raw is None or raw.closed:
            raw = self._waiting = connect(self._url, self._name, self._application())
        if not lock(raw, self._name, patience_s):
            return None
        raw.execute("SELECT set_config('application_name', $1, false)", (f"eil-{self._name}",))
        self._waiting = None
        return raw

    async def _ask(self, statement: str, parameters: tuple[Any, ...]) -> Any:
        async with self._one:
            return await asyncio.to_thread(self._first, statement, parameters)

    def _first(self, statement: str, parameters: tuple[Any, ...]) -> Any:
        if self._asking is None or self._asking.closed:
            self._asking = connect(self._url, self._name)
        row = self._asking.execute(statement.encode(), parameters).fetchone()
        return row[0] if row else None
