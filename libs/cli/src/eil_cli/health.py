"""Whether a service or the gateway serves, asked as any client would ask."""

import ssl
from pathlib import Path

import grpc
import httpx
from grpc_health.v1 import health_pb2

CHECK = "/grpc.health.v1.Health/Check"
TIMEOUT_S = 5.0
"""Slower than this on a machine that has much to do is not down; whoever has less patience stops asking."""


async def service_serves(socket: str) -> bool:
    """Ask grpc.health.v1 on a Unix socket, named relative to the working directory: a whole path may be too long for the kernel."""
    # An own pool: a shared one would remember the failures of earlier probes and wait before it connects again.
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"unix:{socket}", options=options) as channel:
        check = channel.unary_unary(
            CHECK,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = await check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
    return answer.status == health_pb2.HealthCheckResponse.SERVING


async def gateway_serves(url: str, ca: Path, token: str) -> bool:
    """Ask the gateway for /v1/health."""
    async with httpx.AsyncClient(
        verify=ssl.create_default_context(cafile=str(ca)), timeout=TIMEOUT_S, trust_env=False
    ) as client:
        try:
            answer = await client.get(f"{url}/v1/health", headers={"authorization": f"Bearer {token}"})
        except httpx.TransportError:
            return False
    return answer.status_code == httpx.codes.OK
