import math

import pytest
import torch
from eil_diffusion.domain import EnergyScheduler, boltzmann_weight, cosine_schedule, forward_diffuse
from numpy.testing import assert_allclose


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_cosine_schedule_falls_from_signal_to_noise() -> None:
    share = cosine_schedule()
    assert share.shape == (1000,)
    assert bool((share[1:] < share[:-1]).all())
    assert share[0] > 0.9999
    assert share[-1] < 1e-8


def test_timesteps_descend_from_pure_noise() -> None:
    scheduler = EnergyScheduler()
    assert scheduler.timesteps.tolist() == list(range(999, -1, -1))
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [999, 749, 499, 249]
    assert scheduler.init_noise_sigma == 1.0
    x = torch.ones(2, 3)
    assert torch.equal(scheduler.scale_model_input(x, 999), x)


def test_a_step_with_the_true_noise_gives_back_the_clean_sample() -> None:
    scheduler = EnergyScheduler()
    scheduler.set_timesteps(20)
    clean = torch.randn(4, 3, 3, generator=seeded(1), dtype=torch.float64)
    noise = torch.randn(4, 3, 3, generator=seeded(2), dtype=torch.float64)
    for t in scheduler.timesteps:
        noisy = scheduler.add_noise(clean, noise, t)
        taken = scheduler.step(noise, t, noisy, generator=seeded(3))
        assert_allclose(taken.pred_original_sample, clean, atol=1e-7)
    assert_allclose(taken.prev_sample, clean, atol=1e-7)


def test_reverse_steps_with_the_truth_known_keep_the_forward_marginals() -> None:
    scheduler = EnergyScheduler()
    scheduler.set_timesteps(10)
    clean = torch.full((20_000,), 2.0, dtype=torch.float64)
    x = torch.randn(20_000, generator=seeded(4), dtype=torch.float64)
    generator = seeded(5)
    for t, after in zip(scheduler.timesteps[:-1], scheduler.timesteps[1:], strict=True):
        signal = scheduler.alphas_cumprod[t]
        x = scheduler.step((x - signal.sqrt() * clean) / (1 - signal).sqrt(), t, x, generator=generator).prev_sample
        signal = float(scheduler.alphas_cumprod[after])
        assert float(x.mean()) == pytest.approx(2 * math.sqrt(signal), abs=0.03)
        assert float(x.var()) == pytest.approx(1 - signal, abs=0.05)


def test_add_noise_takes_one_step_per_sample() -> None:
    scheduler = EnergyScheduler()
    clean, noise = torch.ones(2, 5, dtype=torch.float64), torch.zeros(2, 5, dtype=torch.float64)
    mixed = scheduler.add_noise(clean, noise, torch.tensor([10, 900]))
    assert_allclose(mixed, scheduler.alphas_cumprod[[10, 900]].sqrt()[:, None].expand(2, 5), atol=1e-7)


def test_forward_diffusion_mixes_signal_and_noise() -> None:
    schedule = cosine_schedule()
    x = forward_diffuse(torch.full((50_000,), 3.0, dtype=torch.float64), 400, schedule, generator=seeded(6))
    signal = float(schedule[400])
    assert float(x.mean()) == pytest.approx(3 * math.sqrt(signal), abs=0.02)
    assert float(x.var()) == pytest.approx(1 - signal, rel=0.03)


@pytest.mark.parametrize("steps", [0, 1001])
def test_impossible_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 1000"):
        EnergyScheduler().set_timesteps(steps)


def test_a_step_outside_the_chosen_ones_is_refused() -> None:
    scheduler = EnergyScheduler()
    scheduler.set_timesteps(4)
    with pytest.raises(ValueError, match="set_timesteps"):
        scheduler.step(torch.zeros(1), 998, torch.zeros(1))


def test_boltzmann_weights_are_normalised_and_safe_at_huge_energies() -> None:
    weights = boltzmann_weight(torch.tensor([1e6, 1e6 + math.log(3.0)], dtype=torch.float64))
    assert_allclose(weights.log_weights.exp(), torch.tensor([0.75, 0.25], dtype=torch.float64), atol=1e-7)
    assert weights.ess == pytest.approx(1 / (0.75**2 + 0.25**2))


def test_equal_energies_and_perfect_proposals_have_full_sample_size() -> None:
    energies = torch.linspace(0, 40, 64, dtype=torch.float64)
    assert boltzmann_weight(torch.zeros(64)).ess == pytest.approx(64)
    assert boltzmann_weight(energies, 2.0, log_proposal=-energies / 2.0).ess == pytest.approx(64)
    assert boltzmann_weight(energies, 0.1).ess == pytest.approx(1, abs=0.01)


def test_weights_without_temperature_or_energies_are_refused() -> None:
    with pytest.raises(ValueError, match="positive kt"):
        boltzmann_weight(torch.ones(3), 0.0)
    with pytest.raises(ValueError, match="at least one energy"):
        boltzmann_weight(torch.ones(0))
