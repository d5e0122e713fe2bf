import math
from collections import Counter

import pytest
import torch
from eil_diffusion.domain import GaussianFreeField, boltzmann_weight
from eil_diffusion.domain.energy_guided_sampler.laws import EnergyLaws, energy_laws, first_law
from eil_diffusion.domain.energy_guided_sampler.weights import log_z
from numpy.testing import assert_allclose


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def lognormal(count: int, spread: float, seed: int, log_mean: float = 0.0) -> torch.Tensor:
    """Log weights whose exponentials average to exp(log_mean) exactly; ESS is exp(-spread²) of their number."""
    normal = torch.randn(count, generator=seeded(seed), dtype=torch.float64)
    return log_mean + spread * normal - 0.5 * spread**2


def field_weights(count: int, seed: int, *, bias: float = 0.0, forgotten: float = 0.0) -> tuple[torch.Tensor, float]:
    """Log weights of exact samples of a free field for another of 4 % more mass, whose energy is `bias` of itself wrong, and whose log
    weights had `forgotten` of the heat left out; and the true log Z.
    """
    start, target = GaussianFreeField(8, 1.0), GaussianFreeField(8, 1.04)
    x = start.draw(count, 1.0, seeded(seed))
    work = (1 + bias) * target.energy(x) - start.energy(x)
    heat = 1.0 + torch.randn(count, generator=seeded(seed + 1), dtype=torch.float64)
    return start.log_z() - work + forgotten * heat, target.log_z()


@pytest.mark.parametrize("shift", [0.0, 1e5, -1e5])
def test_log_z_of_known_weights_at_any_height(shift: float) -> None:
    found = log_z(numbers(1.0, 2.0, 3.0, 6.0).log() + shift)
    assert found.value == pytest.approx(math.log(3.0) + shift, rel=1e-12)
    # Of 1, 2, 3, 6: standard deviation √(14/3), mean 3, n = 4; Kish 12²/50. At 10⁵ a logarithm is good to 10⁻¹¹.
    assert found.error == pytest.approx(math.sqrt(14 / 3) / 3 / 2, rel=1e-9)
    assert found.ess == pytest.approx(144 / 50, rel=1e-9)


def test_log_z_survives_weights_that_differ_by_everything() -> None:
    found = log_z(numbers(1e5, 0.0, -1e5, -math.inf))
    assert found.value == pytest.approx(1e5 - math.log(4))
    assert found.ess == pytest.approx(1.0)
    assert found.error == pytest.approx(1.0)


def test_one_weight_has_no_error_and_equal_weights_none_to_speak_of() -> None:
    assert log_z(numbers(-3.0)).error == math.inf
    assert log_z(numbers(-3.0)).value == -3.0
    equal = log_z(torch.full((50,), 700.0, dtype=torch.float64))
    assert (equal.value, equal.error, equal.ess) == (700.0, 0.0, 50.0)


@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0, 3.0, 30.0])
def test_the_effective_number_lies_between_one_and_all(spread: float) -> None:
    weights = lognormal(200, spread, 1)
    assert 1 - 1e-9 <= log_z(weights).ess <= 200 + 1e-9
    assert log_z(weights).ess == pytest.approx(boltzmann_weight(-weights).ess, rel=1e-9)
    if spread <= 1.0:
        # σ of Kish's share among 200 is some ten per cent of it at spread 1.
        assert log_z(weights).ess / 200 == pytest.approx(math.exp(-(spread**2)), abs=0.15)


def test_the_standard_error_is_the_bootstraps() -> None:
    weights = lognormal(1500, 0.6, 2)
    again = torch.randint(1500, (600, 1500), generator=seeded(3))
    spread = float((weights[again].logsumexp(1) - math.log(1500)).std())
    # 600 draws know a standard deviation to 3 %.
    assert log_z(weights).error == pytest.approx(spread, rel=0.12)


def test_the_standard_error_is_that_of_repetition_and_the_mean_weight_unbiased() -> None:
    found = [log_z(lognormal(400, 0.6, seed, 7.0)) for seed in range(300)]
    values = numbers(*(one.value for one in found))
    assert float(values.std()) == pytest.approx(sum(one.error for one in found) / 300, rel=0.2)
    ratio = (values - 7.0).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / math.sqrt(300)


def test_boltzmann_weights_turn_samples_of_one_law_into_means_of_another() -> None:
    start, target = GaussianFreeField(8, 1.0), GaussianFreeField(8, 1.3)
    x = start.draw(4000, 1.0, seeded(4))
    found = boltzmann_weight(target.energy(x), log_proposal=-start.energy(x))
    weights, energies = found.log_weights.exp(), target.energy(x)
    assert float(weights.sum()) == pytest.approx(1.0)
    mean = float((weights * energies).sum())
    error = float((weights**2 * (energies - mean) ** 2).sum().sqrt())
    assert abs(mean - 32) < 4 * error
    assert abs(float(energies.mean()) - 32) > 10 * error


def test_boltzmann_weights_know_temperature_and_ignore_the_zero_of_energy() -> None:
    energies = numbers(0.0, 2.0, 4.0)
    for shift in (0.0, 1e5, -1e5):
        found = boltzmann_weight(energies + shift, 2.0)
        assert_allclose(found.log_weights.exp(), (-energies / 2).exp() / (-energies / 2).exp().sum(), rtol=1e-9)
    assert boltzmann_weight(numbers(1.0, math.inf)).log_weights.exp().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("count", "spread"), [(8, 0.7), (16, 0.3), (64, 0.7), (64, 1.1), (512, 0.7)])
