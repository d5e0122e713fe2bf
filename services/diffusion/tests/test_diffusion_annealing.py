import math
from dataclasses import replace
from itertools import pairwise
from typing import Self

import pytest
import torch
from eil_diffusion.domain import GaussianFreeField, Noise, SampledEnergy, sample
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energies.user_quadratic import UserQuadratic
from eil_diffusion.domain.energy_guided_sampler.annealing import Annealed, Between, Rung, anneal
from eil_diffusion.domain.energy_guided_sampler.laws import energy_laws, first_law
from eil_diffusion.domain.energy_guided_sampler.moves import Langevin, Move, hamiltonian
from eil_diffusion.domain.energy_guided_sampler.temperature import AceTemperature
from eil_diffusion.domain.energy_guided_sampler.watch import Stage
from eil_diffusion.domain.energy_guided_sampler.weights import log_z
from numpy.testing import assert_allclose

TRUTHS = {
    (2, 1.0, 0.1): (0.3065776547, 0.8366881391),
    (2, -1.0, 0.5): (0.4267092657, 1.7642883414),
    (2, -4.0, 1.0): (0.7393249233, 4.0006420575),
    (3, 1.0, 0.1): (0.2509502063, 1.4189140982),
    (3, -1.0, 0.5): (0.3588524170, 3.2733839796),
    (3, -4.0, 1.0): (0.7197415160, 7.9846889190),
}
"""(side, mass2, coupling) → ⟨φ²⟩ a site and log Z of φ⁴ at kT = 1 by numerical integration; see test_diffusion_phi4.py."""
FREE, LIGHT = GaussianFreeField(8, 1.0), GaussianFreeField(8, 0.1)


def climbed(
    start: QuadraticEnergy, target: SampledEnergy, steps: int, count: int, seed: int, *, kt: float = 1.0
) -> Annealed:
    move = hamiltonian(start)
    return anneal(
        start, target, AceTemperature().ladder(start, target, move, steps, kt=kt), move, chains(seed, count), kt=kt
    )


def chains(seed: int, count: int) -> Noise:
    return Noise([seed], [count])


def off(values: torch.Tensor, truth: float) -> float:
    """Standard errors between the mean of independent values and the truth, with its sign."""
    return (float(values.mean()) - truth) / (float(values.std()) / math.sqrt(len(values)))


def weighted(log_weights: torch.Tensor, values: torch.Tensor) -> tuple[float, float]:
    """Self-normalised mean of values and its standard error."""
    weights = torch.softmax(log_weights, 0)
    mean = float(weights @ values)
    return mean, float((weights**2 @ (values - mean) ** 2).sqrt())


WIDE, WIDE_LIGHT = GaussianFreeField(16, 1.0), GaussianFreeField(16, 0.1)


@pytest.fixture(scope="module")
def quench() -> Annealed:
    """A field of 16² from m² = 1 to 0.1."""
    return climbed(WIDE, WIDE_LIGHT, 70, 400, 1)


def test_a_quench_finds_the_exact_free_energy_difference(quench: Annealed) -> None:
    found, wanted = log_z(quench.log_weights), WIDE_LIGHT.log_z() - WIDE.log_z()
    assert wanted > 30
    assert found.ess > 100
    assert abs(found.value - WIDE.log_z() - wanted) < 4 * found.error
    mean, error = weighted(quench.log_weights, WIDE_LIGHT.energy(quench.x))
    assert abs(mean - 128) < 4 * error


def test_a_quench_obeys_the_laws(quench: Annealed) -> None:
    assert first_law(quench.change, quench.work, quench.heat) < 1e-12
    production = quench.work + WIDE_LIGHT.log_z() - WIDE.log_z()
    assert off(production, 0.0) > 5
    assert float(production.min()) < 0
    assert abs(off((-production).exp(), 1.0)) < 4
    laws = energy_laws(quench.log_weights, exact_log_z=WIDE_LIGHT.log_z(), imbalance=0.0)
    assert laws.verdict == "held"
    assert laws.entropy_production == pytest.approx(float(production.mean()))
    # Near equilibrium Σ is normal, and Jarzynski's equality says that its mean is half its variance.
    assert laws.entropy_production == pytest.approx(0.5 * float(production.var()), rel=0.35)


