"""Energy-guided sampling and optimisation: pure mathematics on torch tensors. Importing this package imports torch."""

from eil_diffusion.domain.constraints import Constraints
from eil_diffusion.domain.energies.energy import Energy, SampledEnergy
from eil_diffusion.domain.energies.free_field import GaussianFreeField
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energies.rack_heat import RackHeatMap
from eil_diffusion.domain.energies.registry import ENERGIES, build_energy, energy_gradient
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context
from eil_diffusion.domain.energy_diffusion_core.model import EnergyDiffusionModel, reverse_denoise
from eil_diffusion.domain.energy_diffusion_core.schedule import (
    EnergyScheduler,
    SchedulerOutput,
    cosine_schedule,
    forward_diffuse,
)
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.sampler import Samples, device, sample
from eil_diffusion.domain.energy_guided_sampler.weights import BoltzmannWeights, boltzmann_weight
from eil_diffusion.domain.optimise import Optimum, optimise

__all__ = [
    "ENERGIES",
    "BoltzmannWeights",
    "Constraints",
    "Context",
    "Energy",
    "EnergyDiffusionModel",
    "EnergyScheduler",
    "GaussianFreeField",
    "Noise",
    "Optimum",
    "QuadraticEnergy",
    "RackHeatMap",
    "SampledEnergy",
    "Samples",
    "SchedulerOutput",
    "boltzmann_weight",
    "build_energy",
    "cosine_schedule",
    "device",
    "energy_gradient",
    "forward_diffuse",
    "optimise",
    "reverse_denoise",
    "sample",
]
