"""Second moments of lagged windows: all that a linear forecaster has to know of its training data.

One row of the design holds, for an origin t and a channel, the window of lookback and horizon around t and, where there
are any, the inputs. With J the sum of row'·row, every ridge over every shorter lookback or horizon, and the squared error
of every linear forecast, is algebra on J; the data are read once and new rows are added at any time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
CHUNK = 2048
"""Rows of the design laid out at once."""


@dataclass(frozen=True)
class Layout:
    """Where what stands in a row of the design: own lags, own future, planned inputs, the past of the other channels."""

    lookback: int
    """Longest memory in samples."""
    horizon: int
    """Steps ahead."""
    inputs: int = 0
    """Planned inputs, known for the whole horizon."""
    others: int = 0
    """Other channels, known up to the origin."""
    lags: int = 0
    """Samples of each input and other channel that bear on one step; 0 where there are none."""

    @property
    def span(self) -> int:
        """Rows of the series that one row of the design covers."""
        return self.lookback + self.horizon

    @property
    def extras(self) -> int:
        """Columns after the own window."""
        return self.inputs * (self.lags + self.horizon) + self.others * self.lags

    @property
    def width(self) -> int:
        """Columns in all."""
        return self.span + self.extras

    def extras_of(self, step: int, coupled: bool) -> npt.NDArray[np.int64]:
        """Columns, counted from the first extra one, that may bear on step `step` (0-based): plan up to then, never after."""
        per_input = self.lags + self.horizon
        plan = [i * per_input + step + 1 + np.arange(self.lags) for i in range(self.inputs)]
        first = self.inputs * per_input
        past = [first + np.arange(self.others * self.lags)] if coupled else []
        return np.concatenate([*plan, *past, np.zeros(0, dtype=np.int64)]).astype(np.int64)


@dataclass
class Moments:
    """Sums of row'·row; one matrix per channel, or one for all channels."""

    layout: Layout
    sums: Array
    """(C, width, width); C is 1 where channels are pooled."""
    rows: float
    """Rows summed per matrix, old ones discounted by forgetting."""

    @classmethod
    def empty(cls, layout: Layout, matrices: int) -> "Moments":
        """Nothing seen yet."""
        return cls(layout, np.zeros((matrices, layout.width, layout.width)), 0.0)

    @property
    def means(self) -> Array:
        """(C, width, width) mean of row'·row. Raises ValueError when nothing was seen."""
        if self.rows <= 0.0:
            raise ValueError(f"no window of {self.layout.span} samples without a long gap was seen: give more history")
        return self.sums / self.rows

    def add(self, values: Array, plan: Array, forgetting: float = 1.0) -> None:
        """Add every window of `values` (n, d) with `plan` (n, p); a row counts `forgetting` times the one after it.

        NaN splits the series: windows that touch one are left out. Cost: n·width² per matrix with inputs or forgetting;
        without, the moments of a window differ from those one sample earlier by two products, so cumulative sums along
        the diagonals do for all windows at once: n·span per matrix (the covariance method's recursion, Morf et al. 1977).
        """
        for begin, end in _whole(values, plan, self.layout.span):
            part, inputs = values[begin:end], plan[begin:end]
            count = len(part) - self.layout.span + 1
            if forgetting == 1.0 and not self.layout.extras and count > self.layout.span // 8:
                self._add_diagonals(part)
            else:
                self._add_rows(part, inputs, forgetting)

    def _add_diagonals(self, part: Array) -> None:
        span, count = self.layout.span, len(part) - self.layout.span + 1
        pooled = len(self.sums) == 1
        for lag in range(span):
            products = part[: len(part) - lag] * part[lag:]
            products = products.mean(axis=1, keepdims=True) if pooled else products
            running = np.concatenate([np.zeros((1, products.shape[1])), np.cumsum(products, axis=0)])
            first = np.arange(span - lag)
            sums = (running[first + count] - running[first]).T
            self.sums[:, first, first + lag] += sums
            if lag:
                self.sums[:, first + lag, first] += sums
        self.rows += count

    def _add_rows(self, part: Array, plan: Array, forgetting: float) -> None:
        channels, pooled = part.shape[1], len(self.sums) == 1
        count = len(part) - self.layout.span + 1
        for begin in range(0, count, CHUNK):
            size = min(CHUNK, count - begin)
            rows = slice(begin, begin + size + self.layout.span - 1)
            weights = forgetting ** (0.5 * np.arange(size - 1, -1, -1))
            self.sums *= forgetting**size
            self.rows = self.rows * forgetting**size + float(np.sum(weights**2))
            for channel in range(channels):
                row = design_rows(self.layout, part[rows], plan[rows], channel) * weights[:, None]
                self.sums[0 if pooled else channel] += row.T @ row / (channels if pooled else 1)


def design_rows(layout: Layout, values: Array, plan: Array, channel: int) -> Array:
    """(n - span + 1, width) rows of the design; inputs and other channels are relative to their mean over the lookback."""
    span, count = layout.span, len(values) - layout.span + 1
    blocks = [np.lib.stride_tricks.sliding_window_view(values[:, channel], span)]
    columns = [(plan[:, i], layout.lags + layout.horizon) for i in range(layout.inputs)]
    if layout.others:
        rest = [c for c in range(values.shape[1]) if c != channel]
        columns += [(values[:, c], layout.lags) for c in rest]
    for series, width in columns:
        mean = np.lib.stride_tricks.sliding_window_view(series, layout.lookback)[:count].mean(axis=1)
        first = layout.lookback - layout.lags
        blocks.append(np.lib.stride_tricks.sliding_window_view(series[first:], width)[:count] - mean[:, None])
    return np.concatenate(blocks, axis=1)


def _whole(values: Array, plan: Array, span: int) -> Iterator[tuple[int, int]]:
    """Stretches without NaN that hold at least one window."""
    good = np.isfinite(values).all(axis=1) & np.isfinite(plan).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if end - begin >= span:
            yield int(begin), int(end)
