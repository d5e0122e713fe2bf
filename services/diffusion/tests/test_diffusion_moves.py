import math
from dataclasses import replace
from typing import Self

import numpy as np
import pytest
import torch
from eil_diffusion.domain import GaussianFreeField, Noise, SampledEnergy
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energies.user_quadratic import UserQuadratic
from eil_diffusion.domain.energy_guided_sampler.moves import Hamiltonian, Langevin, Move, hamiltonian, langevin
from eil_diffusion.domain.energy_guided_sampler.sampler import corrected
from numpy.testing import assert_allclose
from scipy import stats

TRUTHS = {(2, -1.0, 0.5): 0.4267092657, (3, 1.0, 0.1): 0.2509502063, (3, -4.0, 1.0): 0.7197415160}
"""(side, mass2, coupling) → ⟨φ²⟩ of φ⁴ at kT = 1 by numerical integration; see test_diffusion_phi4.py."""


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def off(values: torch.Tensor, truth: float) -> float:
    """Standard errors between the mean of independent values and the truth."""
    return abs(float(values.mean()) - truth) / (float(values.std()) / math.sqrt(len(values)))


FIELD, FAR = GaussianFreeField(6, 0.5), GaussianFreeField(6, 1.5)
"""A law, and a mass metric that is not its own: three times too stiff for the longest wave."""
MOVES: dict[str, Move] = {
    "hamiltonian": Hamiltonian(FIELD, 0.4, 4),
    "hamiltonian, wrong mass": Hamiltonian(FAR, 0.5, 4),
    "one leap": Hamiltonian(FAR, 0.6, 1),
    "langevin": Langevin(FIELD, 0.3),
    "langevin, wrong mass": Langevin(FAR, 0.4),
}


@pytest.mark.parametrize("kt", [1.0, 2.5])
@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_exact_samples_stay_exact(move: Move, kt: float) -> None:
    count = 3000
    x, taken = corrected(FIELD, FIELD.draw(count, kt, seeded(1)), move, 12, kt, Noise([2], [count]))
    assert 0.5 < taken < 0.98
    energies = FIELD.energy(x)
    assert off(energies, 18 * kt) < 4
    assert stats.kstest(energies.numpy() / kt, stats.gamma(18).cdf).pvalue > 1e-4
    spread = (FIELD.to_modes(x).square() * FIELD.eigenvalues / kt).mean(0)
    assert float((spread - 1).abs().max()) < 5 * math.sqrt(2 / count)


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_wrong_start_is_forgotten(move: Move) -> None:
    count = 1000
    # From twice too wide: at the very bottom a large step would hardly ever be taken.
    x, _ = corrected(FIELD, 1.4 * FIELD.draw(count, 1.0, seeded(3)), move, 60, 1.0, Noise([4], [count]))
    assert off(FIELD.energy(x), 18.0) < 4


@pytest.mark.parametrize(("side", "mass2", "coupling"), TRUTHS)
@pytest.mark.parametrize("kind", ["hamiltonian", "langevin"])
def test_phi4_by_a_mass_that_is_not_its_own(side: int, mass2: float, coupling: float, kind: str) -> None:
    energy, count = Phi4(side, mass2, coupling), 2000
    wrong = GaussianFreeField(side, 2.5 * energy.reference.mass2)
    move: Move = Hamiltonian(wrong, 0.5, 4) if kind == "hamiltonian" else Langevin(wrong, 0.35)
    x = wrong.draw(count, 1.0, seeded(5))
    x, taken = corrected(energy, x, move, 60 if kind == "hamiltonian" else 200, 1.0, Noise([6], [count]))
    assert 0.4 < taken < 0.97
    assert off(x.square().flatten(1).mean(1), TRUTHS[side, mass2, coupling]) < 4.5
    virial = (x * energy.gradient(x)).flatten(1).sum(1)
    assert off(virial, side**2) < 4.5


@pytest.mark.parametrize("kind", ["hamiltonian", "langevin"])
def test_what_two_moves_see_does_not_tell_forwards_from_backwards(kind: str) -> None:
    """Detailed balance: from equilibrium ⟨f(x)g(x')⟩ = ⟨g(x)f(x')⟩, here of a non-Gaussian law with its own longest wave and energy."""
    energy, count = Phi4(2, -1.0, 0.5), 10_000
    move: Move = Hamiltonian(FREE, 0.5, 3) if kind == "hamiltonian" else Langevin(FREE, 0.3)
    noise = Noise([7], [count])
    x, _ = corrected(energy, FREE.draw(count, 1.0, seeded(8)), move, 30, 1.0, noise)
    after, _ = move(energy, x, 1.0, noise)

    def f(y: torch.Tensor) -> torch.Tensor:
        return y.mean((1, 2)) ** 4

    def g(y: torch.Tensor) -> torch.Tensor:
        return energy.energy(y)

    assert off(f(x) * g(after) - g(x) * f(after), 0.0) < 4
    # The chain does go on: what it sees is not the same.
    assert float((f(x) * g(after) - g(x) * f(after)).std()) > 0.05


