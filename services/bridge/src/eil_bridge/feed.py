"""The one feed behind all streams: each journal is followed once, in the bridge's own name, and each event is written as JSON once.

A service's own name sees every tenant: the ring of a tenant, at which its clients alone stand, is where events part.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import grpc
import structlog
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil_mesh.call import acting_for
from eil_mesh.client import Peers
from eil_mesh.status import internal

from eil_bridge import events, position
from eil_bridge.client import Client
from eil_bridge.endings import RESTORED, Ending
from eil_bridge.ring import Ring
from eil_bridge.settings import BridgeSettings

log = structlog.get_logger("eil.stream")
ME = "bridge"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
READY_S = 1.0
"""Time that the first clients give every service to say where its journal ends [s]."""


class Feed:
    """Events of all topics, by tenant, from the first client on until the last has been gone for a while, or something breaks.

    Args:
        peers: channels to the services.
        settings: bounds and times.
    """

    def __init__(self, peers: Peers, settings: BridgeSettings) -> None:
        self.standing: dict[str, int] = {}
        """By service, the offset up to which its journal was passed; absent while the service was not reached yet."""
        self.closed = False
        self._peers, self._settings = peers, settings
        self._rings: dict[str, Ring] = {}
        self._clients: dict[str, set[Client]] = {}
        self._resting: dict[str, asyncio.TimerHandle] = {}
        self._known = {service: asyncio.Event() for service in events.BY_SERVICE}
        self._ready_s = asyncio.get_running_loop().time() + READY_S
        follow = [partial(self._follow, service) for service in events.BY_SERVICE]
        self._tasks = [asyncio.create_task(self._or_close(work)) for work in (*follow, self._beat)]

    def join(self, client: Client) -> Ring:
        """The ring of the client's tenant, which holds whatever comes from now on until the client leaves."""
        tenant = client.caller.principal.tenant
        self._clients.setdefault(tenant, set()).add(client)
        if rest := self._resting.pop(tenant, None):
            rest.cancel()
        if tenant not in self._rings:
            self._rings[tenant] = Ring(self.standing, self._settings.stream_events, self._settings.stream_bytes)
        return self._rings[tenant]

    async def known(self, services: Iterable[str]) -> None:
        """Wait until these services have said where their journals end, or have had the time to."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._ready_s):
                for service in services:
                    await self._known[service].wait()

    def leave(self, client: Client) -> None:
        """The client has ended."""
        tenant = client.caller.principal.tenant
        self._clients[tenant].discard(client)
        if not self._clients[tenant] and not self.closed:
            loop = asyncio.get_running_loop()
            self._resting[tenant] = loop.call_later(self._settings.linger_s, self._forget, tenant)

    def close(self, ending: Ending) -> None:
        """End every stream, and follow nothing any more."""
        self.closed = True
        for client in [client for clients in self._clients.values() for client in clients]:
            client.end(ending)
        for cancellable in (*self._tasks, *self._resting.values()):
            cancellable.cancel()

    def _forget(self, tenant: str) -> None:
        del self._resting[tenant], self._rings[tenant], self._clients[tenant]
        if not self._rings:
            self.close(Ending(None))

    async def _or_close(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work that never ends by itself; if it fails, everything does, and the next client begins anew."""
        try:
            await work()
        except Exception as error:
            self.close(Ending(internal(error, "")))  # logs it

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._settings.ping_s)
            for ring in self._rings.values():
                ring.beat()

    async def _follow(self, service: str) -> None:
        """Follow a service's journal from its present end; after a restart of the service, from the last event on."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                with acting_for(ME, ""):
                    await self._find_end(service)
                    if self.closed:
                        return
                    request = event_log_pb2.SubscribeRequest(
                        from_offset=self.standing[service] + 1, topics=events.BY_SERVICE[service], pages=True
                    )
                    subscription = self._stub(service).Subscribe(request)
                try:
                    async for response in subscription:
                        for event in response.events or (response.event,):
                            await self._share(service, event)
                        pause_s = FIRST_PAUSE_S
                finally:
                    subscription.cancel()
            except grpc.aio.AioRpcError as error:
                if pause_s == FIRST_PAUSE_S:  # once, not at each try
                    log.info("journal not followed now", service=service, code=error.code().name, why=error.details())
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _stub(self, service: str) -> event_log_pb2_grpc.EventLogServiceAsyncStub:
        return self._peers.stub(event_log_pb2_grpc.EventLogServiceStub, service)

    async def _find_end(self, service: str) -> None:
        """See where the journal ends, at first; later, that it still goes as far as it was followed."""
        request = event_log_pb2.GetBacklogRequest(from_offset=position.LARGEST_OFFSET)
        head = (await self._stub(service).GetBacklog(request)).head
        if service not in self.standing:
            self.standing[service] = head
            for ring in self._rings.values():
                ring.floor[service] = head
            self._known[service].set()
        elif head < self.standing[service]:
            log.error("journal was restored", service=service, head=head, followed=self.standing[service])
            self.close(RESTORED)

    async def _share(self, service: str, event: event_log_pb2.Event) -> None:
        text = await events.written(event) if event.tenant in self._rings else b""
        self.standing[service] = event.offset
        ring = self._rings.get(event.tenant)  # it may have been forgotten while a large event was written
        if not (ring and text):
            return
        ring.add(service, event.offset, event.topic, event.key, position.encode(self.standing), text)
        while sum(ring.bytes for ring in self._rings.values()) > self._settings.feed_bytes:
            max(self._rings.values(), key=lambda ring: ring.bytes).forget()
