"""Identification of a thermal node from power and temperature.

Regressing T' on the measured T puts sensor noise among the regressors and loses about 15 % of C at 0.5 K. Here the
temperature is *simulated* from the load, which the sensor's noise cannot touch, and compared with the readings
(output-error method; Ljung, System Identification, 2nd ed., §4.2 and §7). For a given time constant τ the simulation
is linear in 1/UA, T_amb and the initial temperatures, so that τ alone is searched (variable projection; Golub and
Pereyra 1973). The residuals, sensor noise and whatever else moves the temperature, are whitened by an autoregression
(feasible generalised least squares), which makes the standard errors honest under coloured noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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

Vector = NDArray[np.float64]

_CONSTANT_LOAD = 0.01  # relative standard deviation of power below which the load counts as constant
_MIN_SAMPLES = 32
_GRID = 48
_MAX_NOISE_ORDER = 16
_WHITENING_ROUNDS = 2


@dataclass(frozen=True)
class _Data:
    """One fit's input, without stretches too short to say anything; ``ambient_k`` None means that it is fitted."""

    time_s: Vector
    power_w: Vector
    temperature_k: Vector
    ambient_k: Vector | None
    pieces: list[slice]
    linear_power: bool
    """Whether power runs linearly between samples (instant) instead of being the mean since the previous sample."""


