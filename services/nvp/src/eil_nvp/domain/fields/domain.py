"""What a physical domain is: its channels, the products that drive it, what it conserves, and how its truth is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Truth: `states` (n, steps · substeps + 1, C, *grid), and `inputs` (n, steps, I, *grid), each held constant during its step."""

    states: NDArray[np.float64]
    inputs: NDArray[np.float64]


class FieldDomain(ABC):
    """A field on a periodic grid that takes steps of a fixed length."""

    name: ClassVar[str]
    states: ClassVar[tuple[str, ...]]
    """Channels with units, e.g. "temperature above ambient [K]"."""
    inputs: ClassVar[tuple[str, ...]] = ()
    """Channels known in advance (planned actions), constant during a step."""
    extent: ClassVar[float]
    """Side of the square [m]."""
    step_s: ClassVar[float]
    """Length of a step [s]."""
    dimensions: ClassVar[int] = 2
    substeps: ClassVar[int] = 1
    """Recordings in a step: the learned operator takes that many strides to a step."""
    stages: ClassVar[int] = 1
    """Stages of the learned operator; a linear domain needs one."""
    terms: ClassVar[int] = 0
    """Products given by `products`."""

    @property
    def method(self) -> str:
        """How the truth is made, for provenance."""
        return (self.simulate.__doc__ or "").strip().splitlines()[0]

    @abstractmethod
    def simulate(self, rng: np.random.Generator, trajectories: int, steps: int, points: int) -> Trajectories:
        """Trajectories from random starts, by a solver independent of what is learned."""

    def products(self, spectrum: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """Spectra (B, terms, *half) of the products of fields that the change in a step may be made of.

        Given are the spectra of the states (`spectral.to_spectrum`) and the inputs (B, I, *grid).
        """
        return spectrum[:, :0]

    @abstractmethod
    def mean_law(self) -> NDArray[np.float64] | None:
        """(C + I, C): how the fields' means after a step follow from the means of states and inputs before it; products do not enter.

        None where there is no such law.
        """

    def constrain(self, weights: torch.Tensor) -> torch.Tensor:
        """Weights (O, F, C) of a stage as physics allows them."""
        return weights

    def imbalance(self, before: torch.Tensor, inputs: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """(B,): by how much a step breaks the conservation law, as a share of what is conserved.

        Here the distance of the means from their law, over the root mean square of the states; the worst channel's.
        """
        axes = tuple(range(2, after.ndim))
        away = after.mean(axes) - self._lawful_means(before, inputs)
        return (away.abs() / after.square().mean(axes).sqrt().clamp_min(1e-300)).amax(1)

    def restore(self, before: torch.Tensor, inputs: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """The states nearest to `after` that conserve: here with the means that follow from those before."""
        axes = tuple(range(2, after.ndim))
        away = self._lawful_means(before, inputs) - after.mean(axes)
        return after + away[(...,) + (None,) * len(axes)]

    def _lawful_means(self, states: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        """(B, C): the means that a step must lead to."""
        law = self.mean_law()
        assert law is not None, f"{self.name} has no law of means: it must say itself what it conserves"
        given = torch.cat([states, inputs], 1).mean(tuple(range(2, states.ndim)))
        return given @ torch.as_tensor(law, dtype=states.dtype, device=states.device)

    @abstractmethod
    def energy(self, states: torch.Tensor) -> torch.Tensor:
        """(B,): the energy, or what stands for it here, per area."""
