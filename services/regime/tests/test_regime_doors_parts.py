"""What the readings of one source add up to: sums of disjoint parts alone, joules as watts, and nothing that was not read."""

import math
from typing import Any

import numpy as np
import pytest
from eil_mesh.clock import MICROSECONDS
from eil_regime.doors.names import chosen, metrics_of
from eil_regime.doors.parts import FORGET_US, MAX_PARTS, Assembly, Reading, Tally

LIMIT_W = 1e6
RAPL, DRAM, PSYS = "node_rapl_package_joules_total", "node_rapl_dram_joules_total", "node_rapl_psys_joules_total"
GPU_J, GPU_W = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_POWER_USAGE"
WALL = "ipmi_dcmi_power_consumption_watts"
IDLE = "node_cpu_seconds_total"


def reading(name, t_s, value, *, start_s=0.0, delta=False, **labels):
    found = chosen(metrics_of(name), labels)
    assert found is not None
    return Reading(*found, round(t_s * MICROSECONDS), value, round(start_s * MICROSECONDS), delta)


class Source:
    """A source whose state is saved and loaded between all requests."""

    def __init__(self):
        self.state = Assembly().dump()
        self.tally = Tally()
        self.rows: dict[float, dict[str, float]] = {}
        self.power_kind = ""

    def take(self, *readings):
        """A request; returns the rows that it led to, by time [s]."""
        assembly = Assembly.load(self.state)
        batch = assembly.take(readings, LIMIT_W, self.tally)
        self.state, self.power_kind = assembly.dump(), assembly.power_kind
        new: dict[float, dict[str, float]] = {}
        if batch is not None:
            assert np.all(np.diff(batch.times_us) > 0)
            for row, time_us in enumerate(batch.times_us):
                values = zip(batch.channels, batch.values[:, row], strict=True)
                new[time_us / MICROSECONDS] = {name: value for name, value in values if not math.isnan(value)}
        for time_s, values in new.items():
            self.rows.setdefault(time_s, {}).update(values)
        return new

    def power(self):
        return {t: values["power_draw"] for t, values in self.rows.items() if "power_draw" in values}


@pytest.fixture
def source():
    return Source()


def test_joules_become_mean_watts_from_the_second_reading_on(source):
    assert source.take(reading(RAPL, 100, 5000.0, index="0")) == {}
    assert source.take(reading(RAPL, 115, 6500.0, index="0")) == {115: {"power_draw": 100.0}}
    assert source.power_kind == "mean"
    assert source.take(reading(RAPL, 130, 9500.0, index="0")) == {130: {"power_draw": 200.0}}


def test_sockets_and_memory_are_summed_and_none_is_left_out(source):
    for t, joules in ((100, 0.0), (110, 1000.0)):
        source.take(reading(RAPL, t, 7000 + joules, index="0"), reading(DRAM, t, 300 + joules / 10, index="0"))
        source.take(reading(RAPL, t, 9000 + joules, index="1"))
    assert source.power() == {110: pytest.approx(100 + 100 + 10)}


