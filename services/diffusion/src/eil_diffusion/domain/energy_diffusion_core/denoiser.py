"""What reverse diffusion asks of a model: a Gaussian law of the data, and how far the mean of the clean sample lies from that law's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from eil_diffusion.domain.energies.quadratic import QuadraticEnergy


@dataclass(frozen=True)
class Context:
    """What is known beside the configuration; a batch of one serves all."""

    signals: Tensor | None = None
    """(batch or 1, signals): telemetry, regime and predicted state, standardised by the model."""
    maps: Tensor | None = None
    """(batch or 1, maps, rows, columns): known at every site, as the power of racks."""

    def to(self, device: str, dtype: torch.dtype = torch.float64) -> "Context":
        """The same on a device."""
        return Context(*(None if one is None else one.to(device, dtype) for one in (self.signals, self.maps)))


@dataclass(frozen=True)
class GaussianLaw:
    """A Gaussian law, diagonal in orthonormal modes."""

    mean: Tensor
    """(*shape) or (batch, *shape)."""
    variance: Tensor
    """Of each mode, (*shape) or (batch, *shape)."""
    to_modes: Callable[[Tensor], Tensor]
    from_modes: Callable[[Tensor], Tensor]
    scale: float = 1.0
    """Unit in which noise is added: diffusion runs on (x - mean)/scale."""


class Denoiser(Protocol):
    """E[x₀ | x_t] as Wiener's filter under a Gaussian law plus a correction, with the posterior variance of that law."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a configuration."""
        ...

    def law(self, context: Context | None) -> GaussianLaw:
        """The Gaussian law near the data, given the context."""
        ...

    @property
    def corrects(self) -> bool:
        """Whether there is a correction at all."""
        ...

    def correction(self, noisy: Tensor, filtered: Tensor, signal: float, context: Context | None) -> Tensor:
        """What to add to the filtered sample. Everything is (batch, *shape) in units of the law, x = mean +
        scale·noisy.
        """
        ...


@dataclass(frozen=True)
class ExactDenoiser:
    """The denoiser of exp(-E/kT) of a quadratic energy, which is Wiener's filter and nothing else."""

    energy: QuadraticEnergy
    kt: float
    corrects: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a configuration."""
        return self.energy.shape

    def law(self, context: Context | None) -> GaussianLaw:
        """The Boltzmann law itself."""
        energy = self.energy
        return GaussianLaw(energy.mean, self.kt / energy.eigenvalues, energy.to_modes, energy.from_modes)

    def correction(self, noisy: Tensor, filtered: Tensor, signal: float, context: Context | None) -> Tensor:
        """None is needed."""
        return torch.zeros_like(filtered)
