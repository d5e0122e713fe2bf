"""WS /v1/stream: the tenant's events as they are written, as JSON, to people and dashboards that gRPC does not reach."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil_mesh import metrics
from eil_mesh.call import serving
from eil_mesh.client import Peers
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.errors import PermissionDenied, ResourceExhausted, Unauthenticated
from eil_mesh.identity import TokenVerifier
from eil_mesh.layers import authorise
from eil_mesh.status import internal, reason_of
from google.protobuf.message import DecodeError
from starlette.websockets import WebSocket, WebSocketDisconnect

from eil_bridge import events
from eil_bridge.callers import Caller, authenticate
from eil_bridge.outbox import EXPIRED, FAILED, GONE, STOPPING, TRY_LATER, Ending, Outbox
from eil_bridge.replies import body
from eil_bridge.settings import BridgeSettings

log = structlog.get_logger("eil.stream")
SUBSCRIBE = "/eil.events.v1.EventLogService/Subscribe"
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
LARGE = 64 * 1024
"""Bytes of a payload that is written as JSON beside the event loop."""
NO_TOKEN = Ending(4401, "this needs a token: send it in the Authorization header, or as ?access_token=TOKEN")
BAD_TOKEN = Ending(4401, "the token is not valid; get one with `eil token` and connect again")
NO_ROLE = Ending(4403, "this token has no role that may read events; get one with `eil token --role viewer`")
NO_TOPIC = Ending(4400, f"unknown topic; without ?topics= all are sent, such as {', '.join(list(events.TOPICS)[:3])}")
FULL = Ending(TRY_LATER, "the bridge serves as many streams as it can; try again later", "TOO_MANY_STREAMS")
TOO_MANY = Ending(TRY_LATER, "this subject has as many streams open as it may; close one", "TOO_MANY_STREAMS")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants: who asks, topics by service, and one key (empty: any)."""

    caller: Caller
    topics: dict[str, list[str]]
    source: str

    def takes(self, event: event_log_pb2.Event) -> bool:
        """Whether the event is the client's. Services send one tenant's events alone; this is the second lock."""
        return (
            event.tenant == self.caller.principal.tenant
            and event.topic in events.TOPICS
            and self.source in ("", event.key)
        )


