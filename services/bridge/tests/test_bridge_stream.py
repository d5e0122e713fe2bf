"""The stream as its clients see it: over WebSocket, with real journals behind."""

import asyncio
import contextlib
import json
import math
import select
import socket
from typing import Any

import pytest
from eil.decision.v1 import decision_pb2
from eil.economy.v1 import economy_pb2
from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_bridge import events, pipes
from eil_bridge.endings import EXPIRED, STOPPING, TOO_SLOW, Ending
from eil_mesh.clock import MICROSECONDS, ManualClock
from eil_mesh.errors import EilError
from eil_mesh.testing import FOR_EVER_S
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

TELEMETRY, SHIFTS, ACTIONS = "eil.sense.telemetry", "eil.regime.shifts", "eil.act.actions"
RECORD = regime_pb2.TelemetryRecord(
    source="dc",
    times_us=[1_800_000_000_000_000, 1_800_000_001_000_000],
    columns=[regime_pb2.Column(name="power_draw", values=[850.5, math.nan])],
    energy_state=regime_pb2.EnergyState(total_energy=1.5, power_method="METERED"),
)


def shift(number: int, source: str = "dc") -> regime_pb2.RegimeShift:
    return regime_pb2.RegimeShift(id=f"{source}-{number}", source=source, from_regime="NaN")


def bulky(size: int) -> regime_pb2.RegimeShift:
    return regime_pb2.RegimeShift(source="dc", reason="x" * size)


async def next_event(websocket: Any) -> dict[str, Any]:
    return json.loads(await websocket.recv())


async def to_the_end(websocket: Any) -> tuple[list[dict[str, Any]], ConnectionClosed]:
    """What is still sent, and how the connection ended."""
    messages = []
    while True:
        try:
            messages.append(json.loads(await websocket.recv()))
        except ConnectionClosed as end:
            return messages, end


async def closed(websocket: Any) -> tuple[int, str]:
    """Read to the end; the close code and reason."""
    _, end = await to_the_end(websocket)
    assert end.rcvd is not None, "the connection was cut without a close frame"
    return end.rcvd.code, end.rcvd.reason


async def test_events_come_as_json_with_their_place_in_the_journal(house: Any):
    async with house.service("regime"), house.service("decision"), house.service("economy"), house.bridge():
        decision = decision_pb2.Decision(request=decision_pb2.ActRequest(source="dc"), may_mint=True)
        entry = economy_pb2.TransferRecord(id="t1", token="PFT", amount_u=12_500_000)
        async with (
            house.stream(house.token("viewer")) as websocket,
            house.repeating("regime", TELEMETRY, "dc", RECORD),
            house.repeating("decision", ACTIONS, "dc", decision),
            house.repeating("economy", "eil.economy.entries", "", entry),
        ):
            seen: dict[str, dict[str, Any]] = {}
            while len(seen) < 3:
                event = await next_event(websocket)
                seen[event["topic"]] = event
    telemetry = seen[TELEMETRY]
    assert set(telemetry) == {"id", "topic", "service", "offset", "time", "key", "payload"}
    assert (telemetry["service"], telemetry["key"]) == ("regime", "dc")
    assert telemetry["offset"] >= 1
    assert telemetry["time"].endswith("Z")
    assert telemetry["payload"]["columns"] == [{"name": "power_draw", "values": [850.5, None]}], "NaN is null"
    assert telemetry["payload"]["times_us"][0] == "1800000000000000", "int64 is a string, as in REST"
    assert telemetry["payload"]["energy_state"]["covered_s"] == 0.0, "defaults are written, as in REST"
    assert seen[ACTIONS]["payload"]["may_mint"] is True
    assert seen["eil.economy.entries"]["payload"]["amount_u"] == "12500000"


async def test_a_tenant_sees_its_own_events_alone(house: Any):
    async with (
        house.service("regime"),
        house.bridge(),
        house.stream(house.token("viewer", tenant="a")) as ours,
        house.stream(house.token("admin", tenant="b")) as theirs,
        house.repeating("regime", SHIFTS, "dc", shift(1, "of-b"), tenant="b"),
        house.repeating("regime", SHIFTS, "dc", shift(1, "of-a"), tenant="a"),
    ):
        seen_by_a = [(await next_event(ours))["payload"]["source"] for _ in range(20)]
        seen_by_b = [(await next_event(theirs))["payload"]["source"] for _ in range(20)]
    assert set(seen_by_a) == {"of-a"}
    assert set(seen_by_b) == {"of-b"}, "not even an admin sees another tenant"


