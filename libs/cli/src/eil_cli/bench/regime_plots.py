"""A page of pictures for each suite: the series, what is labelled, what the detector reported, and how sure it was."""

import math
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eil_cli.bench.regime_scores import HORIZON, Label, SeriesScore, longest_lag
from eil_cli.regime.reports import Reports
from eil_cli.regime.series import Series

POINTS = 1200
"""Longer lines are drawn as the range of each of so many bins."""
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c8c", "#b8a800", "#5b3a8e", "#7a4a21")
"""Told apart by the colour-blind (Okabe & Ito, and three more); the eleventh regime has the first one's colour again."""
LABELLED, REPORTED, LINE = "#444444", "#d1007a", "#33557a"
PANEL_HEIGHT_IN, WIDE_IN, NARROW_IN = 2.4, 16.0, 6.2
HEAD_IN, FOOT_IN = 1.3, 0.35
DPI = 110
LARGE = 1e4
"""From here on numbers at an axis get k, M, G."""


class MatplotlibMissing(Exception):
    """There is nothing to draw with."""


@dataclass(frozen=True)
class Panel:
    """A labelled series, what the detector reported on it, and how that is scored."""

    series: Series
    label: Label
    reports: Reports
    score: SeriesScore


def draw(suite: str, panels: list[Panel], folder: Path) -> Path:
    """Writes SUITE.png into the folder, small multiples in the order of the panels; returns its path.

    Raises:
        MatplotlibMissing: matplotlib is not installed.
        OSError: the folder cannot be written to.
    """
    if find_spec("matplotlib") is None:
        raise MatplotlibMissing
    folder.mkdir(parents=True, exist_ok=True)
    columns = 1 if len(panels) <= 3 else 3 if len(panels) <= 18 else 4
    rows = math.ceil(len(panels) / columns)
    width_in = WIDE_IN if columns == 1 else NARROW_IN * columns
    height_in = (1.5 if columns == 1 else 1.0) * PANEL_HEIGHT_IN * rows + HEAD_IN + FOOT_IN
    names = [len(name) for panel in panels for name in panel.series.columns if len(panel.series.columns) > 1]
    figure = import_module("matplotlib.figure").Figure(figsize=(width_in, height_in))
    grid = figure.add_gridspec(
        rows,
        columns,
        left=(0.85 + 0.05 * max(0, max(names, default=0) - 10)) / width_in,
        right=1.0 - 0.2 / width_in,
        top=1.0 - HEAD_IN / height_in,
        bottom=FOOT_IN / height_in,
        hspace=0.26 if columns == 1 else 0.42,
        wspace=0.18,
    )
    for place, panel in enumerate(panels):
        _panel(figure, grid[place // columns, place % columns], suite, panel)
    _head(figure, suite, panels, height_in)
    path = folder / f"{suite}.png"
    figure.savefig(path, dpi=DPI)
    return path


def _head(figure: Any, suite: str, panels: list[Panel], height_in: float) -> None:
    """Title and legend."""
    mean = {name: np.mean([getattr(panel.score, name) for panel in panels]) for name in ("f1", "covering")}
    title = f"{suite}   F1 {mean['f1']:.3f}, covering {mean['covering']:.3f}, mean of {len(panels)} series"
    figure.text(0.2 / figure.get_figwidth(), 1.0 - 0.3 / height_in, title, fontsize=13, weight="bold")
    note = (
        f"confidence: that the regime named for {HORIZON} rows ahead is right.   "
        "A colour stands for one state, or one regime; the colours of one say nothing about those of the other."
    )
    figure.text(0.2 / figure.get_figwidth(), 1.0 - 0.74 / height_in, note, fontsize=9, color=LABELLED)
    line = import_module("matplotlib.lines").Line2D
    handles = [
        line([], [], color=LABELLED, lw=1.2, label="labelled change (darker: more annotators)"),
        line(
            [],
            [],
            color=REPORTED,
            marker="v",
            lw=1.2,
            ms=5,
            label="reported shift: onset, and a line to the row that reported it",
        ),
        line([], [], color=REPORTED, marker="v", mfc="none", lw=0, ms=5, label="reported too late to count"),
        line([], [], color=LABELLED, ls=":", lw=1.2, label="recordings joined: not scored"),
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.1 / figure.get_figwidth(), 1.0 - 0.34 / height_in),
        ncols=4,
        frameon=False,
        fontsize=9,
    )


def _panel(figure: Any, place: Any, suite: str, panel: Panel) -> None:
    """Series on top, then labelled states if there are any, reported regimes, confidence."""
    states = panel.label.states
    ratios = [6.0, *([0.7] if states is not None else []), 0.7, 1.7]
    grid = place.subgridspec(len(ratios), 1, height_ratios=ratios, hspace=0.06)
    axes = [figure.add_subplot(grid[row, 0]) for row in range(len(ratios))]
    for axis in axes:
        axis.set_xlim(0, panel.label.rows)
        axis.tick_params(labelsize=6.5, length=2, pad=1.5)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    for axis in axes[:-1]:
        axis.tick_params(labelbottom=False, bottom=False)
    _series(axes[0], panel)
    _changes(axes[0], suite, panel)
    if states is not None:
        _band(axes[1], states, "state")
    _band(axes[-2], panel.reports.regime, "regime")
    _confidence(axes[-1], panel.reports)
    ami = "" if panel.score.ami is None else f"  AMI {panel.score.ami:.2f}"
    axes[0].set_title(
        f"{panel.series.name}   F1 {panel.score.f1:.2f}  covering {panel.score.covering:.2f}{ami}",
        fontsize=8,
        loc="left",
        pad=10,
    )


def _series(axis: Any, panel: Panel) -> None:
    """One column in its own unit; several in lanes, each between its own extremes."""
    columns = panel.series.columns
    if len(columns) == 1:
        values = next(iter(columns.values()))
        axis.plot(*thinned(values), color=LINE, lw=0.6)
        if np.nanmax(np.abs(values), initial=0.0) >= LARGE:
            axis.yaxis.set_major_formatter(import_module("matplotlib.ticker").EngFormatter(sep=""))
        return
    for lane, values in enumerate(columns.values()):
        low, high = np.nanquantile(values, (0.002, 0.998))
        scaled = np.clip((values - low) / max(high - low, 1e-12), -0.05, 1.05)
        axis.plot(*thinned(len(columns) - 1 - lane + 0.85 * scaled), color=LINE, lw=0.5)
    axis.set_yticks([len(columns) - 1 - lane + 0.4 for lane in range(len(columns))], list(columns), fontsize=6)
    axis.set_ylim(-0.1, len(columns))


def _changes(axis: Any, suite: str, panel: Panel) -> None:
    label = panel.label
    marks = [change for changes in label.annotators for change in changes]
    for change in sorted(set(marks)):
        share = marks.count(change) / len(label.annotators)
        axis.axvline(change, color=LABELLED, lw=0.8, alpha=0.25 + 0.6 * share, zorder=3)
    for join in label.ignore:
        axis.axvline(join, color=LABELLED, lw=0.8, ls=":", alpha=0.7, zorder=0)
    above = axis.get_xaxis_transform()
    latest = longest_lag(suite, label.rows)
    for row, onset in panel.reports.shifts:
        counts = row - onset <= latest
        axis.plot([onset, row], [1.03, 1.03], color=REPORTED, lw=1.2, transform=above, clip_on=False)
        face = REPORTED if counts else "none"
        axis.plot(onset, 1.03, "v", color=REPORTED, mfc=face, ms=4, transform=above, clip_on=False)
        if counts:
            axis.axvline(onset, color=REPORTED, lw=0.5, alpha=0.5, zorder=0)


def _band(axis: Any, numbers: NDArray[Any], name: str) -> None:
    """A bar for each stretch of one number."""
    cuts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), numbers.size]
    for start, end in pairwise(cuts):
        axis.axvspan(start, end, color=PALETTE[int(numbers[start]) % len(PALETTE)], lw=0)
    axis.set_yticks([])
    axis.set_ylabel(name, fontsize=6.5, rotation=0, ha="right", va="center", labelpad=3)


def _confidence(axis: Any, reports: Reports) -> None:
    axis.plot(*thinned(reports.confidence), color=LINE, lw=0.7)
    axis.set_ylim(0.0, 1.05)
    axis.set_yticks([0.0, 0.5, 1.0], ["0", ".5", "1"])
    axis.axhline(0.5, color="#cccccc", lw=0.5, zorder=0)
    axis.set_ylabel("confidence", fontsize=6.5, rotation=0, ha="right", va="center", labelpad=3)


def thinned(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (x, y) of a line: every value, or of many rows the lowest and the highest of each bin, so that no spike is lost."""
    rows = values.size
    if rows <= 2 * POINTS:
        return np.arange(rows, dtype=np.float64), values
    starts = np.linspace(0, rows, POINTS, endpoint=False).astype(np.int64)
    x = np.repeat(starts.astype(np.float64), 2)
    return x, np.column_stack([np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)]).ravel()
