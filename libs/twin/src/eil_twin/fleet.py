"""A fleet of servers in one rack: it obeys actions and yields telemetry."""

import math
import operator
from dataclasses import dataclass, replace

import numpy as np

from eil_twin.environment import Ambient, Demand
from eil_twin.server import MAX_UTILIZATION, Server
from eil_twin.thermal import ThermalNode

# Per installed server; the rack's time constant C/UA is about six minutes.
HEAT_CAPACITY_J_PER_K = 500.0
CONDUCTANCE_W_PER_K = 1.4

RESPONSE_BYTES = 1250.0
THERMOMETER_NOISE_K = 0.1
METER_NOISE = 0.005
MAX_LATENCY_MS = 100.0

# A second of simulation costs microseconds; an advance beyond this is a wrong clock, not a wish.
MAX_ADVANCE_S = 7 * 86_400.0


@dataclass(frozen=True)
class Truth:
    """The state behind the sensors, for judging what was inferred from them. Totals count from the start."""

    energy_j: float
    """Energy the fleet drew, ∫P dt [J]."""
    heat_loss_j: float
    """Heat the rack gave to the ambient, UA∫(T − T_amb)dt [J]."""
    served_requests: float
    shed_requests: float
    temperature_c: float
    ambient_c: float
    serving_servers: int
    booting_servers: int


@dataclass
class _Totals:
    energy_j: float = 0.0
    heat_loss_j: float = 0.0
    served: float = 0.0
    shed: float = 0.0
    capacity: float = 0.0
    latency_ms_requests: float = 0.0

    def since(self, earlier: "_Totals") -> "_Totals":
        return _Totals(*(getattr(self, name) - getattr(earlier, name) for name in vars(self)))