def test_the_weights_are_of_the_work_alone(quench: Annealed) -> None:
    assert_allclose(quench.log_weights, WIDE.log_z() - quench.work, rtol=1e-15)
    assert quench.x.shape == (400, 16, 16)
    assert 0.6 < quench.acceptance < 0.95


def test_the_same_way_backwards_pays_the_other_sign() -> None:
    """From light to heavy: less room, and still a positive entropy production; the two bracket the difference."""
    production = climbed(LIGHT, FREE, 30, 400, 2).work + FREE.log_z() - LIGHT.log_z()
    assert off(production, 0.0) > 5
    assert abs(off((-production).exp(), 1.0)) < 4


@pytest.mark.parametrize(("side", "mass2", "coupling"), TRUTHS)
def test_phi4_has_the_log_z_and_the_square_of_numerical_integration(side: int, mass2: float, coupling: float) -> None:
    energy, (square, exact) = Phi4(side, mass2, coupling), TRUTHS[side, mass2, coupling]
    made = climbed(energy.reference, energy, 25, 3000, 3)
    found = log_z(made.log_weights)
    assert found.ess > 600
    assert abs(found.value - exact) < 4.5 * found.error
    mean, error = weighted(made.log_weights, made.x.square().flatten(1).mean(1))
    assert abs(mean - square) < 4.5 * error
    assert first_law(made.change, made.work, made.heat) < 1e-12


@pytest.mark.parametrize("side", [2, 3])
def test_phi4_at_another_temperature(side: int) -> None:
    """φ = √kT·ψ turns λ at kT into λkT at 1."""
    kt, energy = 0.5, Phi4(side, -1.0, 1.0)
    square, exact = TRUTHS[side, -1.0, 0.5]
    made = climbed(energy.reference, energy, 25, 3000, 4, kt=kt)
    found = log_z(made.log_weights)
    assert abs(found.value - exact - side**2 / 2 * math.log(kt)) < 4.5 * found.error
    mean, error = weighted(made.log_weights, made.x.square().flatten(1).mean(1))
    assert abs(mean - kt * square) < 4.5 * error


@pytest.mark.parametrize(
    "move", [Langevin(GaussianFreeField(3, 3.0), 0.3), hamiltonian(GaussianFreeField(3, 0.5)).sized(0.2)]
)
def test_weights_are_exact_by_any_move_and_on_any_ladder(move: Move) -> None:
    """Also on a coarse one that nobody chose, by a metric that fits neither end."""
    energy, ladder = Phi4(3, -1.0, 0.5), [Rung(share, move.step) for share in (0.05, 0.1, 0.5, 0.55, 1.0)]
    made = anneal(GaussianFreeField(3, 1.5), energy, ladder, move, chains(5, 5000))
    found = log_z(made.log_weights)
    assert found.ess > 500
    assert abs(found.value - TRUTHS[3, -1.0, 0.5][1]) < 4.5 * found.error


def test_unadjusted_moves_break_the_theorem_and_are_found_out() -> None:
    move = Langevin(FREE, 0.5, adjusted=False)
    ladder = [Rung((n + 1) / 40, 0.5) for n in range(40)]
    made = anneal(FREE, LIGHT, ladder, move, chains(6, 512))
    assert first_law(made.change, made.work, made.heat) < 1e-12
    assert energy_laws(made.log_weights, exact_log_z=LIGHT.log_z()).verdict == "contradicted"


@pytest.mark.parametrize("steps", [1, 2, 17, 200])
@pytest.mark.parametrize("target", [LIGHT, Phi4(8, -1.0, 0.5), FREE], ids=["light", "phi4", "itself"])
def test_shares_rise_from_above_zero_to_exactly_one(target: SampledEnergy, steps: int) -> None:
    ladder = AceTemperature().ladder(FREE, target, hamiltonian(FREE), steps)
    shares = [0.0, *(rung.share for rung in ladder)]
    assert len(ladder) == steps
    assert all(low < high for low, high in pairwise(shares))
    assert shares[-1] == 1.0
    assert all(0 < rung.step <= 1.5 for rung in ladder)


