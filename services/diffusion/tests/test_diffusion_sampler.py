import math

import pytest
import torch
from eil_diffusion.domain import EnergyScheduler, GaussianFreeField, Noise, RackHeatMap, Samples, device
from eil_diffusion.domain import sample as sample_chains
from eil_diffusion.domain.energies.energy import SampledEnergy
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energy_diffusion_core.denoiser import ExactDenoiser
from eil_diffusion.domain.energy_guided_sampler.moves import Langevin
from eil_diffusion.domain.energy_guided_sampler.reverse import reverse_diffuse
from eil_diffusion.domain.energy_guided_sampler.sampler import corrected
from numpy.testing import assert_allclose
from scipy import stats


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def sample(energy: SampledEnergy, count: int, *, seed: int, **how) -> Samples:
    return sample_chains(energy, Noise([seed], [count]), **how)


@pytest.mark.parametrize(("side", "mass2", "kt"), [(16, 0.1, 1.0), (32, 0.1, 1.0), (16, 1.0, 2.5)])
def test_mean_energy_of_the_free_field_is_equipartition(side: int, mass2: float, kt: float) -> None:
    field = GaussianFreeField(side, mass2)
    drawn = sample(field, 384, steps=20, seed=1, kt=kt)
    assert abs(drawn.mean_energy - field.size * kt / 2) < 4 * drawn.mean_energy_se
    assert drawn.mean_energy_se == pytest.approx(kt * math.sqrt(field.size / 2 / 384), rel=0.2)
    assert 0.45 < drawn.acceptance < 0.75
    assert drawn.ess == pytest.approx(384, rel=1e-3)


def test_site_variance_agrees_with_the_lattice_sum() -> None:
    field = GaussianFreeField(24, 0.1)
    per_map = sample(field, 512, steps=20, seed=2).maps.square().flatten(1).mean(1)
    assert abs(float(per_map.mean()) - field.site_variance()) < 4 * float(per_map.std()) / math.sqrt(512)


def test_energies_follow_the_gamma_law_and_every_mode_its_variance() -> None:
    field = GaussianFreeField(16, 0.1)
    drawn = sample(field, 1024, steps=20, seed=3)
    assert stats.kstest(drawn.energies.numpy(), stats.gamma(field.size / 2).cdf).pvalue > 0.001
    spread = (field.to_modes(drawn.maps).square() * field.eigenvalues).mean(0)
    # χ²/n with 1024 degrees: standard deviation √(2/1024) = 0.044, the largest of 256 stays below 5 of them.
    assert float((spread - 1).abs().max()) < 5 * math.sqrt(2 / 1024)


@pytest.mark.parametrize("steps", [1, 7])
def test_reverse_diffusion_is_exact_at_any_number_of_steps(steps: int) -> None:
    field = GaussianFreeField(16, 0.1)
    drawn = sample(field, 512, steps=steps, seed=4, correction_steps=0)
    assert math.isnan(drawn.acceptance)
    assert drawn.ess == pytest.approx(512, rel=1e-3)
    assert abs(drawn.mean_energy - field.size / 2) < 4 * drawn.mean_energy_se


def test_the_denoiser_mean_alone_is_biased_and_its_weights_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = EnergyScheduler.posterior

    def without_posterior_variance(self: EnergyScheduler, output, timestep, noisy, variance=None):
        # Not zero at the last step, where DDPM adds nothing: a path needs a density.
        return exact(self, output, timestep, noisy, None if variance is None else 1e-3 * variance)

    monkeypatch.setattr(EnergyScheduler, "posterior", without_posterior_variance)
    field = GaussianFreeField(16, 0.1)
    drawn = sample(field, 512, steps=20, seed=4, correction_steps=0)
    assert drawn.mean_energy < field.size / 2 - 10 * drawn.mean_energy_se
    assert drawn.ess < 50


def test_the_weights_of_exact_diffusion_are_all_log_z() -> None:
    field = GaussianFreeField(8, 0.5)
    scheduler = EnergyScheduler()
    scheduler.set_timesteps(5)
    drafts = reverse_diffuse(ExactDenoiser(field, 1.0), scheduler, Noise([5], [16]))
    assert_allclose(drafts.log_ratio - field.energy(drafts.x), field.log_z(), atol=1e-5, rtol=0)


