"""Energy-guided sampling and optimisation: pure mathematics on torch tensors. Importing this package imports torch."""

from eil_diffusion.domain.energies import ENERGIES, build_energy, energy_gradient
from eil_diffusion.domain.free_field import GaussianFreeField
from eil_diffusion.domain.optimise import Optimum, optimise
from eil_diffusion.domain.quadratic import Energy, QuadraticEnergy
from eil_diffusion.domain.rack_heat import RackHeatMap
from eil_diffusion.domain.sampler import Samples, device, sample
from eil_diffusion.domain.schedule import (
    BoltzmannWeights,
    EnergyScheduler,
    SchedulerOutput,
    boltzmann_weight,
    cosine_schedule,
    forward_diffuse,
)

__all__ = [
    "ENERGIES",
    "BoltzmannWeights",
    "Energy",
    "EnergyScheduler",
    "GaussianFreeField",
    "Optimum",
    "QuadraticEnergy",
    "RackHeatMap",
    "Samples",
    "SchedulerOutput",
    "boltzmann_weight",
    "build_energy",
    "cosine_schedule",
    "device",
    "energy_gradient",
    "forward_diffuse",
    "optimise",
    "sample",
]
