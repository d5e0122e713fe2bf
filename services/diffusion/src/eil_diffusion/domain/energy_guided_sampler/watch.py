"""How long work tells how far it is, and hears that nobody waits for it any more."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Stage:
    """Where a sampler is."""

    name: str
    """"pilot" (whose end nobody knows before), "diffusion", "annealing" or "correction"."""
    done: int
    """Steps of this stage that are made."""
    total: int
    x: Tensor
    """(count, *shape) the configurations now; in diffusion the clean ones that are implied."""


Watch = Callable[[Stage], None]
"""Called after each step. What it raises ends the work, and frees what it held."""
