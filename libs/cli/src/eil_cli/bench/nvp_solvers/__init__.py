"""Trusted solvers beside the learned field predictors: what others' programs, and our own sources of truth, err by."""

from .closed_forms import closed_forms
from .figures import LeftOut, SolverFigure
from .grid import pandapower_grid
from .openfoam import openfoam_heat, openfoam_heat_step, openfoam_taylor_green

__all__ = [
    "LeftOut",
    "SolverFigure",
    "closed_forms",
    "openfoam_heat",
    "openfoam_heat_step",
    "openfoam_taylor_green",
    "pandapower_grid",
]
