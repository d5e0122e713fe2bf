"""Doors to talk to: a real gRPC server whose services a test writes, and a real HTTP server likewise; and both clients as one."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pytest
from eil.decision.v1 import decision_pb2_grpc
from eil.economy.v1 import economy_pb2_grpc
from eil.proof.v1 import proof_pb2_grpc
from eil.regime.v1 import regime_pb2_grpc
from eil_sdk import EIL, AsyncEIL

ADD = (
    decision_pb2_grpc.add_DecisionServiceServicer_to_server,
    economy_pb2_grpc.add_EconomyServiceServicer_to_server,
    proof_pb2_grpc.add_ProofServiceServicer_to_server,
    regime_pb2_grpc.add_RegimeServiceServicer_to_server,
)


class Partly:
    """A servicer that serves what another has, and says of the rest that there is none."""

    def __init__(self, servicer: object) -> None:
        self._servicer = servicer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._servicer, name, self._none)

    def _none(self, request: Any, context: grpc.ServicerContext) -> None:
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "the test has none")


class Serving:
    """A gRPC server on a port of its own, which it keeps over a stop and a start."""

    def __init__(self, servicer: object) -> None:
        self._servicer: Any = Partly(servicer)
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(32))
        for add in ADD:
            add(self._servicer, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """Cut every connection off."""
        self._server.stop(None).wait()


@pytest.fixture
def serve() -> Iterator[Callable[[object], Serving]]:
    running: list[Serving] = []

    def start(servicer: object) -> Serving:
        running.append(Serving(servicer))
        return running[-1]

    yield start
    for server in running:
        server.stop()


class Asks:
    """A client of either kind, asked in the same way."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, url: str, ask: Callable[[Any], Any], *, token: Any = "secret") -> Any:
        """What `ask` gets of a client: an answer, or all of an iterator as a list."""
        if self.kind == "sync":
            with EIL(url, token=token) as eil:
                answer = ask(eil)
                return list(answer) if hasattr(answer, "__next__") else answer
        return asyncio.run(self._on_a_loop(url, ask, token))

    async def _on_a_loop(self, url: str, ask: Callable[[Any], Any], token: Any) -> Any:
        async with AsyncEIL(url, token=token) as eil:
            answer = ask(eil)
            if hasattr(answer, "__anext__"):
                return [item async for item in answer]
            return await answer if inspect.isawaitable(answer) else answer


@pytest.fixture(params=["sync", "async"])
def asks(request: pytest.FixtureRequest) -> Asks:
    return Asks(request.param)


@pytest.fixture
def http() -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], str]]:
    """Starts an HTTP server that answers as a function says; its address."""
    running: list[ThreadingHTTPServer] = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def do_POST(self) -> None:
                answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
