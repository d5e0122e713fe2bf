"""Rooms as a continuum and rooms of racks, and sensors as part of an energy: against dense algebra and closed forms."""

import math

import pytest
import torch
from eil_diffusion.domain.energies.free_field import GaussianFreeField
from eil_diffusion.domain.energies.heat_plate import HeatPlate, UncertainHeat
from eil_diffusion.domain.energies.observed import Gaussian, Observed, ObservedGaussian, observe
from eil_diffusion.domain.energies.rack_heat import RackHeatMap
from eil_diffusion.domain.energy_guided_sampler.moves import Hamiltonian
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.sampler import corrected, sample
from numpy.testing import assert_allclose


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def plate(side: int = 6) -> HeatPlate:
    heat = 300.0 * torch.rand(side, side, generator=seeded(3), dtype=torch.float64)
    return HeatPlate(side, heat, extent_m=5.0, conductance_w_per_k=120.0, loss_w_per_m2_k=7.0)


def uncertain(side: int = 6) -> UncertainHeat:
    patterns = torch.zeros(2, side, side, dtype=torch.float64)
    patterns[0, 1:3, 1:3] = 40.0
    patterns[1, 2:5, 3] = 25.0
    return UncertainHeat(plate(side), 8.0, patterns)


GAUSSIANS = {
    "plate": plate,
    "uncertain": uncertain,
    "racks": lambda: RackHeatMap(3, 4, 5000.0),
    "field": lambda: GaussianFreeField(5, 0.3),
    "modes": lambda: uncertain().reference,
    "observed plate": lambda: ObservedGaussian(plate(), [[1, 2], [4, 4]], [300.0, 299.0], 0.4, kt=90.0),
}


@pytest.fixture(params=GAUSSIANS)
def gaussian(request: pytest.FixtureRequest) -> Gaussian:
    return GAUSSIANS[request.param]()


def hessian(energy: Gaussian) -> torch.Tensor:
    """(N, N), from gradients."""
    size = energy.mean.numel()
    units = torch.eye(size, dtype=torch.float64).reshape(size, *energy.shape)
    return energy.gradient(energy.mean + units).flatten(1)


def slopes(energy: Observed | Gaussian, x: torch.Tensor) -> torch.Tensor:
    leaf = x.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(energy.energy(leaf).sum(), leaf)
    return found


def test_a_gaussian_s_energy_gradient_inverse_and_log_z_agree(gaussian: Gaussian) -> None:
    assert isinstance(gaussian, Gaussian)
    x, precision = gaussian.mean + normal(3, *gaussian.shape), hessian(gaussian)
    scale = float(precision.abs().max())
    assert_allclose(precision, precision.T, atol=1e-9 * scale)
    assert_allclose(slopes(gaussian, x), gaussian.gradient(x), rtol=1e-7, atol=1e-8 * scale)
    assert_allclose(gaussian.precondition(gaussian.gradient(x)), x - gaussian.mean, atol=1e-7)
    least = float(gaussian.energy(gaussian.mean[None]))
    size = gaussian.mean.numel()
    log_z = 0.5 * size * math.log(2 * math.pi * 2.5) - 0.5 * float(torch.logdet(precision)) - least / 2.5
    assert gaussian.log_z(2.5) == pytest.approx(log_z, rel=1e-9)


def test_a_gaussian_s_draws_have_its_mean_and_covariance(gaussian: Gaussian) -> None:
    count, kt = 6000, 2.0
    draws = gaussian.draw(count, kt, seeded(5)).flatten(1)
    white = torch.linalg.cholesky(hessian(gaussian) / kt).T @ (draws - gaussian.mean.flatten()).T
    # White noise: means within 1/√n and products within 1/√n (squares √2/√n) of the identity, at 5 standard errors.
    assert float(white.mean(dim=1).abs().max()) < 5 / math.sqrt(count)
    off = (white @ white.T / count - torch.eye(len(white), dtype=torch.float64)).abs()
    assert float(off.diagonal().max()) < 5 * math.sqrt(2 / count)
    assert float((off - torch.diag(off.diagonal())).max()) < 5 / math.sqrt(count)


@pytest.mark.parametrize("side", [2, 5, 8, 64])
def test_sine_waves_are_orthonormal_and_diagonalise_the_plate(side: int) -> None:
    room, x = HeatPlate(side, loss_w_per_m2_k=3.0), normal(2, side, side)
    assert_allclose(room.from_modes(room.to_modes(x)), x, atol=1e-12)
    assert_allclose(room.to_modes(x).square().sum(), x.square().sum(), rtol=1e-12)
    assert_allclose(room.flow(x), room.from_modes(room.eigenvalues * room.to_modes(x)), atol=1e-9)


