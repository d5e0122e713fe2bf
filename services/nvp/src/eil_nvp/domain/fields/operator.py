"""The learned step of a field: multipliers by wavenumber on states, inputs and products, in stages, by least squares.

A stage predicts the spectrum after a step as Σ_f W_f(k) F_f(k), where the F are the spectra of the states, of the inputs, of the products
of the states (`FieldDomain.products`), and of the products of what the stage before predicted. So a linear domain is learnt exactly
in one stage, and a nonlinear one as an exponential Runge–Kutta method whose coefficients are learnt instead of derived, by wavenumber and
without knowing the equation's coefficients. The laws look the same in a mirror and along either axis, so weights are real and wavenumbers
that differ by the square's symmetries share them. Fitting is closed form: normal equations by such orbits, accumulated over samples, ridge
relative to the features' own energy. Conservation is by construction: weights of the mean are the domain's law, others obey its own.

Assumptions: a periodic grid, the same everywhere, and steps of the length learnt; all fields of a domain are mirrored alike; the products
are given by the domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from .domain import FieldDomain
from .spectral import to_fields, to_spectrum

RIDGE = 1e-12
"""Relative to the energy of each feature at its wavenumber ..."""
FLOOR = 1e-13
"""... and to its mean energy over all: what was hardly ever excited is damped, not guessed."""
BATCH = 64


class SpectralOperator(torch.nn.Module):
    """A step of a domain on one grid; float64, on the device of its weights.

    Args:
        domain: what is predicted.
        shape: the grid.
        stages: of weights, (O, F, C) each, O the orbits of the grid's wavenumbers, the mean's first.
    """

    def __init__(self, domain: FieldDomain, shape: Sequence[int], stages: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self.domain, self.shape = domain, tuple(shape)
        self.stages = torch.nn.ParameterList([torch.nn.Parameter(weights) for weights in stages])
        self.orbits: torch.Tensor
        self.register_buffer("orbits", orbits(self.shape), persistent=False)

    def forward(self, states: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """States (B, C, *grid) after a step under inputs (B, I, *grid)."""
        spectrum, given, spread = to_spectrum(states), to_spectrum(inputs), self._spread()
        for _ in range(self.domain.substeps):
            spectrum = self._stride(spectrum, inputs, given, spread)
        return to_fields(spectrum, self.shape)

    def stride(self, spectrum: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Spectra (B, C, *half) of the states one recording on."""
        return self._stride(spectrum, inputs, to_spectrum(inputs), self._spread())

    def _spread(self) -> list[torch.Tensor]:
        """Weights (F, C, *half) of each stage, by wavenumber."""
        half = (*self.shape[:-1], self.shape[-1] // 2 + 1)
        return [weights[self.orbits].permute(1, 2, 0).unflatten(2, half) for weights in self.stages]

    def _stride(
        self, spectrum: torch.Tensor, inputs: torch.Tensor, given: torch.Tensor, spread: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        fixed = torch.cat([spectrum, given, self.domain.products(spectrum, inputs)], 1)
        predicted = spectrum
        for place, weights in enumerate(spread):
            every = fixed if place == 0 else torch.cat([fixed, self.domain.products(predicted, inputs)], 1)
            predicted = (every[:, :, None] * weights).sum(1)
        return predicted

    def rollout(self, states: torch.Tensor, inputs: torch.Tensor) -> Iterator[torch.Tensor]:
        """States after each step, under inputs (B, steps, I, *grid)."""
        for step in range(inputs.shape[1]):
            states = self(states, inputs[:, step])
            yield states


def orbits(shape: Sequence[int]) -> torch.Tensor:
    """(K,): which wavenumbers of `rfftn` are mirror images of one another, or swap axes of equal length; the mean is orbit 0."""
    axes = [np.abs(np.fft.fftfreq(n, 1.0 / n)) for n in shape[:-1]] + [np.fft.rfftfreq(shape[-1], 1.0 / shape[-1])]
    sizes = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape))
    if len(set(shape)) == 1:
        sizes = np.sort(sizes, 1)
    return torch.as_tensor(np.unique(sizes, axis=0, return_inverse=True)[1].reshape(-1))


def fit(
    domain: FieldDomain, states: torch.Tensor, inputs: torch.Tensor, *, stages: int | None = None
) -> SpectralOperator:
    """Learn a step from trajectories: states (n, steps · substeps + 1, C, *grid), inputs (n, steps, I, *grid)."""
    shape = tuple(states.shape[3:])
    before, after = states[:, :-1].flatten(0, 1), states[:, 1:].flatten(0, 1)
    given = inputs.repeat_interleave(domain.substeps, 1).flatten(0, 1)
    operator = SpectralOperator(domain, shape, [])
    for _ in range(stages or domain.stages):
        operator.stages.append(torch.nn.Parameter(_fit_stage(operator, before, given, after)))
    return operator


@torch.no_grad()
def _fit_stage(
    operator: SpectralOperator, before: torch.Tensor, inputs: torch.Tensor, after: torch.Tensor
) -> torch.Tensor:
    domain, sums = operator.domain, []
    for x, i, y in zip(before.split(BATCH), inputs.split(BATCH), after.split(BATCH), strict=True):
        spectrum = to_spectrum(x)
        parts = [spectrum, to_spectrum(i), domain.products(spectrum, i)]
        if len(operator.stages):
            parts.append(domain.products(operator.stride(spectrum, i), i))
        every, wanted = torch.cat(parts, 1).flatten(2), to_spectrum(y).flatten(2)
        products = [
            torch.einsum("bfk,bgk->kfg", every.conj(), every).real,
            torch.einsum("bfk,bck->kfc", every.conj(), wanted).real,
        ]
        sums = [a + b for a, b in zip(sums, products, strict=True)] if sums else products
    weights = solve(*(_pool(part, operator.orbits) for part in sums))
    law = domain.mean_law()
    if law is not None:
        weights[0] = 0.0
        weights[0, : law.shape[0]] = torch.as_tensor(law, dtype=weights.dtype, device=weights.device)
    return domain.constrain(weights)


def _pool(by_wavenumber: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    pooled = by_wavenumber.new_zeros(int(place.max()) + 1, *by_wavenumber.shape[1:])
    return pooled.index_add(0, place, by_wavenumber)


def solve(gram: torch.Tensor, cross: torch.Tensor) -> torch.Tensor:
    """Ridge regression by orbit: normal equations (O, F, F), (O, F, C)."""
    energy = gram.diagonal(dim1=1, dim2=2)
    scale = (energy + FLOOR * energy.mean(0) + 1e-300).sqrt()
    scaled = gram / scale[:, :, None] / scale[:, None, :]
    eye = torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
    floor = (1.0 - energy / scale.square()).clamp_min(0.0)
    ridge = eye * (RIDGE + floor[:, None, :])
    return torch.linalg.solve(scaled + ridge, cross / scale[:, :, None]) / scale[:, :, None]
