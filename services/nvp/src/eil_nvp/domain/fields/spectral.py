"""Calculus on periodic grids by Fourier transform, and a trusted time integrator; exact up to rounding or its stated order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

Field = NDArray[np.float64]
Spectrum = NDArray[np.complex128]


def wavenumbers(shape: Sequence[int], extent: float) -> tuple[Field, ...]:
    """Angular wavenumbers [1/m] along each axis of `rfftn`, shaped to broadcast: (n, 1), (1, n // 2 + 1) in two dimensions."""
    axes = [2.0 * np.pi / extent * np.fft.fftfreq(n, 1.0 / n) for n in shape[:-1]]
    axes.append(2.0 * np.pi / extent * np.fft.rfftfreq(shape[-1], 1.0 / shape[-1]))
    shapes = [[-1 if i == j else 1 for j in range(len(axes))] for i in range(len(axes))]
    return tuple(np.asarray(axis, np.float64).reshape(own) for axis, own in zip(axes, shapes, strict=True))


@lru_cache(32)
def torch_wavenumbers(shape: tuple[int, ...], extent: float, device: torch.device) -> tuple[torch.Tensor, ...]:
    """As `wavenumbers`, as tensors on a device."""
    return tuple(torch.as_tensor(axis, device=device) for axis in wavenumbers(shape, extent))


def derivative_axes(shape: Sequence[int], extent: float) -> tuple[Spectrum, ...]:
    """i·k along each axis; zero at the Nyquist wavenumber, where the derivative of a real field is not defined by its samples."""
    factors = []
    for n, axis in zip(shape, wavenumbers(shape, extent), strict=True):
        nyquist = np.isclose(abs(axis), np.pi * n / extent)
        factors.append(1j * np.where(nyquist, 0.0, axis))
    return tuple(factors)


@lru_cache(32)
def torch_derivatives(shape: tuple[int, ...], extent: float, device: torch.device) -> tuple[torch.Tensor, ...]:
    """As `derivative_axes`, as tensors on a device."""
    return tuple(torch.as_tensor(axis, device=device) for axis in derivative_axes(shape, extent))


def to_spectrum(fields: torch.Tensor) -> torch.Tensor:
    """(B, F, *half) of real fields (B, F, *grid), scaled so that a field's mean is its first coefficient."""
    if not fields.shape[1]:  # not every library transforms nothing
        half = (*fields.shape[2:-1], fields.shape[-1] // 2 + 1)
        return torch.empty((fields.shape[0], 0, *half), dtype=torch.complex128, device=fields.device)
    return torch.fft.rfftn(fields, dim=tuple(range(2, fields.ndim)), norm="forward")


def to_fields(spectrum: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """The fields (B, F, *shape) of a spectrum."""
    return torch.fft.irfftn(spectrum, s=shape, dim=tuple(range(2, spectrum.ndim)), norm="forward")


def grid_of(spectrum: torch.Tensor) -> tuple[int, ...]:
    """The grid, of even length along the last axis, that a spectrum (B, F, *half) is of."""
    return (*spectrum.shape[2:-1], 2 * (spectrum.shape[-1] - 1))


def gradient_square(field: torch.Tensor, extent: float) -> torch.Tensor:
    """|∇field|² of a field (B, *grid)."""
    shape = tuple(field.shape[1:])
    axes = tuple(range(1, field.ndim))
    spectrum = torch.fft.rfftn(field, dim=axes)
    along = [
        torch.fft.irfftn(1j * k * spectrum, s=shape, dim=axes).square()
        for k in torch_wavenumbers(shape, extent, field.device)
    ]
    return torch.stack(along).sum(0)


def random_field(rng: np.random.Generator, shape: Sequence[int], lowest: int, highest: int) -> Field:
    """A periodic normal random field of unit root mean square whose whole-number wavenumbers lie within [lowest, highest]."""
    spectrum = np.fft.rfftn(rng.standard_normal(shape))
    size = np.sqrt(sum(axis**2 for axis in wavenumbers(shape, 2.0 * np.pi)))
    spectrum[(size < lowest) | (size > highest)] = 0.0
    field = np.fft.irfftn(spectrum, s=tuple(shape), axes=range(len(shape)))
    return field / np.sqrt(np.mean(field**2))


class Etdrk4:
    """û' = L·û + N(û), fourth order in the step, exact in the linear part.

    The coefficients are contour means over 32 points of a unit circle (Kassam and Trefethen, SIAM J. Sci. Comput. 26, 2005).

    Args:
        linear: L, per wavenumber [1/s], real.
        nonlinear: N, from spectrum to spectrum; it removes aliases itself.
        step_s: length of a step [s].
    """

    def __init__(self, linear: Field, nonlinear: Callable[[Spectrum], Spectrum], step_s: float) -> None:
        self._n = nonlinear
        roots = np.exp(1j * np.pi * (np.arange(1, 33) - 0.5) / 16.0)
        lr = step_s * linear[..., None] + roots
        self._e, self._half = np.exp(step_s * linear), np.exp(0.5 * step_s * linear)
        self._q = step_s * np.mean((np.exp(lr / 2) - 1) / lr, axis=-1).real
        e = np.exp(lr)
        self._f1 = step_s * np.mean((-4 - lr + e * (4 - 3 * lr + lr**2)) / lr**3, axis=-1).real
        self._f2 = step_s * np.mean((2 + lr + e * (lr - 2)) / lr**3, axis=-1).real
        self._f3 = step_s * np.mean((-4 - 3 * lr - lr**2 + e * (4 - lr)) / lr**3, axis=-1).real

    def step(self, spectrum: Spectrum) -> Spectrum:
        """One step on."""
        n0 = self._n(spectrum)
        a = self._half * spectrum + self._q * n0
        na = self._n(a)
        b = self._half * spectrum + self._q * na
        nb = self._n(b)
        c = self._half * a + self._q * (2.0 * nb - n0)
        return self._e * spectrum + self._f1 * n0 + 2.0 * self._f2 * (na + nb) + self._f3 * self._n(c)


def record(solver: Etdrk4, starts: Sequence[Field], recordings: int, refinement: int) -> Field:
    """(n, recordings + 1, 1, *grid) of starts (*grid), `refinement` steps of the solver to a recording."""
    states = np.empty((len(starts), recordings + 1, 1, *starts[0].shape))
    for i, start in enumerate(starts):
        states[i, 0, 0], spectrum = start, np.fft.rfft2(start)
        for t in range(recordings):
            for _ in range(refinement):
                spectrum = solver.step(spectrum)
            states[i, t + 1, 0] = np.fft.irfft2(spectrum, s=start.shape)
    return states
