"""Several processes of one service over one database: one writes, the others hand calls on to it, and one of them takes over when it goes.

So an upgrade loses no call: the new process begins as one that stands by; the old one, told to stop, ends its calls, lets go of the
state, and hands on what still reaches it, until nothing does. Whoever takes over has the calls that waited meanwhile.
"""

import asyncio
from typing import Any

import grpc
import psycopg
import structlog

from eil_mesh.errors import FailedPrecondition
from eil_mesh.forwarding import Forwarding
from eil_mesh.settings import MeshSettings
from eil_mesh.turn import WAIT_S, Turn

log = structlog.get_logger("eil.standby")


class Standby:
    """What a process does beside the one that writes.

    Args:
        settings: the service's; `advertise` is set.
    """

    def __init__(self, settings: MeshSettings) -> None:
        self._turn = Turn(settings.database_url, settings.service)
        self._forwarding = Forwarding(settings, self._turn.writer)

    async def first(self) -> psycopg.Connection[Any] | None:
        """The session that may write, if no other process does.

        Raises:
            FailedPrecondition: the database cannot be reached.
        """
        try:
            return await self._turn.take(WAIT_S)
        except psycopg.Error as error:
            raise FailedPrecondition(f"the state's database refuses: {error}; see the setting database_url") from error

    async def next(self, stop: asyncio.Event) -> psycopg.Connection[Any] | None:
        """The session that may write, once no other process does; None: `stop` was set first."""
        while not stop.is_set():
            try:
                locked = await self._turn.take(WAIT_S)
            except psycopg.Error as error:
                log.warning("the state's database cannot be reached", error=str(error))
                await asyncio.sleep(WAIT_S)
                continue
            if locked is not None and stop.is_set():
                locked.close()
            elif locked is not None:
                return locked
        return None

    async def follows(self) -> bool:
        """Whether another process stands by."""
        try:
            return await self._turn.awaited()
        except psycopg.Error:
            return False

    def handler(self, method: str) -> grpc.RpcMethodHandler:
        """What serves a method by handing it on."""
        return self._forwarding.handler(method)

    async def close(self) -> None:
        """Let go of sessions and channels."""
        await self._forwarding.close()
        self._turn.close()