def test_correct_weights_are_hardly_ever_refused(known: bool, count: int, spread: float) -> None:
    verdicts = Counter(
        energy_laws(lognormal(count, spread, 1000 * count + seed, 40.0), exact_log_z=40.0 if known else None).verdict
        for seed in range(500)
    )
    # Of 500 at most 3: more would be likelier than 1 in 1000 only if one in 500 were refused.
    assert verdicts["contradicted"] <= 3
    assert verdicts["held"] > 420


@pytest.mark.parametrize("known", [True, False])
def test_correct_weights_of_a_field_are_held(known: bool) -> None:
    for seed in range(0, 60, 2):
        weights, exact = field_weights(1000, seed)
        laws = energy_laws(weights, exact_log_z=exact if known else None, imbalance=1e-14)
        assert laws.verdict == "held", (seed, laws)
        assert abs(laws.jarzynski - 1) < 4.5 * laws.jarzynski_se
        assert laws.entropy_production > -4.5 * laws.entropy_production_se


def test_equal_weights_keep_every_law_to_rounding() -> None:
    laws = energy_laws(torch.full((16,), -321.5, dtype=torch.float64), exact_log_z=-321.5)
    assert laws.verdict == "held"
    assert (laws.jarzynski, laws.entropy_production) == (1.0, 0.0)
    assert laws.jarzynski_se == pytest.approx(0.0, abs=1e-6)


def test_an_energy_two_per_cent_off_is_contradicted() -> None:
    """32 nats of energy, 2 % of which is 0.64 of log Z: a wrong energy, where the truth is known."""
    for seed in range(0, 20, 2):
        for bias in (0.02, -0.02):
            weights, exact = field_weights(1000, seed, bias=bias)
            assert energy_laws(weights, exact_log_z=exact).verdict == "contradicted"


@pytest.mark.parametrize("off", [0.2, -0.2, 50.0, -50.0, 5000.0, -5000.0])
def test_a_wrong_log_z_is_contradicted(off: float) -> None:
    weights, exact = field_weights(1000, 30)
    assert energy_laws(weights, exact_log_z=exact + off).verdict == "contradicted"


def test_heat_that_nobody_booked_is_contradicted_by_the_first_law_alone() -> None:
    work, heat = torch.rand(100, dtype=torch.float64, generator=seeded(5)), numbers(*[0.25] * 100)
    assert first_law(work + heat, work, heat) < 1e-15
    lost = first_law(work + heat, work, 0.999 * heat)
    assert lost == pytest.approx(0.00025 / float((work + heat).max()))
    weights, exact = field_weights(1000, 31)
    assert energy_laws(weights, exact_log_z=exact, imbalance=lost).verdict == "contradicted"
    assert energy_laws(weights[:3], imbalance=lost).verdict == "contradicted"


def test_heat_booked_as_work_is_contradicted_by_the_theorem() -> None:
    weights, exact = field_weights(1000, 32, forgotten=0.3)
    assert energy_laws(weights, exact_log_z=exact).verdict == "contradicted"
    weights, exact = field_weights(1000, 32, forgotten=-0.3)
    assert energy_laws(weights, exact_log_z=exact).verdict == "contradicted"


def test_a_sampler_that_drifts_is_contradicted_by_its_own_first_half() -> None:
    drifting = lognormal(1000, 0.3, 33) + torch.cat([torch.zeros(500), torch.full((500,), 0.3)]).double()
    assert energy_laws(drifting).verdict == "contradicted"


def test_few_effective_samples_prove_nothing() -> None:
    wide = lognormal(4000, 4.0, 34)
    assert log_z(wide).ess < 0.2 * 4000
    laws = energy_laws(wide, exact_log_z=0.0)
    assert laws.verdict == "untestable"
    # But the second law needs no effective samples: less work than the free energy, on the mean, is impossible.
    assert energy_laws(wide, exact_log_z=-20.0).verdict == "contradicted"


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_samples_are_untestable(count: int) -> None:
    laws = energy_laws(torch.zeros(count, dtype=torch.float64), exact_log_z=0.0)
    assert laws.verdict == "untestable"
    assert math.isnan(laws.jarzynski)


@pytest.mark.parametrize("known", [0.0, None])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 20, 39])
def test_what_is_not_finite_is_never_held(bad: float, place: int, known: float | None) -> None:
    weights = torch.zeros(40, dtype=torch.float64)
    weights[place] = bad
    assert energy_laws(weights, exact_log_z=known).verdict != "held"


def judged(**how) -> EnergyLaws:
    return energy_laws(torch.zeros(40, dtype=torch.float64), **how)


def test_an_imbalance_or_a_log_z_that_is_no_number_is_never_held() -> None:
    assert judged(exact_log_z=0.0).verdict == "held"
    assert judged(exact_log_z=math.nan).verdict == "contradicted"
    assert judged(exact_log_z=math.inf).verdict == "contradicted"
    assert judged(exact_log_z=0.0, imbalance=math.nan).verdict == "contradicted"
    assert energy_laws(torch.zeros(3, dtype=torch.float64), imbalance=math.nan).verdict == "contradicted"
    assert math.isnan(first_law(numbers(math.nan, 1.0), numbers(0.0, 1.0), numbers(0.0, 0.0)))


def test_weights_too_large_for_an_exponential_are_contradicted() -> None:
    # A third of exp(-Σ) overflows, so that their mean has no spread, while the mean of Σ is as it should be.
    some = torch.cat([torch.full((30,), 800.0), torch.full((70,), -1e4)]).double()
    assert energy_laws(some, exact_log_z=0.0).verdict == "contradicted"
