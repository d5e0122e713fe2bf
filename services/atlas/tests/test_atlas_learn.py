"""What the graph holds after events: windows, lateness, redelivery, regimes, retention."""

import itertools
import random
import sqlite3

import pytest
from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_atlas import graph, tables
from eil_atlas.domain.windows import WINDOW_US, state_id
from eil_atlas.learn import SHIFTS_TOPIC, TELEMETRY_TOPIC, Learner
from eil_atlas.upkeep import forget
from eil_mesh.clock import from_us
from eil_mesh.journal import SCHEMA as JOURNAL_SCHEMA
from eil_mesh.journal import Journal
from eil_mesh.store import Tx

T0 = 30_000_000 * WINDOW_US
S = 1_000_000
AMBIENT_K = 300.0


class Atlas:
    """A learner on tables in memory, with a regime service's journal to feed it."""

    def __init__(self) -> None:
        conn = sqlite3.connect(":memory:", isolation_level=None)
        conn.row_factory = sqlite3.Row
        conn.executescript(JOURNAL_SCHEMA + tables.SCHEMA)
        self.tx, self.learner = Tx(conn, Journal(conn), T0), Learner(600.0)
        self.events: list[event_log_pb2.Event] = []
        self._clock: dict[str, int] = {}

    def deliver(self, event: event_log_pb2.Event) -> None:
        self.learner.handle(self.tx, event)

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
        found = graph.list_states(self.tx.conn, tenant, "datacenter", source, (graph.END_OF_TIME_US, ""), 10_000)
        return [record for _, record in reversed(found)]

    def shifts(self, tenant="a"):
        found = graph.list_shifts(self.tx.conn, tenant, "", (graph.END_OF_TIME_US, ""), 10_000)
        return [record for _, record in reversed(found)]

    def everything(self):
        return [
            tuple(row)
            for table in ("sources", "power", "states", "shifts")
            for row in self.tx.conn.execute(f"SELECT * FROM {table}")
        ]


@pytest.fixture
def atlas() -> Atlas:
    return Atlas()


def test_samples_one_by_one_and_in_a_batch_make_the_same_energy(atlas: Atlas):
    watts = [random.Random(7).uniform(50, 150) for _ in range(301)]
    for second, watt in enumerate(watts):
        atlas.sense([second], watt)
    batch = Atlas()
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


def test_records_in_any_order_within_the_lateness_make_the_same_energy():
    rng = random.Random(11)
    watts = [rng.uniform(50, 150) for _ in range(600)]
    parts = [range(i, i + 20) for i in range(0, 600, 20)]
    ordered, mixed = Atlas(), Atlas()
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
    (row,) = atlas.tx.conn.execute("SELECT energy_j, covered_s, regime FROM states").fetchall()
    assert tuple(row) == (0.0, 0.0, "r1")


def test_missing_values_are_no_samples(atlas: Atlas):
    atlas.sense(range(60), [100.0 if i < 30 else float("nan") for i in range(60)])
    (row,) = atlas.tx.conn.execute("SELECT energy_j, covered_s FROM states").fetchall()
    assert tuple(row) == pytest.approx((2900.0, 29.0))


def test_samples_are_forgotten_once_their_windows_are_settled(atlas: Atlas):
    for start in range(0, 7200, 60):
        atlas.sense(range(start, start + 60))
    kept = atlas.tx.conn.execute("SELECT count(*) FROM power").fetchone()[0]
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
    found = graph.energy_map(atlas.tx.conn, "a", T0, T0 + 5 * WINDOW_US)
    assert [(node.source, node.states, node.regime) for node in found.nodes] == [("one", 2, "r1"), ("two", 5, "r2")]
    assert found.nodes[0].energy == pytest.approx(6000.0)
    assert found.nodes[1].energy == pytest.approx(240 * 200.0)
    assert found.nodes[1].entropy == pytest.approx(240 * 200.0 / AMBIENT_K)
    assert found.total_energy == pytest.approx(54_000.0)
    assert [(e.source, e.from_regime, e.to_regime, e.count) for e in found.edges] == [
        ("two", "r1", "r2", 2),
        ("two", "r2", "r1", 1),
    ]
    earlier = graph.energy_map(atlas.tx.conn, "a", T0, T0 + WINDOW_US)
    assert earlier.total_energy == pytest.approx(18_000.0)
    assert list(earlier.edges) == []


def test_what_cannot_be_read_is_passed_over(atlas: Atlas):
    for event in (
        event_log_pb2.Event(offset=1, tenant="a", topic=TELEMETRY_TOPIC, payload=b"\xff\xff\xff"),
        event_log_pb2.Event(offset=2, tenant="a", topic="eil.act.actions", payload=b"x"),
        event_log_pb2.Event(offset=3, tenant="a", topic=SHIFTS_TOPIC, payload=b""),
    ):
        atlas.deliver(event)
    assert atlas.everything() == []


def test_old_states_and_silent_sources_are_forgotten(atlas: Atlas):
    atlas.sense(range(0, 60), source="silent")
    atlas.shift(50, "r1", source="silent")
    atlas.sense(range(0, 60), source="loud")
    atlas.sense(range(600, 660), source="loud")
    assert forget(atlas.tx, T0 + 2 * WINDOW_US) == 2
    assert atlas.states("silent") == []
    assert [state.timestamp.ToMicroseconds() for state in atlas.states("loud")] == [T0 + 10 * WINDOW_US]
    assert atlas.shifts() == []
    assert [row[0] for row in atlas.tx.conn.execute("SELECT name FROM sources")] == ["loud"]
    assert forget(atlas.tx, T0 + 2 * WINDOW_US) == 0