def test_nothing_to_do_is_done_exactly() -> None:
    made = climbed(FREE, FREE, 5, 8, 7)
    assert made.work.tolist() == [0.0] * 8
    assert_allclose(made.log_weights, FREE.log_z(), rtol=1e-15)


def test_twice_the_steps_halve_the_dissipation() -> None:
    produced = [
        float(climbed(FREE, LIGHT, steps, 800, 8).work.mean()) + LIGHT.log_z() - FREE.log_z() for steps in (20, 40, 80)
    ]
    assert produced[0] / produced[1] == pytest.approx(2.0, rel=0.15)
    assert produced[1] / produced[2] == pytest.approx(2.0, rel=0.2)


def test_equal_lengths_dissipate_less_than_equal_shares() -> None:
    soft, stiff = (
        UserQuadratic(torch.diag(torch.tensor(values, dtype=torch.float64)))
        for values in ([1.0] * 3, [9.0, 20.0, 50.0])
    )
    move = hamiltonian(soft)
    chosen = AceTemperature().ladder(soft, stiff, move, 25)
    even = [replace(rung, share=(place + 1) / 25) for place, rung in enumerate(chosen)]
    lost = [
        float(anneal(soft, stiff, ladder, move, chains(9, 2000)).work.mean()) + stiff.log_z() - soft.log_z()
        for ladder in (chosen, even)
    ]
    assert lost[0] < 0.7 * lost[1]


def test_a_higher_aspiration_climbs_in_more_steps_of_the_same_shape() -> None:
    """Every step leaves the share aspired to: its spread of work is what the aspiration allows."""
    move = hamiltonian(FREE)
    ladders = [AceTemperature(aspiration=share, chains=100).ladder(FREE, LIGHT, move, 10) for share in (0.7, 0.95)]
    assert_allclose(*([rung.share for rung in ladder] for ladder in ladders), rtol=0.3, atol=0.02)


def test_the_ladder_follows_from_its_seed_alone() -> None:
    def made(seed: int = 0) -> list[Rung]:
        return AceTemperature(seed=seed).ladder(FREE, LIGHT, hamiltonian(FREE), 12)

    first = made()
    torch.manual_seed(99)
    torch.randn(5)
    assert made() == first
    assert made(1) != first


def test_moves_are_sized_so_that_most_are_taken() -> None:
    """A target up to a hundred times as stiff as the metric: steps shrink as it comes."""
    stiff = UserQuadratic(torch.diag(torch.tensor([10.0, 32.0, 100.0], dtype=torch.float64)))
    soft = UserQuadratic(torch.eye(3, dtype=torch.float64))
    ladder = AceTemperature().ladder(soft, stiff, hamiltonian(soft), 80)
    assert ladder[-1].step < 0.5 * ladder[0].step
    made = anneal(soft, stiff, ladder, hamiltonian(soft), chains(10, 1000))
    assert 0.6 < made.acceptance < 0.95
    found = log_z(made.log_weights)
    assert abs(found.value - stiff.log_z()) < 4.5 * found.error
    assert found.ess > 250


def test_a_target_of_any_stiffness_is_climbed_to() -> None:
    """Steps of λ begin at 10⁻¹², and grow with it; a pilot that jumped would leave copies of one chain, to which all is flat."""
    stiff, soft = (UserQuadratic(torch.full((1, 1), value, dtype=torch.float64)) for value in (1e12, 1.0))
    ladder = AceTemperature().ladder(soft, stiff, hamiltonian(soft), 400)
    shares = torch.tensor([rung.share for rung in ladder], dtype=torch.float64)
    assert float(shares[0]) < 1e-11
    assert float((shares[1:] / shares[:-1]).max()) < 2.1
    found = log_z(anneal(soft, stiff, ladder, hamiltonian(soft), chains(11, 400)).log_weights)
    assert found.ess > 20
    assert abs(found.value - stiff.log_z()) < 4.5 * found.error


