"""What carries samples: the outbox, the contact that keeps a door open, declarations, this machine's feed."""

from itertools import pairwise
from typing import Any

import pytest
from eil_agent import Reading
from eil_cli.door import NOT_REACHED, DoorError
from eil_cli.feeds.contact import Contact
from eil_cli.feeds.declare import mode_path, put_until_taken, source_path
from eil_cli.feeds.host import HostFeed, declaration, host_source
from eil_cli.feeds.outbox import CAPACITY, LONGEST_WAIT_S, Outbox, Sample
from eil_cli.feeds.times import rfc3339, unix_s

DOWN = DoorError(NOT_REACHED, "UNREACHABLE", "nobody answers")
BAD = DoorError(400, "PHYSICS_VIOLATED", "cpu_usage is 75 but must lie between 0 and 1")


class FakeDoor:
    """Takes calls, or fails with what is queued."""

    def __init__(self, *errors: DoorError) -> None:
        self.errors = list(errors)
        self.calls: list[tuple[str, str, dict]] = []
        self.closed = False

    def call(self, method, path, body: Any = None, *, params: Any = None) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        self.calls.append((method, path, body))
        return {"status": "accepted"}

    def close(self):
        self.closed = True


def outbox_of(door: FakeDoor) -> tuple[Outbox, list[str]]:
    lines: list[str] = []
    return Outbox(door, "rack", lines.append), lines


def test_times_survive_the_wire_to_the_microsecond():
    for time_s in (1_800_000_000.0, 1_800_000_000.000001, 1_763_832_000.999999):
        assert unix_s(rfc3339(time_s)) == pytest.approx(time_s, abs=5e-7)
    assert rfc3339(0.5) == "1970-01-01T00:00:00.500000Z"
    assert unix_s("2025-01-20T12:00:00.123456789Z") == pytest.approx(1737374400.123456)


def test_samples_wait_through_an_outage_and_arrive_in_order():
    door = FakeDoor(DOWN, DOWN)
    outbox, lines = outbox_of(door)
    for second in range(10):
        outbox.put(Sample(float(second), {"power_draw": 1.0}))
        outbox.flush(float(second))
    assert [unix_s(body["timestamp"]) for _, _, body in door.calls] == list(range(10))
    assert outbox.tally.sent == 10
    assert outbox.tally.failed_posts == 2
    assert outbox.clock_s == 9.0
    assert any("the mesh answers again" in line for line in lines)


def test_pauses_grow_and_are_bounded():
    door = FakeDoor(*[DOWN] * 1000)
    outbox, _ = outbox_of(door)
    outbox.put(Sample(0.0, {"power_draw": 1.0}))
    tries = []
    for second in range(300):
        before = len(door.errors)
        outbox.flush(float(second))
        if len(door.errors) < before:
            tries.append(second)
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses[:5] == [1, 2, 4, 8, 16]
    assert set(pauses[5:]) == {LONGEST_WAIT_S}


def test_the_oldest_are_dropped_when_there_is_no_more_room():
    door = FakeDoor(DOWN)
    outbox, lines = outbox_of(door)
    outbox.put(Sample(0.0, {"power_draw": 1.0}))
    outbox.flush(0.0)
    for second in range(1, CAPACITY + 5):
        outbox.put(Sample(float(second), {"power_draw": 1.0}))
    assert outbox.tally.dropped == 5
    assert sum("oldest are dropped" in line for line in lines) == 1
    outbox.flush(1e6)
    assert unix_s(door.calls[0][2]["timestamp"]) == 5.0


def test_a_sample_refused_for_good_does_not_block_the_others():
    door = FakeDoor(BAD)
    outbox, lines = outbox_of(door)
    outbox.put(Sample(0.0, {"cpu_usage": 75.0}))
    outbox.put(Sample(1.0, {"cpu_usage": 0.75}))
    outbox.flush(1.0)
    assert (outbox.tally.refused, outbox.tally.sent) == (1, 1)
    assert any("PHYSICS_VIOLATED" in line for line in lines)


def test_a_contact_opens_a_new_door_when_the_token_ages_or_is_refused():
    doors = [FakeDoor(), FakeDoor(DoorError(401, "TOKEN_EXPIRED", "expired")), FakeDoor()]
    opened = iter(doors)
    now = [0.0]
    contact = Contact(lambda: next(opened), now_s=lambda: now[0], renew_s=100.0)
    contact.call("GET", "/v1/health")
    now[0] = 99.0
    contact.call("GET", "/v1/health")
    assert len(doors[0].calls) == 2
    now[0] = 100.0
    with pytest.raises(DoorError, match="expired"):
        contact.call("GET", "/v1/health")
    assert doors[0].closed
    assert doors[1].closed
    contact.call("GET", "/v1/health")
    assert len(doors[2].calls) == 1


def test_a_contact_without_a_mesh_says_what_to_do(tmp_path):
    contact = Contact.of(tmp_path, subject="agent:x", roles=("agent",), tenant="default")
    with pytest.raises(DoorError, match="eil up") as caught:
        contact.call("GET", "/v1/health")
    assert caught.value.status == NOT_REACHED


def test_a_declaration_waits_for_the_mesh_but_not_for_a_refusal():
    door, waits = FakeDoor(DOWN, DOWN, DOWN), []
    put_until_taken(door, source_path("a/b"), {"kind": "simulated"}, sleep=waits.append, say=lambda line: None)
    assert door.calls == [("PUT", "/v1/sources/a%2Fb", {"kind": "simulated"})]
    assert waits == [1.0, 2.0, 4.0]
    with pytest.raises(DoorError):
        put_until_taken(FakeDoor(BAD), mode_path("x"), {}, sleep=waits.append, say=lambda line: None)


class FakeReader:
    def __init__(self, *readings: Reading) -> None:
        self._readings = list(readings)

    def read(self) -> Reading:
        return self._readings.pop(0)


def test_the_host_sends_what_it_read_and_how_power_is_known():
    door = FakeDoor()
    outbox, lines = outbox_of(door)
    modelled = Reading({"cpu_usage": 0.5, "power_draw": 80.0}, "MODELLED", "host", 0.3, ("no meter",))
    metered = Reading({"power_draw": 81.0}, "METERED", "gpu", 0.05, ("no meter",))
    empty = Reading({}, "MODELLED", "host", 0.3, ())
    feed = HostFeed(FakeReader(modelled, metered, empty), outbox, lines.append)
    for second in range(3):
        feed.tick(float(second))
    first, second = (body for _, _, body in door.calls)
    assert first["telemetry"] == {"cpu_usage": 0.5, "power_draw": 80.0}
    assert first["context"] == {"power_kind": "mean", "power_method": "MODELLED", "power_scope": "host"}
    assert second["context"]["power_kind"] == "instant"
    assert lines == ["no meter"]


def test_only_a_machine_with_a_meter_calls_itself_metered():
    modelled = declaration(Reading({}, "MODELLED", "host", 0.3), "agent:x")
    counted = declaration(Reading({}, "COUNTER", "package", 0.05), "agent:x")
    assert modelled == {"kind": "estimated", "credential": "agent:x", "power_uncertainty": 0.3}
    assert counted == {"kind": "metered", "credential": "agent:x", "power_uncertainty": 0.05}


def test_the_hosts_name_becomes_a_source_name():
    assert host_source("rack 7/a") == "host-rack-7-a"
    assert len(host_source("x" * 200)) == 128
