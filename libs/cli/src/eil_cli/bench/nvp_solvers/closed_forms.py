"""The sources of the field domains' truth, against closed forms that are written down apart from them.

Here a field is taken apart into modes by sums over the grid, without a fast transform, and is put at any time at once, not step by step.
"""

import time

import numpy as np
from eil_nvp.domain.fields.fluid import vorticity_solver
from eil_nvp.domain.fields.heat import DIFFUSIVITY, Heat
from eil_nvp.domain.fields.relaxation import Relaxation, relaxation_solver
from eil_nvp.domain.fields.spectral import Etdrk4
from eil_nvp.domain.fields.wave import SPEED, Wave
from numpy.typing import NDArray

from .figures import SolverFigure, relative_error

Field = NDArray[np.float64]
Modes = NDArray[np.complex128]

POINTS = 64
ROLLOUT = 100
"""Steps of a domain that prescribe how long waves and heat are followed."""
VORTEX_VISCOSITY, VORTEX_DURATION_S, VORTEX_STEPS = 0.05, 5.0, 250
"""[m²/s], [s]: the vortices fall to exp(−½) of their speed, so that their decay is well above a solver's error."""
RELAXATION_STEPS, RELAXATION_STEP_S = 200, 0.05
SEED = 1


def closed_forms() -> tuple[SolverFigure, ...]:
    """Relative L2 errors of our own sources of truth, at 64²: fluid, relaxation, wave and heat."""
    return _vortices(), _relaxation(), _wave(), _heat()


def taylor_green(points: int, after_s: float = 0.0) -> tuple[Field, Field]:
    """Velocity (points, points, 3) [m/s] and pressure over density [m²/s²] at the middles of the cells of a periodic square of 2π m.

    u = (sin x cos y, −cos x sin y)·exp(−2νt). Taylor and Green, Proc. R. Soc. A 158 (1937).
    """
    decay = np.exp(-2.0 * VORTEX_VISCOSITY * after_s)
    angle = 2.0 * np.pi * (np.arange(points) + 0.5) / points
    x, y = angle[:, None], angle[None, :]
    velocity = np.stack([np.sin(x) * np.cos(y), -np.cos(x) * np.sin(y), np.zeros((points, points))], -1)
    return decay * velocity, 0.25 * decay**2 * (np.cos(2.0 * x) + np.cos(2.0 * y))


def decayed(field: Field, extent: float, after_s: float) -> Field:
    """A temperature left alone for a time, in a periodic square: each mode falls by exp(−αk²t)."""
    return _field(_modes(field) * np.exp(-DIFFUSIVITY * _square(len(field), extent) * after_s))


def _vortices() -> SolverFigure:
    """Vorticity of Taylor and Green's vortices, 2·sin x·sin y, which falls by exp(−2νt) while advection carries it nowhere."""
    angle = 2.0 * np.pi * np.arange(POINTS) / POINTS
    start = 2.0 * np.sin(angle)[:, None] * np.sin(angle)[None, :]
    solver = vorticity_solver(POINTS, 2.0 * np.pi, VORTEX_DURATION_S / VORTEX_STEPS, VORTEX_VISCOSITY)
    found, seconds = _follow(solver, start, VORTEX_STEPS)
    truth = start * np.exp(-2.0 * VORTEX_VISCOSITY * VORTEX_DURATION_S)
    note = f"vorticity, ν = {VORTEX_VISCOSITY:g} m²/s, {VORTEX_DURATION_S:g} s in {VORTEX_STEPS} steps, against the closed form"
    return SolverFigure(f"vorticity solver, Taylor–Green, {POINTS}²", relative_error(found, truth), seconds, note)


def _relaxation() -> SolverFigure:
    """The order parameter with the cube left out, from a start of the domain: each mode grows or falls by exp((k² − k⁴)t)."""
    start = Relaxation().simulate(np.random.default_rng(SEED), 1, 0, POINTS).states[0, 0, 0]
    found, seconds = _follow(
        relaxation_solver(POINTS, Relaxation.extent, RELAXATION_STEP_S, 0.0), start, RELAXATION_STEPS
    )
    duration = RELAXATION_STEPS * RELAXATION_STEP_S
    square = _square(POINTS, Relaxation.extent)
    truth = _field(_modes(start) * np.exp((square - square**2) * duration))
    note = f"without the cube, time {duration:g} in {RELAXATION_STEPS} steps, against every mode's closed form"
    return SolverFigure(f"relaxation solver, Gaussian, {POINTS}²", relative_error(found, truth), seconds, note)