def test_a_plate_balances_its_heat_cell_by_cell() -> None:
    """Five points by hand: a corner cell, two of whose faces are walls at half a cell's distance."""
    room = HeatPlate(3, [[9.0, 0.0, 0.0]] * 3, extent_m=6.0, conductance_w_per_k=2.0, loss_w_per_m2_k=0.5)
    rise = room.mean - 295.15
    out = 2.0 * (2 * rise[0, 0] - rise[0, 1] - rise[1, 0]) + 2 * 4.0 * rise[0, 0] + 0.5 * 4.0 * rise[0, 0]
    assert float(out) == pytest.approx(9.0 * 4.0)
    assert_allclose(room.gradient(room.mean[None]), 0.0, atol=1e-9)
    supply = torch.full((1, 3, 3), 295.15, dtype=torch.float64)
    assert_allclose(room.gradient(supply)[0, :, 0], -36.0, rtol=1e-12)


def test_the_plate_s_steady_state_converges_to_poisson_s_at_second_order() -> None:
    """q = 2π²κ/L² sin(πx/L) sin(πy/L) heats by sin·sin kelvin."""
    errors = []
    for side in (16, 32):
        wave = (math.pi * (torch.arange(side, dtype=torch.float64) + 0.5) / side).sin()
        exact = wave[:, None] * wave[None, :]
        room = HeatPlate(side, exact * 2 * math.pi**2 * 30.0 / 25.0, extent_m=5.0, conductance_w_per_k=30.0)
        errors.append(float((room.mean - 295.15 - exact).abs().max()))
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.02)


def test_uncertain_heat_is_the_law_of_steady_states_with_random_sources() -> None:
    heat = uncertain()
    operator = hessian(heat.plate)
    patterns = torch.zeros(2, 6, 6, dtype=torch.float64)
    patterns[0, 1:3, 1:3], patterns[1, 2:5, 3] = 40.0, 25.0
    sources = 64.0 * torch.eye(36, dtype=torch.float64) + patterns.flatten(1).T @ patterns.flatten(1)
    inverse = torch.linalg.inv(operator)
    covariance = heat.precondition(torch.eye(36, dtype=torch.float64).reshape(36, 6, 6)).flatten(1)
    assert_allclose(covariance, inverse @ sources @ inverse, rtol=1e-9, atol=1e-12)
    moved = heat.to("cpu")
    assert_allclose(moved.precondition(normal(1, 6, 6)), heat.precondition(normal(1, 6, 6)), rtol=1e-9)


def test_without_known_sources_the_reference_is_the_law() -> None:
    heat, x = UncertainHeat(plate(), 8.0), plate().mean + normal(2, 6, 6)
    assert_allclose(heat.reference.energy(x), heat.energy(x), rtol=1e-9)
    assert_allclose(heat.reference.eigenvalues, plate().eigenvalues ** 2 / 64.0, rtol=1e-12)
    assert heat.reference.log_z(3.0) == pytest.approx(heat.log_z(3.0), rel=1e-12)


def test_the_reference_keeps_the_diagonal_of_the_precision() -> None:
    heat = uncertain()
    units = torch.eye(36, dtype=torch.float64).reshape(36, 6, 6)
    precision = heat.plate.to_modes(heat.gradient(heat.mean + heat.plate.from_modes(units)))
    assert_allclose(heat.reference.eigenvalues.flatten(), precision.flatten(1).diagonal(), rtol=1e-8)


WHERE, SIGMA = [[0, 1], [3, 3], [5, 2], [3, 3]], torch.tensor([0.5, 1.0, 0.25, 2.0], dtype=torch.float64)
READ = torch.tensor([296.0, 301.0, 297.5, 302.0], dtype=torch.float64)


