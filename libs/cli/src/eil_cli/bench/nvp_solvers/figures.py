"""What is reported of a solver."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class SolverFigure:
    """How far a solver is from what it should have found."""

    name: str
    error: float
    """Relative L2 error [1]."""
    seconds: float
    """Wall time of the solver's run [s]; writing the case and meshing are not in it."""
    note: str
    """What was solved, by which scheme, against what."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A solver that gave no figure."""

    name: str
    reason: str


def relative_error(found: NDArray[Any], truth: NDArray[Any]) -> float:
    """‖found − truth‖ / ‖truth‖ over all entries [1]."""
    if found.shape != truth.shape:
        raise ValueError(f"found has the shape {found.shape}, the truth {truth.shape}")
    return float(np.linalg.norm(found - truth) / np.linalg.norm(truth))
