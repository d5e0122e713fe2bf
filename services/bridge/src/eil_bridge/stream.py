"""/v1/stream: the tenant's events as they are written, as JSON, over WebSocket and as server-sent events."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from eil_mesh import metrics
from eil_mesh.client import Peers
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.errors import EilError, InvalidArgument, ResourceExhausted
from eil_mesh.identity import TokenVerifier
from eil_mesh.layers import authorise
from eil_mesh.status import internal
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from eil_bridge import events, pipes, position
from eil_bridge.callers import Caller, authenticate
from eil_bridge.client import Client
from eil_bridge.endings import EXPIRED, GONE, STOPPING, Ending
from eil_bridge.feed import Feed
from eil_bridge.missed import Journals
from eil_bridge.replies import body, request_id_of
from eil_bridge.ring import Ring, Wish
from eil_bridge.settings import BridgeSettings

log = structlog.get_logger("eil.stream")
SUBSCRIBE = "/eil.events.v1.EventLogService/Subscribe"
MOST_SOURCES = 1000
SLOW = ("close", "skip")


class WebSocketWriting:
    """A message for each event. Pings are the server's."""

    def event(self, place: str, text: bytes) -> bytes:
        return pipes.frame(b'{"id":"%b",%b}' % (place.encode(), text))

    def beat(self, place: str) -> bytes:
        return b""


class SseWriting:
    """Server-sent events: unnamed, with their id."""

    def event(self, place: str, text: bytes) -> bytes:
        at = place.encode()
        return pipes.chunk(b'id: %b\ndata: {"id":"%b",%b}\n\n' % (at, at, text))

    def beat(self, place: str) -> bytes:
        """A comment; with a place, the id to go on from after a break moves along although nothing is said."""
        return pipes.chunk(b":\nid: %b\n\n" % place.encode() if place else b":\n\n")


