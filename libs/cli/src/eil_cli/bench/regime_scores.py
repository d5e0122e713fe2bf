"""Scores of an online regime detector against labels: change points, states, and how far its confidence can be trusted.

Definitions: change-point F1 and covering as in the Turing change point benchmark (van den Burg & Williams 2020), adjusted mutual
information after Vinh, Epps & Bailey 2010 (arithmetic mean), expected calibration error over equal-mass bins, Brier skill over the
suite's base rate. Rows count from 0; a change point is the first row of what is new.
"""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eil_cli.regime.reports import Reports

HORIZON = 60
"""Rows ahead at which `next_likely` is judged; also the margin of long series and the zone around an ignored row."""
BINS = 15
LEAST_ROWS = 5 * HORIZON
"""Predictions of series that are not longer are not judged."""

Changes = Sequence[int]
Shifts = Sequence[tuple[int, int]]
"""(row that reports it, onset) each."""


@dataclass(frozen=True)
class Label:
    """What people, or the rig's log, say about a series."""

    rows: int
    annotators: tuple[tuple[int, ...], ...]
    """Change points of each annotator."""
    states: NDArray[np.int64] | None
    """State of every row, (rows,), if states are labelled."""
    ignore: tuple[int, ...]
    """Rows at which recordings were joined: what happens around them is nobody's doing."""

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> "Label":
        """From an entry of labels.json: n, annotators, states (run-length coded), ignore."""
        runs = given.get("states")
        states = None if not runs else np.repeat([state for state, _ in runs], [length for _, length in runs])
        annotators = tuple(tuple(changes) for changes in given["annotators"])
        return cls(int(given["n"]), annotators, states, tuple(given.get("ignore") or ()))

    def ignores(self, row: int) -> bool:
        """Whether a row lies within a horizon of an ignored one."""
        return any(abs(row - join) <= HORIZON for join in self.ignore)


def margin(suite: str, rows: int) -> int:
    """Rows by which a change point may be missed and still count as found."""
    if suite == "tcpd":
        return 5
    return max(1, round(0.01 * rows)) if suite in ("tssb", "utsa") else HORIZON


def longest_lag(suite: str, rows: int) -> float:
    """Rows after its onset beyond which a reported shift does not count any more."""
    if suite == "tcpd":
        return max(20.0, 0.1 * rows)
    return 0.1 * rows if suite in ("tssb", "utsa") else 500.0


def _hits(truth: AbstractSet[int], found: AbstractSet[int], within: int) -> int:
    """True change points, in order, that each get a found one of their own: the nearest, the earlier of two as near."""
    left, hits = set(found), 0
    for true in sorted(truth):
        near = [(abs(true - guess), guess) for guess in left if abs(true - guess) <= within]
        if near:
            left.discard(min(near)[1])
            hits += 1
    return hits


def change_f1(annotators: Sequence[Changes], found: Changes, within: int) -> float:
    """Harmonic mean of precision (against all annotators together) and recall (mean over annotators); row 0 is a change point of all."""
    truths, guesses = [{0, *changes} for changes in annotators], {0, *found}
    precision = _hits(set().union(*truths), guesses, within) / len(guesses)
    recall = sum(_hits(truth, guesses, within) / len(truth) for truth in truths) / len(truths)
    return 2.0 * precision * recall / (precision + recall)


def _segments(changes: Changes, rows: int) -> list[tuple[int, int]]:
    cuts = [0, *sorted({change for change in changes if 0 < change < rows}), rows]
    return list(pairwise(cuts))


def covering(annotators: Sequence[Changes], found: Changes, rows: int) -> float:
    """Each true segment's best Jaccard overlap with a found one, weighted by length; mean over annotators."""
    starts, ends = np.array(_segments(found, rows)).T
    total = 0.0
    for changes in annotators:
        for start, end in _segments(changes, rows):
            common = np.minimum(end, ends) - np.maximum(start, starts)
            union = np.maximum(end, ends) - np.minimum(start, starts)
            total += (end - start) * float((np.clip(common, 0, None) / union).max())
    return total / (rows * len(annotators))


def adjusted_mutual_information(truth: NDArray[Any], found: NDArray[Any]) -> float:
    """How much two partitions of the same n rows tell about each other: 0 as by chance, 1 if they are the same.

    Both entropies are averaged arithmetically; two partitions of one part each are the same.
    """
    _, true_place = np.unique(truth, return_inverse=True)
    _, found_place = np.unique(found, return_inverse=True)
    table = np.zeros((true_place.max() + 1, found_place.max() + 1), np.int64)
    np.add.at(table, (true_place, found_place), 1)
    if table.shape == (1, 1):
        return 1.0
    rows, columns = table.sum(1), table.sum(0)
    n = int(rows.sum())
    i, j = np.nonzero(table)
    cell = table[i, j] / n
    mutual = float((cell * np.log(cell * n * n / (rows[i] * columns[j]))).sum())
    chance = _expected_mutual_information(rows, columns, n)
    above = 0.5 * (_entropy(rows / n) + _entropy(columns / n)) - chance
    tiny = float(np.finfo(np.float64).eps)
    return (max(mutual, 0.0) - chance) / (min(above, -tiny) if above < 0.0 else max(above, tiny))


def _entropy(shares: NDArray[np.float64]) -> float:
    return float(-(shares * np.log(shares)).sum())