@pytest.mark.parametrize("kind", [plate, uncertain])
def test_observed_law_is_bayes_posterior(kind) -> None:
    """Mean and inverse against the normal equations of prior and readings, two sensors of which share a site; at the kT of sigma."""
    prior, kt = kind(), 70.0
    seen = ObservedGaussian(prior, WHERE, READ, SIGMA, kt=kt)
    design = torch.zeros(4, 36, dtype=torch.float64)
    for sensor, (row, column) in enumerate(WHERE):
        design[sensor, 6 * row + column] = 1.0
    precision = hessian(prior) / kt + design.T @ torch.diag(SIGMA**-2) @ design
    right = hessian(prior) / kt @ prior.mean.flatten() + design.T @ (READ / SIGMA**2)
    assert_allclose(seen.mean.flatten(), torch.linalg.solve(precision, right), rtol=1e-9)
    assert_allclose(hessian(seen) / kt, precision, rtol=1e-6, atol=1e-9 * float(precision.max()))
    assert_allclose(seen.gradient(seen.mean[None]), 0.0, atol=1e-7)
    assert_allclose(slopes(seen, prior.mean + normal(2, 6, 6)), seen.gradient(prior.mean + normal(2, 6, 6)), atol=1e-6)
    spread = kt * design @ torch.linalg.inv(hessian(prior)) @ design.T + torch.diag(SIGMA**2)
    surprise = READ - design @ prior.mean.flatten()
    evidence = -0.5 * (surprise @ torch.linalg.solve(spread, surprise) + torch.logdet(2 * math.pi * spread))
    assert seen.log_evidence(kt) == pytest.approx(float(evidence), rel=1e-9)


def test_exact_sensors_pin_and_useless_sensors_change_nothing() -> None:
    pinned = ObservedGaussian(plate(), WHERE[:3], READ[:3], 1e-6)
    assert_allclose(pinned.draw(4, 1.0, seeded(1))[:, [0, 3, 5], [1, 3, 2]], READ[:3].expand(4, 3), atol=1e-4)
    free = ObservedGaussian(plate(), WHERE, READ, 1e9)
    assert_allclose(free.mean, plate().mean, rtol=1e-12)


def test_observing_in_turns_is_observing_at_once() -> None:
    once = ObservedGaussian(uncertain(), WHERE, READ, SIGMA)
    turns = ObservedGaussian(
        ObservedGaussian(uncertain(), WHERE[:2], READ[:2], SIGMA[:2]), WHERE[2:], READ[2:], SIGMA[2:]
    )
    assert_allclose(turns.mean, once.mean, rtol=1e-10)
    assert turns.log_z() == pytest.approx(once.log_z(), rel=1e-9)


@pytest.mark.parametrize(("kind", "leaps"), [(plate, 8), (uncertain, 50)])
def test_hamiltonian_moves_by_the_reference_mix_and_keep_the_law(kind, leaps: int) -> None:
    """Exact draws stay exactly distributed, ⟨(x-m)·H(x-m)⟩ = N·kT, and forget where they began within ten moves.

    Patterns of sources are no sine waves: what they widen the reference does not know, and longer ways make up for it.
    """
    kt, count = 1.0, 1000
    seen = ObservedGaussian(kind(), WHERE, READ, SIGMA, kt=kt)
    start = seen.draw(count, kt, seeded(11))
    x, accepted = corrected(seen, start, Hamiltonian(seen.reference, 0.2, leaps), 10, kt, Noise([12], [count]))
    assert accepted > 0.8
    above = seen.energy(x) - seen.energy(seen.mean[None])
    assert abs(float(above.mean()) - 18 * kt) < 5 * float(above.std()) / math.sqrt(count)
    gone, begun = (x - seen.mean).flatten(1), (start - seen.mean).flatten(1)
    assert abs(float((gone * begun).sum() / begun.square().sum())) < 0.1


def test_annealing_from_the_reference_finds_the_exact_log_z_and_mean() -> None:
    seen, count = ObservedGaussian(uncertain(), WHERE, READ, SIGMA), 256
    found = sample(seen, Noise([21], [count]), steps=120)
    assert found.method == "annealing"
    assert found.ess > count / 4
    assert abs(found.log_z.value - seen.log_z()) < 5 * found.log_z.error
    weights = torch.softmax(found.log_weights, 0)
    error = (torch.einsum("b,b...->...", weights, found.maps) - seen.mean) / found.maps.std(0)
    assert float(error.abs().max()) < 5 / math.sqrt(found.ess)


class Quartic:
    """A plate whose energy also rises with the fourth power: no Gaussian."""

    lower = upper = None

    def __init__(self) -> None:
        self.reference = plate()
        self.shape = self.reference.shape

    def energy(self, x: torch.Tensor) -> torch.Tensor:
        return self.reference.energy(x) + ((x - 300.0) ** 4).flatten(1).sum(1)

    def gradient(self, x: torch.Tensor) -> torch.Tensor:
        return self.reference.gradient(x) + 4 * (x - 300.0) ** 3

    def to(self, device: str) -> "Quartic":
        return self