def test_a_batch_split_anywhere_gives_the_same_rows():
    counters: list[tuple[str, float, float, dict[str, Any]]] = [
        (RAPL, 1000, 100, {"index": "0"}),
        (RAPL, 2000, 150, {"index": "1"}),
        (DRAM, 500, 20, {"index": "0"}),
        (GPU_J, 9e6, 300e3, {"UUID": "GPU-a", "gpu": "0"}),
    ]
    readings = [
        reading(name, t, base + rate * (t - 90), **labels)
        for t in (100, 110, 120, 130)
        for name, base, rate, labels in counters
    ]
    whole = Source()
    whole.take(*readings)
    assert whole.power() == {t: pytest.approx(570) for t in (110, 120, 130)}
    for pieces in (1, 3, 5):
        parted = Source()
        for begin in range(0, len(readings), pieces):
            parted.take(*readings[begin : begin + pieces])
        assert parted.power() == whole.power()


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((WALL, {}), (PSYS, {})),
        ((PSYS, {}), (RAPL, {"index": "0"})),
        (("hw_host_power", {}), (GPU_W, {"UUID": "a"})),
        (("kepler_platform_watts", {"chassis_id": "1"}), ("kepler_node_cpu_watts", {"zone": "package"})),
        (("kepler_node_cpu_joules_total", {"zone": "psys"}), ("kepler_node_cpu_joules_total", {"zone": "package"})),
        (("kepler_node_cpu_joules_total", {"zone": "package"}), ("kepler_node_cpu_watts", {"zone": "package"})),
        (("kepler_node_cpu_joules_total", {"zone": "package"}), (RAPL, {"index": "0"})),
        ((GPU_J, {"UUID": "a"}), (GPU_W, {"UUID": "a"})),
        ((GPU_W, {"UUID": "a"}), ("kepler_node_gpu_watts", {"gpu_uuid": "a"})),
        (("power_draw", {}), (WALL, {})),
    ],
)
def test_what_overlaps_is_not_summed(source, better, worse):
    def at(metric_of, t, watts):
        name, labels = metric_of
        known = chosen(metrics_of(name), labels)
        assert known is not None
        metric, part = known
        value = (10_000 + watts * (t - 100)) if metric.counter else watts
        return Reading(metric, part, t * MICROSECONDS, value / metric.factor)

    for t in (100, 110, 120):
        source.take(at(worse, t, 70.0), at(better, t, 90.0))
    assert list(source.power().values()) == [pytest.approx(90.0)] * len(source.power())
    assert 120 in source.power()


def test_cores_are_part_of_their_package():
    for zone in ("core", "uncore"):
        assert chosen(metrics_of("kepler_node_cpu_joules_total"), {"zone": zone}) is None
    assert metrics_of("node_rapl_core_joules_total") == ()


def test_power_waits_for_a_part_that_stays_away_and_forgets_it_after_an_hour(source):
    for t in (100, 110):
        source.take(reading(GPU_W, t, 300.0, UUID="a"), reading(GPU_W, t, 200.0, UUID="b"))
    assert source.power() == {110: 500.0}
    gone_s = 110 + round(FORGET_US / MICROSECONDS)
    for t in range(120, gone_s + 1, 10):
        source.take(reading(GPU_W, t, 300.0, UUID="a"))
    assert source.power() == {110: 500.0}, "half of the power would look like a saving"
    for t in (gone_s + 10, gone_s + 20, gone_s + 30):
        source.take(reading(GPU_W, t, 100.0, UUID="a"))
    assert source.power() == {110: 500.0, gone_s + 20: 100.0, gone_s + 30: 100.0}, "the hour's own watts have no sum"
    assert b'"b|"' not in source.state


def test_a_counter_that_stands_still_is_waited_for_for_an_hour_and_counts_when_it_moves(source):
    def take(t, dram):
        return source.take(reading(RAPL, t, 100.0 * t, index="0"), reading(DRAM, t, dram, index="0"))

    still_s = 100 + round(FORGET_US / MICROSECONDS)
    for t in range(100, still_s + 10, 10):
        take(t, 5000.0)
    assert source.power() == {}
    take(still_s + 10, 5000.0)
    assert take(still_s + 20, 5000.0) == {still_s + 20: {"power_draw": 100.0}}
    assert take(still_s + 30, 5200.0) == {still_s + 30: {"power_draw": 120.0}}


def test_a_part_that_comes_later_is_counted_from_its_second_reading(source):
    for t in (100, 110, 120):
        source.take(reading(GPU_W, t, 300.0, UUID="a"))
    assert source.take(reading(GPU_W, 130, 300.0, UUID="a"), reading(GPU_W, 130, 50.0, UUID="b")) == {}
    assert source.take(reading(GPU_W, 140, 300.0, UUID="a"), reading(GPU_W, 140, 50.0, UUID="b")) == {
        140: {"power_draw": 350.0}
    }


def test_a_counter_that_begins_anew_or_wraps_gives_no_watts(source):
    source.take(reading(RAPL, 100, 262_000.0, index="0"))
    source.take(reading(RAPL, 110, 262_100.0, index="0"))
    assert source.take(reading(RAPL, 120, 55.0, index="0")) == {}
    assert source.tally.reset == 1
    source.take(reading(RAPL, 130, 155.0, index="0"))
    assert source.power() == {110: 10.0, 130: 10.0}


