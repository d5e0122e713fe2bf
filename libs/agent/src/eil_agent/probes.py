"""What the operating system tells of this machine, as functions that a test can replace."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

# The sensor of the processor package, by driver, best first; the label picks the package among its cores.
_CPU_SENSORS = (
    ("coretemp", "Package"),
    ("k10temp", "T"),  # Tctl and Tdie
    ("zenpower", "T"),
    ("cpu_thermal", ""),
    ("cpu-thermal", ""),
    ("soc_thermal", ""),
    ("acpitz", ""),
)


@dataclass(frozen=True)
class Probes:
    """The readings that telemetry of a machine is made of."""

    clock_s: Callable[[], float]
    """A monotonic clock [s]."""
    cpu_times_s: Callable[[], tuple[float, float]]
    """Busy and total processor time since boot, over all CPUs [s]."""
    memory_fraction: Callable[[], float]
    """Share of the memory in use, 0–1."""
    network_bytes: Callable[[], dict[str, int]]
    """Bytes received and sent since boot, by interface; interfaces that would count a byte twice are left out."""
    cpu_temperature_c: Callable[[], float | None]
    """Temperature of the processor [°C]; None where no sensor shows it."""
    logical_cpus: int

    @classmethod
    def of_this_machine(cls) -> "Probes":
        """The probes of the machine it runs on."""
        return cls(
            clock_s=time.monotonic,
            cpu_times_s=_cpu_times_s,
            memory_fraction=lambda: psutil.virtual_memory().percent / 100.0,
            network_bytes=network_bytes,
            cpu_temperature_c=lambda: cpu_temperature_c(_all_temperatures_c()),
            logical_cpus=psutil.cpu_count() or 1,
        )


def network_bytes(interfaces: Path = Path("/sys/class/net")) -> dict[str, int]:
    """Bytes received and sent, by interface.

    A byte that crosses a bridge or a container's interface crosses a real one too. So interfaces with a device behind
    them are taken alone; where none has one (containers, other systems), all but the loopback.
    """
    counters = {
        name: counter.bytes_recv + counter.bytes_sent for name, counter in psutil.net_io_counters(pernic=True).items()
    }
    real = {name: count for name, count in counters.items() if (interfaces / name / "device").exists()}
    return real or {name: count for name, count in counters.items() if not name.startswith(("lo", "Loopback"))}


def cpu_temperature_c(readings: dict[str, list[tuple[str, float | None]]]) -> float | None:
    """The processor's temperature [°C] among the machine's sensors, (label, value) by driver; None if there is none.

    The hottest package counts. Values outside (0, 125] are what absent or broken sensors report.
    """
    for driver, label_start in _CPU_SENSORS:
        plausible = [
            (label, value) for label, value in readings.get(driver, []) if value is not None and 0.0 < value <= 125.0
        ]
        package = [value for label, value in plausible if label.startswith(label_start)]
        if plausible:
            return max(package or [value for _, value in plausible])
    return None


def _all_temperatures_c() -> dict[str, list[tuple[str, float | None]]]:
    # psutil has this function on Linux and FreeBSD alone.
    read = getattr(psutil, "sensors_temperatures", dict)
    return {driver: [(entry.label, entry.current) for entry in entries] for driver, entries in read().items()}


def _cpu_times_s() -> tuple[float, float]:
    times = psutil.cpu_times()._asdict()
    # Linux counts a guest's time in user time as well.
    total_s = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    return total_s - times["idle"] - times.get("iowait", 0.0), total_s
