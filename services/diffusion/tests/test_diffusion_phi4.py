import math

import pytest
import torch
from eil_diffusion.domain import GaussianFreeField, SampledEnergy, energy_gradient
from eil_diffusion.domain.energies.phi4 import Phi4, hartree
from numpy.testing import assert_allclose

TRUTHS = {
    (2, 1.0, 0.1): (0.3065776547, 0.8366881391),
    (2, -1.0, 0.5): (0.4267092657, 1.7642883414),
    (2, -4.0, 1.0): (0.7393249233, 4.0006420575),
    (3, 1.0, 0.1): (0.2509502063, 1.4189140982),
    (3, -1.0, 0.5): (0.3588524170, 3.2733839796),
    (3, -4.0, 1.0): (0.7197415160, 7.9846889190),
}
"""(side, mass2, coupling) → ⟨φ²⟩ a site and log Z at kT = 1, by `integrate`; good to 10⁻⁹.

At another kT they are kT·⟨φ²⟩ and log Z + (N/2) log kT of the coupling λkT, for φ = √kT·ψ turns one into the other.
"""
PAIRS = [(1.0, 0.1), (-1.0, 0.5), (-4.0, 1.0)]


def integrate(side: int, mass2: float, coupling: float, *, reach: float = 4.0, points: int = 48, rank: int = 12):
    """⟨φ²⟩ and log Z of 2 x 2 or 3 x 3 sites by numerical integration, without the code under test.

    Z = tr Tˢ, T the transfer matrix between rows. Sites live on a trapezoid grid, on which smooth integrands that vanish at
    both ends converge exponentially; the bond between two rows factorises by site, and its kernel has few eigenvalues
    that matter, so that T is a matrix of rankˢ rows.
    """
    site = torch.linspace(-reach, reach, points, dtype=torch.float64)
    root = (-0.5 * (0.5 * mass2 + coupling * site**2) * site**2).exp() * math.sqrt(2 * reach / (points - 1))
    bond = (-0.5 * (site[:, None] - site) ** 2).exp()
    values, vectors = torch.linalg.eigh(root[:, None] * bond * root)
    modes = vectors[:, -rank:] * values[-rank:].sqrt()
    pairs = (modes[:, :, None] * modes[:, None, :]).flatten(1)
    # Two sites make a ring of two bonds between the same two.
    ring = bond**2 if side == 2 else bond[:, :, None] * bond[None] * bond[:, None, :]

    def transfer(first: torch.Tensor) -> torch.Tensor:
        table = ring
        for factor in (first, *[pairs] * (side - 1)):
            table = torch.einsum("ap,a...->...p", factor, table)
        order = (*range(0, 2 * side, 2), *range(1, 2 * side, 2))
        return table.reshape((rank,) * (2 * side)).permute(order).reshape(rank**side, rank**side)

    rest = torch.linalg.matrix_power(transfer(pairs), side - 1)
    z = float((rest * transfer(pairs).T).sum())
    return float((rest * transfer(pairs * site[:, None] ** 2).T).sum()) / z, math.log(z)


def grid(points: int = 29, reach: float = 2.9) -> tuple[torch.Tensor, float]:
    """Every configuration (points⁴, 2, 2) of four sites on a grid, and the volume of a cell."""
    site = torch.linspace(-reach, reach, points, dtype=torch.float64)
    return torch.cartesian_prod(site, site, site, site).reshape(-1, 2, 2), float(site[1] - site[0]) ** 4