FREE = GaussianFreeField(2, 1.5)


class Given(Noise):
    """Momenta in modes as they are given, and proposals that are always taken."""

    def __init__(self, fresh: torch.Tensor) -> None:
        super().__init__([0], [len(fresh)])
        self.fresh = fresh

    def normal(self, *shape: int) -> torch.Tensor:
        return self.fresh

    def uniform(self, *shape: int) -> torch.Tensor:
        return torch.zeros(self.count, dtype=torch.float64)


def thrown(energy: SampledEnergy, move: Hamiltonian, x: torch.Tensor, fresh: torch.Tensor, kt: float):
    """Where a path ends, and its last velocity: from its last two places, for the last half-step is known from them."""
    end, _ = move(energy, x, kt, Given(fresh))
    last = replace(move, leaps=move.leaps - 1)(energy, x, kt, Given(fresh))[0] if move.leaps > 1 else x
    mass = move.mass
    return end, (end - last) / move.step - 0.5 * move.step * mass.precondition(energy.gradient(end))


@pytest.mark.parametrize("leaps", [1, 2, 7])
def test_a_path_thrown_back_returns(leaps: int) -> None:
    energy, kt = Phi4(4, -1.0, 0.5), 1.7
    move = Hamiltonian(GaussianFreeField(4, 0.7), 0.3, leaps)
    x, fresh = normal(5, 4, 4, seed=9), normal(5, 4, 4, seed=10)
    end, velocity = thrown(energy, move, x, fresh, kt)
    assert float((end - x).abs().min(0).values.max()) > 0.01
    back = -move.mass.to_modes(velocity) * (move.mass.eigenvalues / kt).sqrt()
    assert_allclose(move(energy, end, kt, Given(back))[0], x, atol=1e-11)


def test_the_leapfrogs_error_of_energy_is_of_second_order() -> None:
    energy = Phi4(4, -1.0, 0.5)
    x, fresh = normal(200, 4, 4, seed=11), normal(200, 4, 4, seed=12)
    steps, errors = [0.2, 0.1, 0.05, 0.025], []
    for step in steps:
        move = Hamiltonian(energy.reference, step, round(1.0 / step))
        end, velocity = thrown(energy, move, x, fresh, 1.0)
        kinetic = 0.5 * (move.mass.eigenvalues * move.mass.to_modes(velocity) ** 2 - fresh**2).flatten(1).sum(1)
        errors.append(float((energy.energy(end) - energy.energy(x) + kinetic).abs().mean()))
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(
    ("kind", "steps", "order"), [("hamiltonian", (0.5, 0.25), 2.0), ("langevin", (0.2, 0.05), 1.5)]
)
def test_refusals_vanish_with_the_step_at_the_theorys_order(
    kind: str, steps: tuple[float, float], order: float
) -> None:
    """ΔH of a path of fixed length scatters as ε² and MALA's ratio as h^1.5; so many are refused."""
    field, count = GaussianFreeField(8, 0.5), 4000
    x, refused = field.draw(count, 1.0, seeded(13)), []
    for step in steps:
        move = Hamiltonian(field, 0.5, 3).sized(step) if kind == "hamiltonian" else Langevin(field, step)
        refused.append(1 - corrected(field, x, move, 6, 1.0, Noise([14], [count]))[1])
    assert refused[1] > 0.002
    assert math.log(refused[0] / refused[1]) / math.log(steps[0] / steps[1]) == pytest.approx(order, abs=0.2)


def test_unadjusted_langevin_is_as_wrong_as_theory_says_mode_by_mode() -> None:
    """A mode that is r times as stiff as its mass settles at 1/(1 - hr/2) of its variance."""
    step, count = 0.4, 3000
    ratio = FIELD.eigenvalues / FAR.eigenvalues
    x = FIELD.draw(count, 1.0, seeded(15))
    x, taken = corrected(FIELD, x, Langevin(FAR, step, adjusted=False), 80, 1.0, Noise([16], [count]))
    assert taken == 1.0
    found = (FIELD.to_modes(x).square() * FIELD.eigenvalues).mean(0)
    wanted = 1 / (1 - step * ratio / 2)
    assert float((found / wanted - 1).abs().max()) < 5 * math.sqrt(2 / count)
    assert float((found - 1).mean()) > 0.1


