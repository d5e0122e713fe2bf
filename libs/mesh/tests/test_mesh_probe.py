"""Probes ask on a port of their own, and so does an image's health check."""

import asyncio
import socket
from typing import Any, ClassVar

import grpc
import pytest
from eil_mesh import probe
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.testing import running
from grpc_health.v1 import health_pb2, health_pb2_grpc


class Settings(MeshSettings):
    service: ClassVar[str] = "regime"


async def test_probes_ask_for_health_without_a_certificate(tmp_path, monkeypatch):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]

    async def nothing(mesh: Mesh[Any]) -> None:
        """A service without methods."""

    async with (
        running(tmp_path, Settings, nothing, health_port=port),
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        other: Any = channel.unary_unary("/eil.events.v1.EventLogService/GetBacklog")
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await other(b"", timeout=5)
        assert told.value.code() is grpc.StatusCode.UNIMPLEMENTED
        monkeypatch.setenv("EIL_MESH_HEALTH_PORT", str(port))
        assert await asyncio.to_thread(probe.main) == 0
    assert await asyncio.to_thread(probe.main) == 1