def _wave() -> SolverFigure:
    """Displacement and velocity as standing waves: a·cos ωt + b·sin ωt/ω and its derivative. The larger of the channels' errors."""
    began_s = time.perf_counter()
    states = Wave().simulate(np.random.default_rng(SEED), 1, ROLLOUT, POINTS).states[0]
    seconds = time.perf_counter() - began_s
    duration_s = ROLLOUT * Wave.step_s
    a, b = _modes(states[0, 0]), _modes(states[0, 1])
    omega = SPEED * np.sqrt(_square(POINTS, Wave.extent))
    omega[0, 0] = 1.0
    displacement = a * np.cos(omega * duration_s) + b * np.sin(omega * duration_s) / omega
    velocity = b * np.cos(omega * duration_s) - a * omega * np.sin(omega * duration_s)
    displacement[0, 0], velocity[0, 0] = a[0, 0] + b[0, 0] * duration_s, b[0, 0]
    error = max(relative_error(states[-1, 0], _field(displacement)), relative_error(states[-1, 1], _field(velocity)))
    note = f"{ROLLOUT} steps of {Wave.step_s:g} s, against standing waves"
    return SolverFigure(f"wave simulation, {POINTS}²", error, seconds, note)


def _heat() -> SolverFigure:
    """Temperature as what is left of the start plus what is left of every step's heating (Duhamel's integral)."""
    began_s = time.perf_counter()
    made = Heat().simulate(np.random.default_rng(SEED), 1, ROLLOUT, POINTS)
    seconds = time.perf_counter() - began_s
    rate = DIFFUSIVITY * _square(POINTS, Heat.extent)
    rate[0, 0] = 1.0
    modes = _modes(made.states[0, 0, 0])
    mean = modes[0, 0] + Heat.step_s * made.inputs[0, :, 0].mean((1, 2)).sum()
    modes *= np.exp(-rate * ROLLOUT * Heat.step_s)
    for step in range(ROLLOUT):
        since_s = (ROLLOUT - step) * Heat.step_s
        left = np.exp(-rate * (since_s - Heat.step_s)) - np.exp(-rate * since_s)
        modes += _modes(made.inputs[0, step, 0]) * left / rate
    modes[0, 0] = mean
    note = f"{ROLLOUT} steps of {Heat.step_s:g} s with heating, against Duhamel's integral of every mode"
    return SolverFigure(
        f"heat simulation, {POINTS}²", relative_error(made.states[0, -1, 0], _field(modes)), seconds, note
    )


def _follow(solver: Etdrk4, start: Field, steps: int) -> tuple[Field, float]:
    """The field after so many steps, and the steps' wall time [s]."""
    spectrum = np.fft.rfft2(start)
    began_s = time.perf_counter()
    for _ in range(steps):
        spectrum = solver.step(spectrum)
    return np.fft.irfft2(spectrum, s=start.shape), time.perf_counter() - began_s


def _waves(points: int) -> Modes:
    """(mode, point): e^{2πi·mode·point/points}."""
    index = np.arange(points)
    return np.exp(2j * np.pi * (np.outer(index, index) % points) / points)


def _modes(field: Field) -> Modes:
    """Complex amplitudes of a square field's modes."""
    waves = _waves(len(field)).conj() / len(field)
    return waves @ field @ waves.T


def _field(modes: Modes) -> Field:
    """The field that the modes add up to."""
    waves = _waves(len(modes))
    return (waves.T @ modes @ waves).real


def _square(points: int, extent: float) -> Field:
    """k² [1/m²] of the modes."""
    number = (np.arange(points) + points // 2) % points - points // 2
    k = 2.0 * np.pi * number / extent
    return k[:, None] ** 2 + k[None, :] ** 2