class Streams:
    """The open streams.

    Args:
        peers: channels to the services, whose journals are read with the client's own token.
        verifier: verifies tokens.
        clock: says when a token ends.
        settings: bounds.
    """

    def __init__(self, peers: Peers, verifier: TokenVerifier, clock: Clock, settings: BridgeSettings) -> None:
        self._peers, self._verifier, self._clock, self._settings = peers, verifier, clock, settings
        self._open: dict[Outbox, tuple[str, str]] = {}
        self._by_subject: Counter[tuple[str, str]] = Counter()
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one client from its handshake to its end. Codes from 4400 on are as in HTTP."""
        await websocket.accept()  # before any check: browsers show no close code of a refused handshake
        wish = self._wish(websocket)
        if isinstance(wish, Ending):
            await self._say(websocket, wish)
            return
        principal = wish.caller.principal
        outbox = Outbox(self._settings.stream_events, self._settings.stream_bytes)
        with self._listed(outbox, (principal.tenant, principal.subject)):
            await self._serve(websocket, wish, outbox)

    async def stop(self) -> None:
        """End every stream with 1001, and take no more."""
        self._stopping = True
        for outbox in list(self._open):
            outbox.end(STOPPING)
        await self._idle.wait()

    def _wish(self, websocket: WebSocket) -> Wish | Ending:
        """What the client may have, or why it may not."""
        if self._stopping:
            return STOPPING
        try:
            caller = authenticate(self._verifier, websocket, in_query=True)
            authorise(SUBSCRIBE, caller.principal)
        except Unauthenticated as error:
            return {"TOKEN_MISSING": NO_TOKEN, "TOKEN_EXPIRED": EXPIRED}.get(error.reason, BAD_TOKEN)
        except PermissionDenied:
            return NO_ROLE
        asked = [topic.strip() for topic in websocket.query_params.get("topics", "").split(",")]
        topics: dict[str, list[str]] = {}
        for topic in filter(None, asked) if any(asked) else events.TOPICS:
            if topic not in events.TOPICS:
                return NO_TOPIC
            topics.setdefault(events.TOPICS[topic].service, []).append(topic)
        if len(self._open) >= self._settings.streams:
            return FULL
        if self._by_subject[caller.principal.tenant, caller.principal.subject] >= self._settings.streams_per_subject:
            return TOO_MANY
        return Wish(caller, topics, websocket.query_params.get("source", ""))

    @contextlib.contextmanager
    def _listed(self, outbox: Outbox, subject: tuple[str, str]):
        self._open[outbox] = subject
        self._by_subject[subject] += 1
        self._idle.clear()
        try:
            yield
        finally:
            del self._open[outbox]
            self._by_subject[subject] -= 1
            if not self._by_subject[subject]:
                del self._by_subject[subject]
            if not self._open:
                self._idle.set()

    async def _serve(self, websocket: WebSocket, wish: Wish, outbox: Outbox) -> None:
        request_id = wish.caller.request_id
        writer = asyncio.create_task(_or_end(self._write(websocket, wish, outbox), outbox, request_id))
        others = [
            asyncio.create_task(_or_end(work, outbox, request_id))
            for work in (
                self._expire(wish.caller, outbox),
                _watch(websocket, outbox),
                *(self._follow(service, topics, wish, outbox) for service, topics in wish.topics.items()),
            )
        ]
        try:
            ending = await outbox.ended()
            log.info("stream ends", code=ending.code, reason=ending.reason, tenant=wish.caller.principal.tenant)
            for task in others:
                task.cancel()
            if ending is not GONE:
                # The event under way first, if the client reads it in time: frames must not be cut.
                await asyncio.wait([writer], timeout=self._settings.patience_s)
                if writer.done():
                    await self._say(websocket, ending, request_id)
        finally:
            for task in (writer, *others):
                task.cancel()
            await asyncio.gather(writer, *others, return_exceptions=True)

    async def _say(self, websocket: WebSocket, ending: Ending, request_id: str = "") -> None:
        """Close with the ending; one that is worth trying again says why in full before. Who does not read it is cut off."""
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(self._settings.patience_s):
                if ending.code == TRY_LATER:
                    error = ResourceExhausted(ending.reason, reason=ending.name)
                    await websocket.send_json({"error": body(error, request_id)})
                await websocket.close(ending.code, ending.reason)

    async def _write(self, websocket: WebSocket, wish: Wish, outbox: Outbox) -> None:
        while (event := await outbox.get()) is not None:
            try:
                large = len(event.payload) > LARGE
                text = await asyncio.to_thread(events.to_json, event) if large else events.to_json(event)
            except DecodeError:
                log.error(
                    "event not understood", offset=event.offset, topic=event.topic, tenant=wish.caller.principal.tenant
                )
                continue
            try:
                await websocket.send_text(text)
            except WebSocketDisconnect:
                outbox.end(GONE)
                return
            metrics.EVENTS_SENT.inc()

    async def _expire(self, caller: Caller, outbox: Outbox) -> None:
        while (left_s := caller.expires_s - self._clock.now_us() / MICROSECONDS) > 0:  # noqa: ASYNC110 - a moment, not an event
            await asyncio.sleep(min(left_s, 60.0))  # looks again: the wall clock may be set
        outbox.end(EXPIRED)

    async def _follow(self, service: str, topics: list[str], wish: Wish, outbox: Outbox) -> None:
        """Fill the outbox from a service's journal, from now on; after a restart of the service, from the last event on."""
        stub = self._peers.stub(event_log_pb2_grpc.EventLogServiceStub, service)
        offset, pause_s = 0, FIRST_PAUSE_S
        while True:
            request = event_log_pb2.SubscribeRequest(from_offset=offset, topics=topics)
            with serving(wish.caller.call("/v1/stream")):
                subscription = stub.Subscribe(request)
            try:
                async for response in subscription:
                    offset, pause_s = response.event.offset + 1, FIRST_PAUSE_S
                    if wish.takes(response.event):
                        outbox.put(response.event)
            except grpc.aio.AioRpcError as error:
                if ending := _final(error):
                    outbox.end(ending)
                    return
                log.info("subscription ended", service=service, code=error.code().name)
            finally:
                subscription.cancel()
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)


def _final(error: grpc.aio.AioRpcError) -> Ending | None:
    """The ending, if subscribing again would be refused again."""
    if error.code() is grpc.StatusCode.UNAUTHENTICATED:
        return EXPIRED if reason_of(error) == "TOKEN_EXPIRED" else BAD_TOKEN
    return NO_ROLE if error.code() is grpc.StatusCode.PERMISSION_DENIED else None


async def _watch(websocket: WebSocket, outbox: Outbox) -> None:
    """Notice that the client leaves; what it says is not listened to."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass
    outbox.end(GONE)


async def _or_end(work: Coroutine[Any, Any, None], outbox: Outbox, request_id: str) -> None:
    """Do the work; if it fails, so does the stream."""
    try:
        await work
    except Exception as error:
        internal(error, request_id)  # logs it
        outbox.end(FAILED)
