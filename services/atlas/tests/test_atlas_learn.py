"""What the graph holds after events: windows, lateness, redelivery, regimes, retention."""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_atlas import tables, topology
from eil_atlas.answers import Answers
from eil_atlas.changes import END_OF_TIME_US, Place
from eil_atlas.domain.windows import WINDOW_US, state_id, window_start_us
from eil_atlas.learn import SHIFTS_TOPIC, TELEMETRY_TOPIC, Learner
from eil_atlas.main import SCHEMA
from eil_atlas.records import shift_record, state_record
from eil_atlas.store_graph import StoreGraph
from eil_atlas.upkeep import Retention, forget_once
from eil_mesh import event_log
from eil_mesh.clock import ManualClock, from_us
from eil_mesh.store import Store

T0 = 30_000_000 * WINDOW_US
S = 1_000_000
AMBIENT_K = 300.0


class Atlas:
    """A learner with its graph in a store of its own, with a regime service's events to feed it."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.loop = asyncio.new_event_loop()
        self.store = Store(path / "atlas.db", event_log.SCHEMA + SCHEMA, ManualClock(T0), durable=False)
        self.graph = StoreGraph(self.store)
        self.answers = Answers(self.store, self.graph)
        self.learner = Learner(self.graph, 600.0)
        self.events: list[event_log_pb2.Event] = []
        self._clock: dict[str, int] = {}

    def run(self, work):
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.store.close()
        self.loop.close()

    def deliver(self, event: event_log_pb2.Event) -> None:
        self.run(self.store.write(lambda tx: self.learner.handle(tx, event)))

    def event(self, topic: str, message, tenant: str = "a") -> event_log_pb2.Event:
        made = event_log_pb2.Event(
            offset=len(self.events) + 1, tenant=tenant, topic=topic, payload=message.SerializeToString()
        )
        self.events.append(made)
        return made

    def sense(
        self,
        seconds,
        watts: float | list[float] = 100.0,
        *,
        source="dc",
        regime="r1",
        tenant="a",
        column="power_draw",
        **state,
    ):
        """One record with samples at `seconds` after T0, all at `watts` (or one value each)."""
        times = [T0 + round(second * S) for second in seconds]
        values = watts if isinstance(watts, list) else [watts] * len(times)
        key = f"{tenant}/{source}"
        self._clock[key] = max([self._clock.get(key, 0), *times])
        energy_state = regime_pb2.EnergyState(
            total_energy=6000.0,
            entropy=6000.0 / AMBIENT_K,
            regime="stable",
            regime_id=regime,
            power_method="METERED",
            time=from_us(self._clock[key]),
        )
        for name, value in state.items():
            setattr(energy_state, name, value)
        record = regime_pb2.TelemetryRecord(
            source=source,
            times_us=times,
            columns=[regime_pb2.Column(name=column, values=values)],
            energy_state=energy_state,
            power_kind="instant",
        )
        self.deliver(self.event(TELEMETRY_TOPIC, record, tenant))

    def shift(self, second, left, entered="", *, source="dc", tenant="a"):
        detected_us = T0 + second * S
        shift = regime_pb2.RegimeShift(
            id=f"{source}@{detected_us}",
            source=source,
            onset=from_us(detected_us - 5 * S),
            detected=from_us(detected_us),
            from_regime=left,
            to_regime=entered,
        )
        self.deliver(self.event(SHIFTS_TOPIC, shift, tenant))

    def states(self, source="dc", tenant="a"):
        """States of a source, oldest first."""
        everything = (0, END_OF_TIME_US)
        found = self.run(self.graph.states(tenant, source, everything, (END_OF_TIME_US, ""), 10_000))
        return [state_record(tenant, "datacenter", state) for state in reversed(found)]

    def shifts(self, tenant="a"):
        """Shifts of all sources, oldest first."""
        found = self.rows(lambda conn: topology.list_shifts(conn, tenant, "", (END_OF_TIME_US, ""), 10_000))
        windows = [(shift.source, window_start_us(shift.detected_us)) for shift in found]
        standing = self.run(self.graph.standing(tenant, windows))
        return [shift_record(tenant, shift, standing) for shift in reversed(found)]

    def rows(self, ask):
        return self.run(self.store.read(ask))

    def select(self, query: str):
        return self.rows(lambda conn: [tuple(row) for row in conn.execute(query)])

    def everything(self):
        tables = ("sources", "power", "windows", "states", "shifts", "spans", "stale", "links")
        return {table: self.select(f"SELECT * FROM {table}") for table in tables}


@pytest.fixture
def new_atlas(tmp_path) -> Iterator[Callable[[], Atlas]]:
    made: list[Atlas] = []

    def make() -> Atlas:
        made.append(Atlas(tmp_path / str(len(made))))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def atlas(new_atlas) -> Atlas:
    return new_atlas()


def test_samples_one_by_one_and_in_a_batch_make_the_same_energy(atlas: Atlas, new_atlas):
    watts = [random.Random(7).uniform(50, 150) for _ in range(301)]
    for second, watt in enumerate(watts):
        atlas.sense([second], watt)
    batch = new_atlas()
    batch.sense(range(301), watts)
    assert [state.energy for state in atlas.states()] == pytest.approx([state.energy for state in batch.states()])
    exact = sum((a + b) / 2 for a, b in itertools.pairwise(watts))
    assert sum(state.energy for state in atlas.states()) == pytest.approx(exact)


def test_windows_share_no_joule_where_a_source_pauses_within_one(atlas: Atlas):
    """Trailing states would count 60 s up to second 70 on top of the 60 s up to second 59: 120 s of energy in 70 s."""
    atlas.sense(range(71))
    first, second = atlas.states()
    assert first.energy == pytest.approx(6000.0)
    assert second.energy == pytest.approx(1000.0)
    assert second.entropy == pytest.approx(1000.0 / AMBIENT_K)


def test_a_gap_makes_no_states_and_no_energy(atlas: Atlas):
    atlas.sense(range(31))
    atlas.sense(range(3630, 3661))
    assert [state.timestamp.ToMicroseconds() for state in atlas.states()] == [
        T0,
        T0 + 60 * WINDOW_US,
        T0 + 61 * WINDOW_US,
    ]
    assert sum(state.energy for state in atlas.states()) == pytest.approx(6000.0)


def test_states_follow_each_other_by_time(atlas: Atlas):
    atlas.sense(range(150))
    states = atlas.states()
    assert [state.id for state in states] == [state_id("a", "dc", T0 + i * WINDOW_US) for i in range(3)]
    assert [state.previous_id for state in states] == ["", states[0].id, states[1].id]
    assert {state.domain for state in states} == {"datacenter"}


def test_late_samples_mend_their_own_window_alone(atlas: Atlas):
    atlas.sense([*range(60, 91), *range(100, 181)])
    before = atlas.states()
    assert before[0].energy == pytest.approx(5000.0)
    atlas.sense(range(91, 100))
    after = atlas.states()
    assert after[0].energy == pytest.approx(6000.0)
    assert [state.energy for state in after[1:]] == [state.energy for state in before[1:]]


def test_a_late_window_finds_its_place_between_the_others(atlas: Atlas):
    atlas.sense(range(0, 60))
    atlas.sense(range(120, 180))
    atlas.sense(range(60, 120))
    states = atlas.states()
    assert [state.energy for state in states] == pytest.approx([6000.0, 6000.0, 5900.0])
    assert states[2].previous_id == states[1].id


def test_records_in_any_order_within_the_lateness_make_the_same_energy(new_atlas):
    rng = random.Random(11)
    watts = [rng.uniform(50, 150) for _ in range(600)]
    parts = [range(i, i + 20) for i in range(0, 600, 20)]
    ordered, mixed = new_atlas(), new_atlas()
    for part in parts:
        ordered.sense(part, [watts[i] for i in part])
    rng.shuffle(parts)
    for part in parts:
        mixed.sense(part, [watts[i] for i in part])
    assert [s.energy for s in mixed.states()] == pytest.approx([s.energy for s in ordered.states()])


def test_a_settled_window_stands(atlas: Atlas):
    atlas.sense(range(0, 120, 2))
    atlas.sense(range(120, 3000))
    before = atlas.states()
    atlas.sense(range(1, 120, 2), 10_000.0)
    assert [state.energy for state in atlas.states()] == [state.energy for state in before]


def test_a_late_sample_does_not_reopen_the_settled_window_before_it(atlas: Atlas):
    atlas.sense(range(60))
    atlas.sense([660])  # settles the first window, of whose samples the newest alone are kept
    atlas.sense([61])
    assert atlas.states()[0].energy == pytest.approx(5900.0)


def test_entropy_is_known_once_one_record_of_the_window_or_its_end_knows_it(atlas: Atlas):
    atlas.sense([30], total_energy=0.0, entropy=0.0)  # one sample covers nothing yet
    atlas.sense([90])
    atlas.sense([100], total_energy=0.0, entropy=0.0)
    first, second = atlas.states()
    assert first.entropy == pytest.approx(3000.0 / AMBIENT_K)
    assert second.entropy == pytest.approx(4000.0 / AMBIENT_K)


def test_redelivery_in_any_order_changes_nothing(atlas: Atlas):
    for start in range(0, 1200, 40):
        if start == 400:
            atlas.shift(400, "r1")
        atlas.sense(range(start, start + 40), regime="r1" if start < 400 else "r2")
    atlas.sense([1150.5], 5.0, regime="r2", entropy=1.0)  # late: the same clock, another say
    before = atlas.everything()
    events = list(atlas.events)
    random.Random(3).shuffle(events)
    for event in [*atlas.events, *events]:
        atlas.deliver(event)
    assert atlas.everything() == before


def test_the_newest_record_of_a_window_says_its_regime(atlas: Atlas):
    atlas.sense(range(0, 30), regime="r1")
    atlas.shift(40, "r1", "r2")
    atlas.sense(range(30, 60), regime="r2")
    assert [state.regime for state in atlas.states()] == ["r2"]


def test_a_shift_is_linked_to_the_state_it_was_detected_in(atlas: Atlas):
    atlas.sense(range(0, 100))
    atlas.shift(130, "r1")
    assert atlas.shifts()[0].state_id == ""  # its samples have not come yet
    atlas.sense(range(100, 140), regime="r2")
    (shift,) = atlas.shifts()
    assert shift.state_id == state_id("a", "dc", T0 + 2 * WINDOW_US)
    assert (shift.from_regime, shift.to_regime) == ("r1", "r2")
    assert shift.onset.ToMicroseconds() == T0 + 125 * S


def test_windows_inside_a_batch_get_the_regime_of_their_time(atlas: Atlas):
    atlas.shift(130, "r1")
    atlas.shift(310, "r2")
    atlas.sense(range(0, 420), regime="r3")
    assert [state.regime for state in atlas.states()] == ["r1", "r1", "r2", "r2", "r2", "r3", "r3"]
    assert [(shift.from_regime, shift.to_regime) for shift in atlas.shifts()] == [("r1", "r2"), ("r2", "r3")]


def test_a_provisional_name_gives_way_to_the_settled_one(atlas: Atlas):
    atlas.sense(range(0, 120), regime="r1")
    atlas.shift(130, "r1")
    atlas.sense(range(120, 240), regime="r7")
    atlas.sense(range(240, 300), regime="r2")  # what was learnt as r7 is known to be r2 come back
    assert [state.regime for state in atlas.states()] == ["r1", "r1", "r2", "r2", "r2"]
    assert [(shift.from_regime, shift.to_regime) for shift in atlas.shifts()] == [("r1", "r2")]


def test_a_shift_settles_the_name_of_the_regime_it_leaves(atlas: Atlas):
    atlas.sense(range(0, 60), regime="r1")
    atlas.shift(70, "r1")
    atlas.sense(range(60, 120), regime="r7")
    atlas.shift(130, "r2")
    atlas.sense(range(120, 180), regime="r9")
    assert [state.regime for state in atlas.states()] == ["r1", "r2", "r9"]
    assert [(s.from_regime, s.to_regime) for s in atlas.shifts()] == [("r1", "r2"), ("r2", "r9")]


def test_modelled_power_follows_utilisation(atlas: Atlas):
    used = [0.2] * 60 + [0.8] * 60
    # 400 W nameplate: 400·(0.5 + 0.5u) is 240 W and 360 W; the record states the newest alone
    atlas.sense(range(120), used, column="cpu_usage", power=360.0, power_method="MODELLED")
    first, second = atlas.states()
    assert first.energy == pytest.approx(59 * 240 + 300)
    assert second.energy == pytest.approx(59 * 360)


def test_a_source_that_sends_power_is_never_modelled(atlas: Atlas):
    atlas.sense(range(60))
    atlas.sense(range(60, 120), 0.5, column="cpu_usage", power=100.0)
    assert [state.energy for state in atlas.states()] == pytest.approx([5900.0, 0.0])


def test_unknown_power_makes_a_state_that_covers_nothing(atlas: Atlas):
    atlas.sense(range(60), 21.0, column="temperature", power_method="")
    (row,) = atlas.select("SELECT energy_j, covered_s, regime FROM states")
    assert tuple(row) == (0.0, 0.0, "r1")


def test_missing_values_are_no_samples(atlas: Atlas):
    atlas.sense(range(60), [100.0 if i < 30 else float("nan") for i in range(60)])
    (row,) = atlas.select("SELECT energy_j, covered_s FROM states")
    assert tuple(row) == pytest.approx((2900.0, 29.0))


def test_samples_are_forgotten_once_their_windows_are_settled(atlas: Atlas):
    for start in range(0, 7200, 60):
        atlas.sense(range(start, start + 60))
    ((kept,),) = atlas.select("SELECT count(*) FROM power")
    assert kept <= 600 + 60 + 60 + tables.NEIGHBOURS
    assert len(atlas.states()) == 120


def test_tenants_share_nothing(atlas: Atlas):
    atlas.sense(range(60), tenant="a")
    atlas.sense(range(60), 300.0, tenant="b")
    atlas.shift(70, "r1", tenant="b")
    assert atlas.states(tenant="a")[0].energy == pytest.approx(5900.0)
    assert atlas.states(tenant="b")[0].energy == pytest.approx(17700.0)
    assert atlas.states(tenant="a")[0].id != atlas.states(tenant="b")[0].id
    assert atlas.shifts(tenant="a") == []


def test_the_map_adds_up_states_and_counts_transitions(atlas: Atlas):
    atlas.sense(range(0, 61), source="one")
    atlas.sense(range(0, 61), 200.0, source="two")
    for second, left, entered in ((70, "r1", "r2"), (130, "r2", "r1"), (190, "r1", "r2")):
        atlas.shift(second, left, source="two")
        atlas.sense(range(second - 9, second + 51), 200.0, source="two", regime=entered)
    found = atlas.run(atlas.answers.sums("a", T0, T0 + 5 * WINDOW_US))
    assert [(one.source, one.states, one.last_regime) for one in found] == [("one", 2, "r1"), ("two", 5, "r2")]
    assert found[0].energy_j == pytest.approx(6000.0)
    assert found[1].energy_j == pytest.approx(240 * 200.0)
    assert found[1].entropy == pytest.approx(240 * 200.0 / AMBIENT_K)
    edges = atlas.rows(lambda conn: topology.regime_changes(conn, "a", T0, T0 + 5 * WINDOW_US))
    assert edges == [("two", "r1", "r2", 2), ("two", "r2", "r1", 1)]
    earlier = atlas.run(atlas.answers.sums("a", T0, T0 + WINDOW_US))
    assert sum(one.energy_j for one in earlier) == pytest.approx(18_000.0)
    assert atlas.rows(lambda conn: topology.regime_changes(conn, "a", T0, T0 + WINDOW_US)) == []


def test_what_cannot_be_read_is_passed_over(atlas: Atlas):
    for event in (
        event_log_pb2.Event(offset=1, tenant="a", topic=TELEMETRY_TOPIC, payload=b"\xff\xff\xff"),
        event_log_pb2.Event(offset=2, tenant="a", topic="eil.act.actions", payload=b"x"),
        event_log_pb2.Event(offset=3, tenant="a", topic=SHIFTS_TOPIC, payload=b""),
    ):
        atlas.deliver(event)
    assert not any(atlas.everything().values())


def test_old_states_and_silent_sources_are_forgotten(atlas: Atlas):
    atlas.sense(range(0, 60), source="silent")
    atlas.shift(50, "r1", source="silent")
    atlas.sense(range(0, 60), source="loud")
    atlas.sense(range(600, 660), source="loud")
    keep = Retention(1.0, 1.0, 1.0)
    now_us = T0 + 2 * WINDOW_US + S
    atlas.run(forget_once(atlas.store, atlas.graph, now_us, keep))
    assert atlas.states("silent") == []
    assert [state.timestamp.ToMicroseconds() for state in atlas.states("loud")] == [T0 + 10 * WINDOW_US]
    assert atlas.shifts() == []
    assert atlas.select("SELECT name FROM sources") == [("loud",)]


def test_places_come_from_the_newest_row_and_rack(atlas: Atlas):
    atlas.sense([0, 1], [3.0, 4.0], column="row")
    atlas.sense([0, 1], [1.0, 2.0], column="rack")
    atlas.sense([-5], 9.0, column="row")  # late
    atlas.sense([5], source="elsewhere")
    assert atlas.run(atlas.answers.places("a")) == [Place("dc", 4.0, 2.0)]


def story(rng: random.Random) -> tuple[list[tuple[str, tuple]], list[tuple[str, tuple]]]:
    """Records and shifts of one source, each topic in its order, with provisional names and with shifts that tell less than they might."""
    records, shifts, regime, second = [], [], "r0", 0
    for number in range(1, rng.randint(4, 8)):
        stretch = rng.randint(30, 400)
        for start in range(second, second + stretch, 60):
            said = regime if rng.random() < 0.7 else f"provisional{number}"
            records.append(("sense", (range(start, min(start + 60, second + stretch)), rng.uniform(50, 150), said)))
        second += stretch
        entered = f"r{rng.randint(0, 3)}"
        shifts.append(("shift", (second - rng.randint(1, 20), regime, entered if rng.random() < 0.5 else "")))
        regime = entered
    return records, shifts


@pytest.mark.parametrize("seed", range(12))
def test_telemetry_and_shifts_in_any_order_between_them_make_the_same_graph(new_atlas, seed):
    rng = random.Random(seed)
    records, shifts = story(rng)
    source = new_atlas()
    for kind, what in [*records, *shifts]:
        source.sense(what[0], what[1], regime=what[2]) if kind == "sense" else source.shift(*what)
    events = source.events
    telemetry, parting = events[: len(records)], events[len(records) :]

    def outcome(atlas: Atlas):
        digest = atlas.run(atlas.answers.digest("a", "dc", 0, END_OF_TIME_US))
        path = atlas.rows(lambda conn: topology.stretches(conn, "a", "dc", T0, T0 + 5000 * S, 1000))
        return digest, path, atlas.everything()

    expected = outcome(source)
    assert sum(hour.states for hour in expected[0]) > 3
    for _ in range(4):
        mixed, left, right = new_atlas(), list(telemetry), list(parting)
        while left or right:
            take = left if left and (not right or rng.random() < len(left) / (len(left) + len(right))) else right
            event = take.pop(0)
            mixed.deliver(event)
            if rng.random() < 0.2:  # delivered again
                mixed.deliver(event)
        assert outcome(mixed) == expected


def test_states_have_the_regime_of_the_stretch_that_holds_their_last_microsecond(atlas: Atlas):
    atlas.shift(90, "a", "b")
    atlas.shift(120, "b", "c")
    atlas.sense(range(0, 240), regime="c")
    path = atlas.run(atlas.answers.path("a", "dc", T0, T0 + 4 * WINDOW_US, 10))
    assert [(stretch.regime, sums.states if sums else 0) for stretch, sums in path] == [("a", 1), ("b", 1), ("c", 2)]
    assert [state.regime for state in atlas.states()] == ["a", "b", "c", "c"]


def test_a_batch_of_ten_thousand_hours_is_learned_whole(atlas: Atlas):
    hours = 10_000
    atlas.sense(range(0, hours * 3600, 3600))
    assert atlas.select("SELECT count(*) FROM states") == [((hours - 1) * 60 + 1,)]
    (total,) = atlas.run(atlas.answers.sums("a", T0, T0 + hours * 3600 * S))
    assert total.energy_j == pytest.approx((hours - 1) * 3600 * 100.0)
