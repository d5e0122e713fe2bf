from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import pytest
import torch
from eil_diffusion.domain import GaussianFreeField, RackHeatMap, energy_gradient
from eil_diffusion.domain.energies.graph import GraphEnergy
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energies.probe import probe
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energies.user_quadratic import BoxQuadratic, UserQuadratic
from torch import Tensor


@dataclass
class Written:
    """An energy as a function of (batch, n), its gradient automatic or given, with an unbounded box unless closed."""

    function: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor] | None = None
    size: int = 16
    closed: float | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.size,)

    @property
    def lower(self) -> Tensor | None:
        return None if self.closed is None else torch.full((self.size,), -self.closed, dtype=torch.float64)

    @property
    def upper(self) -> Tensor | None:
        return None if self.closed is None else torch.full((self.size,), self.closed, dtype=torch.float64)

    def energy(self, x: Tensor) -> Tensor:
        return self.function(x)

    def gradient(self, x: Tensor) -> Tensor:
        return energy_gradient(self.function, x) if self.slope is None else self.slope(x)

    def to(self, device: str) -> Self:
        return self


@dataclass
class Sampled(Written):
    """The same, with white noise as its reference."""

    @property
    def reference(self) -> QuadraticEnergy:
        return UserQuadratic(torch.eye(self.size, dtype=torch.float64))


@dataclass
class Counted(Written):
    """Counts evaluations and the largest batch."""

    calls: int = 0
    largest: int = 0

    def energy(self, x: Tensor) -> Tensor:
        self.calls, self.largest = self.calls + 1, max(self.largest, len(x))
        return super().energy(x)

    def gradient(self, x: Tensor) -> Tensor:
        self.calls, self.largest = self.calls + 1, max(self.largest, len(x))
        return x

    @property
    def reference(self) -> QuadraticEnergy:
        return UserQuadratic(torch.eye(self.size, dtype=torch.float64))


def half_square(x: Tensor) -> Tensor:
    return 0.5 * x.square().sum(1)


def stiff_and_soft() -> UserQuadratic:
    return UserQuadratic(torch.diag(torch.logspace(-6, 6, 32, dtype=torch.float64)), 3.0, -1e6)


GOOD = {
    "free field": lambda: GaussianFreeField(8, 1e-6),
    "racks": lambda: RackHeatMap(3, 4, 5000.0, neighbour_w_per_k=1e4),
    "one well": lambda: Phi4(8, 1.0, 0.1),
    "two deep wells": lambda: Phi4(8, -50.0, 0.01),
    "weak coupling": lambda: Phi4(4, -1.0, 1e-9),
    "graph": lambda: GraphEnergy([(0, 1, 5.0), (1, 2, 1e-3)], [1.0, 0.0, 0.0], 300.0),
    "ill-conditioned": stiff_and_soft,
    "far from zero": lambda: UserQuadratic([[1e12]], [-1e15], 1e9),
    "indefinite in a box": lambda: BoxQuadratic([[1.0, 5.0], [5.0, -3.0]], lower=[0.0, 1e6], upper=[1.0, 1e6 + 1]),
    "bumpy in a box": lambda: Written(lambda x: (10 * x).cos().sum(1) - x.sum(1), closed=1.0),
    "growing slowly": lambda: Sampled(lambda x: (1 + x.square().sum(1)).sqrt()),
    "one point": lambda: Written(half_square, closed=0.0),
    "open": lambda: Written(half_square),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_good_energies_pass(name: str, seed: int) -> None:
    probe(GOOD[name](), torch.Generator().manual_seed(seed))


def one_negative(x: Tensor) -> Tensor:
    # One eigenvalue is -1, fifteen are 1: along rays that know nothing of it the energy rises.
    ray = torch.sin(torch.arange(16, dtype=torch.float64) ** 2)
    return half_square(x) - (x @ (ray / ray.norm())).square()


BAD = {
    "unbounded": (lambda: Sampled(lambda x: -half_square(x)), "falls along"),
    "unbounded and never sampled": (lambda: Written(lambda x: x.pow(3).sum(1)), "falls along"),
    "cubic": (lambda: Sampled(lambda x: half_square(x) + x.pow(3).sum(1)), "falls along"),
    "hidden direction": (lambda: Sampled(one_negative), "turned downhill"),
    "flat mean": (
        lambda: Sampled(lambda x: half_square(x - x.roll(1, 1))),
        "hardly grows along .*all coordinates together",
    ),
    "saturating": (lambda: Sampled(lambda x: 1 - (-half_square(x)).exp()), "hardly grows"),
    "logarithmic": (lambda: Sampled(lambda x: (1 + x.square().sum(1)).log()), "hardly grows"),
    "constant": (lambda: Sampled(lambda x: 0 * half_square(x)), "hardly grows"),
    "overflowing": (lambda: UserQuadratic([[1e308]]), "energy is not finite 1000 units from the centre along"),
    "overflowing coupling": (lambda: Phi4(4, 1.0, 1e300), "not finite 1000 units"),
    "overflowing gradient": (
        lambda: Sampled(half_square, slope=lambda x: x / (x.abs() < 5e3)),
        "gradient is not finite 10000",
    ),
    "nowhere finite": (lambda: Sampled(lambda x: half_square(x) / 0.0), "at the centre"),
    "root of a negative": (lambda: Sampled(lambda x: half_square(x) + x.sqrt().sum(1)), "not finite"),
    "gradient of half": (lambda: Sampled(half_square, slope=lambda x: x / 2), "not that of the energy"),
    "gradient uphill": (lambda: Sampled(half_square, slope=lambda x: -x), "not that of the energy"),
    "one wrong coordinate": (
        lambda: Sampled(half_square, slope=lambda x: x * (torch.arange(16) != 3)),
        "not that of the energy",
    ),
    "gradient wrong far away": (
        lambda: Sampled(half_square, slope=lambda x: torch.where(x.abs() > 100, 2 * x, x)),
        "1000 spreads from the centre",
    ),
    "wrong gradient in a box": (
        lambda: Written(half_square, slope=lambda x: x + 0.1, closed=2.0),
        "not that of the energy",
    ),
    "one number for all": (lambda: Sampled(lambda x: half_square(x).sum()), "one energy each"),
    "flattened gradient": (lambda: Sampled(half_square, slope=lambda x: x.flatten()), "shaped as they are"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_bad_energies_are_refused_with_a_reason(name: str, seed: int) -> None:
    build, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        probe(build(), torch.Generator().manual_seed(seed))


def test_the_message_says_direction_and_distance() -> None:
    with pytest.raises(ValueError, match=r"falls along \+ a random direction: .* at 1000 spreads .* at 10000"):
        probe(Sampled(lambda x: -half_square(x)))


def test_it_costs_a_bounded_number_of_evaluations() -> None:
    counted = Counted(half_square)
    probe(counted)
    assert 30 < counted.calls <= 64
    assert counted.largest <= 8


def test_without_generator_it_always_looks_along_the_same_rays() -> None:
    seen: list[Tensor] = []

    def watched(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return half_square(x)

    for _ in range(2):
        probe(Sampled(watched, slope=lambda x: x))
    half = len(seen) // 2
    assert all(torch.equal(a, b) for a, b in zip(seen[:half], seen[half:], strict=True))
    first, second = len(seen), torch.Generator().manual_seed(9)
    probe(Sampled(watched, slope=lambda x: x), second)
    assert not torch.equal(seen[first + 1], seen[1])
