"""Agents with the official client of the Model Context Protocol."""

import contextlib
import ssl
from collections.abc import AsyncIterator

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from support.mesh import RunningMesh

TENANT = "agents"


@contextlib.asynccontextmanager
async def agent(mesh: RunningMesh, *roles: str, tenant: str = TENANT, **headers: str) -> AsyncIterator[Client]:
    tls = ssl.create_default_context(cafile=mesh.endpoint.ca)
    headers = {"authorization": f"Bearer {mesh.token(*roles, tenant=tenant, subject='bot')}", **headers}
    async with (
        httpx2.AsyncClient(verify=tls, headers=headers, timeout=30) as http,
        Client(streamable_http_client(f"{mesh.endpoint.url}/mcp", http_client=http)) as client,
    ):
        yield client
