"""What a client missed and the ring does not hold any more: read from the journals, with the client's own token."""

import asyncio
from collections.abc import Mapping

import grpc
import structlog
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil_mesh.call import serving
from eil_mesh.client import Peers
from eil_mesh.errors import PermissionDenied, Unauthenticated
from eil_mesh.status import reason_of

from eil_bridge import events
from eil_bridge.client import Client
from eil_bridge.endings import EXPIRED, UNKNOWN_PLACE, Ending

log = structlog.get_logger("eil.stream")
AT_ONCE = 16
"""Journals read at once: after a restart of the bridge everybody comes at the same time."""
PAGE_EVENTS, PAGE_BYTES = 500, 4 * 1024 * 1024
"""What is read of a journal at once, if that is more than one event; then the next client has its turn."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0


class Journals:
    """The journals as far as they lie behind the feed.

    Args:
        peers: channels to the services.
    """

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def bring(self, client: Client, service: str, standing: Mapping[str, int]) -> None:
        """Send what the client missed of a service's journal, until it has come to where the feed is, `standing`.

        While the service cannot be reached it waits; events of the others come all the same.
        """
        pause_s = FIRST_PAUSE_S
        while client.reached is not None:
            try:
                head, page, whole = await self._page(client, service, client.reached[service] + 1)
            except grpc.aio.AioRpcError as error:
                if ending := _final(error):
                    client.end(ending)
                    return
                if pause_s == FIRST_PAUSE_S:  # once, not at each try
                    log.info("journal not read now", service=service, code=error.code().name, why=error.details())
            else:
                if client.reached[service] > head:
                    client.end(UNKNOWN_PLACE)
                    return
                for event in page:
                    await client.send(service, event, await events.written(event))
                if whole and head >= standing.get(service, head + 1):
                    client.caught_up(service)
                    return
                if page or service in standing:  # the journal has grown meanwhile
                    pause_s = FIRST_PAUSE_S
                    continue
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _page(
        self, client: Client, service: str, from_offset: int
    ) -> tuple[int, list[event_log_pb2.Event], bool]:
        """Where the journal ends, the next events of the client's tenant, and whether these are all up to that end."""
        stub = self._peers.stub(event_log_pb2_grpc.EventLogServiceStub, service)
        topics = [topic for topic in events.BY_SERVICE[service] if topic in client.wish.topics]
        page, size = list[event_log_pb2.Event](), 0
        async with self._turn:
            with serving(client.caller.call("/v1/stream")):
                found = await stub.GetBacklog(event_log_pb2.GetBacklogRequest(from_offset=from_offset, topics=topics))
                if not found.entries:
                    return found.head, page, True
                subscription = stub.Subscribe(event_log_pb2.SubscribeRequest(from_offset=from_offset, topics=topics))
            try:
                async for response in subscription:
                    page.append(response.event)
                    size += len(response.event.payload)
                    if len(page) == min(found.entries, PAGE_EVENTS) or size > PAGE_BYTES:
                        break
            finally:
                subscription.cancel()
        return found.head, page, len(page) == found.entries


def _final(error: grpc.aio.AioRpcError) -> Ending | None:
    """The ending, if asking again would be refused again."""
    reason, said = reason_of(error), error.details() or ""
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return EXPIRED if reason == "TOKEN_EXPIRED" else Ending(Unauthenticated(said, reason=reason or None))
    if error.code() is grpc.StatusCode.PERMISSION_DENIED:
        return Ending(PermissionDenied(said, reason=reason or None))
    return None
