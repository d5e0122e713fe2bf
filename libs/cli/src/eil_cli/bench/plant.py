"""A simulated node with known parameters, its load and its sensors."""

import math
from dataclasses import dataclass

import numpy as np
from eil_physics import SampleKind
from numpy.typing import NDArray

Vector = NDArray[np.float64]

AMBIENT_STD_K = 0.2
"""Accuracy of an ambient channel: a constant offset with this standard deviation."""
_STEP_S = 1.0


@dataclass(frozen=True)
class Plant:
    """One node, its load and its sensors."""

    capacity_j_per_k: float
    conductance_w_per_k: float
    mean_power_w: float
    record_s: float
    """Length of the record that it is identified on."""
    period_s: float
    noise_k: float
    step_k: float
    """Quantisation of the thermometer, 0 for none."""
    channel: bool
    """Whether the ambient is measured; it then wanders by kelvins, else by the tenths of a conditioned room."""
    meter_u: float
    """Relative standard uncertainty of the power meter's gain."""

    @property
    def power_kind(self) -> SampleKind:
        """Quick meters report the power of the instant, slow ones the mean since their last report."""
        return "instant" if self.period_s <= 5.0 else "mean"

    @property
    def reading_std_k(self) -> float:
        """Standard deviation of one reading about the true temperature [K]."""
        return math.hypot(self.noise_k, self.step_k / math.sqrt(12))


@dataclass(frozen=True)
class Record:
    """What the sensors say, each (n,), of the time that is fitted and the time that is judged."""

    time_s: Vector
    power_w: Vector
    temperature_k: Vector
    ambient_k: Vector | None
    true_ambient_k: float
    """Mean over the fitted part."""
    gain: float
    """What the power meter multiplies by: it is in C and UA too, and no method can see it."""
    ambient_offset_k: float
    """What the true ambient exceeds its channel by."""
    fitted: int
    """Rows at the beginning that identification may see."""


def draw_plant(step_k: float, channel: bool, rng: np.random.Generator) -> Plant:
    """A realistic node: C 2–60 kJ/K, time constant 3–60 min, 100 W–5 kW that keep it 10–60 K above ambient."""
    while True:
        capacity = 2e3 * 30.0 ** rng.uniform()
        conductance = capacity / (180.0 * 20.0 ** rng.uniform())
        power = conductance * rng.uniform(10.0, 60.0)
        if 100.0 <= power <= 5000.0:
            break
    return Plant(
        capacity_j_per_k=capacity,
        conductance_w_per_k=conductance,
        mean_power_w=power,
        record_s=3600.0 * 2.0 * 12.0 ** rng.uniform(),
        period_s=float(rng.choice([1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0])),
        noise_k=float(rng.uniform(0.0, 0.5)),
        step_k=step_k,
        channel=channel,
        meter_u=float(rng.uniform(0.01, 0.02)),
    )


def simulate(plant: Plant, rng: np.random.Generator, *, load_w: Vector | None = None) -> Record:
    """The plant's record: solved exactly for a power and an ambient held for each second, then read by its sensors.

    `load_w` is the power of every second; None draws steps, a daily cycle and autoregressive noise.
    """
    # Half of the windows judged must be able to know r within 1 %, which takes 100·√2·C·σ_T/P seconds.
    needed_s = 150.0 * plant.capacity_j_per_k * plant.reading_std_k / plant.mean_power_w
    seconds = int(plant.record_s + max(7200.0, 2.0 * needed_s))
    load = _load(plant.mean_power_w, seconds, rng) if load_w is None else load_w
    ambient = _ambient(plant.channel, load.size, rng)
    tau = plant.capacity_j_per_k / plant.conductance_w_per_k
    steady = ambient + load / plant.conductance_w_per_k
    temperature = _relax(steady, tau, float(steady[0] - rng.uniform(-2.0, 10.0)))
    every = round(plant.period_s / _STEP_S)
    rows = np.arange(every, load.size, every)
    if plant.power_kind == "mean":
        power = np.diff(np.concatenate(([0.0], np.cumsum(load)))[np.concatenate(([1], rows + 1))]) / every
    else:
        power = (load[rows] + load[np.minimum(rows + 1, load.size - 1)]) / 2  # a row stands at the end of its second
    gain = 1 + plant.meter_u * float(rng.standard_normal())
    power = gain * power * (1 + 0.003 * rng.standard_normal(rows.size))
    reading = temperature[rows] + plant.noise_k * rng.standard_normal(rows.size)
    if plant.step_k > 0.0:
        reading = plant.step_k * np.round(reading / plant.step_k)
    offset = AMBIENT_STD_K * float(rng.standard_normal())
    around = ambient[rows] - offset + 0.1 * rng.standard_normal(rows.size)
    fitted = int(plant.record_s / plant.period_s)
    return Record(
        time_s=np.asarray(rows * _STEP_S, dtype=np.float64),
        power_w=np.asarray(power, dtype=np.float64),
        temperature_k=reading,
        ambient_k=around if plant.channel else None,
        true_ambient_k=float(np.mean(ambient[: int(plant.record_s)])),
        gain=gain,
        ambient_offset_k=offset,
        fitted=fitted,
    )


def _load(mean_w: float, seconds: int, rng: np.random.Generator) -> Vector:
    """Steps held 5–60 min, a daily cycle and autoregressive noise of two minutes; every plant has its own shares."""
    clock = np.arange(seconds)
    cycle = rng.uniform(0.05, 0.25) * np.cos(2 * math.pi * (clock / 86_400.0 - rng.uniform()))
    hold_s = rng.uniform(300.0, 3600.0)
    jumps = rng.random(seconds) < 1.0 / hold_s
    levels = rng.uniform(-1.0, 1.0, int(jumps.sum()) + 1) * rng.uniform(0.1, 0.5)
    noise_std, keep = rng.uniform(0.01, 0.05), math.exp(-1.0 / 120.0)
    shocks = noise_std * math.sqrt(1 - keep * keep) * rng.standard_normal(seconds)
    return mean_w * np.maximum(1 + cycle + levels[np.cumsum(jumps)] + decay(shocks, keep, 0.0), 0.05)


def _ambient(channel: bool, seconds: int, rng: np.random.Generator) -> Vector:
    """Ambient [K]: a level, a daily cycle and a wander of two hours."""
    swing_k, wander_k = (rng.uniform(0.5, 3.0), 0.3) if channel else (rng.uniform(0.0, 0.1), 0.05)
    keep = math.exp(-1.0 / 7200.0)
    wander = decay(wander_k * math.sqrt(1 - keep * keep) * rng.standard_normal(seconds), keep, 0.0)
    return (
        rng.uniform(288.0, 303.0)
        + swing_k * np.cos(2 * math.pi * (np.arange(seconds) / 86_400.0 - rng.uniform()))
        + wander
    )


def _relax(steady: Vector, tau_s: float, start: float) -> Vector:
    keep = math.exp(-_STEP_S / tau_s)
    return decay((1 - keep) * steady, keep, start)


def decay(drive: Vector, keep: float, start: float) -> Vector:
    """x_k = keep·x_{k−1} + drive_k."""
    x, path = start, []
    for value in drive.tolist():
        x = keep * x + value
        path.append(x)
    return np.asarray(path)
