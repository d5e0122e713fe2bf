"""What is wanted: the horizon, the hard constraints, and what counts how much."""

from dataclasses import dataclass, field

GOALS = ("minimize_energy", "minimize_cost", "minimize_carbon", "maximize_efficiency", "custom")


@dataclass(frozen=True, slots=True)
class Weights:
    """C = w₁ΔE + w₂T₀ΔS + w₃I in joules. In a steady state with one ambient T₀·ΔS is ΔE once more, so that w₂ is 0 by default."""

    energy: float = 1.0
    entropy: float = 0.0
    irreversibility: float = 1.0
    """Of starts, wear and disruption."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a joule counts over time to come, `step_s` for each value, the last for ever: its price, or its carbon."""

    values: tuple[float, ...]
    step_s: float

    def at(self, after_s: float) -> float:
        """What it counts a while from now, against the mean of all values (a negative price stays negative)."""
        mean = sum(map(abs, self.values)) / len(self.values)
        return self.values[min(int(after_s / self.step_s), len(self.values) - 1)] / mean if mean else 0.0

    def least(self, begin_s: float, end_s: float) -> float:
        """The least that it counts between two moments from now."""
        steps = range(int(begin_s / self.step_s), max(int(begin_s / self.step_s), int(end_s / self.step_s)) + 1)
        return min(self.at((step + 0.5) * self.step_s) for step in steps[: len(self.values) + 1])


LEVEL = Tariff((1.0,), 3600.0)
"""Every joule counts the same."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is wanted. A constraint that is None is none; all are kept with a chance of 95 % at least, or nothing may win."""

    horizon_s: float
    max_latency_ms: float | None = None
    min_throughput: float | None = None
    caution: float = 1.0
    """Factor on the price of a broken latency (`plant.caution`)."""
    max_power_w: float | None = None
    max_temperature_c: float | None = None
    weights: Weights = field(default=Weights())
    tariff: Tariff = LEVEL
    may_defer: bool = True
    """Work may be put off; not where energy for each unit of work is what counts: putting off does none."""

    def energy_factor(self, after_s: float) -> float:
        """What a joule drawn a while from now counts in the cost."""
        return (self.weights.energy + self.weights.entropy) * self.tariff.at(after_s)
