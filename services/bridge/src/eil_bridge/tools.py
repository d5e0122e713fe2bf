"""What a tool is: one method of one service, asked with the caller's own token."""

import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from eil_mesh.client import Peers
from eil_mesh.errors import InvalidArgument
from eil_mesh.identity import Principal
from eil_mesh.layers import authorise
from google.protobuf.json_format import ParseDict, ParseError

from eil_bridge.events import plain

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool. `properties` are JSON Schema of the request's fields, `fixed` the fields that are not the caller's to choose; `reads`: it
    changes nothing; `repeatable`: twice is as once."""

    name: str
    title: str
    description: str
    service: str
    method: str
    properties: Mapping[str, Schema]
    required: tuple[str, ...] = ()
    reads: bool = True
    repeatable: bool = True
    fixed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """gRPC path of the method."""
        return path_of(self.service, self.method)

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        return record({**self.properties, PURPOSE: _PURPOSE}, *self.required)


def path_of(service: str, method: str) -> str:
    """gRPC path of a method of a service's first interface."""
    return f"/eil.{service}.v1.{service.capitalize()}Service/{method}"


def record(properties: Mapping[str, Schema], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def number(description: str, **more: Any) -> Schema:
    return {"type": "number", "description": description, **more}


def count(description: str, **more: Any) -> Schema:
    return {"type": "integer", "description": description, **more}


def numbers(description: str) -> Schema:
    return {"type": "array", "description": description, "items": {"type": "number"}, "maxItems": 1000}


PURPOSE = "purpose"
"""The argument that every tool takes beside its method's fields."""
_PURPOSE: Schema = {
    "description": "Why you ask. It travels with the call through every service into traces and the audit trail; nothing is decided by it.",
    **record(
        {
            "goal": text("What it is for, in a few words.", maxLength=200),
            "energy_budget_j": number("Energy that you may spend on it [J].", minimum=0),
        }
    ),
}


async def ask(
    service: str, method: str, arguments: Mapping[str, Any], principal: Principal, peers: Peers
) -> dict[str, Any]:
    """A service's answer as JSON values, asked in the name of the call being served.

    Raises:
        PermissionDenied: the caller's roles do not allow it. The service would let the bridge itself read.
        InvalidArgument: the arguments are not the method's.
        grpc.aio.AioRpcError: what the service said.
    """
    contract = importlib.import_module(f"eil.{service}.v1.{service}_pb2")
    stubs = importlib.import_module(f"eil.{service}.v1.{service}_pb2_grpc")
    authorise(path_of(service, method), principal)
    try:
        request = ParseDict(dict(arguments), getattr(contract, f"{method}Request")())
    except ParseError as error:
        raise InvalidArgument(f"{error}; nothing was done; see the input schema and ask again") from error
    stub = peers.stub(getattr(stubs, f"{service.capitalize()}ServiceStub"), service)
    return plain(await getattr(stub, method)(request))


def purpose_of(arguments: Mapping[str, Any]) -> dict[str, str]:
    """The baggage that a tool's argument `purpose` becomes.

    Raises:
        InvalidArgument: it is not what the schema says.
    """
    given = arguments.get(PURPOSE)
    if given is None:
        return {}
    if not isinstance(given, dict) or (unknown := set(given) - {"goal", "energy_budget_j"}):
        found = f"has no member {sorted(unknown)[0]!r}" if isinstance(given, dict) else "must be an object"
        raise InvalidArgument(f"`{PURPOSE}` {found}; see the tool's input schema", violations={PURPOSE: found})
    goal, budget_j = given.get("goal", ""), given.get("energy_budget_j")
    if not isinstance(goal, str) or len(goal) > 200:
        raise InvalidArgument(
            "`purpose.goal` must be a text of 200 letters at most", violations={"purpose.goal": "too long"}
        )
    entries = {"eil.goal": goal} if goal else {}
    if budget_j is None:
        return entries
    if isinstance(budget_j, bool) or not isinstance(budget_j, int | float) or not 0 <= budget_j < math.inf:
        message = "`purpose.energy_budget_j` must be a number of joules, 0 or more"
        raise InvalidArgument(message, violations={"purpose.energy_budget_j": "must be a number, 0 or more"})
    return {**entries, "eil.energy_budget_j": f"{budget_j:g}"}