class Elsewhere:
    """A free field around another level than its reference."""

    shape, lower, upper = (2, 2), None, None
    reference = GaussianFreeField(2, 1.0)

    def __init__(self, level: float) -> None:
        self.level = level

    def energy(self, x: torch.Tensor) -> torch.Tensor:
        return self.reference.energy(x - self.level)

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        return self.reference.gradient(x - self.level)

    def to(self, device: str) -> Self:
        return self


class Fractured(Elsewhere):
    """No number where the field is high."""

    def energy(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[:, 0, 0] > 0.5, math.inf, super().energy(x))


def test_what_is_far_is_reached_and_what_is_hopeless_refused() -> None:
    near = climbed(Elsewhere.reference, Elsewhere(3.0), 60, 500, 12)
    found = log_z(near.log_weights)
    assert abs(found.value - Elsewhere.reference.log_z()) < 4.5 * found.error
    with pytest.raises(ValueError, match=r"after 1000 steps annealing had come .* too far from Gaussian .* raise kt"):
        AceTemperature(chains=8, moves=1).ladder(
            Elsewhere.reference, Elsewhere(1e5), hamiltonian(Elsewhere.reference), 10
        )
    with pytest.raises(ValueError, match="not finite where its own reference is"):
        AceTemperature().ladder(Elsewhere.reference, Fractured(0.0), hamiltonian(Elsewhere.reference), 10)


def test_every_step_is_told_and_what_hears_it_may_end_the_work() -> None:
    heard: list[Stage] = []
    ladder = [Rung(0.2, 0.3), Rung(0.6, 0.3), Rung(1.0, 0.3)]
    made = anneal(FREE, LIGHT, ladder, hamiltonian(FREE), chains(13, 4), watch=heard.append)
    assert [(one.name, one.done, one.total) for one in heard] == [("annealing", n, 3) for n in (1, 2, 3)]
    assert torch.equal(heard[-1].x, made.x)

    def stop(stage: Stage) -> None:
        if stage.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        anneal(FREE, LIGHT, ladder, hamiltonian(FREE), chains(13, 4), watch=stop)


def test_chains_do_not_depend_on_their_company() -> None:
    ladder, move = [Rung(0.3, 0.3), Rung(1.0, 0.3)], hamiltonian(FREE)
    together = anneal(FREE, LIGHT, ladder, move, Noise([1, 2], [2, 3]))
    for part, seed in ((slice(0, 2), 1), (slice(2, 5), 2)):
        alone = anneal(FREE, LIGHT, ladder, move, chains(seed, part.stop - part.start))
        assert torch.equal(together.x[part], alone.x)
        assert torch.equal(together.log_weights[part], alone.log_weights)


def test_between_is_a_mixture_with_its_own_gradient() -> None:
    between = Between(FREE, Phi4(8, -1.0, 0.5), 0.3)
    x = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(14), dtype=torch.float64).requires_grad_(True)
    (slope,) = torch.autograd.grad(between.energy(x).sum(), x)
    assert_allclose(slope, between.gradient(x).detach(), atol=1e-12)
    assert_allclose(between.energy(x).detach(), 0.7 * FREE.energy(x).detach() + 0.3 * between.target.energy(x).detach())
    assert (between.shape, between.lower, between.upper) == ((8, 8), None, None)
    assert between.to("cpu").energy(x.detach()).tolist() == between.energy(x.detach()).tolist()


def test_sampling_what_is_not_gaussian_anneals_weighs_and_corrects() -> None:
    drawn = sample(Phi4(3, -1.0, 0.5), chains(15, 2000), steps=20)
    assert (drawn.method, drawn.laws.verdict) == ("annealing", "held")
    assert drawn.laws.imbalance < 1e-12
    square, exact = TRUTHS[3, -1.0, 0.5]
    assert abs(drawn.log_z.value - exact) < 4.5 * drawn.log_z.error
    assert abs(off(drawn.maps.square().flatten(1).mean(1), square)) < 4.5
    assert 0.6 < drawn.acceptance < 0.95
