"""OpenFOAM's finite volumes (Debian's v1912) on heat and on Taylor and Green's vortices, against closed forms."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from eil_nvp.domain.fields.heat import DIFFUSIVITY, Heat
from numpy.typing import NDArray

from .closed_forms import VORTEX_DURATION_S, VORTEX_VISCOSITY, decayed, taylor_green
from .figures import LeftOut, SolverFigure, relative_error
from .foam_case import ADVICE, FoamError, field_text, installed, last_field, run_program, write_case

DEADLINE_S = 300.0
HEAT_STEPS = 200
COURANT = 0.4
"""Share of a cell that the fastest fluid crosses in a time step."""
SEED = 1

HEAT_SOLUTION = """
solvers { T { solver PCG; preconditioner DIC; tolerance 1e-13; relTol 0; } }
SIMPLE { nNonOrthogonalCorrectors 0; }
"""
FLOW_SOLUTION = """
solvers
{
    "p|pFinal" { solver GAMG; smoother GaussSeidel; tolerance 1e-8; relTol 0; }
    U { solver smoothSolver; smoother symGaussSeidel; tolerance 1e-12; relTol 0; }
}
PISO { nCorrectors 2; nNonOrthogonalCorrectors 0; pRefCell 0; pRefValue 0; }
"""


def openfoam_heat(points: int = 64, mode: int = 1) -> SolverFigure | LeftOut:
    """laplacianFoam on cos(2πm x/L)·cos(2πm y/L) K until half of it is left, against that closed form, T·exp(−2α(2πm/L)²t).

    Second order in space (Gauss linear) and time (backward differences, started by an Euler step), 200 steps, periodic; the plate is
    that of the heat domain. In theory the error is ln 2·(2πm/points)²/12: the decay of the mode on the grid is slower by that share.
    """
    angle = 2.0 * np.pi * mode * (np.arange(points) + 0.5) / points
    start = np.cos(angle)[:, None] * np.cos(angle)[None, :]
    duration_s = np.log(2.0) / (2.0 * DIFFUSIVITY * (2.0 * np.pi * mode / Heat.extent) ** 2)
    note = f"one mode ({mode}, {mode}), {duration_s:.4g} s in {HEAT_STEPS} steps, against its closed form"
    return _heat(f"laplacianFoam, {points}²", start, duration_s, 0.5 * start, note)


def openfoam_heat_step(points: int = 64) -> SolverFigure | LeftOut:
    """laplacianFoam on one step of the heat domain from a start of that domain, heaters off, against every Fourier mode's closed form.

    Schemes as in `openfoam_heat`. The domain's fields have modes up to whole-number wavenumber 8, which such a grid resolves less well.
    """
    start = Heat().simulate(np.random.default_rng(SEED), 1, 1, points).states[0, 0, 0]
    truth = decayed(start, Heat.extent, Heat.step_s)
    note = f"a start of the heat domain, one step of {Heat.step_s:g} s in {HEAT_STEPS}, against its modes' closed forms"
    return _heat(f"laplacianFoam, heat domain, {points}²", start, Heat.step_s, truth, note)


def openfoam_taylor_green(points: int = 128) -> SolverFigure | LeftOut:
    """icoFoam on u = (sin x cos y, −cos x sin y) m/s in a periodic square of 2π m, against that times exp(−2νt).

    Gauss linear, backward differences, PISO with two corrections, ν = 0.05 m²/s, 5 s, Courant number 0.4. The slower decay on the grid
    makes an error of 2νt·(2π/points)²/12, 1.0e-4 at 128² and 4.0e-4 at 64², where the time step takes a quarter of it back; on coarser
    grids the scheme loses more than that.
    """
    name, extent = f"icoFoam, Taylor–Green, {points}²", 2.0 * np.pi
    steps = int(np.ceil(VORTEX_DURATION_S * points / (extent * COURANT)))
    velocity, pressure = taylor_green(points)
    files = {
        "constant/transportProperties": f"nu [0 2 -1 0 0 0 0] {VORTEX_VISCOSITY:.17g};",
        "system/fvSolution": FLOW_SOLUTION,
    }
    fields = {"U": field_text("U", velocity, "[0 1 -1 0 0 0 0]"), "p": field_text("p", pressure, "[0 2 -2 0 0 0 0]")}
    try:
        found, seconds = _solve("icoFoam", "U", points, extent, VORTEX_DURATION_S, steps, files, fields)
    except FoamError as error:
        return LeftOut(name, str(error))
    truth, _ = taylor_green(points, VORTEX_DURATION_S)
    note = f"velocity, ν = {VORTEX_VISCOSITY:g} m²/s, {VORTEX_DURATION_S:g} s in {steps} steps, against the closed form"
    return SolverFigure(name, relative_error(found, truth), seconds, note)


def _heat(
    name: str, start: NDArray[np.float64], duration_s: float, truth: NDArray[np.float64], note: str
) -> SolverFigure | LeftOut:
    """laplacianFoam on the heat domain's plate."""
    files = {
        "constant/transportProperties": f"DT [0 2 -1 0 0 0 0] {DIFFUSIVITY:.17g};",
        "system/fvSolution": HEAT_SOLUTION,
    }
    fields = {"T": field_text("T", start, "[0 0 0 1 0 0 0]")}
    try:
        found, seconds = _solve("laplacianFoam", "T", len(start), Heat.extent, duration_s, HEAT_STEPS, files, fields)
    except FoamError as error:
        return LeftOut(name, str(error))
    return SolverFigure(name, relative_error(found, truth), seconds, note)


def _solve(
    program: str,
    field: str,
    points: int,
    extent: float,
    duration_s: float,
    steps: int,
    files: Mapping[str, str],
    fields: Mapping[str, str],
) -> tuple[NDArray[np.float64], float]:
    """The field at the end, and the program's wall time [s]."""
    if not installed():
        raise FoamError(ADVICE)
    with tempfile.TemporaryDirectory(prefix="eil-openfoam-") as name:
        folder = Path(name)
        write_case(folder, points, extent, duration_s, steps, files, fields)
        run_program(folder, "blockMesh", DEADLINE_S)
        seconds = run_program(folder, program, DEADLINE_S)
        return last_field(folder, field, points), seconds
