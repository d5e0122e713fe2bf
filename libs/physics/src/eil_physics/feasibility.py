"""Feasibility: whether temperatures and powers can belong to one physical system (Helmholtz check).

A state is feasible when its residual is no larger than measurement noise makes it: rᵀΣ_r⁻¹r ≤ χ²_n(level).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eil_physics.distributions import chi2_quantile, chi2_sf
from eil_physics.graph import ThermalGraph
from eil_physics.verdict import Verdict

MAX_FIELD_POINTS = 2500
"""The covariance of a field is dense; larger maps are judged in tiles of at most this many interior points."""


@dataclass(frozen=True, eq=False)
class Feasibility:
    """A residual, its distance from zero in units of its covariance, and the verdict."""

    residual: NDArray[np.float64]
    """(n,), in W on a graph and K/m² in a continuum."""
    statistic: float
    """rᵀΣ_r⁻¹r."""
    threshold: float
    """χ²_n(level)."""
    p_value: float
    verdict: Verdict


def graph_feasibility(
    graph: ThermalGraph,
    timestamps_s: ArrayLike,
    temperature_k: ArrayLike,
    power_w: ArrayLike,
    ambient_k: float,
    *,
    sensor_std_k: float,
    power_std_w: ArrayLike,
    ambient_std_k: float = 0.0,
    level: float = 0.99,
) -> Feasibility:
    """Test r = C∘θ̇ + (L+U)θ − P = 0 [W], θ = T − T_amb, averaged over the window from first to last timestamp.

    ``timestamps_s`` (k,), k ≥ 2, and ``temperature_k`` (k, n) are the readings; ``power_w`` (n,) is each node's mean
    power over the window and ``power_std_w`` (scalar or (n,)) its standard uncertainty. The window average of the
    balance is exact: θ̇ is (θ_last − θ_first)/W and θ the trapezoid mean. Σ_r follows from independent sensor noise
    in every reading, the powers' uncertainties, and the ambient's error, which all nodes share.

    A graph of one node is the first law again and therefore untested: see ``node_bounds``. Raises ValueError when
    shapes do not fit, timestamps do not increase, or the noise given leaves Σ_r singular.
    """
    time_s = np.asarray(timestamps_s, dtype=np.float64)
    excess = np.asarray(temperature_k, dtype=np.float64) - ambient_k
    power = np.asarray(power_w, dtype=np.float64)
    if time_s.ndim != 1 or time_s.size < 2 or not np.all(np.diff(time_s) > 0):
        raise ValueError("feasibility needs two or more increasing timestamps: a rate comes from a window")
    if excess.shape != (time_s.size, graph.nodes) or power.shape != (graph.nodes,):
        raise ValueError(f"{graph.nodes} nodes and {time_s.size} timestamps need a matrix of temperatures and n powers")
    window_s = time_s[-1] - time_s[0]
    weight = np.zeros(time_s.size)
    weight[:-1] += np.diff(time_s) / (2 * window_s)
    weight[1:] += np.diff(time_s) / (2 * window_s)
    storage = np.zeros(time_s.size)
    storage[[0, -1]] = -1 / window_s, 1 / window_s
    capacity, matrix = np.diag(graph.capacity_j_per_k), graph.conductance_matrix()
    residual = graph.capacity_j_per_k * (storage @ excess) + matrix @ (weight @ excess) - power
    # r is Σ_k (storage_k·C + weight_k·(L+U)) θ_k, so the readings' noise sums up in three products.
    cross = (storage @ weight) * (capacity @ matrix)
    covariance = sensor_std_k**2 * (
        (storage @ storage) * capacity**2 + cross + cross.T + (weight @ weight) * (matrix @ matrix)
    )
    covariance += np.diag(np.broadcast_to(np.asarray(power_std_w, dtype=np.float64), power.shape) ** 2)
    covariance += ambient_std_k**2 * np.outer(graph.ambient_conductance_w_per_k, graph.ambient_conductance_w_per_k)
    return _judge(residual, covariance, level, testable=graph.nodes >= 2)


def node_bounds(
    capacity_j_per_k: float,
    power_w: float,
    rate_k_per_s: float,
    *,
    nameplate_w: float,
    sensor_rate_std_k_per_s: float = 0.0,
    power_std_w: float = 0.0,
) -> Verdict:
    """One node's bounds, 0 ≤ P ≤ nameplate [W] and |dT/dt| ≤ nameplate/C [K/s], each ± 3 standard uncertainties."""
    power_ok = -3 * power_std_w <= power_w <= nameplate_w + 3 * power_std_w
    rate_ok = abs(rate_k_per_s) <= nameplate_w / capacity_j_per_k + 3 * sensor_rate_std_k_per_s
    return "holds" if power_ok and rate_ok else "contradicted"


