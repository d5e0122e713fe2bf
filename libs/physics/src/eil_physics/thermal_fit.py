"""Identification of a thermal node from power and temperature.

Regressing T' on the measured T puts sensor noise among the regressors and loses about 15 % of C at 0.5 K. Here the
temperature is *simulated* from the load, which the sensor's noise cannot touch, and compared with the readings
(output-error method; Ljung, System Identification, 2nd ed., §4.2 and §7). For a given time constant τ the simulation
is linear in 1/UA, T_amb and the initial temperatures, so that τ alone is searched (variable projection; Golub and
Pereyra 1973). The residuals, sensor noise and whatever else moves the temperature, are whitened by an autoregression
(feasible generalised least squares), which makes the standard errors honest under coloured noise. What is known of
the ambient enters as further observations: the accuracy of its channel, or 295 ± 10 K and a slow random walk.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eil_physics.energy import SampleKind
from eil_physics.series import checked_series
from eil_physics.thermal import (
    DEFAULT_AMBIENT_K,
    DEFAULT_AMBIENT_U_K,
    MAX_AMBIENT_SE_K,
    AmbientSource,
    ThermalNode,
    segments,
)
from eil_physics.thermal_simulation import Stretch, Vector, averaged, regression, wander
from eil_physics.whitening import autoregression, whitened

_CONSTANT_LOAD = 0.01  # relative standard deviation of power below which the load counts as constant
_MIN_SAMPLES = 32
_ROWS = (
    1536,
    6144,
)  # readings are averaged down to about so many; the second where τ is short against the bins of the first
_BINS_PER_TAU = 10.0  # a bin so short against τ that power may count as constant in it
_GRID = 40
_NEAR, _NEAR_GRID = 0.7, 8  # a search after the first looks so far around the ln τ that it has
_WHITENING_ROUNDS = 2
_WALK_K_PER_SQRT_S = 0.1 / 60  # how an ambient without a channel is taken to wander: 0.1 K in an hour, 0.5 K in a day
_CLUSTERS = 10


@dataclass(frozen=True)
class _Estimate:
    capacity: float
    conductance: float
    shift: float
    """ΔT_amb [K], by which the ambient exceeds what was assumed or read."""
    se_capacity: float
    se_conductance: float
    se_shift: float


_NOTHING = _Estimate(math.nan, math.nan, math.nan, math.inf, math.inf, math.inf)


def fit_node(
    timestamps_s: ArrayLike,
    power_w: ArrayLike,
    temperature_k: ArrayLike,
    *,
    ambient_k: ArrayLike | None = None,
    ambient_std_k: float = 0.5,
    power_kind: SampleKind = "instant",
    period_s: float | None = None,
) -> ThermalNode:
    """Fit T' = φT + (1−φ)(T_amb + P/UA), φ = exp(−UA·Δt/C), to power [W] and temperature [K], each (n,).

    ``ambient_k`` (n,) is the ambient channel and ``ambient_std_k`` the standard deviation [K] of its constant offset,
    which is fitted too (``ambient_offset_k``). Without it T_amb is fitted; when that leaves SE(T_amb) ≥ 3 K, T_amb is
    taken as 295 ± 10 K and the other standard errors carry what 10 K do to them: such a node is never identified.
    Neither is one whose load moves by no more than 1 % (standard deviation over mean), because then C, UA and T_amb
    cannot be told apart. Gaps start a new stretch with its own initial temperature; stretches under 32 samples are
    left out. Long records are averaged down to some thousand rows, with bins of τ/10 at most where 6144 rows allow.
    Whitening takes the samples as evenly spaced; the simulation uses the real timestamps. Standard errors are right
    for noise and quantisation of the thermometer and for an ambient without a channel that walks 0.1 K in an hour. They
    leave out the gain of the power meter, which C and UA share and the first law by the same meter does not see;
    unmetered heat, or an ambient that wanders faster, leaves them too small.

    Raises ValueError for an invalid series. Too few samples are no error, they identify nothing.
    """
    time_s, power, temperature = checked_series(timestamps_s, power_w, temperature_k)
    known = ambient_k is not None
    ambient = checked_series(time_s, ambient_k)[1] if known else np.full_like(time_s, DEFAULT_AMBIENT_K)
    pieces = [piece for piece in segments(time_s, period_s) if piece.stop - piece.start >= _MIN_SAMPLES]
    stretches = [
        Stretch(time_s[p], power[p], temperature[p], ambient[p], False, power_kind == "instant") for p in pieces
    ]
    estimate = _fit(stretches, *((ambient_std_k, 0.0) if known else (DEFAULT_AMBIENT_U_K, _WALK_K_PER_SQRT_S)))
    shift, se_shift = estimate.shift, min(estimate.se_shift, ambient_std_k if known else math.inf)
    source: AmbientSource = "channel" if known else "fitted"
    if known and not math.isfinite(shift):
        shift, se_shift = 0.0, ambient_std_k
    elif not known and not se_shift < MAX_AMBIENT_SE_K:
        source, shift, se_shift = "default", 0.0, DEFAULT_AMBIENT_U_K
    level = float(np.mean(ambient)) if time_s.size else DEFAULT_AMBIENT_K
    return ThermalNode(
        capacity_j_per_k=estimate.capacity,
        conductance_w_per_k=estimate.conductance,
        ambient_k=level + shift,
        se_capacity_j_per_k=estimate.se_capacity,
        se_conductance_w_per_k=estimate.se_conductance,
        se_ambient_k=se_shift,
        ambient_source=source,
        frozen_at_s=float(time_s[-1]) if time_s.size else -math.inf,
        ambient_offset_k=shift if known else 0.0,
    )


def _fit(stretches: list[Stretch], shift_std_k: float, walk_k_per_sqrt_s: float) -> _Estimate:
    """Estimate on averages, finer ones where the time constant turns out short against them."""
    if not stretches:
        return _NOTHING
    load = np.concatenate([stretch.power_w for stretch in stretches])
    if np.std(load) <= _CONSTANT_LOAD * abs(np.mean(load)):
        return _NOTHING
    estimate = _NOTHING
    for rows in _ROWS:
        count = math.ceil(load.size / rows)
        reduced = [averaged(s, count) for s in stretches if s.edge_s.size > count] if count > 1 else stretches
        estimate = _estimate(reduced, shift_std_k, walk_k_per_sqrt_s)
        short = estimate is _NOTHING or estimate.capacity < _BINS_PER_TAU * reduced[0].bin_s * estimate.conductance
        if count == 1 or not short:
            break
    return estimate


def _estimate(stretches: list[Stretch], shift_std_k: float, walk_k_per_sqrt_s: float) -> _Estimate:
    """Search τ by whitened output error, then turn (ln τ, 1/UA, ΔT_amb) into C, UA and their standard errors."""
    span_s = stretches[-1].edge_s[-1] - stretches[0].edge_s[0]
    bounds = (math.log(stretches[0].bin_s / 3), math.log(3 * span_s))
    problem = _Problem(stretches, np.zeros(0))
    log_tau = _search(problem, np.linspace(*bounds, _GRID))
    for _ in range(_WHITENING_ROUNDS):
        target, design = regression(stretches, log_tau)
        noise = autoregression(_parts(target - design @ _solve(target, design)[0], stretches))
        error = math.sqrt(_sse(_Problem(stretches, noise), log_tau) / target.size)
        problem = _Problem(stretches, noise, _Prior(error / shift_std_k, error, walk_k_per_sqrt_s))
        near = np.linspace(max(log_tau - _NEAR, bounds[0]), min(log_tau + _NEAR, bounds[1]), _NEAR_GRID)
        log_tau = _search(problem, near)
    at_edge = min(log_tau - bounds[0], bounds[1] - log_tau) < 0.01
    return _NOTHING if at_edge else _standard_errors(problem, log_tau)


@dataclass(frozen=True)
class _Prior:
    """What is known beforehand of the ambient, as weights of observations that are worth one noise deviation."""

    shift: float
    """Noise deviation over the standard deviation of ΔT_amb."""
    walk: float
    """Noise deviation over that of a term of the ambient's walk, which is one."""
    walk_k_per_sqrt_s: float
    """0 where the ambient is measured."""


