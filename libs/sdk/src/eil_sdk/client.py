"""The two clients: one for threads, one for an event loop, with the same methods."""

import copy
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from eil_sdk.async_streams import AsyncIngestStream
from eil_sdk.decisions import Decisions
from eil_sdk.door import Door, endpoint
from eil_sdk.economy import Economy
from eil_sdk.events import Event, Following, follow, follow_async
from eil_sdk.models import Models
from eil_sdk.purpose import purpose
from eil_sdk.services import AsyncServices, Services
from eil_sdk.streams import MOST_ROWS, IngestStream, OnRefusal
from eil_sdk.telemetry import Telemetry
from eil_sdk.tokens import AsyncToken, AsyncTokens, Token, Tokens
from eil_sdk.wire import AsyncWire, Wire

ENDPOINT = ".eil/endpoint.json"


class _Client(Telemetry, Decisions, Economy, Models):
    """What both have."""

    purpose = staticmethod(purpose)
    _timeout_s: float | None = None

    def __init__(self, url: str, *, token: Any, ca: str | Path | None = None) -> None:
        raise NotImplementedError

    @classmethod
    def from_endpoint(cls, path: str | Path = ENDPOINT, *, token: Any = None) -> Self:
        """A client of the mesh that `eil up` started, by the endpoint.json in its state folder; as its administrator, if no token is given.

        Raises:
            FailedPrecondition: there is no such file, so no mesh was started there.
        """
        door, administrator = endpoint(path)
        return cls(door.url, token=administrator if token is None else token, ca=door.ca)

    def within(self, timeout_s: float) -> Self:
        """The same client with another deadline of its unary calls [s], for all attempts together: `eil.within(2.0).status("rack-7")`."""
        other = copy.copy(self)
        other._timeout_s = timeout_s
        return other


class EIL(_Client):
    """A client of a mesh; threads may share it. Close it, or use it by `with`.

    Args:
        url: of the door, https://HOST:PORT.
        token: a bearer token; a function that answers one, asked before each call; or the ClientCredentials of a service account.
        ca: PEM file of the certificate that signed the door's; absent: what the system trusts.

    Raises:
        InvalidArgument: the address is none.
        OSError: the certificate cannot be read.
    """

    def __init__(self, url: str, *, token: Token, ca: str | Path | None = None) -> None:
        door = Door(url, ca)
        self._channel, self._http = door.channel(), httpx.Client(**door.http())
        self._tokens = Tokens(token, self._http)
        self.services = Services(Wire(self._channel, self._tokens))
        """The stub of every service, for what has no method here: `eil.services.economy.Transfer(TransferRequest(…))`."""

    def stream(self, on_refusal: OnRefusal | None = None, *, most_rows: int = MOST_ROWS) -> IngestStream:
        """A stream of telemetry.

        Args:
            on_refusal: called for what the mesh refuses, in another thread; absent: the stream's `refusals` keeps the newest 1,000.
            most_rows: samples that may wait for their acknowledgement; sending waits while there are more.
        """
        return IngestStream(self.services, on_refusal, most_rows=most_rows)

    def events(
        self, topics: Iterable[str] | str = (), *, source: Iterable[str] | str = (), last_id: str = ""
    ) -> Iterator[Event]:
        """Events of the tenant for ever, over breaks without loss.

        Args:
            topics: such as eil.regime.shifts; none is all.
            source: whose events; none is all.
            last_id: id of the last event known, to go on behind it; empty is "from now on".

        Raises:
            EilError: the mesh refuses them, e.g. InvalidArgument for a topic that it does not have.
        """
        return follow(self._http, self._tokens, Following(topics, source, last_id))

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _unary(self, method: Callable[[Any], Any], request: Any, take: Callable[[Any], Any]) -> Any:
        return take(method(self.services)(request, timeout=self._timeout_s))

    def _paged(
        self, method: Callable[[Any], Any], request: Any, items: Callable[[Any], Iterable[Any]]
    ) -> Iterator[Any]:
        while True:
            page = method(self.services)(request, timeout=self._timeout_s)
            yield from items(page)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _streamed(self, method: Callable[[Any], Any], request: Any) -> Iterator[Any]:
        return method(self.services)(request)


class AsyncEIL(_Client):
    """A client of a mesh on an event loop: made where it runs. Close it, or use it by `async with`.

    Args:
        url: of the door, https://HOST:PORT.
        token: as of EIL; a function may be a coroutine function.
        ca: PEM file of the certificate that signed the door's; absent: what the system trusts.

    Raises:
        InvalidArgument: the address is none.
        OSError: the certificate cannot be read.
    """

    def __init__(self, url: str, *, token: AsyncToken, ca: str | Path | None = None) -> None:
        door = Door(url, ca)
        self._channel, self._http = door.async_channel(), httpx.AsyncClient(**door.http())
        self._tokens = AsyncTokens(token, self._http)
        self.services = AsyncServices(AsyncWire(self._channel, self._tokens))
        """The stub of every service; its calls are awaited."""

    def stream(self, on_refusal: OnRefusal | None = None, *, most_rows: int = MOST_ROWS) -> AsyncIngestStream:
        """As EIL.stream."""
        return AsyncIngestStream(self.services, on_refusal, most_rows=most_rows)

    def events(
        self, topics: Iterable[str] | str = (), *, source: Iterable[str] | str = (), last_id: str = ""
    ) -> AsyncIterator[Event]:
        """As EIL.events."""
        return follow_async(self._http, self._tokens, Following(topics, source, last_id))

    async def close(self) -> None:
        """Close the connections."""
        await self._channel.close()
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _unary(self, method: Callable[[Any], Any], request: Any, take: Callable[[Any], Any]) -> Any:
        return take(await method(self.services)(request, timeout=self._timeout_s))

    async def _paged(
        self, method: Callable[[Any], Any], request: Any, items: Callable[[Any], Iterable[Any]]
    ) -> AsyncIterator[Any]:
        while True:
            page = await method(self.services)(request, timeout=self._timeout_s)
            for item in items(page):
                yield item
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _streamed(self, method: Callable[[Any], Any], request: Any) -> AsyncIterator[Any]:
        return method(self.services)(request)
