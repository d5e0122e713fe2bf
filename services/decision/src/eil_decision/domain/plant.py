"""The plant: what servers draw, how long requests take, what starting costs and what set-points move.

Power of a fleet: n·(a + b·u·f^α) + Σ g·(s − now), with u the utilisation per active server, f its speed as a share of the nominal one, and
set-points s. Latency: L = S/f/(1 − u), the M/M/1 sojourn time. How the laws are learned: `learning.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from eil_decision.domain.levers import Lever

IDLE_SHARE = 0.5
PRIOR_U = 0.3
ASSUMED_PEAK_W = 350.0
ASSUMED_BOOT_S = 60.0
ASSUMED_START_U = 0.5
"""Relative standard deviation of a start's energy that was assumed."""
ASSUMED_NOISE = 0.03
"""Relative deviation of power from the law before it can be learned."""
UTILISATION_CAP = 0.85
"""Highest utilisation that is planned for where the latency law is not known."""
SAFE_CAP = 0.97
"""Highest utilisation that is ever planned for: beyond it the queue has no steady state to speak of."""
EXPONENT, EXPONENT_SD = 2.0, 0.5
"""α before it is learned: dynamic power of a whole server under DVFS; a core's alone is nearer to 3."""

ALLOWED, PRIOR = 0.006, 1.5
"""Share of rows that may break the latency, and broken rows taken for granted before any were seen."""

Vector = NDArray[np.float64]


def caution(broken: int, rows: int) -> float:
    """Factor on the price of a broken latency, from how many of the newest rows broke it: 1 where that were ALLOWED of them.

    Risks are forecast; what really happened corrects them.
    """
    return (broken + PRIOR) / (rows * ALLOWED + PRIOR)


@dataclass(frozen=True, slots=True)
class History:
    """Telemetry of the plant, oldest first, each (n,); NaN where missing. `step_s` is the spacing of rows."""

    power_w: Vector
    servers: Vector
    utilisation: Vector
    request_rate: Vector
    latency_ms: Vector
    step_s: float
    speed: Vector | None = None
    """Share of the nominal speed; None is full speed throughout."""
    settings: Mapping[str, Vector] = field(default_factory=dict)
    """Values of levers by name, each (n,)."""
    temperature_c: Vector | None = None
    ambient_c: Vector | None = None

    def rows_in(self, horizon_s: float) -> int:
        """Rows that a horizon is long, one at least."""
        return max(1, round(horizon_s / self.step_s)) if self.step_s > 0 else 1

    def work(self) -> Vector:
        """Load of each row in fully used servers at nominal speed."""
        return self.servers * self.utilisation * (1.0 if self.speed is None else self.speed)

    def caution(self, max_latency_ms: float | None) -> float:
        """How much dearer a broken latency is priced than usual, from how often these rows broke it (`caution`)."""
        known = np.isfinite(self.latency_ms)
        broken = self.latency_ms[known] > (max_latency_ms or np.inf) * (1.0 + 1e-9)
        return caution(int(broken.sum()), int(known.sum()))


def newest_settings(history: History, levers: Sequence[Lever]) -> dict[str, float]:
    """The newest value of each lever that the history shows."""
    shown = {lever.name: history.settings[lever.name] for lever in levers if lever.name in history.settings}
    return {name: float(values[np.isfinite(values)][-1]) for name, values in shown.items() if np.isfinite(values).any()}


@dataclass(frozen=True, slots=True)
class Gain:
    """What a set-point does to the power."""

    w_per_unit: float
    sd_w_per_unit: float
    low: float
    """Smallest value seen."""
    high: float
    """Largest."""


