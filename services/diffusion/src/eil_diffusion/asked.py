"""What a request asks of the tensors: its energy, constraints and known signals as the domain has them. Importing this module
imports torch.
"""

import math
from functools import lru_cache

import torch
from eil.diffusion.v1 import diffusion_pb2
from torch import Tensor

from eil_diffusion.domain.constraints import Constraints
from eil_diffusion.domain.energies.energy import Energy, SampledEnergy
from eil_diffusion.domain.energies.free_field import GaussianFreeField
from eil_diffusion.domain.energies.graph import GraphEnergy
from eil_diffusion.domain.energies.heat_plate import HeatPlate
from eil_diffusion.domain.energies.ising import IsingField
from eil_diffusion.domain.energies.observed import observe
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energies.placement import FleetPlacement
from eil_diffusion.domain.energies.probe import probe
from eil_diffusion.domain.energies.rack_heat import RackHeatMap
from eil_diffusion.domain.energies.user_quadratic import UserQuadratic, quadratic_to_optimise

KELVIN = 273.15
HELD = 32
"""Energies kept between requests: some take an eigendecomposition to make."""
PROBED = ("phi4", "quadratic", "graph", "fleet_placement")
"""Energies whose parameters can make them unfit."""


def energy_of(request: diffusion_pb2.Energy, kt: float) -> Energy:
    """The energy that a request names, with its sensors.

    Raises:
        ValueError: its parameters make no sense, or the probe found it unfit.
    """
    return _energy_of(request.SerializeToString(deterministic=True), kt)


@lru_cache(HELD)
def _energy_of(content: bytes, kt: float) -> Energy:
    request = diffusion_pb2.Energy.FromString(content)
    kind = request.WhichOneof("kind")
    if kind == "ising" and kt != 1:
        raise ValueError(f"kt is {kt}: an Ising model's temperature is its beta, so leave kt at 1")
    energy = _MAKERS[kind](getattr(request, kind))
    if kind in PROBED:
        probe(energy)
    if not request.observations:
        return energy
    if not isinstance(energy, SampledEnergy):
        raise ValueError(f"{kind} cannot be sampled, so sensors mean nothing there: leave observations out")
    sites = torch.tensor([one.site for one in request.observations])
    if (most := int(sites.max())) >= (size := math.prod(energy.shape)):
        raise ValueError(f"a sensor stands at site {most}; the configuration has sites 0 to {size - 1}")
    where = torch.stack(torch.unravel_index(sites, energy.shape), 1)
    values, sigma = ([getattr(one, name) for one in request.observations] for name in ("value", "sigma"))
    return observe(energy, where, values, sigma, kt=kt)


def energy_to_optimise(request: diffusion_pb2.OptimizeRequest) -> tuple[Energy, Constraints | None]:
    """The energy that a request names, which need not confine where its constraints do, and those constraints.

    Raises:
        ValueError: either makes no sense.
    """
    energy = request.energy
    if not energy.HasField("quadratic"):
        asked = energy_of(energy, 1.0)
        return asked, constraints_of(request.constraints, asked.shape)
    matrix = list(energy.quadratic.matrix)
    constraints = constraints_of(request.constraints, (math.isqrt(len(matrix)),))
    box = (None, None) if constraints is None else (constraints.lower, constraints.upper)
    form = quadratic_to_optimise(matrix, list(energy.quadratic.linear) or 0.0, lower=box[0], upper=box[1])
    return form, constraints


def sampled(energy: Energy, kind: str) -> SampledEnergy:
    """The energy, if it can be sampled.

    Raises:
        ValueError: it can only be optimised.
    """
    if not isinstance(energy, SampledEnergy):
        raise ValueError(
            f"{kind} can be optimised, not sampled: ask Optimize, or for sampling give an energy that confines by itself"
        )
    return energy


def _free_field(field: diffusion_pb2.GaussianFreeField) -> Energy:
    return GaussianFreeField(field.side, field.mass2)


def _phi4(field: diffusion_pb2.Phi4) -> Energy:
    return Phi4(field.side, field.mass2, field.coupling)


def _ising(field: diffusion_pb2.Ising) -> Energy:
    return IsingField(field.side, field.beta)