async def test_topics_and_source_narrow_the_stream(house: Any):
    async with house.service("regime"), house.bridge():
        token = house.token("viewer")
        async with (
            house.stream(query=f"access_token={token}&topics={SHIFTS},{ACTIONS}&source=rack%2F1") as one,
            house.stream(
                query=f"access_token={token}&topics={SHIFTS}&source=rack%2F1,rack%2F3&source=rack%2F2"
            ) as three,
            house.repeating("regime", TELEMETRY, "rack/1", RECORD),
            house.repeating("regime", SHIFTS, "rack/1", shift(1, "rack/1")),
            house.repeating("regime", SHIFTS, "rack/2", shift(1, "rack/2")),
            house.repeating("regime", SHIFTS, "rack/3", shift(1, "rack/3")),
            house.repeating("regime", SHIFTS, "rack/4", shift(1, "rack/4")),
        ):
            seen = [await next_event(one) for _ in range(10)]
            more = [await next_event(three) for _ in range(20)]
    assert {(event["topic"], event["key"]) for event in seen} == {(SHIFTS, "rack/1")}
    assert {(event["topic"], event["key"]) for event in more} == {(SHIFTS, f"rack/{number}") for number in (1, 2, 3)}


async def test_a_stream_needs_a_valid_token_with_a_role_and_a_query_that_means_something(house: Any):
    viewer = house.token("viewer")
    cases = {
        "none": ("", "", 4401, "TOKEN_MISSING", 401),
        "forged": ("a.b.c", "", 4401, "TOKEN_INVALID", 401),
        "query": ("", "access_token=forged", 4401, "TOKEN_INVALID", 401),
        "no role": (house.token(), "", 4403, "ROLE_NOT_ALLOWED", 403),
        "topic": (viewer, "topics=eil.nonsense", 4400, "INVALID_ARGUMENT", 400),
        "slow": (viewer, "slow=maybe", 4400, "INVALID_ARGUMENT", 400),
        "id": (viewer, "last_id=regime.x", 4400, "INVALID_ARGUMENT", 400),
        "id of another service": (viewer, "last_id=market.1", 4400, "INVALID_ARGUMENT", 400),
        "id beyond": (viewer, f"last_id=regime.{2**63}", 4400, "INVALID_ARGUMENT", 400),
    }
    async with house.bridge(), house.http() as client:
        for name, (bearer, query, code, reason, status) in cases.items():
            async with house.stream(bearer, query) as websocket:
                messages, end = await to_the_end(websocket)
            headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
            answer = await client.get(f"/v1/stream?{query}", headers=headers)
            assert end.rcvd is not None
            assert (end.rcvd.code, answer.status_code) == (code, status), name
            for error in (messages[-1]["error"], answer.json()):
                assert error["details"][0]["reason"] == reason, name
            if name == "topic":
                assert SHIFTS in answer.json()["message"]


async def test_a_stream_ends_when_its_token_does(house: Any):
    clock = ManualClock()
    clock.advance(FOR_EVER_S - clock.now_us() / MICROSECONDS - 0.3)
    async with house.bridge(clock=clock):
        async with house.stream(house.token("viewer")) as websocket:
            await asyncio.sleep(0)
            clock.advance(0.4)
            assert await closed(websocket) == (4401, EXPIRED.reason)
        clock.advance(10)
        async with house.stream(house.token("viewer")) as websocket:
            messages, end = await to_the_end(websocket)
    assert end.rcvd is not None
    assert end.rcvd.code == 4401
    assert messages[-1]["error"]["details"][0]["reason"] == "TOKEN_EXPIRED"


async def test_a_slow_client_is_told_why_and_let_go(house: Any):
    async with house.service("regime"), house.bridge(stream_events=5, ping_s=5.0):
        with capture_logs() as logs:
            async with house.stream(house.token("viewer"), max_queue=1, ping_interval=None) as websocket:
                async with house.repeating("regime", SHIFTS, "dc", bulky(60_000)):
                    await websocket.recv()
                    while not any(entry["event"] == "stream ends" for entry in logs):
                        await asyncio.sleep(0.02)
                messages, end = await to_the_end(websocket)
    assert end.rcvd is not None
    assert (end.rcvd.code, end.rcvd.reason) == (1013, TOO_SLOW.reason)
    assert all("topic" in message for message in messages[:-1])
    error = messages[-1]["error"]
    assert (error["code"], error["details"][0]["reason"]) == (8, "TOO_SLOW")


UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"


