"""Telemetry of this machine: load, temperature and power, with how the power is known."""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pynvml

from eil_agent.gpu import Gpus
from eil_agent.power import Method, PowerCurve, PowerUnavailableError
from eil_agent.probes import Probes
from eil_agent.rapl import Rapl

# Rates over less are mostly the counters' own granularity (CPU times tick every 10 ms).
MIN_INTERVAL_S = 0.1


@dataclass(frozen=True)
class Reading:
    """Telemetry of one moment. A channel that is not known is absent, never 0."""

    values: dict[str, float]
    """`cpu_usage` and `memory_usage` (0–1), `network_throughput` [byte/s], `temperature` [°C], `power_draw` [W].
    Usage of the CPU, throughput and counted or modelled power are means since the last reading."""
    method: Method
    """How `power_draw` is got."""
    scope: str
    """What `power_draw` covers: package+dram, package, psys, gpu, joined by + when summed; host when modelled."""
    relative_uncertainty: float
    """Of `power_draw`."""
    notes: tuple[str, ...] = ()
    """Why a channel is absent, or why power is modelled."""


class HostReader:
    """Reads this machine. What measures power is chosen once, at the start, so that a series never mixes scopes.

    RAPL and GPU boards are disjoint and are summed. Power is modelled from utilisation only where neither exists: a
    measured part is worth more than a whole that is partly guessed.
    """

    def __init__(
        self,
        *,
        probes: Probes | None = None,
        powercap: Path = Path("/sys/class/powercap"),
        nvml: ModuleType = pynvml,
        curve: PowerCurve | None = None,
    ) -> None:
        """Finds the power sources and starts the first interval.

        Args:
            probes: readings of the operating system; this machine's if absent.
            powercap: the kernel's powercap folder.
            nvml: the NVML binding.
            curve: the machine's power curve for MODELLED power; a default by its number of CPUs if absent.
        """
        self._probes = probes or Probes.of_this_machine()
        self._curve = curve or PowerCurve.of_cpus(self._probes.logical_cpus)
        self._read_s = self._probes.clock_s()
        self._cpu_times_s = self._probes.cpu_times_s()
        self._network_bytes = self._probes.network_bytes()
        self._rapl: Rapl | None = None
        self._gpus: Gpus | None = None
        no_rapl = no_gpu = ""
        try:
            self._rapl = Rapl(powercap, self._read_s)
        except PowerUnavailableError as error:
            no_rapl = str(error)
        try:
            self._gpus = Gpus(self._read_s, nvml)
        except PowerUnavailableError as error:
            no_gpu = str(error)
        self._sources = [source for source in (self._rapl, self._gpus) if source]
        self._standing_notes: tuple[str, ...] = ()
        if not self._sources:
            self._standing_notes = ("power is modelled from utilisation", no_rapl, no_gpu)
        elif not self._rapl:
            self._standing_notes = ("power covers the GPUs alone", no_rapl)

    @property
    def method(self) -> Method:
        """How power is got; of summed sources, COUNTER if one is."""
        if not self._sources:
            return "MODELLED"
        return "COUNTER" if any(source.method == "COUNTER" for source in self._sources) else "METERED"

    @property
    def scope(self) -> str:
        """What power covers."""
        return "+".join(source.scope for source in self._sources) or "host"

    @property
    def relative_uncertainty(self) -> float:
        """Of power; of summed sources the largest, for their errors may share a cause."""
        return max((source.relative_uncertainty for source in self._sources), default=self._curve.relative_uncertainty)

    def read(self) -> Reading:
        """The telemetry of now. Rates need 0.1 s since the last reading and are left out before that."""
        notes = list(self._standing_notes)
        values = {"memory_usage": self._probes.memory_fraction()} | self._temperature(notes)
        now_s = self._probes.clock_s()
        interval_s = now_s - self._read_s
        if interval_s >= MIN_INTERVAL_S:
            self._read_s = now_s
            cpu = self._cpu_usage()
            values |= cpu | self._network_throughput(interval_s) | self._power_draw(now_s, cpu, notes)
        else:
            notes.append(
                f"{interval_s:.3f} s since the last reading is too short for rates: read every second or slower"
            )
        return Reading(values, self.method, self.scope, self.relative_uncertainty, tuple(notes))

    def _cpu_usage(self) -> dict[str, float]:
        (busy_before_s, total_before_s), self._cpu_times_s = self._cpu_times_s, self._probes.cpu_times_s()
        busy_s, total_s = self._cpu_times_s[0] - busy_before_s, self._cpu_times_s[1] - total_before_s
        # The kernel lets idle time step back now and then, so the share can leave its range by rounding.
        return {"cpu_usage": min(max(busy_s / total_s, 0.0), 1.0)} if total_s > 0.0 else {}

    def _network_throughput(self, interval_s: float) -> dict[str, float]:
        before, self._network_bytes = self._network_bytes, self._probes.network_bytes()
        # An interface that appeared brings its whole past with it; one whose counter fell was made anew.
        passed = [
            count - before[name] for name, count in self._network_bytes.items() if count >= before.get(name, count + 1)
        ]
        return {"network_throughput": sum(passed) / interval_s} if passed else {}

    def _temperature(self, notes: list[str]) -> dict[str, float]:
        """The temperature of what the power covers: of the GPUs when they alone are measured, else of the processor."""
        if self._gpus is not None and self._rapl is None:
            try:
                return {"temperature": self._gpus.temperature_c()}
            except PowerUnavailableError as error:
                notes.append(str(error))
                return {}
        celsius = self._probes.cpu_temperature_c()
        return {} if celsius is None else {"temperature": celsius}

    def _power_draw(self, now_s: float, cpu: dict[str, float], notes: list[str]) -> dict[str, float]:
        if not self._sources:
            return {"power_draw": self._curve.power_w(cpu["cpu_usage"])} if cpu else {}
        powers_w: list[float] = []
        for source in self._sources:
            try:
                powers_w.append(source.power_w(now_s))
            except PowerUnavailableError as error:
                notes.append(str(error))
        # A part of the sum is not the sum: it would look like a saving.
        return {"power_draw": sum(powers_w)} if len(powers_w) == len(self._sources) else {}
