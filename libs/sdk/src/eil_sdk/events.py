"""What happens in the mesh, as it happens: server-sent events of the door, followed over breaks without loss."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse, connect_sse

from eil_sdk.errors import EilError, Unavailable, Unimplemented, of_http, of_json, of_transport
from eil_sdk.retries import pause_s
from eil_sdk.tokens import AsyncTokens, Tokens

PATH = "/v1/stream"
TIMEOUT = httpx.Timeout(10.0, read=60.0)
"""The mesh is heard of every 20 s at least, be it by a comment."""
FINAL = ("INVALID_ARGUMENT", "PERMISSION_DENIED", "NOT_FOUND", "UNIMPLEMENTED")
"""Codes that another connection would end with as well."""


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of a service's journal."""

    id: str
    """Where to go on from: `eil.events(last_id=…)`."""
    topic: str
    service: str
    offset: int
    time: datetime
    """When it was written."""
    key: str
    """The source it is about, or another name."""
    payload: Mapping[str, Any] | None
    """The topic's message as JSON; None if it was erased, or is left out."""
    omitted: str = ""
    """Why the payload is left out."""


class Following:
    """What is followed, and how far it has come.

    Args:
        topics: of events; none is all.
        sources: whose events; none is all.
        last_id: id of the last event known; empty is "from now on".
    """

    def __init__(self, topics: Iterable[str] | str, sources: Iterable[str] | str, last_id: str) -> None:
        self._topics, self._sources, self._last_id = _listed(topics), _listed(sources), last_id
        self._tried, self._refused = 0, False

    def request(self, token: str) -> dict[str, Any]:
        """What to ask for, as httpx has it."""
        headers = {"authorization": f"Bearer {token}"}
        if self._last_id:
            headers["last-event-id"] = self._last_id
        return {"params": {"topics": self._topics, "source": self._sources}, "headers": headers, "timeout": TIMEOUT}

    def take(self, said: ServerSentEvent) -> Event | None:
        """The event that was sent, if it is one: a beat moves the place on and says nothing.

        Raises:
            EilError: the mesh ended the stream and said why, or what it said is no event.
        """
        self._tried, self._refused = 0, False
        try:
            if said.event == "end":
                raise _ending(json.loads(said.data))
            if said.event != "message" or not said.data:
                return None
            tree = json.loads(said.data)
            event = Event(
                id=tree["id"],
                topic=tree["topic"],
                service=tree["service"],
                offset=int(tree["offset"]),
                time=datetime.fromisoformat(tree["time"]),
                key=tree["key"],
                payload=tree["payload"],
                omitted=tree.get("omitted", ""),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise Unimplemented(f"this client does not understand an event: {said.data[:200]!r} ({error!r})") from error
        finally:
            self._last_id = said.id or self._last_id
        return event

    def after(self, error: EilError, *, renewed: bool) -> float:
        """How long to wait before connecting again [s]; `renewed` says that another token may be had than the one that was refused.

        Raises:
            EilError: it ends with this.
        """
        refused = error.code == "UNAUTHENTICATED"
        if error.code in FINAL or (refused and (self._refused or not renewed)):
            raise error
        self._tried, self._refused = self._tried + 1, refused
        return pause_s(self._tried) if error.retry_after_s is None else error.retry_after_s


def follow(http: httpx.Client, tokens: Tokens, following: Following) -> Iterator[Event]:
    """The events, for ever.

    Raises:
        EilError: the mesh refuses them.
    """
    while True:
        token = ""
        try:
            token = tokens.get()
            with connect_sse(http, "GET", PATH, **following.request(token)) as stream:
                if stream.response.is_error:
                    stream.response.read()
                    raise of_http(stream.response)
                for said in stream.iter_sse():
                    if event := following.take(said):
                        yield event
            error = _cut()
        except (httpx.HTTPError, EilError) as broke:
            error = _broken(broke)
        time.sleep(following.after(error, renewed=_renewed(error, tokens, token)))


async def follow_async(http: httpx.AsyncClient, tokens: AsyncTokens, following: Following) -> AsyncIterator[Event]:
    """The same on an event loop."""
    while True:
        token = ""
        try:
            token = await tokens.get()
            async with aconnect_sse(http, "GET", PATH, **following.request(token)) as stream:
                if stream.response.is_error:
                    await stream.response.aread()
                    raise of_http(stream.response)
                async for said in stream.aiter_sse():
                    if event := following.take(said):
                        yield event
            error = _cut()
        except (httpx.HTTPError, EilError) as broke:
            error = _broken(broke)
        await asyncio.sleep(following.after(error, renewed=_renewed(error, tokens, token)))


def _listed(names: Iterable[str] | str) -> list[str]:
    return [names] if isinstance(names, str) and names else list(names)


def _ending(said: Mapping[str, Any]) -> EilError:
    """The error by which the mesh ends a stream."""
    return of_json(said["error"], "UNAVAILABLE", "the mesh ended the stream of events")


def _cut() -> EilError:
    return Unavailable("the stream of events was cut off")


def _broken(error: httpx.HTTPError | EilError) -> EilError:
    if isinstance(error, EilError):
        return error
    if isinstance(error, SSEError):
        return Unimplemented(f"the mesh answers no server-sent events at {PATH} ({error})")
    return of_transport(error, "following events")


def _renewed(error: EilError, tokens: Tokens | AsyncTokens, token: str) -> bool:
    return error.code == "UNAUTHENTICATED" and tokens.refused(token)
