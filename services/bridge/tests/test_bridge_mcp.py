"""The Model Context Protocol with its own client, over the Unix socket, to services behind the mesh's layers."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx2
import pytest
from eil.decision.v1 import decision_pb2, decision_pb2_grpc
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_bridge.tools import TOOLS
from eil_mesh.access import access_of
from eil_mesh.call import caller, current_call
from eil_mesh.errors import NotFound
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

ACT = {"goal": "minimize_energy", "current_state": {"active_servers": 12, "avg_utilization": 0.68}}


class Decision(decision_pb2_grpc.DecisionServiceServicer):
    async def Act(
        self, request: decision_pb2.ActRequest, context: grpc.aio.ServicerContext
    ) -> decision_pb2.ActResponse:
        if request.source:
            raise NotFound(f"no source {request.source!r} has sent a sample", reason="SOURCE_UNKNOWN")
        return decision_pb2.ActResponse(
            action=decision_pb2.Action(type="scale_down", target_servers=request.current_state.active_servers - 2),
            prediction_id=f"pred-{caller().tenant}-{caller().subject}",
        )


class Economy(economy_pb2_grpc.EconomyServiceServicer):
    async def GetBalances(
        self, request: economy_pb2.GetBalancesRequest, context: grpc.aio.ServicerContext
    ) -> economy_pb2.GetBalancesResponse:
        tenant = caller().tenant
        await asyncio.sleep(0.02)  # so that calls of several tenants overlap
        balance = economy_pb2.Balance(owner=tenant, token="PFT", balance_u=12_500_000, balance=12.5)
        return economy_pb2.GetBalancesResponse(balances=[balance])


class Regime(regime_pb2_grpc.RegimeServiceServicer):
    async def GetStatus(
        self, request: regime_pb2.GetStatusRequest, context: grpc.aio.ServicerContext
    ) -> regime_pb2.GetStatusResponse:
        call = current_call()
        assert call is not None
        return regime_pb2.GetStatusResponse(next_page_token=call.request_id)


@contextlib.asynccontextmanager
async def agent(bearer: str, *, mode: str = "auto", **headers: str) -> AsyncIterator[Client]:
    transport = httpx2.AsyncHTTPTransport(uds="bridge.sock")
    headers = {"authorization": f"Bearer {bearer}", **headers}
    async with (
        httpx2.AsyncClient(transport=transport, headers=headers) as http,
        Client(streamable_http_client("http://localhost:8443/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


@pytest.fixture
async def served(house: Any) -> AsyncIterator[Any]:
    # Methods that a test does not need are UNIMPLEMENTED.
    decision = ("eil.decision.v1.DecisionService", decision_pb2_grpc.add_DecisionServiceServicer_to_server, Decision())  # pyright: ignore[reportAbstractUsage]
    economy = ("eil.economy.v1.EconomyService", economy_pb2_grpc.add_EconomyServiceServicer_to_server, Economy())  # pyright: ignore[reportAbstractUsage]
    regime = ("eil.regime.v1.RegimeService", regime_pb2_grpc.add_RegimeServiceServicer_to_server, Regime())  # pyright: ignore[reportAbstractUsage]
    async with (
        house.service("decision", decision),
        house.service("economy", economy),
        house.service("regime", regime),
        house.bridge(),
    ):
        yield house


def said(result: Any) -> str:
    return result.content[0].text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_agent_lists_the_tools_and_acts(served: Any, mode: str):
    async with agent(served.token("agent", subject="bot"), mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"get_status", "act", "prove", "energy_map", "balances", "pricing"}
        assert "[J]" in (tools["act"].description or "")
        assert tools["act"].input_schema["required"] == ["goal", "current_state"]
        assert tools["act"].annotations is not None
        assert tools["act"].annotations.read_only_hint is False

        result = await client.call_tool("act", ACT)
    assert not result.is_error, said(result)
    assert result.structured_content["action"]["target_servers"] == 10
    assert result.structured_content["prediction_id"] == "pred-default-bot", "in the caller's own name"
    assert json.loads(said(result)) == result.structured_content


async def test_errors_say_their_reason_and_what_to_do(served: Any):
    async with agent(served.token("operator")) as client:
        unknown = await client.call_tool("act", {**ACT, "source": "nowhere"})
        invalid = await client.call_tool("act", {"goal": "minimize_energy", "current_state": {"active_servers": 0}})
        misspelt = await client.call_tool("act", {**ACT, "horizon": 300})
        silent = await client.call_tool("energy_map", {"start": "not a time"})
        with pytest.raises(MCPError, match="get_status"):
            await client.call_tool("no_such_tool", {})
    assert all(result.is_error for result in (unknown, invalid, misspelt, silent))
    assert said(unknown).startswith("SOURCE_UNKNOWN: no source 'nowhere'")
    assert unknown.structured_content["error"]["code"] == 5
    assert "- current_state.active_servers: " in said(invalid)
    assert said(misspelt).startswith("INVALID_ARGUMENT: ")
    assert "horizon" in said(misspelt)
    assert said(silent).startswith("INVALID_ARGUMENT: ")


async def test_agents_have_the_permissions_of_their_tokens(served: Any):
    async with agent(served.token("viewer")) as client:
        reading = await client.call_tool("balances", {})
        acting = await client.call_tool("act", ACT)
    assert not reading.is_error
    assert acting.is_error
    assert said(acting).startswith("ROLE_NOT_ALLOWED: Act may be called by agent, operator")

    async with agent(served.token()) as client:  # the bridge may read balances: who asks through it may not for that
        reading = await client.call_tool("balances", {})
    assert said(reading).startswith("ROLE_NOT_ALLOWED: ")


async def test_calls_at_the_same_time_keep_their_callers_apart(served: Any):
    async def balances_of(tenant: str) -> list[Any]:
        async with agent(served.token("viewer", tenant=tenant)) as client:
            results = await asyncio.gather(*(client.call_tool("balances", {}) for _ in range(5)))
        return [balance["owner"] for result in results for balance in result.structured_content["balances"]]

    tenants = ["a", "b", "c"]
    owners = await asyncio.gather(*(balances_of(tenant) for tenant in tenants))
    assert owners == [[tenant] * 5 for tenant in tenants]


async def test_the_request_id_of_the_door_reaches_the_service(served: Any):
    async with agent(served.token("viewer"), **{"x-request-id": "door-1"}) as client:
        result = await client.call_tool("get_status", {})
    assert result.structured_content["next_page_token"] == "door-1"


async def test_a_service_that_is_down_is_named(house: Any):
    async with house.bridge(deadline_s=0.5), agent(house.token("viewer")) as client:
        result = await client.call_tool("pricing", {})
    assert result.is_error
    assert "market service" in said(result)
    assert said(result).split(":")[0] in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


async def test_hosts_that_the_bridge_does_not_know_are_refused_with_the_same_body(house: Any):
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    bearer = {"authorization": f"Bearer {house.token('viewer')}", "accept": "application/json, text/event-stream"}
    async with house.bridge(hosts="localhost,eil.example.com"), house.http(**bearer) as client:
        answers = {
            "local": await client.post("/mcp", json=call),
            "named": await client.post("/mcp", json=call, headers={"host": "eil.example.com"}),
            "rebound": await client.post("/mcp", json=call, headers={"host": "evil.example.com"}),
            "origin": await client.post("/mcp", json=call, headers={"origin": "https://evil.example.com"}),
            "page": await client.post("/mcp", json=call, headers={"origin": "https://localhost:3000"}),
            "text": await client.post("/mcp", content="hello"),
            "large": await client.post("/mcp", json={"x": "y" * (1 << 20)}),
        }
        subscribed = await client.get("/mcp")
    assert {name: answer.status_code for name, answer in answers.items()} == {
        "local": 200,
        "named": 200,
        "rebound": 421,
        "origin": 403,
        "page": 200,
        "text": 400,
        "large": 413,
    }
    for name in ("rebound", "origin", "text", "large"):
        assert answers[name].json()["details"][0]["reason"] == "MCP_REFUSED", name
    assert "EIL_BRIDGE_HOSTS" in answers["rebound"].json()["message"]
    assert subscribed.status_code == 405, "without sessions there is nothing to listen to"


def test_tools_know_their_methods_and_the_protocol_is_loaded_for_agents_alone():
    script = (
        "import sys, eil_bridge.main, eil_bridge.tools as tools, importlib\n"
        "assert 'mcp' not in sys.modules, 'the library is loaded before an agent asks'\n"
        "for tool in tools.TOOLS:\n"
        "    contract = importlib.import_module(f'eil.{tool.service}.v1.{tool.service}_pb2')\n"
        "    fields = getattr(contract, f'{tool.method}Request').DESCRIPTOR.fields_by_name\n"
        "    assert set(tool.properties) <= set(fields), tool.name\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
def test_a_tool_that_reads_changes_nothing(tool: Any):
    __import__(f"eil.{tool.service}.v1.{tool.service}_pb2")
    access = access_of(tool.path)
    assert access is not None
    assert access.roles
    assert tool.repeatable == access.idempotent
    assert tool.reads == ("viewer" in access.roles)
