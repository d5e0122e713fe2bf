"""Ψ, the speed of change read as Fisher information, and Ψ_x, its counterpart on maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eil_physics.autocorrelation import effective_samples_mean, effective_samples_variance, unbiased_rho
from eil_physics.distributions import chi2_quantile, chi2_sf
from eil_physics.entropy import channel_matrix
from eil_physics.graph import ThermalGraph

MIN_EFFECTIVE_SAMPLES = 8.0
"""With fewer effective samples per window the χ² limit does not hold, and the null test does not decide."""


@dataclass(frozen=True)
class Psi:
    """Ψ between two adjacent windows and its test against "nothing changed"."""

    psi_per_s2: float
    """[ΔμᵀΣ̄⁻¹Δμ + ½tr((Σ̄⁻¹ΔΣ)²)]/Δ² [s⁻²]."""
    statistic: float
    """½nΔ²Ψ with the effective n of each term; χ² with ``degrees`` when nothing changed."""
    threshold: float
    """The χ² quantile at the test's level."""
    p_value: float
    degrees: int
    """d + d(d+1)/2."""
    rho: tuple[float, ...]
    """Lag-one autocorrelation of each component, as given or estimated."""
    effective_samples: float
    """Smallest effective sample size of the mean over the components."""

    @property
    def decided(self) -> bool:
        """Whether the windows are long enough for the null test to mean anything."""
        return self.effective_samples >= MIN_EFFECTIVE_SAMPLES

    @property
    def significant(self) -> bool:
        """Whether the windows differ by more than their noise."""
        return self.decided and self.statistic > self.threshold


@dataclass(frozen=True)
class _Components:
    """Both windows in coordinates in which Σ̄ is the unit matrix and the lag-one autocovariance is diagonal."""

    mean_shift: NDArray[np.float64]
    covariance_shift: NDArray[np.float64]
    raw_rho: NDArray[np.float64]


def psi(
    before: ArrayLike,
    after: ArrayLike,
    spacing_s: float,
    *,
    rho: float | None = None,
    noise_floor_std: ArrayLike = 0.0,
    level: float = 0.99,
) -> Psi:
    """Ψ = [ΔμᵀΣ̄⁻¹Δμ + ½tr((Σ̄⁻¹ΔΣ)²)]/Δ² of adjacent windows (n₁, d), (n₂, d) whose centres are Δ = spacing_s apart.

    This is |∇S|²/S read as the Fisher information ∫|∂ₜp|²/p of a Gaussian. Under the null hypothesis ½nΔ²Ψ ~ χ²; in
    an AR(1) the mean term has n(1−ρ)/(1+ρ) and the variance term n(1−ρ²)/(1+ρ²) effective samples. ``rho`` is that
    ρ for all channels; when None it is estimated, bias-corrected, within the windows, one for each component that is
    uncorrelated with the others at lags zero and one (generalised eigenvectors of lag-one and lag-zero covariance;
    Molgedey and Schuster 1994). n is the harmonic mean of n₁ and n₂; variances are corrected for the mean's effective
    sample size. ``noise_floor_std`` (d,), in each channel's unit, is added to Σ̄ in quadrature, for channels at rest.

    Detecting a shift of 0.5 standard deviations with 90 % power at 1 % takes about 140 effective samples of the mean
    in each window for one channel: n = 200 of white noise, n = 4000 at ρ = 0.9.

    Raises ValueError when windows differ in channels, have too few samples, ρ is not within (−1, 1), Δ is not
    positive, or a channel (or a combination of channels) is constant and no noise floor was given.
    """
    first, second = channel_matrix(before), channel_matrix(after)
    dimension = first.shape[1]
    if second.shape[1] != dimension:
        raise ValueError(f"the windows have {dimension} and {second.shape[1]} channels: compare the same channels")
    if min(len(first), len(second)) <= max(3, dimension):
        raise ValueError("a window has too few samples for a covariance and ρ: give more than 3 and more than channels")
    if not spacing_s > 0:
        raise ValueError(f"the windows' centres are {spacing_s} s apart: give a positive spacing")
    if rho is not None and not -1 < rho < 1:
        raise ValueError(f"ρ is {rho}: the lag-one autocorrelation of a stationary channel lies within (−1, 1)")
    samples = 2 * len(first) * len(second) / (len(first) + len(second))
    parts = _components(first, second, np.broadcast_to(np.asarray(noise_floor_std, dtype=np.float64), (dimension,)))
    lag_one = unbiased_rho(parts.raw_rho, samples) if rho is None else np.full(dimension, rho)
    n_mean = effective_samples_mean(samples, lag_one)
    n_variance = effective_samples_variance(samples, np.sqrt(np.outer(lag_one, lag_one)))
    # Sample variances about the window's own mean are low by this factor, so Σ̄ is divided by it. ΔΣ and Σ̄ share it.
    shrink = np.maximum(1 - 1 / n_mean, 0.5)
    mean_term = parts.mean_shift**2 * shrink
    variance_term = 0.5 * parts.covariance_shift**2
    degrees = dimension + dimension * (dimension + 1) // 2
    statistic = float(n_mean @ mean_term + np.sum(n_variance * variance_term)) / 2
    return Psi(
        psi_per_s2=float(mean_term.sum() + variance_term.sum()) / spacing_s**2,
        statistic=statistic,
        threshold=chi2_quantile(level, degrees),
        p_value=chi2_sf(statistic, degrees),
        degrees=degrees,
        rho=tuple(lag_one.tolist()),
        effective_samples=float(n_mean.min()),
    )


