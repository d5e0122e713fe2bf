"""What a detector reports on each row of a series, and the file form of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE_DIGITS = 6
"""Decimals of a reported confidence."""


@dataclass(frozen=True)
class Reports:
    """Final reports on the n rows of a series: none depends on a later row."""

    regime: NDArray[np.int32]
    """Number k of the regime "rk", (n,)."""
    next_likely: NDArray[np.int32]
    """Number of the likeliest regime one horizon ahead, (n,)."""
    confidence: NDArray[np.float64]
    """Probability that `next_likely` is right, (n,), rounded to the decimals that are written."""
    shifts: tuple[tuple[int, int], ...]
    """(row that reports it, row at which the new regime is judged to have begun), in order, at most one a row."""

    @property
    def rows(self) -> int:
        """How many rows were reported on."""
        return self.regime.size

    def lines(self) -> list[str]:
        """A JSON object a row: row, regime_id, shift_at on a row that reports a shift, next_likely, confidence."""
        told = zip(self.regime.tolist(), self.next_likely.tolist(), self.confidence.tolist(), strict=True)
        lines = [
            f'{{"row": {row}, "regime_id": "r{regime}", "next_likely": "r{likely}", "confidence": {confidence}}}'
            for row, (regime, likely, confidence) in enumerate(told)
        ]
        for row, began in self.shifts:
            lines[row] = f'{lines[row][:-1]}, "shift_at": {began}}}'
        return lines
