"""The thermal node of a rack: C dT/dt = P − UA(T − T_amb)."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ThermalStep:
    """What one step under constant power and ambient did."""

    temperature_c: float
    """Temperature at the end of the step [°C]."""
    heat_loss_j: float
    """Heat given to the ambient during the step, UA∫(T − T_amb)dt [J]."""


@dataclass(frozen=True)
class ThermalNode:
    """A lumped heat capacity coupled to its ambient by one conductance."""

    heat_capacity_j_per_k: float
    conductance_w_per_k: float

    def steady_c(self, power_w: float, ambient_c: float) -> float:
        """Temperature [°C] at which all power is given to the ambient."""
        return ambient_c + power_w / self.conductance_w_per_k

    def step(self, temperature_c: float, power_w: float, ambient_c: float, duration_s: float) -> ThermalStep:
        """The exact solution after `duration_s` seconds of constant power and ambient.

        The heat loss is integrated in closed form from the temperature, not taken from the balance, so that
        conservation of energy is a statement about the solution and can be tested.
        """
        steady_c = self.steady_c(power_w, ambient_c)
        time_constant_s = self.heat_capacity_j_per_k / self.conductance_w_per_k
        # expm1 keeps full precision when the step is short against the time constant.
        approached = -math.expm1(-duration_s / time_constant_s)
        excess_integral_ks = (steady_c - ambient_c) * duration_s + (
            temperature_c - steady_c
        ) * time_constant_s * approached
        return ThermalStep(
            temperature_c=temperature_c + (steady_c - temperature_c) * approached,
            heat_loss_j=self.conductance_w_per_k * excess_integral_ks,
        )
