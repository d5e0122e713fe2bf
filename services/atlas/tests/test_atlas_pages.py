"""Pages of telemetry: joined or one by one, the Atlas knows the same afterwards."""

import asyncio
import math
import random
from pathlib import Path

import pytest
from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_atlas.domain.windows import WINDOW_US
from eil_atlas.following import Handler
from eil_atlas.learn import SHIFTS_TOPIC, TELEMETRY_TOPIC
from eil_atlas.main import SCHEMA
from eil_atlas.pages import joined
from eil_atlas.store_graph import StoreGraph
from eil_mesh import erasure, event_log
from eil_mesh.clock import ManualClock, from_us
from eil_mesh.store import Store

T0 = 30_000_000 * WINDOW_US
S = 1_000_000
TABLES = (
    "sources",
    "power",
    "windows",
    "states",
    "shifts",
    "spans",
    "stale",
    "links",
    "arrivals",
    "open_hours",
    "recorded",
)


class Journal:
    """Events as the regime service writes them."""

    def __init__(self) -> None:
        self.events: list[event_log_pb2.Event] = []

    def add(self, topic: str, source: str, message) -> None:
        self.events.append(
            event_log_pb2.Event(
                offset=len(self.events) + 1,
                time=from_us(T0),
                tenant="a",
                topic=topic,
                key=source,
                payload=message.SerializeToString(),
            )
        )

    def sense(
        self,
        source: str,
        second: float,
        *,
        regime="r1",
        names=("power_draw", "cpu_usage"),
        kind="mean",
        value=100.0,
        time_us=None,
        **state,
    ):
        sampled_us = T0 + round(second * S)
        energy_state = regime_pb2.EnergyState(
            total_energy=6000.0,
            entropy=20.0,
            regime_id=regime,
            power_method="METERED",
            time=from_us(time_us or sampled_us),
        )
        for field, said in state.items():
            setattr(energy_state, field, said)
        columns = [regime_pb2.Column(name=name, values=[value]) for name in names]
        record = regime_pb2.TelemetryRecord(
            source=source, times_us=[sampled_us], columns=columns, energy_state=energy_state, power_kind=kind
        )
        self.add(TELEMETRY_TOPIC, source, record)

    def shift(self, source: str, second: float, left: str, entered: str) -> None:
        detected_us = T0 + round(second * S)
        shift = regime_pb2.RegimeShift(
            id=f"{source}@{detected_us}",
            source=source,
            onset=from_us(detected_us),
            detected=from_us(detected_us),
            from_regime=left,
            to_regime=entered,
        )
        self.add(SHIFTS_TOPIC, source, shift)

    def erase(self, source: str) -> None:
        self.add(erasure.TOPIC, source, regime_pb2.DeleteSourceResponse())


def learned(path: Path, pages: list[list[event_log_pb2.Event]], *, at_once: bool):
    """Everything that the Atlas knows after these pages."""
    path.mkdir()

    async def run():
        store = Store(path / "atlas.db", event_log.SCHEMA + SCHEMA, ManualClock(T0), durable=False)
        handler = Handler(StoreGraph(store), 600.0)
        for page in pages:
            if at_once:
                await store.write(lambda tx, page=page: handler.handle_page(tx, page))
            else:
                for event in page:
                    await store.write(lambda tx, event=event: handler.handle(tx, event))
        known = await store.read(
            lambda conn: {
                table: sorted(map(repr, map(tuple, conn.execute(f"SELECT * FROM {table}")))) for table in TABLES
            }
        )
        store.close()
        return known

    return asyncio.run(run())


def both_ways(tmp_path: Path, journal: Journal, size: int) -> None:
    pages = [journal.events[first : first + size] for first in range(0, len(journal.events), size)]
    singly, together = (learned(tmp_path / str(at_once), pages, at_once=at_once) for at_once in (False, True))
    for table in TABLES:
        assert together[table] == singly[table], table


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("size", [7, 60, 1000])
@pytest.mark.parametrize("period_s", [1.0, 5.0, 20.0])
def test_any_telemetry_is_learned_alike(tmp_path, seed, size, period_s):
    """Gaps, late samples, jitter, values lacking, figures that no binary fraction is, regimes that come and go: all the same to the bit."""
    chance = random.Random(seed)
    journal, regimes, newest = Journal(), {}, dict[str, float]()
    for step in range(240):
        for source in ("dc-1", "dc-2", "dc-3"):
            if chance.random() < 0.1:  # a gap
                continue
            late = chance.choice([0.0] * 9 + [-3.0 * period_s, -90.0])
            second = round(step * period_s + late + chance.uniform(0.0, 0.4) * period_s, 6)
            newest[source] = max(newest.get(source, -math.inf), second)
            names = chance.choice([("power_draw", "cpu_usage")] * 8 + [("cpu_usage",), ("power_draw",)])
            energy_j = chance.choice([0.0] + [chance.uniform(5e3, 7e3)] * 9)
            journal.sense(
                source,
                second,
                time_us=T0 + round(newest[source] * S),
                regime=regimes.get(source, "r1"),
                names=names,
                kind=chance.choice(["mean"] * 20 + ["instant"]),
                value=chance.choice([math.nan] + [chance.uniform(0.0, 1e3)] * 19),
                total_energy=energy_j,
                entropy=energy_j / chance.uniform(290.0, 300.0),
                power_method=chance.choice(["METERED", "MODELLED"]),
            )
            if chance.random() < 0.02:
                left, regimes[source] = regimes.get(source, "r1"), f"r{chance.randrange(4)}"
                journal.shift(source, second, left, regimes[source])
    assert len(list(joined(journal.events))) < len(journal.events)  # there is something to go wrong
    both_ways(tmp_path, journal, size)


def test_an_erasure_parts_what_comes_together(tmp_path):
    journal = Journal()
    for second in range(20):
        journal.sense("dc-1", second)
        journal.sense("dc-2", second)
        if second == 12:
            journal.erase("dc-1")
    both_ways(tmp_path, journal, 100)


def test_records_of_a_source_become_one_but_the_first_of_a_window():
    journal = Journal()
    for second in range(40, 80):
        for source in ("dc-1", "dc-2"):
            journal.sense(source, second)
    made = list(joined(journal.events))
    assert [(event.key, event.offset) for event in made] == [
        ("dc-1", 1), ("dc-2", 2), ("dc-1", 39), ("dc-1", 41), ("dc-2", 40), ("dc-2", 42), ("dc-1", 79), ("dc-2", 80),
    ]  # fmt: skip
    record = regime_pb2.TelemetryRecord.FromString(made[2].payload)
    assert record.times_us[0] == T0 + 41 * S
    assert len(record.times_us) == 19
    assert [len(column.values) for column in record.columns] == [19, 19]


def test_what_cannot_be_read_goes_by_itself():
    journal = Journal()
    journal.sense("dc-1", 0)
    journal.events.append(event_log_pb2.Event(offset=2, tenant="a", key="dc-1", topic=TELEMETRY_TOPIC, payload=b"\xff"))
    journal.sense("dc-1", 1)
    assert [event.offset for event in joined(journal.events)] == [1, 2, 3]
