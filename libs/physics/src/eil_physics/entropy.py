"""Entropy: what a window generated, whether that can be, and how spread out a state is."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eil_physics.energy import Energy
from eil_physics.thermal import ThermalNode, ThermalWindow
from eil_physics.verdict import Verdict

EntropyMethod = Literal["thermal_node", "energy_over_ambient"]

COVERAGE_FACTOR = 3.0


@dataclass(frozen=True)
class EntropyGenerated:
    """Entropy generated in a window, with the check of the second law."""

    entropy_j_per_k: float
    """S_gen [J/K]."""
    u_entropy_j_per_k: float
    """Standard uncertainty u_S [J/K]."""
    method: EntropyMethod
    """``energy_over_ambient`` marks the substitute for a node that is not identified, which proves nothing."""
    verdict: Verdict
    """``holds`` when S_gen ≥ −3u_S; the substitute is ``untested``."""


def entropy_generated(node: ThermalNode, energy: Energy, window: ThermalWindow | None) -> EntropyGenerated:
    """S_gen = UA∫(T−T_amb)dt/T_amb + C ln(T₂/T₁) [J/K], valid when ≥ −3u_S; without an identified node E/T_amb.

    The heat term is measured through temperature, never replaced by the energy balance: then it could not fail. u_S
    propagates, as independent, the sensor's noise in T₁, T₂ and in the mean of T, and the standard errors of UA, C and
    T_amb. The substitute is also used when a gap leaves no ``window``; its u_S comes from u_E and u(T_amb).
    """
    if window is None or not node.identified:
        ambient_k = node.ambient_k if window is None else window.ambient_k
        entropy = energy.energy_j / ambient_k
        u_entropy = math.hypot(energy.u_energy_j / ambient_k, entropy * node.se_ambient_k / ambient_k)
        return EntropyGenerated(entropy, u_entropy, "energy_over_ambient", "untested")
    log_rise = math.log(window.end_k / window.start_k)
    heat = node.conductance_w_per_k * window.excess_k_s / window.ambient_k
    entropy = heat + node.capacity_j_per_k * log_rise
    u_entropy = _u_entropy(node, window, log_rise)
    holds = entropy >= -COVERAGE_FACTOR * u_entropy
    return EntropyGenerated(entropy, u_entropy, "thermal_node", "holds" if holds else "contradicted")


def _u_entropy(node: ThermalNode, window: ThermalWindow, log_rise: float) -> float:
    """u_S [J/K], first order in every input."""
    per_kelvin = node.conductance_w_per_k * window.window_s / window.ambient_k
    # The average of the readings; its correlation with the two end readings is of order 1/samples and left out.
    mean = per_kelvin * window.sensor_std_k / math.sqrt(max(window.samples, 1))
    ends = node.capacity_j_per_k * window.sensor_std_k * math.hypot(1 / window.start_k, 1 / window.end_k)
    # T_amb enters twice, as the level subtracted and as the divisor: together −UA·W·mean(T)/T_amb².
    ambient = per_kelvin * (1 + window.mean_excess_k / window.ambient_k) * node.se_ambient_k
    conductance = node.se_conductance_w_per_k * window.excess_k_s / window.ambient_k
    capacity = node.se_capacity_j_per_k * log_rise
    return math.hypot(mean, ends, ambient, conductance, capacity)


def entropy_coherence(windows: Iterable[EntropyGenerated]) -> float | None:
    """The share [0, 1] of tested windows in which the second law holds; None when none was tested.

    An alarm on units and signs (degrees Celsius as kelvins, a reversed meter), not a proof of anything.
    """
    verdicts = [window.verdict for window in windows if window.verdict != "untested"]
    return verdicts.count("holds") / len(verdicts) if verdicts else None


def state_entropy(channels: ArrayLike, scale: ArrayLike, *, noise_floor_std: ArrayLike = 0.0) -> float:
    """½ ln det(2πeΣ) [nat]: differential entropy of the Gaussian with the covariance Σ of standardised channels.

    ``channels`` is (n, d), or (n,) for one channel; ``scale`` (d,) the frozen standard deviation that standardises
    each, in its unit; ``noise_floor_std`` (d,), in the same unit, is added in quadrature so that a channel at rest has
    the entropy of its sensor's noise. Without it a constant channel gives −∞. Estimated from n independent samples the
    value is low by about d(d+1)/(4n) nat. Raises ValueError when there are not more samples than channels, or a scale
    is not positive.
    """
    samples = channel_matrix(channels)
    count, dimension = samples.shape
    width = np.broadcast_to(np.asarray(scale, dtype=np.float64), (dimension,))
    floor = np.broadcast_to(np.asarray(noise_floor_std, dtype=np.float64), (dimension,))
    if count <= dimension:
        raise ValueError(f"{count} samples of {dimension} channels have no full covariance: give a longer window")
    if not np.all(width > 0):
        raise ValueError("a channel's scale is not positive: freeze it over a stretch in which the channel moves")
    covariance = np.cov(samples / width, rowvar=False, ddof=1).reshape(dimension, dimension)
    covariance = covariance + np.diag((floor / width) ** 2)
    sign, log_det = np.linalg.slogdet(2 * math.pi * math.e * covariance)
    return 0.5 * float(log_det) if sign > 0 else -math.inf


def channel_matrix(channels: ArrayLike) -> NDArray[np.float64]:
    """Samples as a finite (n, d) matrix, a vector counting as one channel; raises ValueError for anything else."""
    samples = np.asarray(channels, dtype=np.float64)
    if samples.ndim == 1:
        samples = samples[:, np.newaxis]
    if samples.ndim != 2 or samples.size == 0 or not np.all(np.isfinite(samples)):
        raise ValueError("channels must be a finite (samples, channels) matrix: drop samples with missing values")
    return samples
