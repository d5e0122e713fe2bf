"""What an energy may offer an optimiser beside its gradient. None of it is asked for; all of it is used where it is there."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from eil_diffusion.domain.constraints import Constraints


@runtime_checkable
class Constrained(Protocol):
    """Its configurations must keep more than the box of `lower` and `upper`."""

    @property
    def constraints(self) -> Constraints:
        """All that they must keep, the box included."""
        ...


@runtime_checkable
class Relaxed(Protocol):
    """It is a smooth stand-in for what is really meant."""

    def exact(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch,): what is meant, with its jumps; optima are compared and reported by it."""
        ...


@runtime_checkable
class Discrete(Protocol):
    """It knows moves that no gradient shows."""

    def neighbours(self, x: Tensor) -> Tensor:
        """(*shape) → (k, *shape): admissible configurations one discrete move away; k may be zero."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """It can prove how low no configuration lies."""

    def lower_bound(self, x: Tensor) -> float:
        """No admissible configuration has a lower (exact) energy, whatever x (*shape) the proof starts from."""
        ...