def test_langevin_correction_repairs_a_wrong_start() -> None:
    field = GaussianFreeField(16, 0.1)
    frozen = torch.zeros(256, 16, 16, dtype=torch.float64)
    # Small steps: from the very bottom a proposal is accepted with exp(-h²N/2).
    x, accepted = corrected(field, frozen, Langevin(field, 0.06), 180, 1.0, Noise([6], [256]))
    energies = field.energy(x)
    assert abs(float(energies.mean()) - 128) < 4 * float(energies.std()) / 16
    assert 0.5 < accepted < 1.0


def test_without_adjustment_langevin_is_biased_as_theory_says() -> None:
    field, step = GaussianFreeField(16, 0.1), 0.2
    x = sample(field, 512, steps=5, seed=7).maps
    x, taken = corrected(field, x, Langevin(field, step, adjusted=False), 40, 1.0, Noise([8], [512]))
    assert taken == 1.0
    energies = field.energy(x)
    error = float(energies.std()) / math.sqrt(512)
    assert abs(float(energies.mean()) - 128 / (1 - step / 2)) < 4 * error
    assert float(energies.mean()) - 128 > 10 * error


def test_the_unadjusted_bias_without_preconditioning_is_twelve_percent() -> None:
    # Stationary variance of a mode under x - η∇E + √(2η)ε is 1/(λ(1 - ηλ/2)).
    inflation = (1 / (1 - 0.05 * GaussianFreeField(256, 0.1).eigenvalues / 2)).mean()
    assert float(inflation) - 1 == pytest.approx(0.118, abs=0.001)


@pytest.mark.parametrize(("mass2", "factor"), [(0.1, 7.1), (1.0, 8.0)])
def test_the_naive_step_diverges(mass2: float, factor: float) -> None:
    field = GaussianFreeField(16, mass2)
    assert float((1 - field.eigenvalues).abs().max()) == pytest.approx(factor)
    generator = seeded(8)
    x = sample(field, 4, seed=8).maps
    for _ in range(20):
        x = x - field.gradient(x) + torch.randn(x.shape, generator=generator, dtype=x.dtype)
    assert float(field.energy(x).min()) > 1e20


def test_virial_identity_of_the_rack_map() -> None:
    racks = RackHeatMap(5, 6, 3000 + 200 * torch.arange(30, dtype=torch.float64).reshape(5, 6))
    drawn = sample(racks, 1024, steps=20, seed=9, kt=400.0)
    rise = drawn.maps - 295.15
    virial = (rise * racks.gradient(drawn.maps)).flatten(1).sum(1)
    assert abs(float(virial.mean()) - 30 * 400.0) < 4 * float(virial.std()) / 32
    assert abs(drawn.mean_energy - 15 * 400.0) < 4 * drawn.mean_energy_se
    error = drawn.maps.std(0) / 32
    assert bool(((drawn.maps.mean(0) - racks.mean).abs() < 5 * error).all())


def test_the_seed_decides_everything() -> None:
    field = GaussianFreeField(8, 0.1)
    first, again, other = (sample(field, 6, steps=5, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.maps, again.maps)
    assert first.acceptance == again.acceptance
    assert not torch.equal(first.maps, other.maps)


def test_what_a_request_gets_does_not_depend_on_its_company() -> None:
    field = GaussianFreeField(8, 0.1)
    together = sample_chains(field, Noise([1, 2], [3, 4]), steps=5)
    assert torch.equal(together.maps[:3], sample(field, 3, seed=1, steps=5).maps)
    assert torch.equal(together.part(3, 7).maps, sample(field, 4, seed=2, steps=5).maps)


def test_the_pilot_of_an_energy_is_made_once_and_changes_nothing() -> None:
    energy, stages = Phi4(4, -1.0, 0.5), ([], [])
    first, again = (
        sample(energy, 4, seed=3, steps=5, watch=lambda s, told=told: told.append(s.name)) for told in stages
    )
    assert torch.equal(first.maps, again.maps)
    assert "pilot" in stages[0]
    assert "pilot" not in stages[1]


def test_one_map_has_no_standard_error() -> None:
    assert math.isnan(sample(GaussianFreeField(4, 1.0), 1, steps=2, seed=0).mean_energy_se)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kt": 0.0}, "positive, finite kt"),
        ({"kt": math.inf}, "positive, finite kt"),
        ({"correction_steps": -1}, "no negative number"),
        ({"steps": 0}, "between 1 and 1000"),
    ],
)
def test_bad_requests_are_refused_with_a_reason(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sample(GaussianFreeField(4, 1.0), 2, seed=0, **arguments)


def test_device_is_one_that_works() -> None:
    assert torch.zeros(1, device=device()).device.type in {"cpu", "cuda"}
