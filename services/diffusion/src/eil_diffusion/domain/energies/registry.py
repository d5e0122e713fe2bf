"""The registry of energies that can be asked for by name, and the gradient of any energy."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import Energy
from eil_diffusion.domain.energies.free_field import GaussianFreeField
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy
from eil_diffusion.domain.energies.rack_heat import RackHeatMap

ENERGIES: Mapping[str, Callable[..., QuadraticEnergy]] = MappingProxyType(
    {"gaussian_free_field": GaussianFreeField, "rack_heat_map": RackHeatMap}
)
"""Name → class; each class documents its formula, units and parameters."""


def build_energy(name: str, parameters: Mapping[str, Any]) -> QuadraticEnergy:
    """The registered energy `name` with `parameters` as its class documents them; whole floats pass for integers.

    Raises ValueError for an unknown name, a missing or unknown parameter, or a value the energy refuses.
    """
    if name not in ENERGIES:
        raise ValueError(f"no energy is called {name!r}: choose one of {', '.join(sorted(ENERGIES))}")
    signature = inspect.signature(ENERGIES[name])
    try:
        signature.bind(**parameters)
    except TypeError as error:
        raise ValueError(f"{name}: {error}; its parameters are {', '.join(signature.parameters)}") from error
    return ENERGIES[name](
        **{
            key: _number(f"{name}.{key}", value, signature.parameters[key].annotation)
            for key, value in parameters.items()
        }
    )


def energy_gradient(energy: Energy | Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """∂E/∂x (batch, *shape): closed form for an energy, automatic differentiation for a function to (batch,)."""
    if not callable(energy):
        return energy.gradient(x)
    with torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(energy(leaf).sum(), leaf)
    return gradient


def _number(name: str, value: Any, kind: object) -> Any:
    """`value` as the int or float that the parameter asks for; maps are left to the energy."""
    if kind not in (int, float):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or (kind is int and value != int(value)):
        raise ValueError(f"{name} is {value!r}: give {'a whole number' if kind is int else 'a number'}")
    return int(value) if kind is int else float(value)
