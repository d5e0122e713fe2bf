"""A door that stands: the real Envoy before a small mesh of real servers, on free ports."""

import asyncio
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import uvicorn
from eil.decision.v1 import decision_pb2, decision_pb2_grpc
from eil.market.v1 import market_pb2, market_pb2_grpc
from eil.regime.v1 import doors_pb2_grpc, regime_pb2, regime_pb2_grpc
from eil_gateway.envoy import envoy_command, write_config
from eil_gateway.keys import Keys, issue_token
from eil_mesh.errors import NotFound, Unavailable
from eil_mesh.identity import TokenVerifier
from eil_mesh.layers import Guard, Layers
from eil_mesh.services import FRONTS
from google.api import httpbody_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket


@dataclass
class Seen:
    """What the servers behind the door received: (path or method, headers)."""

    calls: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)

    def grpc(self, method: str, context: grpc.aio.ServicerContext) -> None:
        metadata = context.invocation_metadata() or ()
        self.calls.append((method, [(key, str(value)) for key, value in metadata]))

    def http(self, connection: Request | WebSocket) -> None:
        self.calls.append((connection.url.path, list(connection.headers.items())))

    def last(self) -> dict[str, str]:
        return dict(self.calls[-1][1])


class Regime(regime_pb2_grpc.RegimeServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self._seen, self.failures = seen, 0
        """Calls of Sense that fail before one succeeds."""

    async def Sense(self, request: Any, context: Any) -> regime_pb2.SenseResponse:
        self._seen.grpc("Sense", context)
        if self.failures:
            self.failures -= 1
            raise Unavailable("restarting")
        state = regime_pb2.EnergyState(total_energy=request.telemetry["power_draw"] * 60, regime="stable")
        return regime_pb2.SenseResponse(status="accepted", energy_state=state)

    async def GetHistory(self, request: Any, context: Any) -> regime_pb2.GetHistoryResponse:
        column = regime_pb2.Column(name="power_draw", values=[850.123456] * 200_000)
        return regime_pb2.GetHistoryResponse(columns=[column])

    async def GetStatus(self, request: Any, context: Any) -> regime_pb2.GetStatusResponse:
        self._seen.grpc("GetStatus", context)
        raise NotFound(f"no source is called {request.source!r}", reason="SOURCE_UNKNOWN")

    async def PutSource(self, request: Any, context: Any) -> regime_pb2.PutSourceResponse:
        self._seen.grpc(f"PutSource {request.source}", context)
        return regime_pb2.PutSourceResponse()


class Decision(decision_pb2_grpc.DecisionServiceServicer):
    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self.stream_fails = False

    async def Act(self, request: Any, context: Any) -> decision_pb2.ActResponse:
        self._seen.grpc("Act", context)
        raise Unavailable("restarting", retry_after_s=0.1)

    async def ApproveDecision(self, request: Any, context: Any) -> decision_pb2.ApproveDecisionResponse:
        self._seen.grpc(f"ApproveDecision {request.prediction_id}", context)
        return decision_pb2.ApproveDecisionResponse()

    async def StreamActions(self, request: Any, context: Any) -> AsyncIterator[decision_pb2.StreamActionsResponse]:
        self._seen.grpc("StreamActions", context)
        for _ in range(2):
            yield decision_pb2.StreamActionsResponse()
        if self.stream_fails:
            raise Unavailable("the journal cannot be read now", reason="STORE_FAILED")


class TelemetryDoor(doors_pb2_grpc.TelemetryDoorServiceServicer):
    """Answers with what it got."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def ExportMetrics(self, request: httpbody_pb2.HttpBody, context: Any) -> httpbody_pb2.HttpBody:
        self._seen.grpc(f"ExportMetrics {request.content_type} {len(request.data)}", context)
        return httpbody_pb2.HttpBody(content_type="application/x-protobuf", data=request.data[:8])


class Market(market_pb2_grpc.MarketServiceServicer):
    async def RemoveLiquidity(self, request: Any, context: Any) -> market_pb2.RemoveLiquidityResponse:
        return market_pb2.RemoveLiquidityResponse(amount0_u=request.shares)


def _bridge(seen: Seen) -> Starlette:
    async def answer(request: Request) -> JSONResponse:
        seen.http(request)
        return JSONResponse({"path": request.url.path, "body": len(await request.body())})

    async def stream(websocket: WebSocket) -> None:
        seen.http(websocket)
        await websocket.accept()
        await websocket.send_text(f"you said {await websocket.receive_text()}")
        await websocket.close()

    async def events(request: Request) -> PlainTextResponse:
        seen.http(request)
        return PlainTextResponse("data: {}\n\n", media_type="text/event-stream")

    return Starlette(
        routes=[
            Route("/v1/health", answer),
            Route("/v1/openapi.json", answer),
            Route("/docs", answer),
            Route("/docs/{file}", answer),
            Route("/v1/token", answer, methods=["POST"]),
            Route("/mcp", answer, methods=["GET", "POST"]),
            WebSocketRoute("/v1/stream", stream),
            Route("/v1/stream", events),
        ]
    )


class Backends(threading.Thread):
    """The servers, on Unix sockets in the state folder, in a thread of their own."""

    def __init__(self, state: Path) -> None:
        super().__init__(daemon=True)
        self.seen, self.up = Seen(), threading.Event()
        self.regime = Regime(self.seen)  # pyright: ignore[reportAbstractUsage] - what is not here is UNIMPLEMENTED
        self.decision = Decision(self.seen)  # pyright: ignore[reportAbstractUsage]
        self._doors = TelemetryDoor(self.seen)  # pyright: ignore[reportAbstractUsage]
        self._market = Market()  # pyright: ignore[reportAbstractUsage]
        self._state, self._loop, self._end = state, asyncio.new_event_loop(), asyncio.Event()

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self.join(10)

    def _add_regime(self, server: Any) -> None:
        regime_pb2_grpc.add_RegimeServiceServicer_to_server(self.regime, server)
        doors_pb2_grpc.add_TelemetryDoorServiceServicer_to_server(self._doors, server)

    async def _serve(self) -> None:
        verifier = TokenVerifier(self._state / "keys/jwks.json", "eil", "eil", now_s=time.time)
        layers = Layers(Guard(verifier, tls=False, deadline_s=30.0))
        health = HealthServicer()
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        registered: dict[str, Callable[[Any], None]] = {
            "regime": self._add_regime,
            **dict.fromkeys(FRONTS, self._add_regime),
            "decision": lambda s: decision_pb2_grpc.add_DecisionServiceServicer_to_server(self.decision, s),
            "market": lambda s: market_pb2_grpc.add_MarketServiceServicer_to_server(self._market, s),
            "bridge-health": lambda s: None,
        }
        servers = []
        for name, register in registered.items():
            server = grpc.aio.server(interceptors=[layers], options=[("grpc.max_receive_message_length", 64 << 20)])
            register(server)
            health_pb2_grpc.add_HealthServicer_to_server(health, server)
            server.add_insecure_port(f"unix:{self._state}/{name}.sock")
            await server.start()
            servers.append(server)
        options = uvicorn.Config(
            _bridge(self.seen), uds=f"{self._state}/bridge.sock", log_level="error", lifespan="off"
        )
        bridge = uvicorn.Server(options)
        serving = asyncio.create_task(bridge._serve())  # `serve` would take the signals of the main thread
        self.up.set()
        await self._end.wait()
        bridge.should_exit = True
        await serving
        for server in servers:
            await server.stop(None)
        verifier.close()


@dataclass
class Door:
    """The door, and what stands before and behind it."""

    state: Path
    port: int
    figures_port: int
    keys: Keys
    backends: Backends

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def seen(self) -> Seen:
        return self.backends.seen

    def token(self, *roles: str, ttl_s: float = 600, **more: Any) -> str:
        return issue_token(self.state, subject="tester", roles=roles, ttl_s=ttl_s, now_s=time.time(), **more)

    def bearer(self, *roles: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token(*roles)}"}

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.keys.ca))

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, verify=self.tls(), **options)

    def channel(self) -> grpc.Channel:
        credentials = grpc.ssl_channel_credentials(self.keys.ca.read_bytes())
        return grpc.secure_channel(f"localhost:{self.port}", credentials)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            pytest.fail(f"{process.args} ended with {process.returncode}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    pytest.fail(f"{process.args} did not open its port")


@contextmanager
def envoy(state: Path, **options: Any) -> Iterator[None]:
    """Envoy on a state folder that has keys."""
    config = write_config(state, **options)
    with (state / "envoy.log").open("wb") as log:
        process = subprocess.Popen(envoy_command(config), cwd=state, stderr=log)
    try:
        await_port(options["port"], process)
        yield
    finally:
        process.terminate()
        process.wait(10)
