"""Modes of a rectangular lattice: real orthonormal bases in which the five-point Laplacian is diagonal, periodic or with insulating
walls.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Lattice:
    """Sites of a lattice (*shape), two-dimensional; the modes are Hartley's where it is periodic, else cosines (DCT-II)."""

    shape: tuple[int, int]
    periodic: bool = True

    @property
    def size(self) -> int:
        """Number of sites."""
        return self.shape[0] * self.shape[1]

    def eigenvalues(self) -> Tensor:
        """(*shape) eigenvalues of minus the five-point Laplacian, between 0 and 8, float64."""
        down, across = (_line(length, self.periodic) for length in self.shape)
        return down[:, None] + across[None, :]

    def to_modes(self, x: Tensor) -> Tensor:
        """(..., *shape) orthonormal coordinates."""
        if self.periodic:
            waves = torch.fft.fft2(x, norm="ortho")
            return waves.real - waves.imag
        down, across = (_cosines(length).to(x) for length in self.shape)
        return down @ x @ across.T

    def from_modes(self, modes: Tensor) -> Tensor:
        """The inverse of `to_modes`; Hartley's transform is its own."""
        if self.periodic:
            return self.to_modes(modes)
        down, across = (_cosines(length).to(modes) for length in self.shape)
        return down.T @ modes @ across


def _line(length: int, periodic: bool) -> Tensor:
    turn = 2.0 if periodic else 1.0
    return 2 - 2 * (turn * math.pi * torch.arange(length, dtype=torch.float64) / length).cos()


@lru_cache(maxsize=64)
def _cosines(length: int) -> Tensor:
    """(length, length) the orthonormal DCT-II, a mode in each row."""
    mode, site = torch.arange(length, dtype=torch.float64)[:, None], torch.arange(length, dtype=torch.float64) + 0.5
    basis = (math.pi * mode * site / length).cos() * math.sqrt(2 / length)
    basis[0] /= math.sqrt(2)
    return basis
