"""The Model Context Protocol: the tools of `tools.py` over streamable HTTP without sessions. Imported when the first agent comes."""

import asyncio
import json
from importlib.metadata import version
from typing import Any

import grpc
import mcp_types as types
from eil_mesh.call import serving
from eil_mesh.client import Peers
from eil_mesh.errors import EilError, InvalidArgument
from eil_mesh.status import internal
from mcp.server import Server, ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eil_bridge.agents import CALLER
from eil_bridge.callers import Caller
from eil_bridge.replies import body, refusal, request_id_of, rpc_body
from eil_bridge.settings import BridgeSettings
from eil_bridge.tools import TOOLS, Tool, ask

LARGEST_BODY = 1024 * 1024
INSTRUCTIONS = (
    "EIL saves energy and proves it. The loop: get_status shows what a fleet does; act asks for the cheapest action and commits a "
    "prediction of its outcome; carry the action out; after horizon_s, prove compares prediction and measurement. SI units: J, W, K, "
    "s; temperatures in °C; token amounts ending in _u are integers of 10^-6 token. Errors begin with a stable reason."
)
REFUSALS = {
    400: "the body must be JSON: send it with `Content-Type: application/json`",
    403: "this Origin is not one of the bridge's hosts; name it in EIL_BRIDGE_HOSTS",
    406: "the answer is JSON: send `Accept: application/json, text/event-stream`",
    413: "the body is over 1 MiB; send less at once",
    421: "this Host is not one that the bridge knows; name it in EIL_BRIDGE_HOSTS",
}
"""What the library refuses by HTTP status alone, said in full. What it refuses in JSON-RPC stands."""


def application(peers: Peers, settings: BridgeSettings) -> ASGIApp:
    """The ASGI application behind /mcp; the scope carries the verified caller."""
    server = _server(peers, settings.deadline_s)
    security = _security(settings.hosts)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        manager = StreamableHTTPSessionManager(
            server, json_response=True, stateless=True, security_settings=security, max_request_body_size=LARGEST_BODY
        )
        async with manager.run():  # one for each request: without sessions nothing outlives it
            await manager.handle_request(scope, receive, _explaining(scope, receive, send))

    return serve


def _security(hosts: str) -> TransportSecuritySettings:
    """Hosts that may be named: a page that points its own name at this machine must not reach an agent's door."""
    names = [name.strip() for name in hosts.split(",") if name.strip()]
    anywhere = [f"{name}{port}" for name in names for port in ("", ":*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection="*" not in names,
        allowed_hosts=anywhere,
        allowed_origins=[f"{scheme}://{host}" for scheme in ("https", "http") for host in anywhere],
    )


def _server(peers: Peers, deadline_s: float) -> Server[Any]:
    by_name = {tool.name: tool for tool in TOOLS}
    listed = types.ListToolsResult(tools=[_listing(tool) for tool in TOOLS])

    async def list_tools(_context: Any, _params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return listed

    async def call_tool(
        context: ServerRequestContext[Any, Request], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = by_name.get(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"no tool {params.name!r}; there are {', '.join(by_name)}")
        if context.request is None:
            raise RuntimeError("the transport did not hand the HTTP request on")
        caller: Caller = context.request.scope[CALLER]
        deadline = asyncio.get_running_loop().time() + deadline_s
        with serving(caller.call(f"/mcp/{tool.name}", deadline)):
            return await _call(tool, params.arguments or {}, caller, peers)

    return Server(
        "eil",
        version=version("eil-bridge"),
        title="Energy Intelligence Layer",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _listing(tool: Tool) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.schema(),
        annotations=types.ToolAnnotations(
            read_only_hint=tool.reads, destructive_hint=False, idempotent_hint=tool.repeatable, open_world_hint=False
        ),
    )


async def _call(tool: Tool, arguments: dict[str, Any], caller: Caller, peers: Peers) -> types.CallToolResult:
    try:
        answer = await ask(tool, arguments, caller.principal, peers)
    except grpc.aio.AioRpcError as error:
        return _failed(rpc_body(error, tool.service, caller.request_id))
    except EilError as error:
        return _failed(body(error, caller.request_id))
    except Exception as error:
        return _failed(body(internal(error, caller.request_id), caller.request_id))
    text = json.dumps(answer, ensure_ascii=False, allow_nan=False)
    return types.CallToolResult(content=[types.TextContent(text=text)], structured_content=answer)


def _failed(error: dict[str, Any]) -> types.CallToolResult:
    """A tool error that starts with the stable reason, then says what to do, field by field where fields are wrong."""
    details = error.get("details", [])
    reason = next((detail["reason"] for detail in details if "reason" in detail), "UNKNOWN")
    lines = [f"{reason}: {error['message']}"]
    for detail in details:
        for violation in detail.get("field_violations", []):
            lines.append(f"- {violation.get('field', '')}: {violation['description']}")
    return types.CallToolResult(
        content=[types.TextContent(text="\n".join(lines))], structured_content={"error": error}, is_error=True
    )


def _explaining(scope: Scope, receive: Receive, send: Send) -> Send:
    """Puts the house's error body in place of the library's plain text."""
    replaced = False

    async def explain(message: Message) -> None:
        nonlocal replaced
        if message["type"] == "http.response.start" and message["status"] >= 400:
            kind = Headers(raw=message["headers"]).get("content-type", "")
            replaced = not kind.startswith("application/json")
            if replaced:
                status = message["status"]
                said = REFUSALS.get(status, f"the Model Context Protocol refuses this with HTTP {status}")
                error = InvalidArgument(said, reason="MCP_REFUSED")
                await refusal(error, request_id_of(Request(scope)), status=status)(scope, receive, send)
        if not replaced:
            await send(message)

    return explain
