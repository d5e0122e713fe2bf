"""Aggregate health: every service asked at once, and the answers kept for a moment."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import grpc
from eil_mesh.client import Peers
from grpc_health.v1 import health_pb2, health_pb2_grpc
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

SERVING = "SERVING"
KEEP_S = 1.0
"""Seconds that an answer stands: however often anybody asks, services are asked once in this time."""
DEADLINE_S = 1.0
VERSION = version("eil-bridge")


@dataclass(frozen=True, slots=True)
class Standing:
    """SERVING, NOT_SERVING or UNREACHABLE, and why it is not the first. Anybody may read it: no address stands in it."""

    state: str
    reason: str = ""


SERVES = Standing(SERVING)
NOT_READY = Standing("NOT_SERVING", "it answers that it does not serve: it is starting or stopping")
SILENT = Standing("UNREACHABLE", f"no answer within {DEADLINE_S:g} s: it hangs or is overloaded")
NOBODY = Standing("UNREACHABLE", "connection refused: nobody listens there, it is stopped, crashed or not started yet")
CUT_OFF = Standing("UNREACHABLE", "the connection failed: network or certificates stand between")


class Health:
    """Health of the mesh as the bridge sees it.

    Args:
        peers: channels.
        services: names of those asked.
        now_s: a clock that does not jump [s].
    """

    def __init__(self, peers: Peers, services: tuple[str, ...], now_s: Callable[[], float]) -> None:
        self._peers, self._services, self._now_s = peers, services, now_s
        self._known: Mapping[str, Standing] = {}
        self._asked_s = float("-inf")
        self._asking = asyncio.Lock()

    async def services(self) -> Mapping[str, Standing]:
        """How each service stands, at most a second old."""
        async with self._asking:
            if self._now_s() - self._asked_s >= KEEP_S:
                answers = await asyncio.gather(*(self._ask(service) for service in self._services))
                self._known, self._asked_s = dict(zip(self._services, answers, strict=True)), self._now_s()
            return self._known

    async def _ask(self, service: str) -> Standing:
        stub: Any = self._peers.stub(health_pb2_grpc.HealthStub, service, well=False)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            return _unreachable(error)
        return SERVES if answer.status == health_pb2.HealthCheckResponse.SERVING else NOT_READY

    async def answer(self, _request: Request) -> Response:
        """GET /v1/health: 200 if all serve, else 503."""
        services = await self.services()
        well = all(standing is SERVES for standing in services.values())
        tree = {
            "status": SERVING if well else "DEGRADED",
            "services": {name: standing.state for name, standing in services.items()},
            "reasons": {name: standing.reason for name, standing in services.items() if standing is not SERVES},
            "version": VERSION,
        }
        return JSONResponse(tree, status_code=200 if well else 503, headers={"cache-control": "no-store"})


def _unreachable(error: grpc.aio.AioRpcError) -> Standing:
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return SILENT
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        said = error.details() or ""
        return NOBODY if "refused" in said or "No such file" in said else CUT_OFF
    return Standing("UNREACHABLE", f"its health check failed with {error.code().name}")
