"""Aggregate health: every service asked at once, and the answers kept for a moment."""

import asyncio
from collections.abc import Callable, Mapping
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


class Health:
    """Health of the mesh as the bridge sees it.

    Args:
        peers: channels.
        services: names of those asked.
        now_s: a clock that does not jump [s].
    """

    def __init__(self, peers: Peers, services: tuple[str, ...], now_s: Callable[[], float]) -> None:
        self._peers, self._services, self._now_s = peers, services, now_s
        self._known: Mapping[str, str] = {}
        self._asked_s = float("-inf")
        self._asking = asyncio.Lock()

    async def services(self) -> Mapping[str, str]:
        """SERVING, NOT_SERVING or UNREACHABLE by service, at most a second old."""
        async with self._asking:
            if self._now_s() - self._asked_s >= KEEP_S:
                answers = await asyncio.gather(*(self._ask(service) for service in self._services))
                self._known, self._asked_s = dict(zip(self._services, answers, strict=True)), self._now_s()
            return self._known

    async def _ask(self, service: str) -> str:
        stub: Any = self._peers.stub(health_pb2_grpc.HealthStub, service)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=DEADLINE_S)
        except grpc.aio.AioRpcError:
            return "UNREACHABLE"
        return SERVING if answer.status == health_pb2.HealthCheckResponse.SERVING else "NOT_SERVING"

    async def answer(self, _request: Request) -> Response:
        """GET /v1/health: 200 if all serve, else 503."""
        services = await self.services()
        well = all(state == SERVING for state in services.values())
        return JSONResponse(
            {"status": SERVING if well else "DEGRADED", "services": services}, status_code=200 if well else 503
        )
