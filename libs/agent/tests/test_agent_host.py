from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from eil_agent import HostReader, PowerCurve, Probes
from eil_agent.probes import cpu_temperature_c


@dataclass
class Machine:
    """A machine whose state a test sets."""

    now_s: float = 100.0
    busy_s: float = 50.0
    total_s: float = 400.0
    network: dict[str, int] = field(default_factory=lambda: {"eth0": 1_000_000})
    temperature_c: float | None = 55.0

    def probes(self) -> Probes:
        return Probes(
            clock_s=lambda: self.now_s,
            cpu_times_s=lambda: (self.busy_s, self.total_s),
            memory_fraction=lambda: 0.25,
            network_bytes=lambda: dict(self.network),
            cpu_temperature_c=lambda: self.temperature_c,
            logical_cpus=4,
        )

    def passes(self, seconds: float, *, utilization: float = 0.5) -> None:
        self.now_s += seconds
        self.busy_s += 4 * seconds * utilization
        self.total_s += 4 * seconds


class FakeNvml(ModuleType):
    """The NVML calls that are used, for boards given by energy [mJ], power [mW] and temperature [°C]."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    class NVMLError_NotSupported(NVMLError):  # noqa: N801 - NVML's own name
        pass

    def __init__(self, boards: Iterable[dict[str, Any]] = (), *, driver: bool = True) -> None:
        super().__init__("fake_nvml")
        self.boards = list(boards)
        self.driver = driver

    def nvmlInit(self) -> None:
        if not self.driver:
            raise self.NVMLError("NVML Shared Library Not Found")

    def nvmlDeviceGetCount(self) -> int:
        return len(self.boards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:
        return self.boards[index]

    def nvmlDeviceGetTotalEnergyConsumption(self, board: dict[str, Any]) -> int:
        if "energy_mj" not in board:
            raise self.NVMLError_NotSupported("Not Supported")
        return board["energy_mj"]

    def nvmlDeviceGetPowerUsage(self, board: dict[str, Any]) -> int:
        if board.get("lost"):
            raise self.NVMLError("GPU is lost")
        return board["power_mw"]

    def nvmlDeviceGetTemperature(self, board: dict[str, Any], sensor: int) -> int:
        return board["celsius"]


NO_GPU = FakeNvml(driver=False)


class Powercap:
    """A powercap folder in the kernel's form."""

    def __init__(self, root: Path, zones: dict[str, tuple[str, int]], range_uj: int = 262_143_328_850) -> None:
        self.root = root
        (root / "intel-rapl").mkdir(parents=True)
        for folder, (name, energy_uj) in zones.items():
            (root / folder).mkdir()
            (root / folder / "name").write_text(f"{name}\n")
            (root / folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
            self.set(folder, energy_uj)

    def set(self, folder: str, energy_uj: int) -> None:
        (self.root / folder / "energy_uj").write_text(f"{energy_uj}\n")


SERVER_ZONES = {
    "intel-rapl:0": ("package-0", 1_000_000),
    "intel-rapl:0:0": ("core", 500_000),
    "intel-rapl:0:1": ("dram", 2_000_000),
    "intel-rapl:1": ("package-1", 3_000_000),
    "intel-rapl:1:0": ("uncore", 4_000_000),
    "intel-rapl:2": ("psys", 9_000_000),
    "intel-rapl-mmio:0": ("package-0", 1_000_000),
}


def reader_of(machine: Machine, powercap: Path, nvml: ModuleType = NO_GPU, **options) -> HostReader:
    return HostReader(probes=machine.probes(), powercap=powercap, nvml=nvml, **options)


def test_load_and_throughput_are_means_since_the_last_reading(tmp_path: Path):
    machine = Machine()
    reader = reader_of(machine, tmp_path)
    machine.passes(10.0, utilization=0.3)
    machine.network["eth0"] += 5_000_000
    values = reader.read().values
    assert values["cpu_usage"] == pytest.approx(0.3)
    assert values["network_throughput"] == pytest.approx(500_000.0)
    assert values["memory_usage"] == 0.25
    assert values["temperature"] == 55.0
    machine.passes(5.0, utilization=0.9)
    values = reader.read().values
    assert values["cpu_usage"] == pytest.approx(0.9)
    assert values["network_throughput"] == 0.0


def test_what_is_unknown_is_absent(tmp_path: Path):
    machine = Machine(temperature_c=None, network={})
    reader = reader_of(machine, tmp_path)
    machine.passes(10.0)
    assert set(reader.read().values) == {"cpu_usage", "memory_usage", "power_draw"}
    machine.now_s += 10.0  # the processor times stand still
    assert set(reader.read().values) == {"memory_usage"}


def test_a_reading_too_soon_has_no_rates_and_does_not_disturb_the_next(tmp_path: Path):
    machine = Machine()
    reader = reader_of(machine, tmp_path)
    machine.passes(0.05)
    early = reader.read()
    assert set(early.values) == {"memory_usage", "temperature"}
    assert any("too short for rates" in note for note in early.notes)
    machine.passes(0.95)
    machine.network["eth0"] += 1000
    assert reader.read().values["network_throughput"] == pytest.approx(1000.0)


def test_interfaces_that_appear_or_start_anew_add_nothing(tmp_path: Path):
    machine = Machine(network={"eth0": 1000, "eth1": 90_000})
    reader = reader_of(machine, tmp_path)
    machine.passes(1.0)
    machine.network = {"eth0": 1500, "eth1": 10, "wlan0": 7_000_000}
    assert reader.read().values["network_throughput"] == pytest.approx(500.0)


def test_packages_and_memory_are_summed_and_overlapping_zones_are_not(tmp_path: Path):
    machine, powercap = Machine(), Powercap(tmp_path / "powercap", SERVER_ZONES)
    reader = reader_of(machine, powercap.root)
    machine.passes(10.0)
    for folder, (_, energy_uj) in SERVER_ZONES.items():
        powercap.set(folder, energy_uj + 400_000_000)  # 40 W in every zone
    reading = reader.read()
    assert reading.values["power_draw"] == pytest.approx(3 * 40.0)
    assert (reading.method, reading.scope, reading.relative_uncertainty) == ("COUNTER", "package+dram", 0.05)
    assert reading.notes == ()


def test_psys_stands_alone_where_no_package_is_shown(tmp_path: Path):
    machine = Machine()
    powercap = Powercap(tmp_path / "p", {"intel-rapl:0": ("psys", 0), "intel-rapl:0:0": ("dram", 0)})
    reader = reader_of(machine, powercap.root)
    machine.passes(10.0)
    powercap.set("intel-rapl:0", 600_000_000)
    powercap.set("intel-rapl:0:0", 100_000_000)
    reading = reader.read()
    assert reading.values["power_draw"] == pytest.approx(60.0)
    assert reading.scope == "psys"


def test_a_counter_that_wraps_counts_on(tmp_path: Path):
    machine = Machine()
    powercap = Powercap(tmp_path / "p", {"intel-rapl:0": ("package-0", 65_400_000_000)}, range_uj=65_532_610_987)
    reader = reader_of(machine, powercap.root)
    machine.passes(10.0)
    powercap.set("intel-rapl:0", 867_389_013)  # 1 kJ further
    assert reader.read().values["power_draw"] == pytest.approx(100.0)


def test_a_reset_counter_gives_no_figure_and_the_next_interval_does(tmp_path: Path):
    machine = Machine()
    powercap = Powercap(tmp_path / "p", {"intel-rapl:0": ("package-0", 65_000_000_000)})
    reader = reader_of(machine, powercap.root)
    machine.passes(10.0)
    powercap.set("intel-rapl:0", 5_000_000)
    reading = reader.read()
    assert "power_draw" not in reading.values
    assert (reading.method, reading.scope) == ("COUNTER", "package")
    assert any("reset" in note for note in reading.notes)
    machine.passes(10.0)
    powercap.set("intel-rapl:0", 505_000_000)
    assert reader.read().values["power_draw"] == pytest.approx(50.0)


def test_a_gap_in_which_a_counter_may_wrap_twice_gives_no_figure(tmp_path: Path):
    machine = Machine()
    powercap = Powercap(tmp_path / "p", {"intel-rapl:0": ("package-0", 0)}, range_uj=65_532_610_987)
    reader = reader_of(machine, powercap.root)
    machine.passes(3600.0)
    powercap.set("intel-rapl:0", 500_000_000)
    reading = reader.read()
    assert "power_draw" not in reading.values
    assert any("read at least every 109 s" in note for note in reading.notes)


def test_counters_that_stand_still_are_unknown_not_zero(tmp_path: Path):
    machine = Machine()
    powercap = Powercap(tmp_path / "p", {"intel-rapl:0": ("package-0", 0)})
    reader = reader_of(machine, powercap.root)
    machine.passes(10.0)
    reading = reader.read()
    assert "power_draw" not in reading.values
    assert any("stood still" in note for note in reading.notes)


def test_without_a_meter_power_is_modelled_and_says_so(tmp_path: Path):
    machine = Machine()
    reader = reader_of(machine, tmp_path / "absent", curve=PowerCurve(idle_w=50.0, peak_w=150.0))
    machine.passes(10.0, utilization=0.5)
    reading = reader.read()
    assert reading.values["power_draw"] == pytest.approx(50.0 + 100.0 * (1.0 - 0.5**1.4))
    assert (reading.method, reading.scope, reading.relative_uncertainty) == ("MODELLED", "host", 0.3)
    assert reading.notes[0] == "power is modelled from utilisation"
    assert "no RAPL package" in reading.notes[1]
    assert "Library Not Found" in reading.notes[2]


def test_the_default_curve_grows_with_the_processors():
    curve = PowerCurve.of_cpus(64)
    assert curve.power_w(0.0) == pytest.approx(64 * 0.64)
    assert curve.power_w(1.0) == pytest.approx(64 * 3.80)


def test_counters_that_may_not_be_read_are_named(tmp_path: Path):
    machine, powercap = Machine(), Powercap(tmp_path / "p", SERVER_ZONES)
    (powercap.root / "intel-rapl:0" / "energy_uj").unlink()
    (powercap.root / "intel-rapl:0" / "energy_uj").mkdir()  # unreadable for root too
    reader = reader_of(machine, powercap.root)
    machine.passes(10.0)
    reading = reader.read()
    assert reading.method == "MODELLED"
    assert any("energy_uj cannot be read" in note and "grant read access" in note for note in reading.notes)


def test_gpu_energy_counters(tmp_path: Path):
    machine = Machine()
    nvml = FakeNvml(
        [{"energy_mj": 5_000, "power_mw": 1, "celsius": 60}, {"energy_mj": 0, "power_mw": 1, "celsius": 71}]
    )
    reader = reader_of(machine, tmp_path, nvml)
    machine.passes(10.0)
    nvml.boards[0]["energy_mj"] += 3_000_000
    nvml.boards[1]["energy_mj"] += 1_000_000
    reading = reader.read()
    assert reading.values["power_draw"] == pytest.approx(400.0)
    assert reading.values["temperature"] == 71.0  # of what the power covers
    assert (reading.method, reading.scope) == ("COUNTER", "gpu")
    assert reading.notes[0] == "power covers the GPUs alone"


def test_gpu_power_sensors_where_a_board_has_no_counter(tmp_path: Path):
    machine = Machine()
    nvml = FakeNvml([{"energy_mj": 5_000, "power_mw": 250_000, "celsius": 60}, {"power_mw": 70_000, "celsius": 50}])
    reader = reader_of(machine, tmp_path, nvml)
    machine.passes(10.0)
    reading = reader.read()
    assert reading.values["power_draw"] == pytest.approx(320.0)
    assert reading.method == "METERED"


def test_processors_and_gpus_are_summed_or_nothing_is(tmp_path: Path):
    machine, powercap = Machine(), Powercap(tmp_path / "p", {"intel-rapl:0": ("package-0", 0)})
    nvml = FakeNvml([{"power_mw": 300_000, "celsius": 60}])
    reader = reader_of(machine, powercap.root, nvml)
    machine.passes(10.0)
    powercap.set("intel-rapl:0", 1_000_000_000)
    reading = reader.read()
    assert reading.values["power_draw"] == pytest.approx(400.0)
    assert (reading.method, reading.scope) == ("COUNTER", "package+gpu")
    assert reading.values["temperature"] == 55.0
    machine.passes(10.0)
    powercap.set("intel-rapl:0", 2_000_000_000)
    nvml.boards[0]["lost"] = True
    reading = reader.read()
    assert "power_draw" not in reading.values
    assert any("GPU is lost" in note for note in reading.notes)


def test_a_gpu_counter_that_was_reset_gives_no_figure(tmp_path: Path):
    machine = Machine()
    nvml = FakeNvml([{"energy_mj": 5_000_000, "power_mw": 1, "celsius": 60}])
    reader = reader_of(machine, tmp_path, nvml)
    machine.passes(10.0)
    nvml.boards[0]["energy_mj"] = 10
    assert "power_draw" not in reader.read().values


@pytest.mark.parametrize(
    ("sensors", "celsius"),
    [
        ({"coretemp": [("Package id 0", 61.0), ("Core 0", 75.0), ("Package id 1", 64.0)]}, 64.0),
        ({"acpitz": [("", 30.0)], "k10temp": [("Tctl", 70.0), ("Tccd1", 66.0)]}, 70.0),
        ({"cpu_thermal": [("", 48.5)]}, 48.5),
        ({"coretemp": [("Core 0", 50.0), ("Core 1", 52.0)]}, 52.0),
        ({"coretemp": [("Package id 0", 0.0)], "acpitz": [("", 33.0)]}, 33.0),
        ({"coretemp": [("Package id 0", None)]}, None),
        ({"nvme": [("Composite", 40.0)]}, None),
        ({}, None),
    ],
)
def test_the_processors_sensor_is_picked(sensors, celsius):
    assert cpu_temperature_c(sensors) == celsius


def test_this_machine_can_be_read():
    clock = iter([0.0, 10.0])
    probes = replace(Probes.of_this_machine(), clock_s=lambda: next(clock))
    reading = HostReader(probes=probes).read()
    assert 0.0 < reading.values["memory_usage"] < 1.0
    assert reading.values.get("cpu_usage", 0.5) <= 1.0
    assert reading.method in ("METERED", "COUNTER", "MODELLED")
    assert reading.values.get("power_draw", 1.0) > 0.0
    assert all(value == value for value in reading.values.values())
