"""Sets of fields made from physics: samples of energies whose law is known or can be sampled to convergence without any model."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from eil_diffusion.domain.energies.free_field import GaussianFreeField
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energies.rack_heat import RackHeatMap
from eil_diffusion.domain.energy_diffusion_core.datasets import FieldSet, Provenance
from eil_diffusion.domain.energy_guided_sampler.moves import hamiltonian
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.sampler import corrected, sample

FREE_SIDE, FREE_MASS2 = 32, 0.1
PHI4_SIDE, PHI4_MASS2, PHI4_COUPLING = 16, -1.0, 0.5
PHI4_CHAINS, PHI4_BURN_IN, PHI4_BETWEEN = 256, 60, 12
"""Chains, Hamiltonian moves before the first field of each, and moves between fields."""
RACK_ROWS, RACK_COLUMNS = 12, 16
RACK_NOMINAL_W, RACK_KT = 6000.0, 400.0
"""Power of a rack at full load [W]; temperature of the fluctuations of a stable room [W·K]."""
REGIMES: Mapping[str, float] = MappingProxyType({"stable": 1.0, "drifting": 1.5, "transition": 2.5, "critical": 4.0})
"""Regime → how much hotter the fluctuations are than in a stable room."""
RACK_SIGNALS = (
    "cpu_usage",
    "ambient_temperature",
    "fan_speed",
    "predicted_power_w",
    *(f"regime_{name}" for name in REGIMES),
)


def gaussian_free_field(count: int, seed: int) -> FieldSet:
    """Exact samples of the Gaussian free field, 32², m² = 0.1, kT = 1."""
    energy = GaussianFreeField(FREE_SIDE, FREE_MASS2)
    fields = energy.draw(count, 1.0, torch.Generator().manual_seed(seed))
    parameters = {"name": "gaussian_free_field", "side": FREE_SIDE, "mass2": FREE_MASS2}
    about = Provenance("gaussian_free_field", parameters, 1.0, seed, _method(gaussian_free_field))
    return FieldSet(fields[:, None], ("φ",), about)


def phi4(count: int, seed: int) -> FieldSet:
    """Annealed, then Hamiltonian chains of φ⁴ in its symmetric phase, 16², m² = -1, λ = 0.5, kT = 1; each with its mirror image -φ."""
    energy = Phi4(PHI4_SIDE, PHI4_MASS2, PHI4_COUPLING)
    noise = Noise([seed], [PHI4_CHAINS])
    x = sample(energy, noise, steps=100, correction_steps=PHI4_BURN_IN).maps
    move, fields = hamiltonian(energy.reference), []
    while len(fields) * PHI4_CHAINS < math.ceil(count / 2):
        x, _ = corrected(energy, x, move, PHI4_BETWEEN, 1.0, noise)
        fields += [x]
    half = torch.cat(fields)[: math.ceil(count / 2)]
    mirrored = torch.stack([half, -half], 1).flatten(0, 1)[:count]
    parameters = {"name": "phi4", "side": PHI4_SIDE, "mass2": PHI4_MASS2, "coupling": PHI4_COUPLING}
    return FieldSet(mirrored[:, None], ("φ",), Provenance("phi4", parameters, 1.0, seed, _method(phi4)))


def rack_heat_map(count: int, seed: int) -> FieldSet:
    """Exact samples of rack temperatures around steady states of random loads, fans, ambients and regimes, 12 x 16 racks."""
    generator = torch.Generator().manual_seed(seed)
    fields, signals, maps = [], [], []
    for _ in range(count):
        drawn = RackSituation(generator)
        fields.append(drawn.energy.draw(1, drawn.kt, generator)[0])
        signals.append(drawn.signals)
        maps.append(drawn.power_w)
    parameters = {"name": "rack_heat_map", "rows": RACK_ROWS, "columns": RACK_COLUMNS}
    about = Provenance("rack_heat_map", parameters, RACK_KT, seed, _method(rack_heat_map), periodic=False)
    return FieldSet(
        torch.stack(fields)[:, None],
        ("temperature [K]",),
        about,
        torch.stack(signals),
        RACK_SIGNALS,
        torch.stack(maps)[:, None],
        ("power [W]",),
    )


class RackSituation:
    """A room at random: load between 10 and 100 %, in blocks; fans that follow the load; ambient 18 to 27 °C; any regime."""

    def __init__(self, generator: torch.Generator) -> None:
        def uniform(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, dtype=torch.float64)

        usage = 0.1 + 0.9 * float(uniform(1))
        blocks = uniform(RACK_ROWS // 4, RACK_COLUMNS // 4).repeat_interleave(4, 0).repeat_interleave(4, 1)
        shares = blocks * (0.8 + 0.4 * uniform(RACK_ROWS, RACK_COLUMNS))
        self.power_w = RACK_NOMINAL_W * (0.45 + 0.55 * usage * shares / shares.mean()).clamp(0, 1.5)
        ambient_c = 18 + 9 * float(uniform(1))
        fan = min(1.0, max(0.3, usage + 0.1 * float(torch.randn(1, generator=generator))))
        regime = int(torch.randint(len(REGIMES), (1,), generator=generator))
        self.kt = RACK_KT * list(REGIMES.values())[regime]
        predicted = float(self.power_w.sum()) * (1 + 0.03 * float(torch.randn(1, generator=generator)))
        chosen = torch.nn.functional.one_hot(torch.tensor(regime), len(REGIMES)).double()
        self.signals = torch.cat([torch.tensor([usage, ambient_c, fan, predicted], dtype=torch.float64), chosen])
        supply_k = ambient_c + 273.15
        self.energy = RackHeatMap(
            RACK_ROWS, RACK_COLUMNS, self.power_w, fan_speed=fan, set_point_k=supply_k, limit_k=supply_k + 60
        )


def _method(make: Callable) -> str:
    """How a set is made, for provenance."""
    return (make.__doc__ or "").strip()


SETS: Mapping[str, Callable[[int, int], FieldSet]] = MappingProxyType(
    {"gaussian_free_field": gaussian_free_field, "phi4": phi4, "rack_heat_map": rack_heat_map}
)
"""Name → (count, seed) → set."""
