"""The registry of energies that can be asked for by name, and the gradient of any energy."""

import inspect
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import Energy
from eil_diffusion.domain.energies.free_field import GaussianFreeField
from eil_diffusion.domain.energies.graph import GraphEnergy
from eil_diffusion.domain.energies.heat_plate import HeatPlate
from eil_diffusion.domain.energies.ising import IsingField
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energies.placement import FleetPlacement
from eil_diffusion.domain.energies.rack_heat import RackHeatMap
from eil_diffusion.domain.energies.user_quadratic import UserQuadratic, numbers

ENERGIES: Mapping[str, Callable[..., Energy]] = MappingProxyType(
    {
        "fleet_placement": FleetPlacement,
        "gaussian_free_field": GaussianFreeField,
        "graph": GraphEnergy,
        "heat_plate": HeatPlate,
        "ising": IsingField,
        "phi4": Phi4,
        "quadratic": UserQuadratic,
        "rack_heat_map": RackHeatMap,
    }
)
"""Name → class; each class documents its formula, units and parameters."""


def build_energy(name: str, parameters: Mapping[str, Any]) -> Energy:
    """The registered energy `name` with `parameters` as its class documents them.

    Whole floats pass for integers, and nested lists for tensors. Raises ValueError, which begins with the name, for an
    unknown name, a missing or unknown parameter, one of the wrong kind, or a value the energy refuses.
    """
    if name not in ENERGIES:
        raise ValueError(f"no energy is called {name!r}: choose one of {', '.join(sorted(ENERGIES))}")
    if not isinstance(parameters, Mapping) or not all(isinstance(key, str) for key in parameters):
        raise ValueError(f"{name}: its parameters are a {type(parameters).__name__}: give them by name")
    signature = inspect.signature(ENERGIES[name], eval_str=True)
    try:
        signature.bind(**parameters)
    except TypeError as error:
        raise ValueError(f"{name}: {error}; its parameters are {', '.join(signature.parameters)}") from error
    kinds = {key: signature.parameters[key].annotation for key in parameters}
    values = {key: _value(f"{name}.{key}", value, kinds[key]) for key, value in parameters.items()}
    try:
        return ENERGIES[name](**values)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def energy_gradient(energy: Energy | Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂E/∂x (batch, *shape): closed form for an energy, automatic differentiation for a function to (batch,)."""
    if not callable(energy):
        return energy.gradient(x)
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(energy(leaf).sum(), leaf)
    return gradient


def _value(name: str, value: Any, kind: Any) -> Any:
    """`value` as the annotation `kind` asks: a number, a tensor from lists, or as it is where neither is asked for."""
    kinds = set(get_args(kind)) if get_origin(kind) in (Union, UnionType) else {kind}
    if value is None and NoneType in kinds:
        return None
    kinds.discard(NoneType)
    if kinds in ({int}, {float}, {int, float}):
        return _number(name, value, whole=kinds == {int})
    if Tensor not in kinds:
        return value
    if isinstance(value, int | float) and float in kinds:
        return _number(name, value, whole=False)
    if isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}: give a list of numbers")
    return numbers(name, value)


def _number(name: str, value: Any, *, whole: bool) -> int | float:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not abs(value) <= sys.float_info.max or (whole and value != value // 1):
        raise ValueError(f"{name} is {value!r}: give {'a whole number' if whole else 'a number'}, and a finite one")
    return int(value) if whole else float(value)