class Walled:
    """½x² of three numbers, and nothing where the first is negative: not even a number."""

    shape, lower, upper = (3,), None, None
    reference = UserQuadratic(torch.eye(3, dtype=torch.float64))

    def energy(self, x: torch.Tensor) -> torch.Tensor:
        return 0.5 * torch.where(x[:, :1] < 0, math.nan, x**2).sum(1)

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[:, :1] < 0, math.nan, x)

    def to(self, device: str) -> Self:
        return self


@pytest.mark.parametrize("kind", ["hamiltonian", "langevin"])
def test_what_is_no_number_is_a_wall_and_the_law_before_it_kept(kind: str) -> None:
    energy, count = Walled(), 4000
    mass = energy.reference
    move: Move = Hamiltonian(mass, 0.4, 3) if kind == "hamiltonian" else Langevin(mass, 0.4)
    x, taken = corrected(energy, torch.ones(count, 3, dtype=torch.float64), move, 60, 1.0, Noise([17], [count]))
    assert bool(x.isfinite().all())
    assert float(x[:, 0].min()) >= 0
    assert 0.2 < taken < 0.95
    assert off(x[:, 0], math.sqrt(2 / math.pi)) < 4.5
    assert off(x[:, 0] ** 2, 1.0) < 4.5
    assert off(x[:, 1] ** 2, 1.0) < 4.5


def test_an_infinite_energy_is_left_but_never_entered() -> None:
    class Pit(Walled):
        def energy(self, x: torch.Tensor) -> torch.Tensor:
            return 0.5 * torch.where(x[:, :1] < 0, math.inf, x**2).sum(1)

        def gradient(self, x: torch.Tensor) -> torch.Tensor:
            return x

    start = torch.full((500, 3), -0.2, dtype=torch.float64)
    x, _ = corrected(Pit(), start, Langevin(Pit.reference, 0.5), 40, 1.0, Noise([18], [500]))
    assert float(x[:, 0].min()) >= 0


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_chains_do_not_depend_on_their_company(move: Move) -> None:
    x = FIELD.draw(7, 1.0, seeded(19))
    together, _ = corrected(FIELD, x, move, 5, 1.0, Noise([1, 2], [3, 4]))
    assert torch.equal(together[:3], corrected(FIELD, x[:3], move, 5, 1.0, Noise([1], [3]))[0])
    assert torch.equal(together[3:], corrected(FIELD, x[3:], move, 5, 1.0, Noise([2], [4]))[0])
    assert not torch.equal(together, x)


def test_another_step_goes_the_same_way() -> None:
    move = Hamiltonian(FIELD, 0.4, 4)
    assert move.sized(0.1) == Hamiltonian(FIELD, 0.1, 16)
    assert move.sized(1.5) == Hamiltonian(FIELD, 1.5, 1)
    assert move.sized(100.0).leaps == 1
    assert Langevin(FIELD, 0.4, adjusted=False).sized(0.1) == Langevin(FIELD, 0.1, adjusted=False)


@pytest.mark.parametrize("side", [4, 16, 32])
def test_default_moves_are_taken_as_often_as_their_sources_say(side: int) -> None:
    field = GaussianFreeField(side, 0.3)
    x, noise = field.draw(200, 1.0, seeded(20)), Noise([21], [200])
    assert 0.7 < corrected(field, x, hamiltonian(field), 6, 1.0, noise)[1] < 0.92
    assert 0.47 < corrected(field, x, langevin(field), 6, 1.0, noise)[1] < 0.7
    long = hamiltonian(field)
    assert long.step * long.leaps == pytest.approx(math.pi / 2, abs=long.step / 2)


def test_a_hamiltonian_move_by_the_own_mass_forgets_at_once() -> None:
    field, count = GaussianFreeField(8, 0.1), 500
    start = field.draw(count, 1.0, seeded(22))
    end, taken = corrected(field, start, hamiltonian(field), 2, 1.0, Noise([23], [count]))
    overlap = field.to_modes(start) * field.to_modes(end) * field.eigenvalues
    # Two refusals in a row keep the start: (1 - taken)² of it, and the grain of the steps a little.
    assert float(overlap.mean()) < (1 - taken) ** 2 + 0.05
