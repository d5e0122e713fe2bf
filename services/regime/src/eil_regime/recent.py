"""The window that an energy state is taken from, kept between batches: a sample joins it without the others being read or copied."""

from collections.abc import Iterable, Mapping

import numpy as np
from eil_mesh.clock import MICROSECONDS
from numpy.typing import NDArray

from eil_regime.batch import Batch
from eil_regime.domain.measurement import Series
from eil_regime.samples import BEFORE

_LEAST = 128
"""Room for samples of a channel at first."""


class Recent:
    """Series of some channels as `samples.window` answers them; of a source whose batches are all newer than what it holds."""

    def __init__(self, series: Mapping[str, Series]) -> None:
        self._columns = {name: _Column(found.time_s, found.value) for name, found in series.items()}

    @property
    def samples(self) -> int:
        """Samples of all channels."""
        return sum(column.end - column.begin for column in self._columns.values())

    @property
    def nbytes(self) -> int:
        """Memory of the samples, room for more included."""
        return sum(2 * column.time_s.nbytes for column in self._columns.values())

    def newest(self, channel: str) -> tuple[float, float] | None:
        """Time [s] and value of the newest sample of a channel, if there is one."""
        column = self._columns.get(channel)
        if column is None or column.end == column.begin:
            return None
        return float(column.time_s[column.end - 1]), float(column.value[column.end - 1])

    def extend(self, batch: Batch, channels: Iterable[str], start_us: int) -> dict[str, Series]:
        """Add what a batch holds of these channels and cut to the window from `start_us` on: what `samples.window` answers once the
        batch is stored. The series hold until the next batch."""
        times_s, start_s = batch.times_us / MICROSECONDS, start_us / MICROSECONDS
        for channel in channels:
            if channel in batch.channels:
                values = batch.values[batch.channels.index(channel)]
                present = slice(None) if batch.complete else ~np.isnan(values)
                some = times_s[present], values[present]
                if channel in self._columns:
                    self._columns[channel].add(*some)
                elif some[0].size:
                    self._columns[channel] = _Column(*some)
        return {channel: self._columns[channel].since(start_s) for channel in channels if channel in self._columns}


class _Column:
    """Samples of one channel: those from `begin` to `end` count, behind them is room."""

    __slots__ = ("begin", "end", "time_s", "value")

    def __init__(self, time_s: NDArray[np.float64], value: NDArray[np.float64]) -> None:
        self.time_s, self.value, self.begin, self.end = np.empty(0), np.empty(0), 0, 0
        self.add(time_s, value)

    def add(self, time_s: NDArray[np.float64], value: NDArray[np.float64]) -> None:
        end = self.end + time_s.size
        if end > self.time_s.size:
            held = slice(self.begin, self.end)
            kept, end = self.end - self.begin, self.end - self.begin + time_s.size
            room = max(_LEAST, 2 * end)
            for name in ("time_s", "value"):
                grown = np.empty(room)
                grown[:kept] = getattr(self, name)[held]
                setattr(self, name, grown)
            self.begin, self.end = 0, kept
        self.time_s[self.end : end], self.value[self.end : end] = time_s, value
        self.end = end

    def since(self, start_s: float) -> Series:
        self.begin += max(0, int(self.time_s[self.begin : self.end].searchsorted(start_s, side="right")) - BEFORE)
        return Series(self.time_s[self.begin : self.end], self.value[self.begin : self.end])
