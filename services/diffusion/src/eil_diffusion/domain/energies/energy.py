"""What an energy is."""

from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

import torch
from torch import Tensor

if TYPE_CHECKING:
    from eil_diffusion.domain.energies.quadratic import QuadraticEnergy


class Energy(Protocol):
    """A differentiable energy of a field; configurations come in batches, (batch, *shape) in float64."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one configuration."""
        ...

    @property
    def lower(self) -> Tensor | None:
        """Smallest admissible configuration, or None when unbounded; only optimisation heeds it."""
        ...

    @property
    def upper(self) -> Tensor | None:
        """Largest admissible configuration, or None when unbounded; only optimisation heeds it."""
        ...

    def energy(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch,)."""
        ...

    def gradient(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch, *shape), the exact derivative of `energy`."""
        ...

    def to(self, device: str) -> Self:
        """The same energy with its tensors on `device`."""
        ...


@runtime_checkable
class SampledEnergy(Energy, Protocol):
    """An energy whose Boltzmann law can be sampled: one that confines, and knows a Gaussian near it."""

    @property
    def reference(self) -> "QuadraticEnergy":
        """A quadratic energy on the same shape whose Boltzmann law overlaps with this one's.

        Annealing starts from it, exactly sampled, with its exact log Z; its matrix is the mass of Hamiltonian moves. The nearer, the
        cheaper; results do not depend on it.
        """
        ...


def clip(x: Tensor, lower: Tensor | None, upper: Tensor | None) -> Tensor:
    """x moved into the box; None leaves a side open."""
    if lower is not None:
        x = torch.maximum(x, lower)
    return x if upper is None else torch.minimum(x, upper)


def each_sum(values: Tensor) -> Tensor:
    """Sum over everything but the batch: (batch, *shape) → (batch,)."""
    return values.flatten(1).sum(dim=1)
