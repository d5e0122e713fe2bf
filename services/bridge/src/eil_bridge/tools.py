"""The tools that agents get, and what they mean in numbers: each is one method of one service, asked with the caller's own token."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
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
    """A tool. `properties` are JSON Schema of the request's fields; `reads`: it changes nothing; `repeatable`: twice is as once."""

    name: str
    title: str
    description: str
    service: str
    method: str
    properties: Mapping[str, Schema]
    required: tuple[str, ...] = ()
    reads: bool = True
    repeatable: bool = True

    @property
    def path(self) -> str:
        """gRPC path of the method."""
        return f"/eil.{self.service}.v1.{self.service.capitalize()}Service/{self.method}"

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the arguments."""
        return _object(self.properties, *self.required)


def _object(properties: Mapping[str, Schema], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "description": description, **more}


def _number(description: str, **more: Any) -> Schema:
    return {"type": "number", "description": description, **more}


def _count(description: str, **more: Any) -> Schema:
    return {"type": "integer", "description": description, **more}


def _numbers(description: str) -> Schema:
    return {"type": "array", "description": description, "items": {"type": "number"}, "maxItems": 1000}


_TIME = {"format": "date-time"}
_PAGE = {
    "page_size": _count("Entries wanted at most; 100 by default.", minimum=1, maximum=1000),
    "page_token": _text("`next_page_token` of the page before."),
}
_REQUEST_ID = _text(
    "Your own id of this request, kept 7 days: sent again, it gets the same answer and counts once.", maxLength=128
)
_STATE = {
    "energy": _number("Energy over the prediction's window [J].", minimum=0),
    "entropy": _number("Entropy generated over the window [J/K]."),
}

TOOLS: tuple[Tool, ...] = (
    Tool(
        "get_status",
        "Energy state and regime",
        "The present state of one source (a server, rack or plant that sends telemetry) or of all. total_energy [J] and entropy [J/K] "
        "are over the last window_s seconds, of which covered_s were measured; power [W], temperature [°C]. The regime is stable, "
        "drifting, transition or critical; confidence (0-1) is the probability that it is in next_regime_id 60 samples on. Fields named in "
        "`missing` were never sent: their 0 means nothing.",
        "regime",
        "GetStatus",
        {"source": _text("One source; left out, all."), **_PAGE},
    ),
    Tool(
        "act",
        "Ask for the cheapest action",
        "Asks which action saves most energy within the constraints, and commits the prediction of its outcome, which cannot be "
        "altered afterwards. Answers action (scale_down, scale_up, adjust or hold, with target_servers and settings of other levers; "
        "expected_energy_savings [J] over the horizon, against doing nothing), predicted_state (energy [J] with a 90 % interval, "
        "entropy [J/K]), prediction_id and why. Asking does not carry it out unless `emitted` is true. After horizon_s, claim the "
        "outcome with `prove`.",
        "decision",
        "Act",
        {
            "goal": _text(
                "What is wanted: least energy, least cost (give price_per_kwh), least carbon (give carbon_g_per_kwh), or least energy "
                "for each unit of work.",
                enum=["minimize_energy", "minimize_cost", "minimize_carbon", "maximize_efficiency"],
            ),
            "current_state": {
                "description": "The plant now.",
                **_object(
                    {
                        "active_servers": _count("Servers that serve now.", minimum=1, maximum=100_000),
                        "avg_utilization": _number("Utilisation per active server, from 0 to 1.", minimum=0, maximum=1),
                    },
                    "active_servers",
                    "avg_utilization",
                ),
            },
            "constraints": {
                "description": "Hard limits; 0 or left out is none.",
                **_object(
                    {
                        "max_latency_ms": _number("Largest latency [ms].", minimum=0),
                        "min_throughput": _number("Smallest throughput that must be servable [requests/s].", minimum=0),
                        "max_power_w": _number("Largest power [W].", minimum=0),
                        "max_temperature_c": _number("Largest temperature [°C].", minimum=0),
                    }
                ),
            },
            "source": _text("Source whose learned behaviour is used; left out, current_state alone is."),
            "price_per_kwh": _numbers("Price of energy by hour from now on [currency/kWh]."),
            "carbon_g_per_kwh": _numbers("Carbon intensity by hour from now on [g/kWh]."),
            "horizon_s": _number("Time that the prediction speaks of [s]; 300 by default.", minimum=0, maximum=86_400),
            "mode": _text(
                "How far the mesh may go; it can only lower the source's own mode.",
                enum=["observe", "advise", "approve", "auto"],
            ),
            "request_id": _REQUEST_ID,
        },
        ("goal", "current_state"),
        reads=False,
        repeatable=False,
    ),
    Tool(
        "prove",
        "Prove a prediction",
        "Judges a prediction of `act` against what was measured, once its window is over (before: NOT_YET_MEASURED). "
        "energy_error and entropy_error are percent of the measured value. A valid proof of a metered source mints pft_minted [PFT]; "
        "`reason` says why or why not. One verdict stands for each prediction.",
        "proof",
        "Prove",
        {
            "prediction_id": _text("From `act`."),
            "predicted_state": {
                "description": "energy and entropy of act's predicted_state, echoed exactly.",
                **_object(_STATE, "energy", "entropy"),
            },
            "actual_state": {
                "description": "What your own meter says of the same window.",
                **_object(_STATE, "energy", "entropy"),
            },
            "timestamp": _text("When the outcome was read, RFC 3339 in UTC.", **_TIME),
            "request_id": _REQUEST_ID,
        },
        ("prediction_id", "predicted_state", "actual_state"),
        reads=False,
    ),
    Tool(
        "energy_map",
        "Map of energy",
        "Where the energy went: a node for each source with its energy [J], entropy generated [J/K] and newest regime, and an edge for "
        "each kind of transition between regimes, with how often it happened. By default over the hour up to the newest state. "
        "Mean power [W] is energy divided by the seconds from start to end.",
        "atlas",
        "GetEnergyMap",
        {
            "start": _text("Begin, included, RFC 3339 in UTC.", **_TIME),
            "end": _text("End, excluded, RFC 3339 in UTC.", **_TIME),
        },
    ),
    Tool(
        "balances",
        "Token balances",
        "Balances of the tenant's accounts: CEU (1 CEU = 1000 inference steps), PFT (minted by valid proofs), MUNT (a model licence). "
        "balance_u and reserved_u are exact integers of 10^-6 token, written as strings; balance is the same in tokens, for people.",
        "economy",
        "GetBalances",
        {"owner": _text("One owner; left out, all of the tenant.", maxLength=128)},
    ),
    Tool(
        "pricing",
        "Posted prices",
        "Posted prices of CEU, PFT and MUNT: amount of the currency for one token (see unit, e.g. EUR/CEU), and the factors whose "
        "product it is, each with its unit, meaning and source.",
        "market",
        "GetPricing",
        {"quantity": _number("CEU wanted at once [CEU], for the bulk tier; 1 by default.", minimum=0)},
    ),
)


async def ask(tool: Tool, arguments: Mapping[str, Any], principal: Principal, peers: Peers) -> dict[str, Any]:
    """The service's answer as JSON values, asked in the name of the call being served.

    Raises:
        PermissionDenied: the caller's roles do not allow it. The service would let the bridge itself read.
        InvalidArgument: the arguments are not the method's.
        grpc.aio.AioRpcError: what the service said.
    """
    contract = importlib.import_module(f"eil.{tool.service}.v1.{tool.service}_pb2")
    stubs = importlib.import_module(f"eil.{tool.service}.v1.{tool.service}_pb2_grpc")
    authorise(tool.path, principal)
    try:
        request = ParseDict(dict(arguments), getattr(contract, f"{tool.method}Request")())
    except ParseError as error:
        raise InvalidArgument(f"{error}; nothing was done; see the tool's input schema and call it again") from error
    stub = peers.stub(getattr(stubs, f"{tool.service.capitalize()}ServiceStub"), tool.service)
    return plain(await getattr(stub, tool.method)(request))
