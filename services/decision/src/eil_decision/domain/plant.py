"""The plant: what servers draw, how long requests take and what starting costs, learned from telemetry.

Power of one server: P/n = a + b·u with u the utilisation per active server, by Bayesian linear regression: the prior is a server whose idle
power is half of its peak (SPECpower: 40–60 %), within 30 %. Latency: L = S/(1 − u), the M/M/1 sojourn time. What was not learned is
assumed and named in `assumptions`.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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
MIN_ROWS = 8
"""Rows below which a law is assumed, not learned."""

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

    def caution(self, max_latency_ms: float | None) -> float:
        """How much dearer a broken latency is priced than usual, from how often these rows broke it (`caution`)."""
        known = np.isfinite(self.latency_ms)
        broken = self.latency_ms[known] > (max_latency_ms or np.inf) * (1.0 + 1e-9)
        return caution(int(broken.sum()), int(known.sum()))


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

    def power_w(self, servers: int, load: float) -> float:
        """Expected power [W] of `servers` sharing `load` (in fully used servers)."""
        return servers * self.idle_w + self.slope_w * min(load, servers)

    def server_w(self, used: Vector) -> Vector:
        """Expected power of a server [W] at utilisations 0 … 1."""
        return self.idle_w + self.slope_w * used

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


def learn_plant(history: History) -> Plant:
    """The plant that a history shows. Rows in which servers were started teach the start-up energy, the others the laws."""
    known = np.isfinite(history.power_w) & np.isfinite(history.utilisation) & (history.servers > 0)
    started = np.zeros(known.shape, dtype=bool)
    started[1:] = np.diff(history.servers) > 0
    steady = known & ~started
    if not steady.any():
        return assumed_plant()
    per_server = history.power_w[steady] / history.servers[steady]
    used = np.clip(history.utilisation[steady], 0.0, 1.0)
    peak_w = float(np.median(per_server / (IDLE_SHARE + (1 - IDLE_SHARE) * used)))
    if peak_w <= 0:
        return assumed_plant()
    prior = assumed_plant(peak_w)
    (idle_w, slope_w), covariance, noise_w = _regress(used, per_server, prior)
    assumptions = [] if steady.sum() >= MIN_ROWS else ["the power law rests on few samples and on a typical server"]
    learned = _start_energy(history, known & started, idle_w, slope_w)
    if learned is None:
        start_j = (idle_w + slope_w) * ASSUMED_BOOT_S
        learned = start_j, ASSUMED_START_U * start_j
        assumptions.append(f"a start costs {ASSUMED_BOOT_S:.0f} s at peak power")
    service_ms, capacity = _service(history), _capacity(history)
    if service_ms is None:
        assumptions.append(f"utilisation is kept below {UTILISATION_CAP:.0%} because the latency law is not known")
    return Plant(idle_w, slope_w, covariance, noise_w, *learned, service_ms, capacity, tuple(assumptions))


def _regress(
    used: Vector, per_server: Vector, prior: Plant
) -> tuple[tuple[float, float], tuple[float, float, float], float]:
    """Posterior of (a, b), its covariance and the noise [W] of one row."""
    design = np.column_stack([np.ones_like(used), used])
    expected = np.array([prior.idle_w, prior.slope_w])
    precision = np.diag([1 / prior.covariance[0], 1 / prior.covariance[2]])
    mean, covariance, noise_w = expected, np.diag([prior.covariance[0], prior.covariance[2]]), prior.noise_w
    for _ in range(3):  # the noise is learned from the residuals of the law it weights
        covariance = np.asarray(np.linalg.inv(precision + design.T @ design / noise_w**2), dtype=np.float64)
        mean = covariance @ (precision @ expected + design.T @ per_server / noise_w**2)
        if used.size >= MIN_ROWS:
            residual = per_server - design @ mean
            noise_w = max(float(np.sqrt(np.sum(residual**2) / (used.size - 2))), 1e-3 * float(mean.sum()))
    law = (float(covariance[0, 0]), float(covariance[0, 1]), float(covariance[1, 1]))
    return (float(mean[0]), float(mean[1])), law, noise_w


def _start_energy(
    history: History, started: NDArray[np.bool_], idle_w: float, slope_w: float
) -> tuple[float, float] | None:
    """Energy to start one server and its standard deviation [J], from what such rows used above the law; None if there are none."""
    rows = np.flatnonzero(started)
    if rows.size == 0:
        return None
    law_w = history.servers[rows] * (idle_w + slope_w * history.utilisation[rows])
    excess_j = (history.power_w[rows] - law_w) * history.step_s
    each_j = excess_j / (history.servers[rows] - history.servers[rows - 1])
    middle_j = max(float(np.median(each_j)), 0.0)
    spread_j = float(np.std(each_j)) if rows.size > 2 else ASSUMED_START_U * middle_j
    return middle_j, spread_j


def _service(history: History) -> float | None:
    """S [ms] such that S/(1−u) is not exceeded by 95 % of the latencies seen."""
    seen = np.isfinite(history.latency_ms) & (history.utilisation < 0.95) & (history.latency_ms > 0)
    if not seen.any():
        return None
    return float(np.quantile(history.latency_ms[seen] * (1 - history.utilisation[seen]), 0.95))


def _capacity(history: History) -> float | None:
    work = history.servers * history.utilisation
    seen = np.isfinite(history.request_rate) & (history.request_rate > 0) & (work > 0.01)
    return float(np.median(history.request_rate[seen] / work[seen])) if seen.any() else None