@pytest.mark.parametrize("head", [UPGRADE, ""], ids=["WebSocket", "server-sent events"])
async def test_a_client_that_reads_nothing_is_cut_off(house: Any, head: str):
    async with house.service("regime"), house.bridge(stream_events=5, patience_s=0.2):
        with capture_logs() as logs, socket.socket(socket.AF_UNIX) as client:
            client.connect("bridge.sock")
            target = f"/v1/stream?access_token={house.token('viewer')}"
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
            poll = select.poll()
            poll.register(client, 0)
            async with house.repeating("regime", SHIFTS, "dc", bulky(60_000)):
                while not any(entry["event"] == "stream ends" for entry in logs):
                    await asyncio.sleep(0.02)
                    assert poll.poll(0) == []
            await asyncio.sleep(1.0)  # longer than the bridge is patient, twice
            assert poll.poll(0) == [(client.fileno(), select.POLLHUP)], "the bridge still holds the connection"


async def test_a_restarted_service_is_followed_on_without_loss(house: Any):
    async with house.bridge(), house.stream(house.token("viewer"), f"topics={SHIFTS}") as websocket:
        async with house.service("regime"):
            async with house.repeating("regime", SHIFTS, "dc", shift(0)):
                await websocket.recv()
            await house.write("regime", SHIFTS, "dc", shift(1))
            seen = [await next_event(websocket)]
            while seen[-1]["payload"]["id"] != "dc-1":
                seen.append(await next_event(websocket))
        async with house.service("regime"):
            for number in (2, 3):
                await house.write("regime", SHIFTS, "dc", shift(number))
            seen += [await next_event(websocket) for _ in range(2)]
    assert [event["payload"]["id"] for event in seen[-3:]] == ["dc-1", "dc-2", "dc-3"]
    offsets = [event["offset"] for event in seen]
    assert offsets == list(range(offsets[0], offsets[0] + len(offsets))), "each once, in order"


async def test_one_subject_holds_no_more_streams_than_it_may(house: Any):
    async with house.bridge(streams_per_subject=1, streams=2):
        first, second = house.token("viewer", subject="s1"), house.token("viewer", subject="s2")
        async with house.stream(first), house.stream(first) as refused:
            error = json.loads(await refused.recv())["error"]
            assert error["details"][0]["reason"] == "TOO_MANY_STREAMS"
            assert (await closed(refused))[0] == 1013
            async with house.stream(second), house.stream(house.token("viewer", subject="s3")) as third:
                assert (await closed(third))[0] == 1013, "the bridge is full"
        await asyncio.sleep(0.1)
        async with house.stream(first) as again:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(again.recv(), 0.2)


async def test_a_bridge_that_stops_says_so_to_its_clients(house: Any):
    started, stop = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        async with house.bridge():
            started.set()
            await stop.wait()

    bridge = asyncio.create_task(run())
    await started.wait()
    async with house.stream(house.token("viewer")) as websocket:
        stop.set()
        assert await closed(websocket) == (1001, STOPPING.reason)
        await bridge
    with contextlib.chdir(house.folder), pytest.raises(OSError, match=r"refused|No such file"):
        await house.stream(house.token("viewer"))


def members(event: event_log_pb2.Event) -> dict[str, Any]:
    return json.loads(b"{%b}" % events.members(event))


def test_what_cannot_be_shown_is_left_out_and_named():
    payload = bulky(events.LARGEST_PAYLOAD).SerializeToString()
    tree = members(event_log_pb2.Event(topic=SHIFTS, offset=3, payload=payload))
    assert tree["payload"] is None
    assert str(len(payload)) in tree["omitted"]
    with capture_logs() as logs:
        tree = members(event_log_pb2.Event(topic=SHIFTS, offset=4, payload=b"\xff\xff"))
    assert tree["payload"] is None
    assert "does not understand" in tree["omitted"]
    assert logs[0]["event"] == "event not understood"


def test_a_name_that_looks_like_a_number_stays_a_name():
    tree = members(event_log_pb2.Event(topic=SHIFTS, payload=shift(1, "NaN").SerializeToString()))
    assert (tree["payload"]["source"], tree["payload"]["from_regime"]) == ("NaN", "NaN")


def test_every_frame_is_one_that_a_client_reads():
    for size in (0, 1, 125, 126, 65_535, 65_536, 200_000):
        assert pipes.frame(b"x" * size) == Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)


def test_a_reason_fits_into_a_close_frame():
    ending = Ending(EilError("ä" * 100))
    assert ending.reason.endswith("…")
    assert len(ending.reason.encode()) <= 123
    assert Ending(EilError("short")).reason == "short"
