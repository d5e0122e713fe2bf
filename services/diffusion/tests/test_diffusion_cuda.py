"""The same numbers on a GPU, within tolerance. Runs where there is one."""

import math
from importlib import resources

import pytest
import torch
from eil_diffusion.domain.energies.free_field import GaussianFreeField
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energy_diffusion_core.model import loads
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.sampler import sample
from numpy.testing import assert_allclose

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_energies_and_gradients_are_those_of_the_cpu() -> None:
    x = torch.randn(4, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for energy in (GaussianFreeField(32, 0.1), Phi4(32, -1.0, 0.5)):
        there = energy.to("cuda")
        assert_allclose(there.energy(x.cuda()).cpu(), energy.energy(x), rtol=1e-12)
        assert_allclose(there.gradient(x.cuda()).cpu(), energy.gradient(x), rtol=1e-12, atol=1e-12)


def test_samples_have_the_mean_energy_and_the_exact_weights() -> None:
    field = GaussianFreeField(64, 0.1)
    drawn = sample(field, Noise([1], [256], "cuda"), steps=10)
    assert abs(drawn.mean_energy - field.size / 2) < 4 * drawn.mean_energy_se
    assert drawn.log_z.value == pytest.approx(field.log_z(), abs=1e-6)


def test_a_network_in_bfloat16_drafts_with_weights_that_agree() -> None:
    content = resources.files("eil_diffusion").joinpath("checkpoints", "phi4.ckpt").read_bytes()
    energy = Phi4(16, -1.0, 0.5)
    found = {
        where: sample(energy, Noise([1], [512], where), steps=20, denoiser=loads(content).to(where).on((16, 16))).log_z
        for where in ("cpu", "cuda")
    }
    away = abs(found["cpu"].value - found["cuda"].value)
    assert away < 5 * math.hypot(found["cpu"].error, found["cuda"].error)
    assert found["cuda"].ess > 0.5 * found["cpu"].ess
