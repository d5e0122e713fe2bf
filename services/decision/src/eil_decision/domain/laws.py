"""What no candidate may promise, whatever the laws that were learned say: the first law, the second, and what the plant can do."""

from eil_decision.domain.plant import Plant

_ROUNDING = 1e-6


def energy_conserved(plant: Plant, servers: int, load: float, energy_j: float, horizon_s: float) -> str:
    """Why an energy cannot be, or "".

    Work is not free, a server draws no more than at its peak, and whatever is spared elsewhere, the work itself takes its energy.

    Args:
        load: mean over the horizon, in fully used servers.
        energy_j: of everything over the horizon, starts left out [J].
    """
    if plant.slope_w < 0 or plant.idle_w < 0:
        return "by the power law that was learned a server draws less than nothing, or less with more work"
    if plant.power_w(servers, load) > servers * plant.peak_w * (1 + _ROUNDING):
        return f"{servers} servers cannot draw so much"
    if energy_j < plant.slope_w * min(load, servers) * horizon_s * (1 - _ROUNDING):
        return "it would need less energy than the work alone takes"
    return ""


def entropy_valid(entropy_j_per_k: float) -> str:
    """Why an entropy generated over the horizon cannot be, or ""."""
    return "" if entropy_j_per_k >= 0 else "it would destroy entropy"
