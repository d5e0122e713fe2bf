"""Aggregate health, and how HTTP refuses."""

import asyncio
import contextlib
import socket
from importlib.metadata import version
from typing import Any

import grpc
from eil_bridge.health import KEEP_S, Health
from eil_mesh.services import SERVICES
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
OTHERS = SERVICES["bridge"].calls


async def test_health_names_every_service_and_says_which_one_is_down(house: Any):
    async with contextlib.AsyncExitStack() as stack:
        for name in OTHERS[:-1]:
            await stack.enter_async_context(house.service(name))
        async with house.bridge(), house.http() as client:
            async with house.service(OTHERS[-1]):
                well = await client.get("/v1/health")
            assert (well.status_code, well.json()) == (
                200,
                {
                    "status": "SERVING",
                    "services": dict.fromkeys(OTHERS, "SERVING"),
                    "reasons": {},
                    "version": version("eil-bridge"),
                },
            )

            while (answer := await client.get("/v1/health")).status_code == 200:
                await asyncio.sleep(0.1)
            expected = {**dict.fromkeys(OTHERS, "SERVING"), OTHERS[-1]: "UNREACHABLE"}
            tree = answer.json()
            assert (answer.status_code, tree["status"], tree["services"]) == (503, "DEGRADED", expected)
            assert tree["reasons"].keys() == {OTHERS[-1]}
            assert "nobody listens" in tree["reasons"][OTHERS[-1]]
            assert ".sock" not in answer.text, "anybody may ask: no address is told"


async def test_a_service_that_says_it_does_not_serve_is_not_serving(house: Any):
    async with house.service("regime"), house.bridge(), house.http() as client:
        server, servicer = grpc.aio.server(), HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
        await servicer.set("", NOT_SERVING)
        server.add_insecure_port("unix:market.sock")
        await server.start()
        answer = await client.get("/v1/health")
        await server.stop(0)
    assert answer.status_code == 503
    states, reasons = answer.json()["services"], answer.json()["reasons"]
    assert (states["regime"], states["market"], states["atlas"]) == ("SERVING", "NOT_SERVING", "UNREACHABLE")
    assert "starting or stopping" in reasons["market"]
    assert "nobody listens" in reasons["atlas"]
    assert "regime" not in reasons


async def test_a_service_that_accepts_and_says_nothing_is_found_out_within_a_second(house: Any):
    listener = socket.socket(socket.AF_UNIX)
    with contextlib.closing(listener):
        async with house.service("regime"), house.bridge(), house.http() as client:
            listener.bind("market.sock")
            listener.listen()
            answer = await client.get("/v1/health")
    tree = answer.json()
    assert (tree["services"]["market"], tree["services"]["regime"]) == ("UNREACHABLE", "SERVING")
    assert "no answer within 1 s" in tree["reasons"]["market"]


class Counting:
    """Peers that count how often, and how many at once, they are asked."""

    def __init__(self) -> None:
        self.asked, self.now, self.most = 0, 0, 0

    def stub(self, _make: Any, _service: str, *, well: bool) -> "Counting":
        return self

    async def Check(self, _request: Any, timeout: float) -> Any:
        self.asked, self.now = self.asked + 1, self.now + 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return health_pb2.HealthCheckResponse(status=SERVING)


async def test_services_are_asked_at_once_and_at_most_once_a_second():
    peers: Any = Counting()
    now_s = 0.0
    health = Health(peers, OTHERS, lambda: now_s)
    await asyncio.gather(*(health.services() for _ in range(20)))
    assert (peers.asked, peers.most) == (len(OTHERS), len(OTHERS))
    now_s = KEEP_S * 0.99
    await health.services()
    assert peers.asked == len(OTHERS)
    now_s = KEEP_S
    await health.services()
    assert peers.asked == 2 * len(OTHERS)


async def test_the_bridge_itself_answers_grpc_health_and_nothing_else_without_a_token(house: Any):
    options = [("grpc.default_authority", "localhost")]
    async with house.bridge(), grpc.aio.insecure_channel("unix:bridge-health.sock", options=options) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest())
    assert answer.status == SERVING


async def test_every_refusal_has_the_same_body(house: Any):
    async with house.bridge(), house.http(**{"x-request-id": "r-7"}) as client:
        refusals = {
            "missing": await client.get("/v1/nope"),
            "method": await client.delete("/v1/health"),
            "token": await client.post("/mcp", json={}),
            "forged": await client.post("/mcp", json={}, headers={"authorization": "Bearer a.b.c"}),
            "basic": await client.post("/mcp", json={}, headers={"authorization": "Basic YTpi"}),
        }
    found = {name: (answer.status_code, answer.json()["code"]) for name, answer in refusals.items()}
    reasons = {name: answer.json()["details"][0]["reason"] for name, answer in refusals.items()}
    assert found == {
        "missing": (404, 12),
        "method": (405, 12),
        "token": (401, 16),
        "forged": (401, 16),
        "basic": (401, 16),
    }
    assert reasons == {
        "missing": "NO_SUCH_PATH",
        "method": "NO_SUCH_METHOD",
        "token": "TOKEN_MISSING",
        "forged": "TOKEN_INVALID",
        "basic": "TOKEN_INVALID",
    }
    assert set(refusals["method"].headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert refusals["token"].headers["www-authenticate"] == "Bearer"
    for answer in refusals.values():
        detail = answer.json()["details"][0]
        assert set(answer.json()) == {"code", "message", "details"}
        assert detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
        assert (detail["domain"], detail["metadata"]) == ("eil.energy", {"request_id": "r-7"})