WEBSOCKET, SSE = WebSocketWriting(), SseWriting()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks for. `place` is what it had passed, by service; None is "from now on"."""

    caller: Caller
    wish: Wish
    skips: bool
    place: dict[str, int] | None


class Streams:
    """The open streams.

    Args:
        peers: channels to the services.
        verifier: verifies tokens.
        clock: says when a token ends.
        settings: bounds.
    """

    def __init__(self, peers: Peers, verifier: TokenVerifier, clock: Clock, settings: BridgeSettings) -> None:
        self._peers, self._verifier, self._clock, self._settings = peers, verifier, clock, settings
        self._journals = Journals(peers)
        self._feed: Feed | None = None
        self._open: set[Client] = set()
        self._by_subject: Counter[tuple[str, str]] = Counter()
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def websocket(self, websocket: WebSocket) -> None:
        """Serve one client over WebSocket from its handshake to its end."""
        await websocket.accept()  # before any check: browsers show no close code of a refused handshake
        try:
            asked = self._asked(websocket)
        except EilError as error:
            await self._close(websocket, Ending(error), request_id_of(websocket))
            return
        client = Client(asked.caller, asked.wish, asked.skips, WEBSOCKET, websocket.scope[pipes.PIPE])
        with self._listed(client):
            ending = await self._serve(client, asked.place, _disconnect(websocket.receive, "websocket.disconnect"))
            if ending is not GONE:
                await self._close(websocket, ending, asked.caller.request_id)

    async def events(self, request: Request) -> Response:
        """GET /v1/stream: the same as server-sent events. Refusals are HTTP errors; whatever comes later is an event `end`.

        Raises:
            EilError: the client may not have what it asks for.
        """
        asked = self._asked(request)
        headers = {"content-type": "text/event-stream", "cache-control": "no-store"}
        if request.method == "HEAD":
            return Response(headers=headers)
        return _Open(lambda scope, receive, send: self._send_events(asked, headers, scope, receive, send))

    async def stop(self) -> None:
        """End every stream, and take no more."""
        self._stopping = True
        for client in list(self._open):
            client.end(STOPPING)
        await self._idle.wait()
        if self._feed:
            self._feed.close(STOPPING)

    def _asked(self, connection: HTTPConnection) -> Asked:
        """What the client asks for, if it may have it.

        Raises:
            EilError: it may not.
        """
        if self._stopping and STOPPING.error:
            raise STOPPING.error
        caller = authenticate(self._verifier, connection, in_query=True)
        authorise(SUBSCRIBE, caller.principal)
        query = connection.query_params
        topics = frozenset(_parts(query.getlist("topics"))) or frozenset(events.TOPICS)
        if unknown := sorted(topics - events.TOPICS.keys()):
            raise _bad("topics", f"there is no topic {unknown[0][:64]!r}; there are {', '.join(events.TOPICS)}")
        sources = frozenset(_parts(query.getlist("source")))
        if len(sources) > MOST_SOURCES:
            raise _bad(
                "source", f"a stream follows {MOST_SOURCES} named sources at most; without `source` it follows all"
            )
        slow = query.get("slow", SLOW[0])
        if slow not in SLOW:
            raise _bad("slow", f"`slow` must be {' or '.join(SLOW)}")
        last_id = connection.headers.get("last-event-id") or query.get("last_id")
        try:
            place = position.decode(last_id, frozenset(events.BY_SERVICE)) if last_id else None
        except ValueError as error:
            raise _bad("last_id", f"the last id is none that a stream sent: {error}; connect without it") from error
        if len(self._open) >= self._settings.streams:
            raise _full("the bridge serves as many streams as it can; try again later")
        if self._by_subject[_subject(caller)] >= self._settings.streams_per_subject:
            raise _full("this token's subject has as many streams open as it may; close one")
        return Asked(caller, Wish(topics, sources), slow == SLOW[1], place)

    @contextlib.contextmanager
    def _listed(self, client: Client) -> Iterator[None]:
        subject = _subject(client.caller)
        self._open.add(client)
        metrics.STREAM_CLIENTS.inc()
        self._by_subject[subject] += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._open.discard(client)
            metrics.STREAM_CLIENTS.dec()
            self._by_subject[subject] -= 1
            if not self._by_subject[subject]:
                del self._by_subject[subject]
            if not self._open:
                self._idle.set()

    async def _serve(self, client: Client, place: dict[str, int] | None, left: Coroutine[Any, Any, None]) -> Ending:
        """Let the client have its events until its stream ends; `left` returns once the client has gone."""

        async def leave() -> None:
            await left
            client.end(GONE)

        if self._feed is None or self._feed.closed:
            self._feed = Feed(self._peers, self._settings)
        feed, ring = self._feed, self._feed.join(client)
        work = (leave(), self._expire(client), self._begin(feed, ring, client, place))
        tasks = [asyncio.create_task(_or_end(part, client)) for part in work]
        try:
            ending = await client.ended()
            if ending.error:
                log.info("stream ends", reason=ending.error.reason, tenant=client.caller.principal.tenant)
            return ending
        finally:
            client.end(GONE)  # where this task was cancelled
            feed.leave(client)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, feed: Feed, ring: Ring, client: Client, place: dict[str, int] | None) -> None:
        wanted = {events.TOPICS[topic].service for topic in client.wish.topics}
        if place is None:
            client.begin(ring, feed.standing, None)
            await feed.known(wanted)
            client.beat()
            return
        await feed.known(wanted)
        client.begin(
            ring, feed.standing, {s: offset for s, offset in {**feed.standing, **place}.items() if s in wanted}
        )
        await asyncio.gather(*(self._journals.bring(client, s, feed.standing) for s in list(client.pending)))

    async def _expire(self, client: Client) -> None:
        expires_s = client.caller.expires_s
        while (left_s := expires_s - self._clock.now_us() / MICROSECONDS) > 0:  # noqa: ASYNC110 - a moment, not an event
            await asyncio.sleep(min(left_s, 60.0))  # looks again: the wall clock may be set
        client.end(EXPIRED)

    async def _close(self, websocket: WebSocket, ending: Ending, request_id: str) -> None:
        """Say why, and close. Who does not read it is cut off."""
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(self._settings.patience_s):
                if ending.error:
                    await websocket.send_json({"error": body(ending.error, request_id)})
                await websocket.close(ending.code, ending.reason)

    async def _send_events(
        self, asked: Asked, headers: dict[str, str], scope: Scope, receive: Receive, send: Send
    ) -> None:
        client = Client(asked.caller, asked.wish, asked.skips, SSE, scope[pipes.PIPE])
        with self._listed(client):
            raw = [(name.encode(), value.encode()) for name, value in headers.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
            await send({"type": "http.response.body", "body": b"retry: 1000\n\n", "more_body": True})
            ending = await self._serve(client, asked.place, _disconnect(receive, "http.disconnect"))
            if ending.error is None:
                return
            said = {"reason": ending.error.reason, "error": body(ending.error, asked.caller.request_id)}
            text = b"event: end\ndata: " + json.dumps(said).encode() + b"\n\n"
            try:
                async with asyncio.timeout(self._settings.patience_s):
                    await send({"type": "http.response.body", "body": text, "more_body": False})
            except TimeoutError:
                scope[pipes.PIPE].cut()
                await _disconnect(receive, "http.disconnect")


class _Open(Response):
    """An answer that writes itself."""

    def __init__(self, serve: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._serve = serve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send)


def _subject(caller: Caller) -> tuple[str, str]:
    return caller.principal.tenant, caller.principal.subject


def _parts(values: list[str]) -> Iterator[str]:
    """The entries of a parameter that may be repeated, and hold several between commas."""
    return filter(None, (part.strip() for value in values for part in value.split(",")))


def _bad(field: str, message: str) -> InvalidArgument:
    return InvalidArgument(message, violations={field: message})


def _full(message: str) -> ResourceExhausted:
    return ResourceExhausted(message, reason="TOO_MANY_STREAMS", retry_after_s=5.0)


async def _disconnect(receive: Callable[[], Awaitable[Any]], kind: str) -> None:
    """Wait for the client to leave; what it says is not listened to."""
    while (await receive())["type"] != kind:
        pass


async def _or_end(work: Coroutine[Any, Any, None], client: Client) -> None:
    """Do the work; if it fails, so does the stream."""
    try:
        await work
    except Exception as error:
        client.end(Ending(internal(error, client.caller.request_id)))  # logs it