def _components(first: NDArray[np.float64], second: NDArray[np.float64], floor: NDArray[np.float64]) -> _Components:
    centred = [window - window.mean(axis=0) for window in (first, second)]
    covariance = [c.T @ c / len(c) for c in centred]
    mean_covariance = (covariance[0] + covariance[1]) / 2
    lagged = np.mean([c[1:].T @ c[:-1] / (len(c) - 1) for c in centred], axis=0)
    # Channels differ in scale by many orders of magnitude (W, byte/s), so rank is judged after standardising.
    scale = np.sqrt(np.diag(mean_covariance) + floor**2)
    if np.any(scale == 0):
        raise ValueError(
            f"channel {int(np.argmin(scale))} is constant in both windows: leave it out or give noise_floor_std"
        )
    standard = np.outer(scale, scale)
    values, vectors = np.linalg.eigh((mean_covariance + np.diag(floor**2)) / standard)
    if values[0] < 1e-10:
        raise ValueError("the channels are linearly dependent: leave one of them out or give noise_floor_std")
    whiten = vectors / np.sqrt(values) / scale[:, np.newaxis]
    _, rotation = np.linalg.eigh(whiten.T @ (lagged + lagged.T) @ whiten / 2)
    basis = whiten @ rotation
    # The floor is no part of the observed motion: it must not dilute ρ and so inflate the effective sample size.
    moving = np.sum(basis * (mean_covariance @ basis), axis=0)
    correlated = np.sum(basis * (lagged @ basis), axis=0)
    raw_rho = np.divide(correlated, moving, out=np.zeros_like(moving), where=moving > 1e-12)
    return _Components(
        mean_shift=(second.mean(axis=0) - first.mean(axis=0)) @ basis,
        covariance_shift=basis.T @ (covariance[1] - covariance[0]) @ basis,
        raw_rho=raw_rho,
    )


def psi_x(graph: ThermalGraph, temperature_k: ArrayLike, entropy_rate_w_per_k: float) -> float:
    """Ψ_x = Σ G_ij(T_i−T_j)²/(T_iT_j) / Ṡ_gen [1]: the share of entropy that internal gradients make on a map.

    The sum runs once over each edge of the graph; ``temperature_k`` (n,) is absolute and ``entropy_rate_w_per_k`` is
    the map's whole Ṡ_gen, see ``ThermalGraph.entropy_rate_w_per_k``. Raises ValueError when Ṡ_gen or a temperature is
    not positive.
    """
    if not entropy_rate_w_per_k > 0:
        raise ValueError(f"Ṡ_gen is {entropy_rate_w_per_k} W/K: a share needs a positive total")
    temperature = graph.checked_temperature(temperature_k)
    i, j = graph.edges.T
    difference = temperature[i] - temperature[j]
    internal = graph.edge_conductance_w_per_k * difference**2 / (temperature[i] * temperature[j])
    return float(internal.sum()) / entropy_rate_w_per_k