class Fleet:
    """Identical servers behind an even load balancer, heating one thermal node.

    Demand and ambient hold one value per second and do not depend on the actions, so two fleets of one seed differ by
    their actions alone: the difference of their `truth.energy_j` is the saving. Between changes the solution is exact,
    so the trajectory depends neither on how often `advance` is called nor on a step size. Sensor noise is drawn once an
    advance. Time starts at the busiest hour of the day.
    """

    def __init__(self, *, servers: int = 12, seed: int = 1, day_s: float = 600.0, start_s: float) -> None:
        """A fleet whose servers all serve, its rack at the steady temperature of the first second.

        Args:
            servers: number of installed servers; demand, heat capacity and conductance grow with it.
            seed: of demand, ambient and sensor noise (three independent streams).
            day_s: length of the daily cycle [s]; 600 s shows a day in ten minutes.
            start_s: the time of the caller's clock at which the simulation starts [s].

        Raises:
            ValueError: fewer than one server, a day under 60 s or a start that is not finite.
        """
        if servers < 1:
            raise ValueError(f"servers is {servers}: a fleet has at least one server; pass 1 or more")
        if not (math.isfinite(day_s) and day_s >= 60.0):
            raise ValueError(f"day_s is {day_s}: the load has one value a second, so a day must last 60 s or more")
        if not math.isfinite(start_s):
            raise ValueError(f"start_s is {start_s}: the simulation needs a finite start time in seconds")
        demand_seed, ambient_seed, sensor_seed = np.random.SeedSequence(seed).spawn(3)
        self.server = Server()
        self.node = ThermalNode(servers * HEAT_CAPACITY_J_PER_K, servers * CONDUCTANCE_W_PER_K)
        self._installed = servers
        self._start_s = start_s
        self._elapsed_s = 0.0
        self._demand = Demand(
            full_load_per_s=servers * self.server.capacity_per_s,
            day_s=day_s,
            rng=np.random.default_rng(demand_seed),
        )
        self._ambient = Ambient(day_s=day_s, rng=np.random.default_rng(ambient_seed))
        self._sensors = np.random.default_rng(sensor_seed)
        self._second = 0
        self._demand_per_s = self._demand.next_per_s()
        self._ambient_c = self._ambient.next_c()
        self._serving = servers
        self._boot_ends_s: list[float] = []
        self._temperature_c = self.node.steady_c(self._power_w(), self._ambient_c)
        self._total = _Totals()

    @property
    def max_latency_ms(self) -> float:
        """The constraint its owner wants kept: mean latency at most this many milliseconds."""
        return MAX_LATENCY_MS

    @property
    def servers(self) -> int:
        """Number of installed servers, the largest target of `scale`."""
        return self._installed

    @property
    def target_servers(self) -> int:
        """Servers that serve or boot: the last target given to `scale`."""
        return self._serving + len(self._boot_ends_s)

    @property
    def now_s(self) -> float:
        """Time [s] of the caller's clock up to which it is simulated."""
        return self._start_s + self._elapsed_s

    @property
    def truth(self) -> Truth:
        """The true state and totals at `now_s`."""
        return Truth(
            energy_j=self._total.energy_j,
            heat_loss_j=self._total.heat_loss_j,
            served_requests=self._total.served,
            shed_requests=self._total.shed,
            temperature_c=self._temperature_c,
            ambient_c=self._ambient_c,
            serving_servers=self._serving,
            booting_servers=len(self._boot_ends_s),
        )

    def scale(self, target_servers: int) -> None:
        """Starts or stops servers, at `now_s`, so that `target_servers` remain or become active.

        Servers that still boot are stopped first, the latest started before the others. Stopping is at once and free;
        a start costs peak power for the boot time before the server serves.

        Raises:
            ValueError: the target is outside 1 … `servers`; nothing changes.
            TypeError: the target is no integer; nothing changes.
        """
        target = operator.index(target_servers)
        if not 1 <= target <= self._installed:
            raise ValueError(
                f"target_servers is {target}, but this fleet has {self._installed} servers and needs one to serve: "
                f"pass 1 … {self._installed}"
            )
        self._serving = min(self._serving, target)
        del self._boot_ends_s[target - self._serving :]
        starts = target - self.target_servers
        self._boot_ends_s.extend([self._elapsed_s + self.server.boot_s] * starts)

    def advance(self, now_s: float) -> dict[str, float]:
        """Simulates up to `now_s` and reads the sensors.

        Returns telemetry by channel. Means over the interval since the last advance: `power_draw` [W], `cpu_usage` (0–1
        per active server), `request_rate` (requests served) [1/s], `network_throughput` [byte/s], `latency_ms` (mean
        over requests). At `now_s`: `temperature` and `ambient_temperature` [°C], `active_servers` (those that serve).
        The thermometers have a noise of 0.1 K, the power meter of 0.5 %.

        Raises:
            ValueError: `now_s` is not after the last advance or more than a week later; nothing changes.
        """
        end_s = now_s - self._start_s
        interval_s = end_s - self._elapsed_s
        if not 0.0 < interval_s <= MAX_ADVANCE_S:
            raise ValueError(
                f"now_s is {now_s}, {interval_s} s after the last advance: telemetry is a mean over the time between; "
                f"pass a later time, at most {MAX_ADVANCE_S:.0f} s later"
            )
        before = replace(self._total)
        while self._elapsed_s < end_s:
            self._enter_second(math.floor(self._elapsed_s))
            self._step(min(end_s, self._second + 1.0, *self._boot_ends_s[:1]))
        return self._read_sensors(self._total.since(before), interval_s)

    def _enter_second(self, second: int) -> None:
        while self._second < second:
            self._second += 1
            self._demand_per_s = self._demand.next_per_s()
            self._ambient_c = self._ambient.next_c()

    def _utilization(self) -> float:
        return min(
            self._demand_per_s / (self._serving * self.server.capacity_per_s),
            MAX_UTILIZATION,
        )

    def _power_w(self) -> float:
        return self._serving * self.server.power_w(self._utilization()) + len(self._boot_ends_s) * self.server.peak_w

    def _step(self, end_s: float) -> None:
        """One step within a second and between boot ends: demand, ambient and power are constant."""
        duration_s = end_s - self._elapsed_s
        utilization = self._utilization()
        power_w = self._power_w()
        capacity = self._serving * self.server.capacity_per_s * duration_s
        served = utilization * capacity
        heat = self.node.step(self._temperature_c, power_w, self._ambient_c, duration_s)
        self._temperature_c = heat.temperature_c
        self._total.energy_j += power_w * duration_s
        self._total.heat_loss_j += heat.heat_loss_j
        self._total.served += served
        self._total.shed += max(0.0, self._demand_per_s * duration_s - served)
        self._total.capacity += capacity
        self._total.latency_ms_requests += self.server.latency_ms(utilization) * served
        self._elapsed_s = end_s
        ready = sum(boot_end_s <= end_s for boot_end_s in self._boot_ends_s)
        self._serving += ready
        del self._boot_ends_s[:ready]

    def _read_sensors(self, passed: _Totals, interval_s: float) -> dict[str, float]:
        meter, rack, air = self._sensors.normal(size=3)
        request_rate = passed.served / interval_s
        return {
            "cpu_usage": passed.served / passed.capacity,
            "power_draw": passed.energy_j / interval_s * (1.0 + METER_NOISE * float(meter)),
            "temperature": self._temperature_c + THERMOMETER_NOISE_K * float(rack),
            "ambient_temperature": self._ambient_c + THERMOMETER_NOISE_K * float(air),
            "network_throughput": request_rate * RESPONSE_BYTES,
            "request_rate": request_rate,
            "latency_ms": passed.latency_ms_requests / passed.served,
            "active_servers": float(self._serving),
        }