@dataclass(frozen=True)
class _Problem:
    """A regression for each τ: the readings whitened by ``noise``, then what is known beforehand."""

    stretches: list[Stretch]
    noise: Vector
    prior: _Prior | None = None

    def rows(self, log_tau: float) -> NDArray[np.float64]:
        """Target and regressors as columns; the first regressors are 1/UA, ΔT_amb and each T₀."""
        rows = np.column_stack(regression(self.stretches, log_tau))
        prior, first = self.prior, rows.shape[1]
        if prior is not None and prior.walk_k_per_sqrt_s > 0:
            rows = np.hstack((rows, wander(self.stretches, log_tau, prior.walk_k_per_sqrt_s)))
        white = [whitened(part, self.noise) for part in _parts(rows, self.stretches)]
        if prior is not None:
            walks = rows.shape[1] - first
            known = np.zeros((1 + walks, rows.shape[1]))
            known[0, 2] = prior.shift
            known[1:, first:] = prior.walk * np.eye(walks)
            white.append(known)
        return np.vstack(white)


def _parts(rows: NDArray[np.float64], stretches: list[Stretch]) -> list[NDArray[np.float64]]:
    return np.split(rows, np.cumsum([stretch.temperature_k.size for stretch in stretches])[:-1])


def _standard_errors(problem: _Problem, log_tau: float) -> _Estimate:
    """Gauss–Newton covariance σ²(JᵀJ)⁻¹ at the optimum, carried to C = τ/R and UA = 1/R by the delta method."""
    rows = problem.rows(log_tau)
    target, design = rows[:, 0], rows[:, 1:]
    weights, sse = _solve(target, design)
    step = 1e-4
    # The target depends on τ too when the ambient's response has been taken from it.
    change = problem.rows(log_tau + step) - problem.rows(log_tau - step)
    slope = (change[:, 1:] @ weights - change[:, 0]) / (2 * step)
    jacobian = np.column_stack((slope, design))
    size = np.linalg.norm(jacobian, axis=0)
    freedom = target.size - jacobian.shape[1]
    resistance = float(weights[0])
    if freedom < 1 or resistance <= 0 or np.any(size == 0):
        return _NOTHING
    scaled = jacobian / size
    if np.linalg.matrix_rank(scaled, tol=1e-8 * math.sqrt(scaled.shape[1])) < scaled.shape[1]:
        return _NOTHING
    bread = np.linalg.inv(scaled.T @ scaled)
    covariance = sse / freedom * bread
    covariance = _robust(covariance, bread, scaled, target - design @ weights) / np.outer(size, size)
    relative_r = math.sqrt(covariance[1, 1]) / resistance
    # ln C = ln τ − ln R, so the relative error of C takes both and their covariance.
    relative_c = math.sqrt(max(covariance[0, 0] + relative_r**2 - 2 * covariance[0, 1] / resistance, 0.0))
    capacity = math.exp(log_tau) / resistance
    return _Estimate(
        capacity=capacity,
        conductance=1 / resistance,
        shift=float(weights[1]),
        se_capacity=relative_c * capacity,
        se_conductance=relative_r / resistance,
        se_shift=math.sqrt(covariance[2, 2]),
    )