@dataclass(frozen=True)
class _Estimate:
    capacity: float
    conductance: float
    ambient: float
    se_capacity: float
    se_conductance: float
    se_ambient: float


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

    ``ambient_k`` (n,) is the ambient channel and ``ambient_std_k`` its accuracy [K]. Without it T_amb is fitted; when
    that leaves SE(T_amb) ≥ 3 K, T_amb is taken as 295 ± 10 K and the other standard errors carry what 10 K do to
    them: such a node is never identified. Neither is one whose load moves by no more than 1 % (standard deviation
    over mean), because then C, UA and T_amb cannot be told apart. Gaps start a new stretch with its own initial
    temperature; stretches under 32 samples are left out. Whitening takes the samples as evenly spaced; the simulation
    uses the real timestamps. Standard errors are right for sensor noise; a strong slow disturbance (unmetered heat)
    over few time constants leaves them up to two times too small.

    Raises ValueError for an invalid series. Too few samples are no error, they identify nothing.
    """
    time_s, power, temperature = checked_series(timestamps_s, power_w, temperature_k)
    channel = None if ambient_k is None else checked_series(time_s, ambient_k)[1]
    frozen_at_s = float(time_s[-1]) if time_s.size else -math.inf
    pieces = [piece for piece in segments(time_s, period_s) if piece.stop - piece.start >= _MIN_SAMPLES]
    data = _Data(time_s, power, temperature, channel, pieces, power_kind == "instant")
    load = np.concatenate([power[piece] for piece in pieces]) if pieces else np.zeros(1)
    source: AmbientSource = "fitted" if channel is None else "channel"
    estimate = _NOTHING if np.std(load) <= _CONSTANT_LOAD * abs(np.mean(load)) else _estimate(data)
    if channel is not None:
        mean_k = float(np.mean(channel)) if channel.size else math.nan
        estimate = replace(estimate, ambient=mean_k, se_ambient=ambient_std_k)
    elif not estimate.se_ambient < MAX_AMBIENT_SE_K:
        source = "default"
        estimate = _NOTHING if estimate is _NOTHING else _assume_ambient(data)
        estimate = replace(estimate, ambient=DEFAULT_AMBIENT_K, se_ambient=DEFAULT_AMBIENT_U_K)
    return ThermalNode(
        capacity_j_per_k=estimate.capacity,
        conductance_w_per_k=estimate.conductance,
        ambient_k=estimate.ambient,
        se_capacity_j_per_k=estimate.se_capacity,
        se_conductance_w_per_k=estimate.se_conductance,
        se_ambient_k=estimate.se_ambient,
        ambient_source=source,
        frozen_at_s=frozen_at_s,
    )


def _assume_ambient(data: _Data) -> _Estimate:
    """Fit with T_amb fixed at the default; half of the change between ±u(T_amb) joins the standard errors."""
    low, middle, high = (
        _estimate(replace(data, ambient_k=np.full_like(data.time_s, DEFAULT_AMBIENT_K + shift)))
        for shift in (-DEFAULT_AMBIENT_U_K, 0.0, DEFAULT_AMBIENT_U_K)
    )
    return replace(
        middle,
        se_capacity=_spread(middle.se_capacity, high.capacity - low.capacity),
        se_conductance=_spread(middle.se_conductance, high.conductance - low.conductance),
    )


def _spread(standard_error: float, change: float) -> float:
    # A refit that finds nothing (NaN) must not make the error look smaller than unbounded.
    return math.hypot(standard_error, change / 2) if math.isfinite(change) else math.inf


def _estimate(data: _Data) -> _Estimate:
    """Search τ by whitened output error, then turn (ln τ, 1/UA, T_amb) into C, UA and their standard errors."""
    spacing = float(np.median(np.diff(data.time_s)))
    bounds = (math.log(spacing / 3), math.log(3 * (data.time_s[-1] - data.time_s[0])))
    noise: Vector = np.zeros(0)
    log_tau = _search(data, noise, bounds)
    for _ in range(_WHITENING_ROUNDS):
        target, design = _regression(data, log_tau)
        weights, _ = _solve(target, design)
        noise = _autoregression(target - design @ weights, data.pieces)
        log_tau = _search(data, noise, bounds)
    at_edge = min(log_tau - bounds[0], bounds[1] - log_tau) < 0.01
    return _NOTHING if at_edge else _standard_errors(data, noise, log_tau)


def _standard_errors(data: _Data, noise: Vector, log_tau: float) -> _Estimate:
    """Gauss–Newton covariance σ²(JᵀJ)⁻¹ at the optimum, carried to C = τ/R and UA = 1/R by the delta method."""
    target, design = _whitened(data, noise, log_tau)
    weights, sse = _solve(target, design)
    step = 1e-4
    raw_low, raw_high = (_whitened(data, noise, log_tau + sign * step) for sign in (-1, 1))
    # The target depends on τ too when the ambient channel's response has been taken from it.
    slope = (raw_high[1] @ weights - raw_high[0] - raw_low[1] @ weights + raw_low[0]) / (2 * step)
    jacobian = np.column_stack((slope, design))
    size = np.linalg.norm(jacobian, axis=0)
    freedom = target.size - jacobian.shape[1]
    resistance = float(weights[0])
    if freedom < 1 or resistance <= 0 or np.any(size == 0):
        return _NOTHING
    scaled = jacobian / size
    if np.linalg.matrix_rank(scaled, tol=1e-8 * math.sqrt(scaled.shape[1])) < scaled.shape[1]:
        return _NOTHING
    covariance = sse / freedom * np.linalg.inv(scaled.T @ scaled) / np.outer(size, size)
    relative_r = math.sqrt(covariance[1, 1]) / resistance
    # ln C = ln τ − ln R, so the relative error of C takes both and their covariance.
    relative_c = math.sqrt(max(covariance[0, 0] + relative_r**2 - 2 * covariance[0, 1] / resistance, 0.0))
    fitted = data.ambient_k is None
    capacity = math.exp(log_tau) / resistance
    return _Estimate(
        capacity=capacity,
        conductance=1 / resistance,
        ambient=float(weights[1]) if fitted else math.nan,
        se_capacity=relative_c * capacity,
        se_conductance=relative_r / resistance,
        se_ambient=math.sqrt(covariance[2, 2]) if fitted else math.nan,
    )


def _search(data: _Data, noise: Vector, bounds: tuple[float, float]) -> float:
    """The ln τ with the least whitened squared error: a grid, then golden section in the best cell."""

    def sse(log_tau: float) -> float:
        return _solve(*_whitened(data, noise, log_tau))[1]

    grid = np.linspace(*bounds, _GRID)
    best = int(np.argmin([sse(float(x)) for x in grid]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _GRID - 1)])
    golden = (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    f_left, f_right = sse(left), sse(right)
    while high - low > 1e-5:
        if f_left < f_right:
            high, right, f_right = right, left, f_left
            left = high - golden * (high - low)
            f_left = sse(left)
        else:
            low, left, f_left = left, right, f_right
            right = low + golden * (high - low)
            f_right = sse(right)
    return (low + high) / 2


def _solve(target: Vector, design: NDArray[np.float64]) -> tuple[Vector, float]:
    """Least-squares weights and the squared error that they leave."""
    weights = np.asarray(np.linalg.lstsq(design, target, rcond=None)[0], dtype=np.float64)
    error = target - design @ weights
    return weights, float(error @ error)


def _regression(data: _Data, log_tau: float) -> tuple[Vector, NDArray[np.float64]]:
    """Target (m,) and design (m, 1 + [1] + pieces) for a given τ: columns 1/UA, T_amb when fitted, then each T₀."""
    tau = math.exp(log_tau)
    targets: list[Vector] = []
    blocks: list[NDArray[np.float64]] = []
    for index, piece in enumerate(data.pieces):
        time_s = data.time_s[piece]
        decay = np.exp(-(time_s - time_s[0]) / tau)
        initial = np.zeros((time_s.size, len(data.pieces)))
        initial[:, index] = decay
        heating = _response(time_s, data.power_w[piece], tau, linear=data.linear_power)
        if data.ambient_k is None:
            targets.append(data.temperature_k[piece])
            blocks.append(np.column_stack((heating, 1 - decay, initial)))
        else:
            around = _response(time_s, data.ambient_k[piece], tau, linear=True)
            targets.append(data.temperature_k[piece] - around)
            blocks.append(np.column_stack((heating, initial)))
    return np.concatenate(targets), np.vstack(blocks)


def _response(time_s: Vector, drive: Vector, tau_s: float, *, linear: bool) -> Vector:
    """x with τ dx/dt = drive − x, x₀ = 0, exact for a drive linear between samples or constant up to each sample."""
    spacing = np.diff(time_s)
    phi = np.exp(-spacing / tau_s)
    gain = -np.expm1(-spacing / tau_s)
    gained = gain * drive[1:]
    if linear:
        # ∫ of a ramp against the decay: the newer sample gets 1 − (1−φ)τ/Δt, the older one the rest of 1 − φ.
        newer = 1 - gain * tau_s / spacing
        gained = newer * drive[1:] + (gain - newer) * drive[:-1]
    x, response = 0.0, [0.0]
    for keep, add in zip(phi.tolist(), gained.tolist(), strict=True):
        x = keep * x + add
        response.append(x)
    return np.asarray(response)


def _whitened(data: _Data, noise: Vector, log_tau: float) -> tuple[Vector, NDArray[np.float64]]:
    """The regression with the noise's autoregression taken out, piece by piece."""
    target, design = _regression(data, log_tau)
    if noise.size == 0:
        return target, design
    stacked = np.column_stack((target, design))
    rows = []
    begin = 0
    for piece in data.pieces:
        part = stacked[begin : begin + piece.stop - piece.start]
        begin += piece.stop - piece.start
        white = part[noise.size :].copy()
        for lag, weight in enumerate(noise.tolist(), start=1):
            white -= weight * part[noise.size - lag : -lag]
        rows.append(white)
    whole = np.vstack(rows)
    return whole[:, 0], whole[:, 1:]


def _autoregression(residual: Vector, pieces: list[slice]) -> Vector:
    """Yule–Walker coefficients of the order (0 to 16) with the least AIC, by the Levinson–Durbin recursion."""
    lags = np.zeros(_MAX_NOISE_ORDER + 1)
    begin = 0
    for piece in pieces:
        part = residual[begin : begin + piece.stop - piece.start]
        begin += part.size
        lags += [part[lag:] @ part[: part.size - lag] for lag in range(lags.size)]
    variance = lags[0]
    weights = best = np.zeros(0)
    if variance <= 0:
        return best
    count = residual.size
    best_score = count * math.log(variance)
    for order in range(1, _MAX_NOISE_ORDER + 1):
        reflection = (lags[order] - weights @ lags[order - 1 : 0 : -1]) / variance
        weights = np.append(weights - reflection * weights[::-1], reflection)
        variance *= 1 - reflection**2
        if not variance > 0:
            break
        score = count * math.log(variance) + 2 * order
        if score < best_score:
            best, best_score = weights, score
    return best
