"""Many streams of the same shape at once: flat arrays in memory, one compiled loop, no Python per stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .config import DetectorConfig
from .stream import SHIFT, State, advance, fresh

_SHIFTS_A_CALL = 8  # of one stream; more in one call are counted only


@dataclass(frozen=True, slots=True)
class BankTrace:
    """What was said of n rows of m streams: columns (m, n), meanings as in `Trace`; and the shifts among them."""

    regime: NDArray[np.int32]
    next_regime: NDArray[np.int32]
    confidence: NDArray[np.float32]
    label: NDArray[np.uint8]
    shifts: NDArray[np.float64]
    """(k, 1 + SHIFT): place of the stream among the m, then the columns of stream.py."""


class Bank:
    """The detectors of `streams` streams with `channels` channels each, all with one configuration.

    Not thread-safe, but `advance` releases the interpreter's lock: give each core a bank of its own.
    """

    def __init__(self, streams: int, channels: int = 1, config: DetectorConfig = DetectorConfig()) -> None:  # noqa: B008
        if streams < 1 or channels < 1:
            raise ValueError(f"a bank has at least one stream and one channel; {streams} and {channels} were asked for")
        self._settings = config.vector()
        one = fresh(channels)
        self._states = tuple(np.broadcast_to(part, (streams, *part.shape)).copy() for part in one)
        self._channels = channels

    @property
    def bytes_per_stream(self) -> int:
        """All that is remembered of one stream."""
        return sum(part[0].nbytes for part in self._states)

    def advance(self, rows: NDArray[np.float64], first: int = 0) -> BankTrace:
        """Take n rows of m streams, beginning with stream `first`: `rows` (m, n, channels), NaN where missing.

        Raises ValueError if the shape does not fit the bank.
        """
        if (
            rows.ndim != 3
            or rows.shape[2] != self._channels
            or first < 0
            or first + rows.shape[0] > len(self._states[0])
        ):
            raise ValueError(
                f"rows of shape {rows.shape} from stream {first} do not fit {len(self._states[0])} streams of "
                f"{self._channels} channels: give (streams, rows, channels)"
            )
        m, n = rows.shape[:2]
        trace = (
            np.empty((m, n), np.int32),
            np.empty((m, n), np.int32),
            np.empty((m, n), np.float32),
            np.empty((m, n), np.uint8),
        )
        shifts = np.empty((m, _SHIFTS_A_CALL, SHIFT))
        counts = np.zeros(m, np.int64)
        _advance_all(self._states, first, np.ascontiguousarray(rows, np.float64), self._settings, trace, shifts, counts)
        counts = np.minimum(counts, _SHIFTS_A_CALL)
        kept = np.arange(_SHIFTS_A_CALL) < counts[:, None]
        records = np.column_stack([np.repeat(np.arange(m, dtype=np.float64), counts), shifts[kept]])
        return BankTrace(*trace, records)


@njit(cache=True, nogil=True)
def _advance_all(states, first, X, P, trace, shifts, counts) -> None:
    evidences = np.empty((shifts.shape[1], X.shape[2]))
    for i in range(X.shape[0]):
        j = first + i
        f, u, h, s, m, w, r, c, o, e = states
        state = State(f[j], u[j], h[j], s[j], m[j], w[j], r[j], c[j], o[j], e[j])
        counts[i] = advance(state, X[i], P, trace[0][i], trace[1][i], trace[2][i], trace[3][i], shifts[i], evidences)