def _robust(
    covariance: NDArray[np.float64], bread: NDArray[np.float64], jacobian: NDArray[np.float64], error: Vector
) -> NDArray[np.float64]:
    """The covariance widened where scores summed over stretches of the record vary more than independent noise lets them.

    Liang and Zeger (1986), with K stretches and the factor K/(K − 1). What wanders too slowly for the autoregression, air that
    warms over hours, shows here. Each parameter keeps the larger of its two variances.
    """
    scores = np.add.reduceat(jacobian * error[:, np.newaxis], _cuts(error.size), axis=0)
    clustered = bread @ scores.T @ scores @ bread * _CLUSTERS / (_CLUSTERS - 1)
    widen = np.sqrt(np.maximum(np.diag(clustered) / np.diag(covariance), 1.0))
    return covariance * np.outer(widen, widen)


def _cuts(count: int) -> NDArray[np.intp]:
    return np.arange(_CLUSTERS) * count // _CLUSTERS


def _search(problem: _Problem, grid: NDArray[np.float64]) -> float:
    """The ln τ with the least squared error: the best of a grid, then golden section in the cells beside it."""
    best = int(np.argmin([_sse(problem, float(x)) for x in grid]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, grid.size - 1)])
    golden = (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    f_left, f_right = _sse(problem, left), _sse(problem, right)
    while high - low > 1e-4:
        if f_left < f_right:
            high, right, f_right = right, left, f_left
            left = high - golden * (high - low)
            f_left = _sse(problem, left)
        else:
            low, left, f_left = left, right, f_right
            right = low + golden * (high - low)
            f_right = _sse(problem, right)
    return (low + high) / 2


def _sse(problem: _Problem, log_tau: float) -> float:
    """The least squared error for a τ: the square of the last diagonal of R, the target being the last column."""
    triangle = np.asarray(np.linalg.qr(np.roll(problem.rows(log_tau), -1, axis=1), mode="r"))
    return float(triangle[-1, -1] ** 2)


def _solve(target: Vector, design: NDArray[np.float64]) -> tuple[Vector, float]:
    """Least-squares weights and the squared error that they leave."""
    weights = np.asarray(np.linalg.lstsq(design, target, rcond=None)[0], dtype=np.float64)
    error = target - design @ weights
    return weights, float(error @ error)
