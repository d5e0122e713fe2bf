"""Least squares by normal equations, of all candidates at once, with and without windows of the baseline.

Refitting without a window is a downdate: its Gram matrix is taken from the whole's. Columns are of order one and energy is
divided by its mean, so the condition of the equations is that of the model, not of its units.
"""

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from eil_proof.domain.mv.models import Candidate

RIDGE = 1e-12
"""Share of the Gram matrix's mean diagonal that is added to it: a column that a window empties stays solvable."""
SMALLEST_EIGENVALUE = 1e-9
"""A candidate whose columns, scaled to length one, have a smaller eigenvalue than this is dependent and not tried."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A chosen candidate."""

    candidate: Candidate
    coefficients: NDArray[np.float64]
    """(q,) of the candidate's columns, in the target's unit."""


def gram(basis: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., k + 1, k + 1): products of the columns (..., n, k) and the target (..., n) as last column; rows left out are 0."""
    whole = np.concatenate((basis, target[..., None]), axis=-1)
    return np.swapaxes(whole, -1, -2) @ whole


def choose(
    grams: NDArray[np.float64],
    counts: NDArray[np.int64],
    sums: NDArray[np.float64],
    tried: tuple[Candidate, ...],
    *,
    nonnegative: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The best candidate by adjusted R² in each of J data sets.

    Args:
        grams: (J, k + 1, k + 1).
        counts: (J,) rows of each.
        sums: (J,) sum of the target in each.
        tried: the candidates; equal numbers of columns stand together.
        nonnegative: coefficients but the first must be ≥ 0, else the candidate is out; a lone first column always stays.

    Returns:
        (J,) the place of the best in `tried`, and (J, k) its coefficients, 0 in columns that it does not use.
    """
    k = grams.shape[-1] - 1
    total = grams[:, k, k] - sums**2 / counts
    best = np.full(len(grams), -np.inf)
    chosen, coefficients = np.zeros(len(grams), np.int64), np.zeros((len(grams), k))
    place = 0
    for _, members in groupby(tried, key=lambda one: len(one.columns)):
        group = list(members)
        columns = np.array([one.columns for one in group])
        inner = grams[:, columns[:, :, None], columns[:, None, :]]
        cross = grams[:, columns, k]
        found = solve(inner, cross)
        rest = grams[:, None, k, k] - (found * cross).sum(axis=-1)
        free = counts[:, None] - np.array([one.parameters for one in group])
        with np.errstate(divide="ignore", invalid="ignore"):
            score = 1.0 - (rest / free) / (total / (counts - 1))[:, None]
        score[free <= 0] = -np.inf
        if nonnegative and columns.shape[1] > 1:
            score[(found[..., 1:] < 0).any(axis=-1)] = -np.inf
        elif columns.shape[1] == 1:
            score = np.maximum(np.nan_to_num(score, nan=0.0), np.finfo(float).min)
        at = np.argmax(score, axis=1)
        row = np.arange(len(grams))
        better = score[row, at] > best
        best = np.where(better, score[row, at], best)
        chosen = np.where(better, place + at, chosen)
        for j in np.flatnonzero(better):
            coefficients[j] = 0.0
            coefficients[j, columns[at[j]]] = found[j, at[j]]
        place += len(group)
    return chosen, coefficients


def solve(inner: NDArray[np.float64], cross: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients (..., q) of normal equations (..., q, q) and (..., q)."""
    q = inner.shape[-1]
    ridge = RIDGE * np.trace(inner, axis1=-2, axis2=-1)[..., None, None] / q * np.eye(q)
    return np.linalg.solve(inner + ridge, cross[..., None])[..., 0]


def independent(whole: NDArray[np.float64], tried: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """The candidates whose columns are linearly independent, by the Gram matrix (k + 1, k + 1) of all data."""
    length = np.sqrt(np.diag(whole))
    kept = []
    for one in tried:
        columns = list(one.columns)
        if (length[columns] <= 0).any():
            continue
        correlation = whole[np.ix_(columns, columns)] / np.outer(length[columns], length[columns])
        if len(columns) == 1 or np.linalg.eigvalsh(correlation)[0] > SMALLEST_EIGENVALUE:
            kept.append(one)
    return tuple(kept)