def fin_lambda_per_m2(
    film_coefficient_w_per_m2_k: float, perimeter_m: float, conductivity_w_per_m_k: float, area_m2: float
) -> float:
    """λ = −hp/(kA_c) = −m² [m⁻²]: film coefficient h, perimeter p, conductivity k, cross-section A_c of a fin."""
    return -film_coefficient_w_per_m2_k * perimeter_m / (conductivity_w_per_m_k * area_m2)


def field_feasibility(
    excess_k: ArrayLike,
    spacing_m: float,
    lambda_per_m2: float,
    *,
    source_k_per_m2: ArrayLike = 0.0,
    sensor_std_k: float,
    source_std_k_per_m2: float = 0.0,
    level: float = 0.99,
) -> Feasibility:
    """Test ∇²θ + λθ = −q/k at the interior points of a grid of θ = T − T_amb [K] with one or more dimensions.

    ``spacing_m`` is the same along every axis, ``source_k_per_m2`` (scalar or the grid's shape) is q/k and
    ``source_std_k_per_m2`` its standard uncertainty. r = ∇²θ + λθ + q/k [K/m²], ∇² by central differences, so that a
    boundary value needs no model. The test equals the distance of the readings from the nearest field that
    solves the equation, whatever its boundary. Central differences err by about |λ|h²/12 of the curvature: that must
    stay below the noise.

    Raises ValueError for an axis with less than 3 points, more than 2,500 interior points, a spacing or noise that is
    not positive, or values that are not finite.
    """
    field = np.asarray(excess_k, dtype=np.float64)
    if field.ndim < 1 or min(field.shape) < 3 or not np.all(np.isfinite(field)):
        raise ValueError("a field needs finite values and at least 3 points along every axis")
    if not spacing_m > 0 or not sensor_std_k > 0:
        raise ValueError("the grid's spacing and the sensor's noise must be positive: a test needs both")
    inside = np.zeros(field.shape, dtype=bool)
    inside[(slice(1, -1),) * field.ndim] = True
    points = np.flatnonzero(inside)
    if points.size > MAX_FIELD_POINTS:
        raise ValueError(f"{points.size} interior points are more than {MAX_FIELD_POINTS}: judge the map in tiles")
    operator = np.zeros((points.size, field.size))
    rows = np.arange(points.size)
    operator[rows, points] = lambda_per_m2 - 2 * field.ndim / spacing_m**2
    for axis in range(field.ndim):
        stride = int(np.prod(field.shape[axis + 1 :]))
        operator[rows, points - stride] = operator[rows, points + stride] = 1 / spacing_m**2
    source = np.broadcast_to(np.asarray(source_k_per_m2, dtype=np.float64), field.shape).ravel()[points]
    residual = operator @ field.ravel() + source
    covariance = sensor_std_k**2 * operator @ operator.T + source_std_k_per_m2**2 * np.eye(points.size)
    return _judge(residual, covariance, level, testable=True)


def _judge(
    residual: NDArray[np.float64], covariance: NDArray[np.float64], level: float, *, testable: bool
) -> Feasibility:
    """rᵀΣ_r⁻¹r against χ²_n(level)."""
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "the residual's covariance is singular: give the standard uncertainty of every power or of the sensors"
        ) from error
    white = np.linalg.solve(factor, residual)
    statistic = float(white @ white)
    threshold = chi2_quantile(level, residual.size)
    verdict: Verdict = "untested" if not testable else "holds" if statistic <= threshold else "contradicted"
    return Feasibility(residual, statistic, threshold, chi2_sf(statistic, residual.size), verdict)