def _racks(racks: diffusion_pb2.RackHeatMap) -> Energy:
    def table(name: str, values, offset: float = 0.0) -> Tensor:
        given = torch.tensor(list(values), dtype=torch.float64) + offset
        if len(given) == 1:
            return given.expand(racks.rows, racks.columns)
        if len(given) != racks.rows * racks.columns:
            raise ValueError(
                f"{name} has {len(given)} values for {racks.rows} × {racks.columns} racks; give one for each, row by row"
            )
        return given.reshape(racks.rows, racks.columns)

    supply_k = table("set_point_c", racks.set_point_c or [racks.ambient_c], KELVIN)
    limit_c = racks.limit_c or max(40.0, float(supply_k.max()) - KELVIN + 1)
    return RackHeatMap(
        racks.rows,
        racks.columns,
        table("power_w", racks.power_w),
        neighbour_w_per_k=racks.neighbour_w_per_k or 50.0,
        supply_w_per_k=racks.supply_w_per_k or 500.0,
        fan_speed=table("fan_speed", racks.fan_speed or [1.0]),
        set_point_k=supply_k,
        limit_k=limit_c + KELVIN,
    )


def _plate(plate: diffusion_pb2.HeatPlate) -> Energy:
    heat = torch.tensor(list(plate.heat_w_per_m2) or [0.0], dtype=torch.float64)
    if len(heat) not in (1, plate.side**2):
        raise ValueError(
            f"heat_w_per_m2 has {len(heat)} values for {plate.side}² cells; give one, or one for each, row by row"
        )
    supply_k = plate.supply_c + KELVIN
    return HeatPlate(
        plate.side,
        heat.expand(plate.side, plate.side) if len(heat) == 1 else heat.reshape(plate.side, plate.side),
        extent_m=plate.extent_m or 10.0,
        conductance_w_per_k=plate.conductance_w_per_k or 100.0,
        loss_w_per_m2_k=plate.loss_w_per_m2_k,
        set_point_k=supply_k,
        limit_k=supply_k + 100,
    )


def _placement(fleet: diffusion_pb2.FleetPlacement) -> Energy:
    servers = len(fleet.idle_w)
    heat = None
    if fleet.recirculation_w:
        if len(fleet.recirculation_w) != servers**2:
            raise ValueError(f"recirculation_w has {len(fleet.recirculation_w)} values for {servers}² pairs of servers")
        heat = torch.tensor(list(fleet.recirculation_w), dtype=torch.float64).reshape(servers, servers)
    return FleetPlacement(list(fleet.idle_w), list(fleet.dynamic_w), list(fleet.capacity), fleet.demand, heat)


def _quadratic(form: diffusion_pb2.Quadratic) -> Energy:
    return UserQuadratic(list(form.matrix), list(form.linear) or 0.0)


def _graph(graph: diffusion_pb2.Graph) -> Energy:
    edges = [[edge.node, edge.other, edge.weight] for edge in graph.edges]
    return GraphEnergy(edges, list(graph.pull), list(graph.target) or 0.0)


_MAKERS = {
    "gaussian_free_field": _free_field,
    "phi4": _phi4,
    "ising": _ising,
    "rack_heat_map": _racks,
    "heat_plate": _plate,
    "fleet_placement": _placement,
    "quadratic": _quadratic,
    "graph": _graph,
}


def constraints_of(request: diffusion_pb2.Constraints, shape: tuple[int, ...]) -> Constraints | None:
    """The constraints of a request; None where it names none.

    Raises:
        ValueError: they have another size than the energy, or contradict each other.
    """

    def table(name: str, values) -> Tensor | None:
        given = torch.tensor(list(values), dtype=torch.float64)
        if len(given) == 0:
            return None
        if len(given) not in (1, math.prod(shape)):
            raise ValueError(
                f"{name} has {len(given)} values; give one, or one for each of {math.prod(shape)} sites, row by row"
            )
        return given.expand(math.prod(shape)).reshape(shape).clone()

    lower, upper, weights = (table(name, getattr(request, name)) for name in ("lower", "upper", "weights"))
    if lower is None and upper is None and weights is None:
        return None
    return Constraints(
        lower, upper, weights, None if weights is None else request.total, weights is not None and request.at_most
    )


def known(request: diffusion_pb2.Energy) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Signals and maps that an energy itself says, by the names that models were trained with."""
    if request.WhichOneof("kind") != "rack_heat_map":
        return {}, {}
    racks, energy = request.rack_heat_map, energy_of(request, 1.0)
    power = torch.tensor(list(racks.power_w), dtype=torch.float64).expand(energy.shape[0] * energy.shape[1])
    fan = list(racks.fan_speed) or [1.0]
    signals = {
        "ambient_temperature": racks.ambient_c,
        "fan_speed": sum(fan) / len(fan),
        "predicted_power_w": float(power.sum()),
    }
    return signals, {"power [W]": power.reshape(energy.shape)}