def test_a_start_after_the_last_reading_is_a_new_counter_though_it_counts_higher(source):
    source.take(reading("hw_host_energy", 100, 50.0, start_s=40))
    source.take(reading("hw_host_energy", 110, 60_000.0, start_s=105))
    assert source.power() == {}
    assert source.tally.reset == 1
    source.take(reading("hw_host_energy", 120, 61_000.0, start_s=105))
    assert source.power() == {120: 100.0}


def test_deltas_are_watts_at_once_and_count_once(source):
    first = reading("hw_host_energy", 110, 1500.0, start_s=100, delta=True)
    assert source.take(first) == {110: {"power_draw": 150.0}}
    assert source.take(first) == {}
    source.take(reading("hw_host_energy", 120, 900.0, start_s=105, delta=True))
    assert (source.tally.repeated, source.tally.refused) == (1, 1)
    assert "begins before" in source.tally.message
    assert source.power() == {110: 150.0}


def test_the_same_request_again_changes_nothing(source):
    request = [reading(RAPL, t, 50.0 * t, index=index) for t in (100, 110, 120) for index in "01"]
    source.take(*request)
    before, rows = source.state, dict(source.rows)
    assert source.take(*request) == {}
    assert (source.state, source.rows) == (before, rows)
    assert source.tally.repeated == len(request)


def test_watts_beside_joules_are_means(source):
    for t in (100, 110, 115, 120):
        source.take(reading(GPU_W, t, float(t), UUID="a"))
        if t % 10 == 0:
            source.take(reading(RAPL, t, 100.0 * t, index="0"))
    assert source.power() == {110: 210.0, 120: 217.5}
    assert source.power_kind == "mean"


@pytest.mark.parametrize("nothing", [math.nan, 0.0])
def test_nothing_is_not_zero_watts(source, nothing):
    for t in (100, 110):
        source.take(reading(WALL, t, 400.0))
    assert source.take(reading(WALL, 120, nothing)) == {}
    assert source.take(reading(WALL, 130, 410.0)) == {130: {"power_draw": 410.0}}
    assert source.tally.missing == 1


def test_who_says_power_draw_may_say_zero(source):
    assert source.take(reading("power_draw", 100, 0.0)) == {100: {"power_draw": 0.0}}


