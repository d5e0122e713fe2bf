"""Regime services behind mutual TLS, as they are on other machines."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.tls import peer_service, server_credentials
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer


class Replica(regime_pb2_grpc.RegimeServiceServicer):
    """One regime service behind mutual TLS."""

    def __init__(self) -> None:
        self.asked, self.fails, self.peers = 0, False, set[str | None]()

    async def GetStatus(self, request: Any, context: Any) -> regime_pb2.GetStatusResponse:
        self.asked += 1
        self.peers.add(peer_service(context.auth_context()))
        if self.fails:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "broken")
        return regime_pb2.GetStatusResponse()


@contextmanager
def serving(folder: Path, replicas: list[Replica]) -> Iterator[list[int]]:
    """The replicas, each on a port of its own, with the certificates in `folder`."""
    loop, ports, up, end = asyncio.new_event_loop(), list[int](), threading.Event(), asyncio.Event()

    async def serve() -> None:
        health, servers = HealthServicer(), []
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        for replica in replicas:
            server = grpc.aio.server()
            regime_pb2_grpc.add_RegimeServiceServicer_to_server(replica, server)
            health_pb2_grpc.add_HealthServicer_to_server(health, server)
            ports.append(server.add_secure_port("127.0.0.1:0", server_credentials(folder)))
            await server.start()
            servers.append(server)
        up.set()
        await end.wait()
        for server in servers:
            await server.stop(None)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    assert up.wait(10)
    try:
        yield ports
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