@dataclass(frozen=True, slots=True)
class Plant:
    """A learned or assumed plant."""

    idle_w: float
    """a [W per server]."""
    slope_w: float
    """b [W per server at full utilisation]."""
    covariance: tuple[float, float, float]
    """Var(a), Cov(a, b), Var(b) [W²]. Plain numbers: they are used once for every candidate."""
    noise_w: float
    """Standard deviation of one row's power per server from the law [W]."""
    start_j: float
    """Energy to start one server [J]."""
    start_sd_j: float
    """Its standard deviation [J]."""
    service_ms: float | None
    """S of the latency law; None is unknown."""
    capacity: float | None
    """Requests per second that one server serves at full utilisation; None is unknown."""
    assumptions: tuple[str, ...] = field(default=())
    fleet: float = 0.0
    """Servers that ran on average; 0 is unknown."""
    exponent: float = EXPONENT
    """α of the power's dependence on speed."""
    exponent_sd: float = EXPONENT_SD
    gains: Mapping[str, Gain] = field(default_factory=dict)
    """What set-points do, by lever."""
    nominal_peak_w: float | None = None
    """Power of one server at full utilisation and nominal speed, where this is the plant at another [W]."""

    def at_speed(self, speed: float) -> "Plant":
        """The plant with its servers at a share of their nominal speed: load is then in servers of that speed."""
        if speed == 1.0:
            return self
        share = speed**self.exponent
        var_a, cov, var_b = self.covariance
        doubt = self.slope_w * share * math.log(speed) * self.exponent_sd
        return replace(
            self,
            slope_w=self.slope_w * share,
            covariance=(var_a, cov * share, var_b * share**2 + doubt**2),
            service_ms=None if self.service_ms is None else self.service_ms / speed,
            capacity=None if self.capacity is None else self.capacity * speed,
            nominal_peak_w=self.price_w,
        )

    def moved_by(self, lever: Lever) -> "Plant":
        """The plant as a lever of the fleet's size moves it: with the start-up energy that it declares, and a vacated server parked.

        The power is then above that of a fleet all of which is parked.
        """
        start_j, sd_j = (self.start_j, self.start_sd_j) if lever.start_j is None else (lever.start_j, 0.0)
        return replace(self, idle_w=self.idle_w - lever.parked_w, start_j=start_j, start_sd_j=sd_j)

    @property
    def price_w(self) -> float:
        """Power that wear and broken constraints are priced by [W]: a server's peak at nominal speed."""
        return self.peak_w if self.nominal_peak_w is None else self.nominal_peak_w

    def power_w(self, servers: int, load: float) -> float:
        """Expected power [W] of `servers` sharing `load` (in fully used servers)."""
        return servers * self.idle_w + self.slope_w * min(load, servers)

    @property
    def peak_w(self) -> float:
        """Power of one server at full utilisation [W]."""
        return self.idle_w + self.slope_w

    def power_sd_w(self, servers: int, load: float, rows: float) -> float:
        """Standard deviation of the mean power over `rows` rows [W]: law and noise."""
        used = min(load / servers, 1.0)
        var_a, cov, var_b = self.covariance
        law = var_a + used * (2 * cov + used * var_b)
        return servers * math.sqrt(law + self.noise_w**2 / max(rows, 1.0))

    def start_within_j(self, horizon_s: float) -> float:
        """Energy [J] that starting one server takes inside of a horizon: it draws at most its peak."""
        return min(self.start_j, self.peak_w * horizon_s)

    def latency_ms(self, servers: int, load: float) -> float | None:
        """Expected latency [ms]; infinite at full utilisation, None where the law is unknown."""
        if self.service_ms is None:
            return None
        utilisation = load / servers
        return self.service_ms / (1 - utilisation) if utilisation < 1 else math.inf


def assumed_plant(peak_w: float = ASSUMED_PEAK_W) -> Plant:
    """A plant of which nothing was measured."""
    idle_w, slope_w = IDLE_SHARE * peak_w, (1 - IDLE_SHARE) * peak_w
    return Plant(
        idle_w,
        slope_w,
        ((PRIOR_U * idle_w) ** 2, 0.0, (PRIOR_U * slope_w) ** 2),
        ASSUMED_NOISE * peak_w,
        peak_w * ASSUMED_BOOT_S,
        ASSUMED_START_U * peak_w * ASSUMED_BOOT_S,
        None,
        None,
        (
            f"servers of {peak_w:.0f} W peak and half of it idle",
            f"a start costs {ASSUMED_BOOT_S:.0f} s at peak power",
            f"utilisation is kept below {UTILISATION_CAP:.0%} because the latency law is not known",
        ),
    )
