"""The shared feed: one subscription for everybody, no loss and no repetition over breaks, and what becomes of slow clients."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from eil.decision.v1 import decision_pb2
from eil.regime.v1 import regime_pb2
from eil_bridge import position
from eil_bridge.callers import Caller
from eil_bridge.client import Client
from eil_bridge.endings import EXPIRED
from eil_bridge.pipes import Pipe
from eil_bridge.ring import Ring, Wish
from eil_bridge.stream import WEBSOCKET
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS, ManualClock
from eil_mesh.event_log import EventLog
from eil_mesh.identity import Principal
from eil_mesh.testing import FOR_EVER_S
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosedError

SHIFTS, ACTIONS = "eil.regime.shifts", "eil.act.actions"
QUERY = f"topics={SHIFTS},{ACTIONS}"


def shift(number: int, size: int = 0) -> regime_pb2.RegimeShift:
    return regime_pb2.RegimeShift(id=str(number), source="dc", reason="x" * size)


def action(number: int) -> decision_pb2.Decision:
    return decision_pb2.Decision(response=decision_pb2.ActResponse(prediction_id=str(number)))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0.01)


@dataclass
class Subscriptions:
    """Subscriptions to journals: (first offset, who)."""

    now: list[tuple[int, str]] = field(default_factory=list)
    ever: list[tuple[int, str]] = field(default_factory=list)

    async def begun(self, clients: int = 1, journals: int = 2) -> None:
        """Wait until so many clients are at the feed and it follows so many journals: what is written from here on they get."""
        await until(lambda: (metrics.STREAM_CLIENTS._value.get(), len(self.now)) == (clients, journals))
        await asyncio.sleep(0.1)


@pytest.fixture
def subscriptions(monkeypatch: pytest.MonkeyPatch) -> Subscriptions:
    counts = Subscriptions()
    subscribe = EventLog.Subscribe

    async def counted(self: EventLog, request: Any, context: Any) -> AsyncIterator[Any]:
        metadata = dict(context.invocation_metadata())
        entry = (request.from_offset, "user" if "authorization" in metadata else metadata["x-eil-service"])
        counts.now.append(entry)
        counts.ever.append(entry)
        try:
            async for response in subscribe(self, request, context):
                yield response
        finally:
            counts.now.remove(entry)

    monkeypatch.setattr(EventLog, "Subscribe", counted)
    return counts


async def test_however_many_listen_each_journal_is_followed_once_and_only_while_somebody_does(
    house: Any, subscriptions: Subscriptions
):
    async with house.service("regime"), house.service("decision"), house.bridge(linger_s=0.1):
        await asyncio.sleep(0.1)
        assert subscriptions.ever == [], "without clients nothing is followed"
        async with contextlib.AsyncExitStack() as stack:
            tokens = [house.token("viewer", subject=f"s{n}", tenant=f"t{n % 3}") for n in range(12)]
            clients = [await stack.enter_async_context(house.stream(token, QUERY)) for token in tokens]
            sent = [await stack.enter_async_context(house.server_sent(token, QUERY)) for token in tokens]
            await subscriptions.begun(clients=24)
            for n in range(3):
                await house.write("regime", SHIFTS, "dc", shift(n), tenant=f"t{n}")
            for n, client in enumerate(clients):
                assert json.loads(await client.recv())["payload"]["id"] == str(n % 3)
            for n, stream in enumerate(sent):
                assert (await next_event(stream))["payload"]["id"] == str(n % 3)
            assert subscriptions.ever == [(1, "bridge"), (1, "bridge")]
        await until(lambda: subscriptions.now == [])
        async with house.stream(tokens[0], QUERY):
            await until(lambda: len(subscriptions.now) == 2)


async def next_event(stream: AsyncIterator[dict[str, str]]) -> dict[str, Any]:
    async for block in stream:
        if "data" in block and "event" not in block:
            event = json.loads(block["data"])
            assert block["id"] == event["id"]
            return event
    raise AssertionError("the stream ended")


class Reader:
    """A client that comes and goes, over WebSocket and server-sent events in turn, and goes on from the last id it saw."""

    def __init__(self, house: Any, bearer: str) -> None:
        self._house, self._bearer = house, bearer
        self.seen: list[tuple[str, int, str]] = []
        self.last_id, self._turns = "", 0

    async def read(self, count: int) -> None:
        self._turns += 1
        if self._turns % 2:
            query = f"{QUERY}&last_id={self.last_id}" if self.last_id else QUERY
            async with self._house.stream(self._bearer, query) as websocket:
                for _ in range(count):
                    self._take(json.loads(await websocket.recv()))
        else:
            async with self._house.server_sent(self._bearer, f"{QUERY}&last_id=regime.1", self.last_id) as stream:
                for _ in range(count):
                    self._take(await next_event(stream))

    def _take(self, event: dict[str, Any]) -> None:
        payload = event["payload"]
        self.seen.append((event["service"], event["offset"], payload.get("id") or payload["response"]["prediction_id"]))
        self.last_id = event["id"]


@pytest.mark.parametrize("kept", [4096, 3], ids=["from the ring", "from the journals"])
@pytest.mark.parametrize("linger_s", [60.0, 0.0], ids=["feed stays", "feed begins anew"])
async def test_whoever_comes_back_with_its_last_id_misses_nothing_and_sees_nothing_twice(
    house: Any, subscriptions: Subscriptions, kept: int, linger_s: float
):
    chance, written = random.Random(5), dict[str, list[str]](regime=[], decision=[])

    async def write(number: int) -> None:
        if chance.random() < 0.5:
            await house.write("regime", SHIFTS, "dc", shift(number))
            written["regime"].append(str(number))
        else:
            await house.write("decision", ACTIONS, "dc", action(number))
            written["decision"].append(str(number))
        if chance.random() < 0.3:
            await house.write("regime", SHIFTS, "dc", shift(-number), tenant="other")
        if chance.random() < 0.2:
            await house.write("regime", "eil.sense.telemetry", "dc", regime_pb2.TelemetryRecord(source="dc"))

    async with (
        house.service("regime"),
        house.service("decision"),
        house.bridge(stream_events=kept, linger_s=linger_s),
    ):
        reader = Reader(house, house.token("viewer"))
        first = asyncio.create_task(reader.read(1))
        await subscriptions.begun()
        await write(0)
        await first
        number = 0
        for _ in range(12):
            before = chance.randrange(0, 12)
            for number in range(number + 1, number + 1 + before):  # noqa: B020 - counts on
                await write(number)
            more = chance.randrange(1, 6)
            left = number + 1 - len(reader.seen)
            reading = asyncio.create_task(reader.read(chance.randrange(1, left + more + 1)))
            for number in range(number + 1, number + 1 + more):  # noqa: B020
                await write(number)
                await asyncio.sleep(chance.random() * 0.01)
            await reading
        await reader.read(number + 1 - len(reader.seen))
    for service, numbers in written.items():
        assert [number for of, _, number in reader.seen if of == service] == numbers, service


async def test_a_client_resumes_after_the_bridge_was_started_anew(house: Any, subscriptions: Subscriptions):
    async with house.service("regime"), house.service("decision"):
        reader = Reader(house, house.token("viewer"))
        async with house.bridge():
            first = asyncio.create_task(reader.read(1))
            await subscriptions.begun()
            await house.write("regime", SHIFTS, "dc", shift(0))
            await first
        for number in range(1, 1200):  # more than one page of a journal
            await house.write("regime", SHIFTS, "dc", shift(number))
        async with house.bridge():
            await reader.read(700)
            await reader.read(499)
    assert [int(number) for _, _, number in reader.seen] == list(range(1200))


async def test_a_service_that_is_away_keeps_nobody_from_the_events_of_the_others(
    house: Any, subscriptions: Subscriptions
):
    bearer = house.token("viewer")
    async with house.service("decision"), house.bridge():
        async with house.service("regime"):
            reader = Reader(house, bearer)
            first = asyncio.create_task(reader.read(1))
            await subscriptions.begun()
            await house.write("regime", SHIFTS, "dc", shift(0))
            await first
            await house.write("regime", SHIFTS, "dc", shift(1))
        await house.write("decision", ACTIONS, "dc", action(7))
    async with house.service("decision"), house.bridge():  # knows nothing of regime
        await reader.read(1)
        back = asyncio.create_task(reader.read(2))
        await asyncio.sleep(1.0)
        async with house.service("regime"):
            await house.write("regime", SHIFTS, "dc", shift(2))
            await back
    assert [number for _, _, number in reader.seen] == ["0", "7", "1", "2"]


async def test_an_id_from_before_a_journal_was_restored_is_refused_in_words(house: Any, subscriptions: Subscriptions):
    bearer = house.token("viewer")
    async with house.bridge():
        async with house.stream(bearer, QUERY) as websocket:
            async with house.service("regime"):
                await subscriptions.begun(journals=1)
                for number in range(3):
                    await house.write("regime", SHIFTS, "dc", shift(number))
                last_id = [json.loads(await websocket.recv()) for _ in range(3)][-1]["id"]
            for file in house.folder.glob("regime.db*"):
                file.unlink()
            async with house.service("regime"):
                error = json.loads(await websocket.recv())["error"]
                assert error["details"][0]["reason"] == "JOURNAL_RESTORED"
        async with house.service("regime"), house.server_sent(bearer, QUERY, last_id) as stream:
            ended = [block async for block in stream][-1]
    assert ended["event"] == "end"
    assert json.loads(ended["data"])["reason"] == "LAST_ID_UNKNOWN"


async def test_server_sent_events_say_where_to_go_on_from_even_if_nothing_happens(house: Any):
    async with house.service("regime"), house.service("decision"), house.bridge(ping_s=0.1):
        await house.write("regime", SHIFTS, "dc", shift(0))
        bearer = house.token("viewer")
        async with house.server_sent(bearer, f"{QUERY}&source=another") as stream:
            assert await anext(stream) == {"retry": "1000"}
            begun = await anext(stream)
            await house.write("regime", SHIFTS, "dc", shift(1))
            beaten = [await anext(stream) for _ in range(5)][-1]
        assert begun == {"": "", "id": begun["id"]}
        assert beaten == {"": "", "id": begun["id"].replace("regime.1", "regime.2")}, (
            "what is not wanted is passed, too"
        )
        async with house.server_sent(bearer, QUERY, begun["id"]) as stream:
            assert (await next_event(stream))["payload"]["id"] == "1"


async def test_server_sent_events_end_with_the_reason(house: Any):
    clock = ManualClock()
    clock.advance(FOR_EVER_S - clock.now_us() / MICROSECONDS - 0.3)
    async with house.bridge(clock=clock), house.server_sent(house.token("viewer")) as stream:
        await anext(stream)
        clock.advance(0.4)
        last = [block async for block in stream][-1]
    assert last["event"] == "end"
    said = json.loads(last["data"])
    assert EXPIRED.error is not None
    assert (said["reason"], said["error"]["message"]) == ("TOKEN_EXPIRED", EXPIRED.error.message)


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.written.append(json.loads(data[data.index(b"{") :]))


async def test_a_client_that_has_seen_more_than_the_feed_waits_for_it():
    """As behind two bridges: it was at one that was further, and the order between journals was another."""
    wire: Any = Wire()
    caller = Caller(Principal("s", "a"), "Bearer t", 0.0, "r")
    client = Client(caller, Wish(frozenset([SHIFTS, ACTIONS]), frozenset()), False, WEBSOCKET, Pipe(wire))
    standing = {"regime": 5, "decision": 5}
    ring = Ring(standing, 100, 1000)

    def write(service: str, offset: int) -> None:
        standing[service] = offset
        topic = {"regime": SHIFTS, "decision": ACTIONS}[service]
        ring.add(service, offset, topic, "dc", position.encode(standing), b'"it":"%b.%d"' % (service.encode(), offset))

    client.begin(ring, standing, {"regime": 5, "decision": 7})
    assert client.pending == {"decision"}, "beyond the feed: the journal must say that it goes so far"
    client.caught_up("decision")
    for offset in (6, 7, 8):
        write("decision", offset)
        write("regime", offset)
    assert wire.written == [
        {"id": "decision.7-regime.6", "it": "regime.6"},
        {"id": "decision.7-regime.7", "it": "regime.7"},
        {"id": "decision.8-regime.7", "it": "decision.8"},
        {"id": "decision.8-regime.8", "it": "regime.8"},
    ]


async def slow_client(
    house: Any, subscriptions: Subscriptions, query: str, bearer: str
) -> tuple[list[dict[str, Any]], list[Any]]:
    """Messages of a client that reads nothing while 400 events of 20 kB are written; and the log."""
    with capture_logs() as logs:
        async with house.stream(bearer, query, max_queue=1, ping_interval=None) as websocket:
            await subscriptions.begun()
            for number in range(400):
                await house.write("regime", SHIFTS, "dc", shift(number, 20_000))
            await asyncio.sleep(1.0)
            messages = list[dict[str, Any]]()
            with contextlib.suppress(ConnectionClosedError):
                while not messages or messages[-1].get("payload", {}).get("id") != "399":
                    messages.append(json.loads(await websocket.recv()))
    return messages, logs


async def test_a_slow_client_is_let_go_and_resumes_without_loss(house: Any, subscriptions: Subscriptions):
    bearer = house.token("viewer")
    async with house.service("regime"), house.service("decision"), house.bridge(stream_events=10):
        messages, logs = await slow_client(house, subscriptions, QUERY, bearer)
        *seen, ending = messages
        assert ending["error"]["details"][0]["reason"] == "TOO_SLOW"
        assert [log["reason"] for log in logs if log["event"] == "stream ends"] == ["TOO_SLOW"]
        async with house.stream(bearer, f"{QUERY}&last_id={seen[-1]['id']}") as websocket:
            while seen[-1]["payload"]["id"] != "399":
                seen.append(json.loads(await websocket.recv()))
    assert [event["payload"]["id"] for event in seen] == [str(number) for number in range(400)]


async def test_a_slow_client_may_skip_and_is_told_how_much(house: Any, subscriptions: Subscriptions):
    bearer = house.token("viewer")
    async with house.service("regime"), house.service("decision"), house.bridge(stream_events=10):
        messages, _ = await slow_client(house, subscriptions, f"{QUERY}&slow=skip", bearer)
    number, told = 0, 0
    for message, after in zip(messages, [*messages[1:], {}], strict=True):
        if "skipped" in message:
            assert set(message) == {"id", "skipped"}
            assert message["id"].endswith(f"regime.{after['offset'] - 1}"), (
                "whoever goes on from there is not sent what was dropped"
            )
            number, told = number + message["skipped"], told + 1
        elif "payload" in message:
            assert int(message["payload"]["id"]) == number, "the oldest that waited are dropped, all counted"
            number += 1
    assert number == 400
    assert told


async def test_the_tenant_that_keeps_most_gives_way(house: Any, subscriptions: Subscriptions):
    quiet, loud = house.token("viewer", tenant="quiet"), house.token("viewer", tenant="loud")
    async with house.service("regime"), house.service("decision"), house.bridge(feed_bytes=100_000):
        async with house.stream(quiet, QUERY) as a, house.stream(loud, QUERY) as b:
            await subscriptions.begun(clients=2)
            await house.write("regime", SHIFTS, "dc", shift(0), tenant="quiet")
            first = json.loads(await a.recv())["id"]
            await house.write("regime", SHIFTS, "dc", shift(1), tenant="quiet")
            for number in range(20):
                await house.write("regime", SHIFTS, "dc", shift(number, 20_000), tenant="loud")
                await b.recv()
        async with house.stream(quiet, f"{QUERY}&last_id={first}") as a:
            assert json.loads(await a.recv())["payload"]["id"] == "1"
        assert {who for _, who in subscriptions.ever} == {"bridge"}, "the ring had it still"
        async with house.stream(loud, f"{QUERY}&last_id={first}", close_timeout=0.1) as b:  # the rest is not read
            assert json.loads(await b.recv())["payload"]["id"] == "0"
        assert {who for _, who in subscriptions.ever} == {"bridge", "user"}
