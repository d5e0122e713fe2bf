"""What a thermal node's readings would be for a given time constant: the linear part of its identification."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_SPAN = 30.0  # time constants over which e^(t/τ) and its inverse keep their digits

_WANDER_TERMS = 6


@dataclass(frozen=True)
class Stretch:
    """Readings that no gap interrupts: at each of the n edges, or averaged over each of the n − 1 bins between them."""

    edge_s: Vector
    power_w: Vector
    temperature_k: Vector
    ambient_k: Vector
    """Ambient by its channel, or as assumed."""
    averaged: bool
    """Whether values are means over bins; powers then count as constant in each bin."""
    linear_power: bool
    """Whether power runs linearly between edges (instant) instead of being the mean since the previous edge."""

    @property
    def bin_s(self) -> float:
        """Median distance of the edges [s]."""
        return float(np.median(np.diff(self.edge_s)))


def averaged(stretch: Stretch, count: int) -> Stretch:
    """Means over bins of ``count`` spacings each, the integrals exact for channels linear between samples; the newest are kept.

    Averages of quantised or noisy readings lose next to nothing while a bin is short against the time constant.
    """
    edges = np.arange((stretch.edge_s.size - 1) % count, stretch.edge_s.size, count)
    spacing = np.diff(stretch.edge_s)

    def mean(middle: Vector) -> Vector:
        running = np.concatenate(([0.0], np.cumsum(middle * spacing)))
        return np.diff(running[edges]) / np.diff(stretch.edge_s[edges])

    power, temperature, ambient = stretch.power_w, stretch.temperature_k, stretch.ambient_k
    return Stretch(
        edge_s=stretch.edge_s[edges],
        power_w=mean((power[:-1] + power[1:]) / 2 if stretch.linear_power else power[1:]),
        temperature_k=mean((temperature[:-1] + temperature[1:]) / 2),
        ambient_k=mean((ambient[:-1] + ambient[1:]) / 2),
        averaged=True,
        linear_power=False,
    )


def regression(stretches: list[Stretch], log_tau: float) -> tuple[Vector, NDArray[np.float64]]:
    """Target (m,) and design (m, 2 + stretches) for a given ln τ: T less the ambient's response, on 1/UA, ΔT_amb, each T₀.

    ΔT_amb [K] is what the true ambient exceeds ``ambient_k`` by, all along. T₀ [K] is a stretch's first excess over its ambient.
    """
    tau = math.exp(log_tau)
    targets: list[Vector] = []
    blocks: list[NDArray[np.float64]] = []
    for index, stretch in enumerate(stretches):
        heating = response(stretch, stretch.power_w, tau, linear=stretch.linear_power)
        # The ambient counts from its first value, so that T₀ and ΔT_amb have the same meaning with and without a channel.
        around = response(stretch, stretch.ambient_k - stretch.ambient_k[0], tau, linear=not stretch.averaged)
        decay = decayed(stretch, tau)
        initial = np.zeros((decay.size, len(stretches)))
        initial[:, index] = decay
        targets.append(stretch.temperature_k - stretch.ambient_k[0] - around)
        blocks.append(np.column_stack((heating, 1 - decay, initial)))
    return np.concatenate(targets), np.vstack(blocks)


def wander(stretches: list[Stretch], log_tau: float, k_per_sqrt_s: float) -> NDArray[np.float64]:
    """Design (m, 6) of an unmeasured ambient that walks at random about its mean, each column for a weight of one deviation.

    The first terms of the Karhunen–Loève series of a Brownian motion [K/√s] about its mean over the whole record, cosines of
    falling size, as the node answers to them: later by their phase and smaller, transients being part of T₀.
    """
    tau = math.exp(log_tau)
    begin_s, end_s = stretches[0].edge_s[0], stretches[-1].edge_s[-1]
    rows_s = np.concatenate([(s.edge_s[1:] + s.edge_s[:-1]) / 2 if s.averaged else s.edge_s for s in stretches])
    rate = math.pi * np.arange(1, _WANDER_TERMS + 1) / (end_s - begin_s)
    size = k_per_sqrt_s * math.sqrt(2 / (end_s - begin_s)) / rate / np.hypot(1, rate * tau)
    return size * np.cos(np.outer(rows_s - begin_s, rate) - np.arctan(rate * tau))


def decayed(stretch: Stretch, tau_s: float) -> Vector:
    """What is left, in each reading, of a temperature of one at the first edge."""
    decay = np.exp(-(stretch.edge_s - stretch.edge_s[0]) / tau_s)
    if not stretch.averaged:
        return decay
    spacing = np.diff(stretch.edge_s)
    return decay[:-1] * -np.expm1(-spacing / tau_s) * tau_s / spacing


def response(stretch: Stretch, drive: Vector, tau_s: float, *, linear: bool) -> Vector:
    """x with τ dx/dt = drive − x, x₀ = 0, as it would be read; exact for a drive linear between edges or constant up to each."""
    spacing = np.diff(stretch.edge_s)
    gain = -np.expm1(-spacing / tau_s)
    if stretch.averaged:
        x = _accumulate(stretch.edge_s, gain * drive, tau_s)
        return drive + (x[:-1] - drive) * gain * tau_s / spacing
    gained = gain * drive[1:]
    if linear:
        # ∫ of a ramp against the decay: the newer sample gets 1 − (1−φ)τ/Δt, the older one the rest of 1 − φ.
        newer = 1 - gain * tau_s / spacing
        gained = newer * drive[1:] + (gain - newer) * drive[:-1]
    return _accumulate(stretch.edge_s, gained, tau_s)


def _accumulate(edge_s: Vector, gained: Vector, tau_s: float) -> Vector:
    """x_k = e^(−Δt_k/τ)·x_{k−1} + gained_k from x₀ = 0, by running sums over stretches of at most ``_SPAN`` τ."""
    x = np.zeros(edge_s.size)
    cuts = [0]
    while cuts[-1] < edge_s.size - 1:
        reach = int(np.searchsorted(edge_s, edge_s[cuts[-1]] + _SPAN * tau_s, side="right")) - 1
        cuts.append(max(reach, cuts[-1] + 1))
    for begin, end in itertools.pairwise(cuts):
        age = (edge_s[begin + 1 : end + 1] - edge_s[begin]) / tau_s
        if end == begin + 1:
            x[end] = math.exp(-age[0]) * x[begin] + gained[begin]
        else:
            growth = np.exp(age)
            x[begin + 1 : end + 1] = (x[begin] + np.cumsum(growth * gained[begin:end])) / growth
    return x