def scattered(shape: tuple[int, ...], count: int = 4) -> torch.Tensor:
    return torch.randn((count, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("side", "mass2", "coupling"), TRUTHS)
def test_the_truths_are_reproduced(side: int, mass2: float, coupling: float) -> None:
    rank = 12 if side == 2 else 10
    assert integrate(side, mass2, coupling, rank=rank) == pytest.approx(TRUTHS[side, mass2, coupling], abs=2e-8)


@pytest.mark.parametrize("side", [2, 3])
def test_the_integration_agrees_with_the_free_field(side: int) -> None:
    field = GaussianFreeField(side, 1.0)
    found = integrate(side, 1.0, 0.0, reach=6.0, points=64, rank=12 if side == 2 else 10)
    assert found == pytest.approx((field.site_variance(), field.log_z()), abs=1e-5)


@pytest.mark.parametrize(("mass2", "coupling"), PAIRS)
@pytest.mark.parametrize("kt", [1.0, 0.7])
def test_sum_over_all_configurations_gives_log_z_variance_and_virial(mass2: float, coupling: float, kt: float) -> None:
    energy = Phi4(2, mass2, coupling)
    x, cell = grid()
    weights = torch.exp(-energy.energy(x) / kt)
    z = float(weights.sum()) * cell
    weights = weights / weights.sum()
    square = float((weights * x.square().flatten(1).mean(1)).sum())
    virial = float((weights * (x * energy.gradient(x)).flatten(1).sum(1)).sum())
    expected = TRUTHS[2, mass2, coupling] if kt == 1.0 else integrate(2, mass2, coupling * kt)
    assert (square / kt, math.log(z) - 2 * math.log(kt)) == pytest.approx(expected, abs=5e-6)
    # The grid's own error in the narrowest wells is 2·10⁻⁵, and falls exponentially with finer ones.
    assert virial == pytest.approx(4 * kt, abs=5e-5)


@pytest.mark.parametrize("side", [2, 5])
@pytest.mark.parametrize(("mass2", "coupling"), PAIRS)
def test_gradient_is_the_derivative_of_the_energy(side: int, mass2: float, coupling: float) -> None:
    energy, x = Phi4(side, mass2, coupling), scattered((side, side))
    assert_allclose(energy.gradient(x), energy_gradient(energy.energy, x), atol=1e-10)
    push, step = scattered((side, side), 8)[4:], 1e-5
    slope = (energy.energy(x + step * push) - energy.energy(x - step * push)) / (2 * step)
    assert_allclose((energy.gradient(x) * push).flatten(1).sum(1), slope, rtol=1e-6, atol=1e-6)


def test_without_coupling_it_is_the_free_field() -> None:
    energy, field, x = Phi4(6, 0.3, 0.0), GaussianFreeField(6, 0.3), scattered((6, 6))
    assert_allclose(energy.energy(x), field.energy(x), rtol=1e-13)
    assert_allclose(energy.gradient(x), field.gradient(x), atol=1e-13)
    assert energy.reference.mass2 == pytest.approx(0.3, rel=1e-14)


def test_small_couplings_shift_the_mass_by_perturbation_theory() -> None:
    field = GaussianFreeField(16, 0.5)
    shift = (hartree(16, 0.5, 1e-7).mass2 - 0.5) / 1e-7
    assert shift == pytest.approx(12 * field.site_variance(), rel=1e-5)
    # First order of log Z: -N·λ·3⟨φ²⟩².
    small = 1e-3
    change = integrate(2, 1.0, small, reach=6.0, points=64)[1] - integrate(2, 1.0, 0.0, reach=6.0, points=64)[1]
    assert change / small == pytest.approx(-12 * GaussianFreeField(2, 1.0).site_variance() ** 2, rel=0.02)


@pytest.mark.parametrize("side", [2, 7, 32])
@pytest.mark.parametrize(
    ("mass2", "coupling"), [*PAIRS, (0.0, 1.0), (-1e4, 1e-3), (-1.0, 1e6), (1e4, 1e-9), (-1e-9, 1e-9)]
)
@pytest.mark.parametrize("kt", [1.0, 0.01])
def test_the_gap_equation_is_solved_and_its_mass_positive(side: int, mass2: float, coupling: float, kt: float) -> None:
    found = hartree(side, mass2, coupling, kt)
    assert found.mass2 > 0
    added = 12 * coupling * found.site_variance(kt)
    # Where two large numbers nearly cancel, the mass is as good as their rounding.
    assert mass2 + added == pytest.approx(found.mass2, rel=1e-12, abs=1e-13 * abs(mass2))


@pytest.mark.parametrize(("side", "mass2", "coupling"), TRUTHS)
def test_the_reference_is_the_best_free_field_and_bounds_log_z(side: int, mass2: float, coupling: float) -> None:
    def bound(field: GaussianFreeField) -> float:
        g = field.site_variance()
        return field.log_z() - side**2 * (0.5 * (mass2 - field.mass2) * g + 3 * coupling * g**2)

    best = Phi4(side, mass2, coupling).reference
    others = [GaussianFreeField(side, best.mass2 * factor) for factor in (0.9, 1.1)]
    # Gibbs and Bogoliubov: log Z ≥ log Z_ref - ⟨E - E_ref⟩_ref.
    assert bound(best) > max(bound(other) for other in others)
    assert bound(best) < TRUTHS[side, mass2, coupling][1]


def test_it_can_be_sampled_and_says_its_shape() -> None:
    energy = Phi4(4, -1.0, 0.5)
    assert isinstance(energy, SampledEnergy)
    assert energy.shape == energy.reference.shape == (4, 4)
    assert (energy.lower, energy.upper) == (None, None)
    moved = energy.to("meta")
    assert moved.reference.eigenvalues.device.type == "meta"
    assert energy.reference.eigenvalues.device.type == "cpu"


def test_the_wells_are_the_lowest_configurations() -> None:
    energy = Phi4(4, -2.0, 0.25)
    wells = torch.full((1, 4, 4), math.sqrt(2.0), dtype=torch.float64)
    bound = energy.lower_bound(wells[0])
    assert float(energy.energy(wells)) == pytest.approx(bound, rel=1e-14)
    assert bound == pytest.approx(-16.0)
    assert_allclose(energy.gradient(-wells), 0 * wells, atol=1e-13)
    assert float(energy.energy(1.5 * scattered((4, 4), 64)).min()) > bound
    assert Phi4(4, 1.0, 0.1).lower_bound(wells[0]) == 0.0


@pytest.mark.parametrize(
    ("side", "mass2", "coupling", "message"),
    [
        (1, 1.0, 1.0, "between 2 and 2048"),
        (4, 1.0, -0.1, "without bound"),
        (4, 0.0, 0.0, "nothing confines"),
        (4, -1.0, 0.0, "nothing confines"),
        (4, math.nan, 1.0, "finite"),
        (4, 1.0, math.inf, "finite"),
        (4, 1.0, 1e308, "rescale"),
        (4, -1e308, 1e-300, "rescale"),
    ],
)
def test_bad_fields_are_refused_with_a_reason(side: int, mass2: float, coupling: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Phi4(side, mass2, coupling)