def test_a_counter_that_moves_less_often_than_it_is_read_keeps_its_energy(source):
    for t in range(100, 131):
        source.take(reading(RAPL, t, 1000.0 + 500 * (t // 5), index="0"))
    powers = source.power()
    assert list(powers.values())[1:] == [pytest.approx(100.0)] * (len(powers) - 1)
    assert len(powers) == 6, "0 W between would be wrong"


def test_agents_of_different_pace_lose_no_energy(source):
    for t in range(100, 161, 5):
        source.take(reading(RAPL, t, 80.0 * t + (500 if t >= 135 else 0), index="0"))
        if t % 20 == 0:
            source.take(reading(GPU_J, t + 1, 1000 * 200.0 * (t + 1), UUID="a"))
    assert source.power() == {
        121: pytest.approx(280.0),
        141: pytest.approx(280.0 + 500 / 20),
        161: pytest.approx(280.0),
    }


def test_more_than_a_part_may_draw_is_refused_and_not_counted(source):
    source.take(reading(RAPL, 100, 0.5, index="0"))
    assert source.take(reading(RAPL, 101, 5e6, index="0")) == {}
    assert "unit" in source.tally.message
    source.take(reading(RAPL, 102, 5e6 + 100, index="0"))
    assert source.power() == {102: 100.0}
    source.take(reading(GPU_W, 100, 1.4e14, UUID="blank"))
    assert source.tally.refused == 2
    source.take(reading(RAPL, 103, 5e6 + 200, index="0"))
    assert source.power() == {102: 100.0, 103: 100.0}, "what was refused is no part"


def test_idle_seconds_are_utilisation(source):
    for t, idle in ((100, 50.0), (110, 57.5), (120, 67.501)):
        source.take(
            reading(IDLE, t, idle, cpu="0", mode="idle"), reading(IDLE, t, 2 * (idle - 50) / 3, cpu="1", mode="idle")
        )
    assert source.rows[110] == {"cpu_usage": pytest.approx((0.25 + 0.5) / 2)}
    assert source.rows[120] == {"cpu_usage": pytest.approx(1 / 6, abs=1e-4)}, "clocks jitter: a hair under 0 is 0"
    assert chosen(metrics_of(IDLE), {"cpu": "0", "mode": "user"}) is None


def test_a_cpu_time_of_all_cores_together_is_no_share(source):
    for t in (100, 110):
        source.take(reading("system_cpu_time", t, 7.5 * t, state="idle"))
    assert source.rows == {}
    assert "between 0 and 1" in source.tally.message


def test_temperatures_are_averaged_and_of_the_best_rank(source):
    for t in (100, 110):
        source.take(
            reading("node_hwmon_temp_celsius", t, 50.0, chip="a", sensor="temp1"),
            reading("node_hwmon_temp_celsius", t, 60.0, chip="a", sensor="temp2"),
            reading("DCGM_FI_DEV_GPU_TEMP", t, 80.0, UUID="a"),
        )
    assert source.rows == {110: {"temperature": 55.0}}


def test_traffic_is_of_devices_and_both_ways(source):
    for t in (100, 110):
        for device in ("eth0", "eth1"):
            source.take(reading("node_network_receive_bytes_total", t, 1000.0 * t, device=device))
        source.take(reading("node_network_transmit_bytes_total", t, 50.0 * t, device="eth0"))
    source.take(reading("node_network_receive_bytes_total", 120, 0.0, device="eth0"))
    assert source.rows == {110: {"network_throughput": pytest.approx(2050.0)}}
    for device in ("lo", "veth12ab", "docker0", "br-5f", "bond0"):
        assert chosen(metrics_of("system_network_io"), {"device": device, "direction": "receive"}) is None
    assert chosen(metrics_of("system_network_io"), {"device": "long0", "direction": "receive"})


def test_a_row_waits_for_channels_that_are_due_until_something_later_comes(source):
    def cpu(t):
        return reading("cpu_usage", t, 0.5)

    def power(t):
        return reading("power_draw", t, 100.0)

    for t in (100, 110):
        source.take(cpu(t), power(t))
    assert source.take(cpu(120)) == {}
    assert source.take(power(120)) == {120: {"cpu_usage": 0.5, "power_draw": 100.0}}
    assert source.take(cpu(130)) == {}
    assert source.take(cpu(140)) == {130: {"cpu_usage": 0.5}}
    assert source.take(power(130)) == {130: {"power_draw": 100.0}}
    for t in range(150, 200, 10):
        source.take(cpu(t))
    assert source.take(cpu(200)) == {200: {"cpu_usage": 0.5}}, "what has stopped is waited for no longer"


def test_what_comes_hours_late_is_a_row_of_its_own(source):
    source.take(reading("cpu_usage", 20_000, 0.5))
    source.take(reading("power_draw", 100, 400.0))
    assert source.rows == {100: {"power_draw": 400.0}, 20_000: {"cpu_usage": 0.5}}


def test_a_source_has_so_many_parts_and_no_more(source):
    source.take(*(reading(GPU_W, 100, 1.0, UUID=str(n)) for n in range(MAX_PARTS + 5)))
    assert source.tally.refused == 5
    assert str(MAX_PARTS) in source.tally.message


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (reading(WALL, 100, math.inf), "infinite"),
        (reading(RAPL, 100, -1.0, index="0"), "counts up"),
        (reading(WALL, 100, 5.0, delta=True), "changes"),
        (reading(RAPL, 100, 5.0, index="0", start_s=101), "clock"),
        (reading("cpu_usage", 100, 75.0), "between 0 and 1"),
    ],
)
def test_bad_readings_are_refused_with_a_reason(source, bad, word):
    assert source.take(bad) == {}
    assert source.tally.refused == 1
    assert word in source.tally.message


def test_another_version_is_not_read():
    with pytest.raises(ValueError, match="newer release"):
        Assembly.load(Assembly().dump().replace(b'"version":1', b'"version":2'))


def test_metrics_that_left_the_table_are_dropped(source):
    source.take(reading(RAPL, 100, 10.0, index="0"), reading(DRAM, 100, 10.0, index="0"))
    source.state = source.state.replace(b"node_rapl_dram", b"node_rapl_gone")
    source.take(reading(RAPL, 110, 1010.0, index="0"))
    assert source.power() == {110: 100.0}
