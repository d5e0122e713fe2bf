import math
from functools import lru_cache

import pytest
import torch
from eil_diffusion.domain import SampledEnergy, energy_gradient
from eil_diffusion.domain.energies.ising import IsingField, structure_factor
from eil_diffusion.domain.energies.kaufman import log_z, mean_energy
from eil_diffusion.domain.energy_guided_sampler import cluster
from eil_diffusion.domain.energy_guided_sampler.cluster import AnnealedSpins, Moves, anneal, pilot, sample_ising
from numpy.testing import assert_allclose
from scipy import stats
from torch import Tensor

CRITICAL = 0.5 * math.log1p(math.sqrt(2))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@lru_cache
def every(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """All configurations (2^N, rows, columns), and their energies."""
    sites = rows * columns
    bits = torch.arange(2**sites)[:, None] >> torch.arange(sites)
    s = (1 - 2 * (bits & 1)).double().reshape(-1, rows, columns)
    return s, -(s * (s.roll(1, 1) + s.roll(1, 2))).sum((1, 2))


@pytest.mark.parametrize(
    ("side", "beta", "exact"),
    [
        (16, 0.28, 198.935419),
        (16, CRITICAL, 238.642257),
        (16, 0.6, 310.487039),
        (24, 0.28, 447.604643),
        (24, CRITICAL, 536.144604),
        (24, 0.6, 697.729403),
    ],
)
def test_log_z_is_kaufmans(side: int, beta: float, exact: float) -> None:
    assert log_z(side, side, beta) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("sides", [(4, 4), (3, 5), (5, 3), (2, 3), (3, 2), (2, 2)])
@pytest.mark.parametrize("beta", [0.0, 1e-8, 0.1, CRITICAL, 0.8, 3.0])
def test_log_z_and_mean_energy_are_those_of_all_configurations(sides: tuple[int, int], beta: float) -> None:
    _, energies = every(*sides)
    assert log_z(*sides, beta) == pytest.approx(float((-beta * energies).logsumexp(0)), abs=1e-9)
    exact = float((torch.softmax(-beta * energies, 0) * energies).sum())
    assert mean_energy(*sides, beta) == pytest.approx(exact, abs=1e-6)


def test_a_large_lattice_approaches_onsagers_critical_energy() -> None:
    # -√2 per site, from which periodic sides differ in proportion to 1/side.
    far = [mean_energy(side, side, CRITICAL) / side**2 + math.sqrt(2) for side in (64, 128)]
    assert abs(far[1]) < 0.01
    assert far[0] / far[1] == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize(("rows", "columns", "beta"), [(1, 4, 0.3), (4, 4, -0.1), (4, 4, math.nan), (4, 4, math.inf)])
def test_kaufmans_formula_refuses_what_it_does_not_cover(rows: int, columns: int, beta: float) -> None:
    with pytest.raises(ValueError, match="give sides of 2 or more"):
        log_z(rows, columns, beta)


@pytest.mark.parametrize(("side", "beta"), [(2, 0.3), (3, 0.0), (3, CRITICAL), (4, 0.7)])
def test_the_field_is_the_exact_marginal_of_its_joint_law_with_spins(side: int, beta: float) -> None:
    field = IsingField(side, beta)
    s, energies = every(side, side)
    assert_allclose(field.spin_energy(s), energies)
    x = 2 * torch.randn(3, side, side, generator=seeded(1), dtype=torch.float64)
    # p(x) = Σ_s p(s)·N(x; As, A), written out.
    away = x[:, None] - field.bare.precondition(s)
    given = -field.bare.energy(away.flatten(0, 1)).reshape(len(x), -1) - field.bare.log_z()
    log_p = (given - beta * energies).logsumexp(1) - log_z(side, side, beta)
    assert_allclose(log_p, -field.energy(x) - field.log_z_field(log_z(side, side, beta)), atol=1e-9)
    assert field.log_z_spins(field.log_z_field(1.5)) == pytest.approx(1.5, abs=1e-12)


@pytest.mark.parametrize(("side", "beta"), [(2, 0.5), (5, 0.28), (6, 0.6)])
def test_gradient_is_the_derivative_and_the_hessian_is_bounded(side: int, beta: float) -> None:
    field = IsingField(side, beta)
    x = 2 * torch.randn(4, side, side, generator=seeded(2), dtype=torch.float64)
    assert_allclose(field.gradient(x), energy_gradient(field.energy, x), atol=1e-12)
    sites = side**2
    nudge = 1e-4 * torch.eye(sites, dtype=torch.float64).reshape(sites, side, side)
    hessian = (field.gradient(x[:1] + nudge) - field.gradient(x[:1] - nudge)).reshape(sites, sites) / 2e-4
    eigenvalues = torch.linalg.eigvalsh(hessian)
    assert float(eigenvalues.min()) > -1
    assert float(eigenvalues.max()) <= 1 + 1e-7


def test_modes_diagonalise_both_gaussians() -> None:
    field = IsingField(5, 0.5)
    x = torch.randn(3, 5, 5, generator=seeded(3), dtype=torch.float64)
    for gaussian in (field.bare, field.reference):
        assert_allclose(gaussian.energy(x), 0.5 * (x * gaussian.gradient(x)).sum((1, 2)), atol=1e-12)
        assert_allclose(gaussian.precondition(gaussian.gradient(x)), x, atol=1e-12)
    neighbours = x.roll(1, 1) + x.roll(-1, 1) + x.roll(1, 2) + x.roll(-1, 2)
    assert_allclose(field.bare.precondition(x), 0.5 * neighbours + 3.0 * x, atol=1e-12)


def test_the_reference_has_spins_of_length_one_and_the_energy_almost() -> None:
    field = IsingField(8, 0.2)
    assert isinstance(field, SampledEnergy)
    assert field.to("cpu").reference.shape == (8, 8) == field.shape
    coupling = 0.2 * (4 - field.bare.lattice.eigenvalues())
    spread = structure_factor(coupling)
    assert float(spread.mean()) == pytest.approx(1, abs=1e-12)
    # ⟨-½sᵀJs⟩, summed over waves: the spherical model at a third of the way to order is near Kaufman.
    spherical = -0.5 * float((coupling * spread).sum()) / 0.2
    assert spherical == pytest.approx(mean_energy(8, 8, 0.2), rel=0.1)
    assert_allclose(IsingField(4, 0.0).reference.eigenvalues, 0.5)


def test_the_reference_is_near_the_covariance_of_the_field() -> None:
    field = IsingField(4, 0.15)
    s, energies = every(4, 4)
    probability = torch.softmax(-0.15 * energies, 0)
    exact = torch.einsum("s,sij->ij", probability, field.bare.to_modes(s) ** 2)
    spread = 1 / field.bare.eigenvalues
    assert_allclose(1 / field.reference.eigenvalues, spread + spread**2 * exact, rtol=0.05)


def drawn_exactly(side: int, beta: float, count: int, seed: int) -> Tensor:
    s, energies = every(side, side)
    return s[torch.multinomial(torch.softmax(-beta * energies, 0), count, replacement=True, generator=seeded(seed))]


def kind(s: Tensor) -> Tensor:
    """Energy and |magnetisation| as one whole number."""
    energies = -(s * (s.roll(1, 1) + s.roll(1, 2))).sum((1, 2))
    return (1000 * energies + s.sum((1, 2)).abs()).long()


def pvalue(spins: Tensor, beta: float) -> float:
    """χ² of energy and |magnetisation| against all configurations."""
    side = spins.shape[-1]
    s, energies = every(side, side)
    kinds, place = kind(s).unique(return_inverse=True)
    expected = torch.zeros(len(kinds), dtype=torch.float64).index_add(0, place, torch.softmax(-beta * energies, 0))
    here = torch.searchsorted(kinds, kind(spins))
    seen = torch.bincount(here, minlength=len(kinds)).double()
    common = expected * len(spins) >= 8
    rest = 1 - expected[common].sum()
    observed = torch.cat([seen[common], seen[~common].sum()[None]])
    wanted = torch.cat([expected[common], rest[None]]) * len(spins)
    return float(stats.chisquare(observed, wanted).pvalue)


@pytest.mark.parametrize("moves", ["cluster", "single"])
@pytest.mark.parametrize(("side", "beta"), [(2, 0.3), (3, 0.4), (4, CRITICAL)])
def test_moves_keep_the_law_of_all_configurations(moves: Moves, side: int, beta: float) -> None:
    field, start = IsingField(side, beta), drawn_exactly(side, beta, 20_000, 4)
    still = torch.full((4,), beta, dtype=torch.float64)
    moved = anneal(field, 20_000, still, generator=seeded(5), start=start, moves=moves)
    assert torch.equal(moved.log_weights, torch.zeros(20_000, dtype=torch.float64))
    assert float((moved.spins != start).double().mean()) > 0.1
    assert pvalue(moved.spins, beta) > 1e-4


def test_the_test_of_moves_sees_a_temperature_that_is_off_by_a_twentieth() -> None:
    assert pvalue(drawn_exactly(4, 1.05 * CRITICAL, 20_000, 6), CRITICAL) < 1e-6


@pytest.mark.parametrize("moves", ["cluster", "single"])
def test_chains_from_order_forget_it_and_reach_equilibrium(moves: Moves) -> None:
    field = IsingField(4, 0.3)
    path = torch.full((61,), 0.3, dtype=torch.float64)
    reached = anneal(field, 20_000, path, generator=seeded(7), start=torch.ones(20_000, 4, 4), moves=moves)
    assert pvalue(reached.spins, 0.3) > 1e-4
    assert abs(float(reached.spins.mean((1, 2)).mean())) < 5 / math.sqrt(20_000)


def test_spins_of_a_field_are_independent_with_means_tanh() -> None:
    x = torch.linspace(-3, 3, 9, dtype=torch.float64).reshape(1, 3, 3)
    s = IsingField(3, 0.4).spins(x.expand(100_000, 3, 3), seeded(19))
    spread = torch.outer(*[(1 - x.tanh() ** 2).sqrt().flatten()] * 2)
    away = (s - x.tanh()).flatten(1)
    covariance = away.T @ away / len(s) - torch.diag(spread.diag())
    assert bool((away.mean(0).abs() < 5 * (spread.diag() / len(s)).sqrt()).all())
    assert bool((covariance.abs() < 5 * spread / math.sqrt(len(s)))[~torch.eye(9, dtype=torch.bool)].all())


def test_field_and_spins_turn_into_each_other() -> None:
    field, start = IsingField(3, 0.4), drawn_exactly(3, 0.4, 20_000, 8)
    generator = seeded(9)
    x = field.relax(start, generator)
    assert pvalue(field.spins(x, generator), 0.4) > 1e-4
    # For any confining energy ⟨x·∇E⟩ = N; and tanh x is the mean spin, so that ⟨s_i·tanh x_i⟩ = ⟨tanh² x_i⟩.
    for values in ((x * field.gradient(x)).sum((1, 2)) - 9, (start * x.tanh() - x.tanh() ** 2).sum((1, 2))):
        assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(20_000)


@pytest.mark.parametrize(("side", "beta"), [(4, CRITICAL), (5, 0.6), (8, 0.28)])
@pytest.mark.parametrize("moves", ["cluster", "single"])
def test_annealed_weights_give_log_z_and_the_energy(moves: Moves, side: int, beta: float) -> None:
    field, path = IsingField(side, beta), torch.linspace(0, beta, 41, dtype=torch.float64)
    drawn = anneal(field, 2000, path, generator=seeded(10), moves=moves)
    assert 0.1 < drawn.ess < 0.95
    assert drawn.log_z_se < 0.07
    assert abs(drawn.log_z - log_z(side, side, beta)) < 4 * drawn.log_z_se
    mean, error = weighted(drawn, field.spin_energy(drawn.spins))
    assert abs(mean - mean_energy(side, side, beta)) < 4 * error


def test_spins_and_fields_of_a_hasty_annealing_are_wrong_and_their_weights_repair_them() -> None:
    field, path = IsingField(4, CRITICAL), torch.linspace(0, CRITICAL, 9, dtype=torch.float64)
    drawn = anneal(field, 16_000, path, generator=seeded(11))
    # Neighbours are independent given x, so the mean spins tanh x give the mean energy too.
    for values in (field.spin_energy(drawn.spins), field.spin_energy(drawn.field.tanh())):
        mean, error = weighted(drawn, values)
        assert abs(mean - mean_energy(4, 4, CRITICAL)) < 4 * error
        assert abs(float(values.mean()) - mean_energy(4, 4, CRITICAL)) > 6 * error


def weighted(drawn: AnnealedSpins, values: Tensor) -> tuple[float, float]:
    """Mean and standard error of weighted values."""
    mean = drawn.mean(values)
    return mean, float((torch.softmax(drawn.log_weights, 0) * (values - mean)).square().sum().sqrt())


def test_upward_and_downward_annealing_enclose_log_z() -> None:
    side, beta = 4, 0.5
    path = torch.linspace(0, beta, 9, dtype=torch.float64)
    up = anneal(IsingField(side, beta), 3000, path, generator=seeded(12))
    down = anneal(
        IsingField(side, 0.0), 3000, path.flip(0), generator=seeded(13), start=drawn_exactly(side, beta, 3000, 14),
        log_z_start=log_z(side, side, beta),
    )  # fmt: skip
    assert abs(down.log_z - 16 * math.log(2)) < 4 * down.log_z_se
    # By Jensen's inequality mean log weights lie on either side; with eight steps, far from each other.
    ratio = log_z(side, side, beta) - 16 * math.log(2)
    for below in (float(up.log_weights.mean()) - ratio, float(down.log_weights.mean()) + ratio):
        assert below < -0.1


def test_a_pilot_foretells_the_share_and_its_schedule_is_better_than_even_steps() -> None:
    field = IsingField(8, 0.6)
    found = pilot(field, generator=seeded(15))
    steps = found.steps_for(0.7)
    assert math.exp(-(found.length**2) / steps) == pytest.approx(0.7, abs=0.01)
    path = found.schedule(steps)
    assert float(path[0]) == 0
    assert float(path[-1]) == 0.6
    assert bool((path.diff() > 0).all())
    drawn = anneal(field, 1024, path, generator=seeded(16))
    even = anneal(field, 1024, torch.linspace(0, 0.6, steps + 1, dtype=torch.float64), generator=seeded(16))
    assert drawn.ess == pytest.approx(0.7, abs=0.06)
    # The length is the least: any other spacing of as many steps spreads the weights more.
    assert float(drawn.log_weights.var()) < 0.9 * float(even.log_weights.var())


def test_friction_of_free_spins_is_the_number_of_bonds() -> None:
    # At β = 0 a step draws every spin anew: Var(E) = 2N, without correlation. χ²/n with 127 degrees: 5 of √(2/127).
    assert float(pilot(IsingField(6, 0.1), generator=seeded(17)).friction[0]) == pytest.approx(72, rel=5 * 0.126)


def test_the_seed_decides_everything_and_threads_nothing() -> None:
    field = IsingField(6, 0.4)
    first, again, other = (
        sample_ising(field, 7, seed=seed, ess=0.8, threads=threads) for seed, threads in ((1, 1), (1, 3), (2, 1))
    )
    assert torch.equal(first.spins, again.spins)
    assert torch.equal(first.field, again.field)
    assert torch.equal(first.log_weights, again.log_weights)
    assert not torch.equal(first.log_weights, other.log_weights)
    assert first.sweeps == 2 * first.steps


def test_free_spins_need_no_annealing() -> None:
    drawn = sample_ising(IsingField(4, 0.0), 3, seed=1)
    assert (drawn.steps, drawn.log_z) == (1, pytest.approx(16 * math.log(2)))


def test_calls_of_the_kernel_make_up_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    path = torch.linspace(0, 0.4, 12, dtype=torch.float64)
    whole = anneal(IsingField(4, 0.4), 5, path, generator=seeded(18))
    monkeypatch.setattr(cluster, "STEPS_A_CALL", 3)
    told = []
    parts = anneal(
        IsingField(4, 0.4), 5, path, generator=seeded(18), watch=lambda done, total: told.append((done, total))
    )
    assert torch.equal(whole.spins, parts.spins)
    assert_allclose(whole.log_weights, parts.log_weights, atol=1e-12)
    assert told == [(3, 11), (6, 11), (9, 11), (11, 11)]


def test_whoever_watches_may_cancel() -> None:
    class CancelledError(Exception):
        pass

    def cancel(done: int, total: int) -> None:
        raise CancelledError(f"{done} of {total}")

    with pytest.raises(CancelledError, match="1 of 41"):
        sample_ising(IsingField(4, 0.4), 2, seed=0, watch=cancel)
    with pytest.raises(CancelledError, match="64 of 100"):
        anneal(
            IsingField(4, 0.4), 2, torch.linspace(0, 0.4, 101, dtype=torch.float64), generator=seeded(0), watch=cancel
        )


def test_one_chain_has_no_standard_error() -> None:
    drawn = anneal(IsingField(4, 0.4), 1, torch.tensor([0, 0.4], dtype=torch.float64), generator=seeded(0))
    assert drawn.log_z_se == math.inf
    assert drawn.ess == pytest.approx(1)


@pytest.mark.parametrize(
    ("side", "beta", "message"),
    [(1, 0.3, "side is 1"), (513, 0.3, "side is 513"), (4, -0.1, "beta"), (4, math.nan, "beta")],
)
def test_a_field_refuses_what_it_is_not(side: int, beta: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IsingField(side, beta)


@pytest.mark.parametrize(
    ("count", "betas", "start", "message"),
    [
        (0, [0, 0.4], None, "a chain or more"),
        (2, [0.4], None, "two betas or more"),
        (2, [0, 0.3], None, "must end there"),
        (2, [0, 6.0, 0.4], None, "stay within"),
        (2, [0, math.nan, 0.4], None, "stay within"),
        (2, [0.1, 0.4], None, "give samples as `start`"),
        (2, [0.1, 0.4], torch.ones(3, 4, 4), "give spins of ±1"),
        (2, [0.1, 0.4], torch.zeros(2, 4, 4), "give spins of ±1"),
    ],
)
def test_bad_requests_are_refused_with_a_reason(
    count: int, betas: list[float], start: Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        anneal(IsingField(4, 0.4), count, torch.tensor(betas, dtype=torch.float64), generator=seeded(0), start=start)


@pytest.mark.parametrize(("ess", "steps"), [(0.0, 1), (1.0, 1), (math.nan, 1), (0.5, 0)])
def test_a_schedule_is_refused_with_a_reason(ess: float, steps: int) -> None:
    found = cluster.Pilot(torch.tensor([0.0, 0.4]), torch.ones(2), "cluster")
    with pytest.raises(ValueError, match=r"share of the chains|at least one"):
        found.schedule(steps) if steps == 0 else found.steps_for(ess)
