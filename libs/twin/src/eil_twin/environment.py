"""What a fleet cannot choose: the demand for its service and the air around it."""

import math

import numpy as np


class Demand:
    """Requests per second: a daily cycle, bursts and noise; one value for each second.

    The demand is `full_load_per_s` × (0.38 + 0.17 cos(2πt/day)) × (1 + burst) × exp(noise). Time 0 is the busiest
    hour. Bursts arrive as a Poisson process, six a day, add 10 to 40 % and fade with a fortieth of the day; the noise
    is an Ornstein-Uhlenbeck process of standard deviation 0.04 and correlation time 5 s.
    """

    MEAN = 0.38
    SWING = 0.17
    BURSTS_PER_DAY = 6.0
    BURST_SIZE = (0.1, 0.4)
    FADES_PER_DAY = 40.0
    NOISE = 0.04
    NOISE_TIME_S = 5.0

    def __init__(self, *, full_load_per_s: float, day_s: float, rng: np.random.Generator) -> None:
        self._full_load_per_s = full_load_per_s
        self._day_s = day_s
        self._rng = rng
        self._second = 0
        self._burst = 0.0
        self._noise = rng.normal(0.0, self.NOISE)

    def next_per_s(self) -> float:
        """The demand [1/s] of the next second; the first call answers for second 0."""
        cycle = self.MEAN + self.SWING * math.cos(2.0 * math.pi * self._second / self._day_s)
        value = self._full_load_per_s * cycle * (1.0 + self._burst) * math.exp(self._noise)
        self._second += 1
        self._burst *= math.exp(-self.FADES_PER_DAY / self._day_s)
        # Three draws each second whatever happens: the path of the demand depends on nothing but its seed.
        arrival, size, shock = (
            self._rng.uniform(),
            self._rng.uniform(*self.BURST_SIZE),
            self._rng.normal(),
        )
        if arrival < -math.expm1(-self.BURSTS_PER_DAY / self._day_s):
            self._burst += size
        kept = math.exp(-1.0 / self.NOISE_TIME_S)
        self._noise = kept * self._noise + self.NOISE * math.sqrt(1.0 - kept * kept) * shock
        return value


class Ambient:
    """Temperature [°C] of the air around the rack: a daily cycle that lags the demand, and a slow drift.

    22 + 1.5 cos(2π(t/day − 1/8)) + drift, the drift an Ornstein-Uhlenbeck process of standard deviation 0.3 K and a
    correlation time of a fifth of the day.
    """

    MEAN_C = 22.0
    SWING_K = 1.5
    LAG_DAYS = 0.125
    DRIFT_K = 0.3
    DRIFT_DAYS = 0.2

    def __init__(self, *, day_s: float, rng: np.random.Generator) -> None:
        self._day_s = day_s
        self._rng = rng
        self._second = 0
        self._drift_k = rng.normal(0.0, self.DRIFT_K)

    def next_c(self) -> float:
        """The ambient temperature [°C] of the next second; the first call answers for second 0."""
        phase = self._second / self._day_s - self.LAG_DAYS
        value = self.MEAN_C + self.SWING_K * math.cos(2.0 * math.pi * phase) + self._drift_k
        self._second += 1
        kept = math.exp(-1.0 / (self.DRIFT_DAYS * self._day_s))
        self._drift_k = kept * self._drift_k + self.DRIFT_K * math.sqrt(1.0 - kept * kept) * self._rng.normal()
        return value