def _expected_mutual_information(rows: NDArray[np.int64], columns: NDArray[np.int64], n: int) -> float:
    """Mean over all partitions with these sizes: the cell of parts of a and b rows is hypergeometric."""
    log_factorial = np.array([math.lgamma(k + 1.0) for k in range(n + 1)])
    total = 0.0
    for a in rows.tolist():
        for b in columns.tolist():
            k = np.arange(max(1, a + b - n), min(a, b) + 1)
            log_weight = (
                log_factorial[[a, b, n - a, n - b]].sum()
                - log_factorial[n]
                - log_factorial[k]
                - log_factorial[a - k]
                - log_factorial[b - k]
                - log_factorial[n - a - b + k]
            )
            total += float((k / n * np.log(n * k / (a * b)) * np.exp(log_weight)).sum())
    return total


@dataclass(frozen=True)
class Claims:
    """Predictions and what came of them, one entry for each judged row and annotator."""

    confidence: NDArray[np.float64]
    hit: NDArray[np.bool_]
    """Whether the prediction came true."""
    stay: NDArray[np.bool_]
    """Whether "no change within the horizon" came true."""

    @classmethod
    def pooled(cls, parts: Sequence["Claims"]) -> "Claims":
        """Those of several series as one."""
        return cls(
            np.concatenate([part.confidence for part in parts]),
            np.concatenate([part.hit for part in parts]),
            np.concatenate([part.stay for part in parts]),
        )

    def calibration_error(self) -> float:
        """Mean distance between confidence and the share that came true, over bins of equal mass; ties share a bin."""
        quantiles = np.quantile(self.confidence, np.arange(1, BINS) / BINS)
        place = np.searchsorted(np.unique(quantiles), self.confidence, side="left")
        return float(np.abs(np.bincount(place, self.confidence - self.hit)).sum() / self.confidence.size)

    def brier_skill(self) -> float:
        """1 - Brier score over that of the suite's base rate of staying: above 0 beats that constant."""
        brier = float(((self.confidence - self.hit) ** 2).mean())
        return 1.0 - brier / max(float(self.stay.var()), 1e-12)


def claims(label: Label, reports: Reports) -> Claims:
    """Judges `next_likely` by the labels alone.

    Naming the row's own regime claims that no labelled change falls within the horizon; naming another claims that one does and, where
    states are labelled, that the state then is the one for which that regime has mostly stood so far (any, if it never stood).
    """
    rows = label.rows - HORIZON
    regimes, named = reports.regime[:rows], reports.next_likely[:rows]
    stays = regimes == named
    keep = np.ones(rows, bool)
    for join in label.ignore:
        keep[max(0, join - HORIZON) : join] = False
    right = _names_the_state(label.states, regimes.tolist(), named.tolist()) if label.states is not None else True
    confidence, hits, stayed = reports.confidence[:rows][keep], [], []
    for changes in label.annotators:
        changed = np.zeros(rows, bool)
        for change in changes:
            changed[max(0, change - HORIZON) : change] = True
        hits.append(np.where(stays, ~changed, changed & right)[keep])
        stayed.append(~changed[keep])
    return Claims(np.tile(confidence, len(label.annotators)), np.concatenate(hits), np.concatenate(stayed))


def _names_the_state(states: NDArray[np.int64], regimes: list[int], named: list[int]) -> NDArray[np.bool_]:
    """Per row, whether the named regime has mostly stood for the state one horizon ahead; of states as frequent the one seen first."""
    truth = states.tolist()
    seen: dict[int, dict[int, int]] = {}
    mostly: dict[int, int] = {}
    right = np.ones(len(regimes), bool)
    for row, (regime, name) in enumerate(zip(regimes, named, strict=True)):
        if name != regime and name in mostly:
            right[row] = mostly[name] == truth[row + HORIZON]
        counts = seen.setdefault(regime, {})
        counts[truth[row]] = counts.get(truth[row], 0) + 1
        mostly[regime] = max(counts, key=counts.__getitem__)
    return right


@dataclass(frozen=True)
class SeriesScore:
    """How well one series was read."""

    f1: float
    covering: float
    ami: float | None
    """None where no two states are labelled."""
    lag_share: float | None
    """Median of report minus onset, as a share of the series; None without shifts."""


def score_series(suite: str, label: Label, shifts: Shifts, regime: NDArray[Any]) -> SeriesScore:
    """Scores reported shifts and the reported regime (rows,).

    Shifts reported too late do not count. Changes within a horizon of an ignored row are left out, and with them the shifts within the
    margin of one and those near an ignored row.
    """
    within, latest = margin(suite, label.rows), longest_lag(suite, label.rows)
    lost = [change for changes in label.annotators for change in changes if label.ignores(change)]
    found = [
        onset
        for row, onset in shifts
        if row - onset <= latest
        and not label.ignores(onset)
        and not any(abs(onset - change) <= within for change in lost)
    ]
    annotators = [[change for change in changes if not label.ignores(change)] for changes in label.annotators]
    two_states = label.states is not None and np.unique(label.states).size > 1
    return SeriesScore(
        change_f1(annotators, found, within),
        covering(annotators, found, label.rows),
        adjusted_mutual_information(label.states, regime) if two_states and label.states is not None else None,
        float(np.median([(row - onset) / label.rows for row, onset in shifts])) if shifts else None,
    )


def mean_scores(scores: Sequence[SeriesScore]) -> dict[str, float]:
    """Mean of each score over the series that have it."""
    found: dict[str, float] = {}
    for name in ("f1", "covering", "ami", "lag_share"):
        values = [value for value in (getattr(score, name) for score in scores) if value is not None]
        if values:
            found[name] = float(np.mean(values))
    return found


def trust_scores(parts: Sequence[Claims]) -> dict[str, float]:
    """Calibration error and Brier skill of a suite's predictions together; empty if no series was long enough."""
    if not parts:
        return {}
    pooled = Claims.pooled(parts)
    return {"ece": pooled.calibration_error(), "brier_skill": pooled.brier_skill()}