def test_any_energy_can_be_observed() -> None:
    seen = observe(Quartic(), WHERE, READ, SIGMA, kt=3.0)
    assert type(seen) is Observed
    x = 300.0 + normal(2, 6, 6)
    misfit = x[:, [0, 3, 5, 3], [1, 3, 2, 3]] - READ
    assert_allclose(seen.energy(x), Quartic().energy(x) + 1.5 * (misfit / SIGMA).square().sum(1))
    assert_allclose(slopes(seen, x), seen.gradient(x), rtol=1e-9, atol=1e-9)
    assert type(observe(plate(), WHERE, READ, SIGMA)) is ObservedGaussian
    assert_allclose(
        observe(plate(), WHERE, READ, SIGMA).to("cpu").energy(x), observe(plate(), WHERE, READ, SIGMA).energy(x)
    )
    with pytest.raises(ValueError, match="Quartic is not Gaussian"):
        ObservedGaussian(Quartic(), WHERE, READ, SIGMA)


def test_racks_take_a_map_for_every_figure() -> None:
    """Two racks by hand: 2·300·100/400 = 150 W/K between them; supply air of 290 K and 300 K; the flows balance."""
    racks = RackHeatMap(
        1,
        2,
        [[3000.0, 1000.0]],
        neighbour_w_per_k=[[300.0, 100.0]],
        supply_w_per_k=[[200.0, 400.0]],
        fan_speed=[[1.0, 0.5]],
        set_point_k=[[290.0, 300.0]],
        limit_k=[[310.0, 320.0]],
    )
    one, other = racks.mean[0].tolist()
    assert 150.0 * (one - other) + 200.0 * (one - 290.0) == pytest.approx(3000.0)
    assert 150.0 * (other - one) + 400.0 * 0.5**0.8 * (other - 300.0) == pytest.approx(1000.0)
    assert racks.lower is not None
    assert racks.upper is not None
    assert racks.lower.tolist() == [[290.0, 290.0]]
    assert racks.upper.tolist() == [[310.0, 320.0]]


def test_containment_lets_no_heat_pass() -> None:
    apart = RackHeatMap(1, 3, [[4000.0, 0.0, 0.0]], neighbour_w_per_k=[[50.0, 0.0, 50.0]])
    assert_allclose(apart.mean, [[295.15 + 8.0, 295.15, 295.15]], rtol=1e-12)
    alike = RackHeatMap(2, 3, 4000.0, neighbour_w_per_k=torch.full((2, 3), 50.0), set_point_k=[[295.15] * 3] * 2)
    assert_allclose(alike.stiffness, RackHeatMap(2, 3, 4000.0).stiffness, rtol=1e-12)
    assert_allclose(alike.mean, RackHeatMap(2, 3, 4000.0).mean, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HeatPlate(1), "between 2 and"),
        (lambda: HeatPlate(4, [[1.0, 2.0]]), "heat_w_per_m2 has shape"),
        (lambda: HeatPlate(4, math.nan), "finite"),
        (lambda: HeatPlate(4, conductance_w_per_k=0.0), "only the loss may be zero"),
        (lambda: HeatPlate(4, loss_w_per_m2_k=-1.0), "only the loss may be zero"),
        (lambda: HeatPlate(4, set_point_k=320.0), "above the set-point"),
        (lambda: UncertainHeat(plate(), 0.0), "background_w"),
        (lambda: UncertainHeat(plate(), 1.0, torch.zeros(1, 5, 6)), "patterns_w has shape"),
        (lambda: Observed(plate(), [[0, 6]], [1.0], 1.0), "outside of the field"),
        (lambda: Observed(plate(), [[-1, 0]], [1.0], 1.0), "outside of the field"),
        (lambda: Observed(plate(), torch.tensor([[0.5, 1.0]]), [1.0], 1.0), "whole numbers"),
        (lambda: Observed(plate(), [[1]], [1.0], 1.0), "whole numbers"),
        (lambda: Observed(plate(), [], [], 1.0), "whole numbers"),
        (lambda: Observed(plate(), [[0, 1]], [1.0, 2.0], 1.0), "one value each"),
        (lambda: Observed(plate(), [[0, 1]], [1.0], 0.0), "positive, finite sigma"),
        (lambda: Observed(plate(), [[0, 1]], [math.inf], 1.0), "finite values"),
        (lambda: RackHeatMap(1, 2, 1.0, limit_k=[[310.0, 290.0]]), "above the set-point"),
        (lambda: RackHeatMap(1, 2, 1.0, neighbour_w_per_k=[[1.0, -1.0]]), "neighbour_w_per_k must be"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
