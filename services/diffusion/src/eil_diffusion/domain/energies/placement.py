"""Which servers of a fleet carry how much of a load, for the least power."""

import copy
import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Self

import numpy as np
import torch
from torch import Tensor

from eil_diffusion.domain.constraints import Constraints
from eil_diffusion.domain.optimise_branch import fixed_charge_bound
from eil_diffusion.domain.optimise_qp import minimise_pairs

MOST_SERVERS = 64
# Share of a load over which a server's relaxed idle power rises; chosen on 100 random fleets by where smooth descent alone then ends.
SOFTNESS = 0.5
# Servers that neighbouring sets differ in, as far as there are no more than MOST_SETS of them: three up to 32, two up to 64.
EXCHANGED, MOST_SETS = 3, 6000
# Programmes that a lower bound may take.
NODES = 4000
# A server that carries less than this share of its capacity is off.
TINY = 1e-12

Figures = Sequence[float] | Tensor


class FleetPlacement:
    """P(x) = Σ idle·on(x) + Σ dynamic·x + ½xᵀHx [W] of S servers at load shares x in [0, 1]ˢ, Σ capacity·x = demand.

    idle_w [W] (S,) is drawn by a server as soon as it is on, dynamic_w [W] (S,) comes on top of it at full load,
    capacity (S,) and demand are in any one unit of work, and H = recirculation_w [W] (S, S), symmetric, non-negative
    and positive semidefinite, is the extra cooling power of neighbours that breathe each other's exhaust:
    H[s, t]·x[s]·x[t] for a pair, ½H[s, s]·x[s]² for one alone.

    `exact` counts on(x) = [x > 1e-12], which jumps. `energy` relaxes it to the concave (1 - e^(-x/ε))/(1 - e^(-1/ε)),
    ε = 0.5, which agrees at 0 and 1 and never exceeds it: feature selection by concave minimisation (Bradley &
    Mangasarian 1998), with servers for features.

    Raises ValueError unless there are 1 to 64 servers with figures for each, all finite and none negative, capacities
    positive, H as described, and the demand within the fleet's capacity.
    """

    def __init__(
        self,
        idle_w: Figures,
        dynamic_w: Figures,
        capacity: Figures,
        demand: float,
        recirculation_w: Sequence[Sequence[float]] | Tensor | None = None,
    ) -> None:
        self.capacity = _figures("capacity", capacity)
        servers = len(self.capacity)
        if not 1 <= servers <= MOST_SERVERS:
            raise ValueError(f"capacity has {servers} values: give a fleet of 1 to {MOST_SERVERS} servers")
        if not bool((self.capacity > 0).all()):
            raise ValueError("a capacity is zero: leave servers out that can carry nothing")
        self.idle_w, self.dynamic_w = _figures("idle_w", idle_w, servers), _figures("dynamic_w", dynamic_w, servers)
        self.recirculation_w = _recirculation(recirculation_w, servers)
        self.demand = float(demand)
        most = float(self.capacity.sum())
        if not 0 <= self.demand <= most * (1 + 1e-12):
            raise ValueError(f"demand is {demand:g}: the fleet carries from 0 to {most:g}; add servers or reduce it")
        self.lower = torch.zeros(servers, dtype=torch.float64)
        self.upper = torch.ones(servers, dtype=torch.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        """(S,)."""
        return tuple(self.capacity.shape)

    @property
    def constraints(self) -> Constraints:
        """Shares between 0 and 1 that carry the demand."""
        return Constraints(self.lower, self.upper, self.capacity, self.demand)

    def to(self, device: str) -> Self:
        """The same fleet with its tensors on `device`."""
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        return moved

    def energy(self, x: Tensor) -> Tensor:
        """(batch, S) → (batch,) [W], the relaxed power."""
        on = torch.expm1(-x / SOFTNESS) / math.expm1(-1 / SOFTNESS)
        return on @ self.idle_w + self._loaded(x)

    def gradient(self, x: Tensor) -> Tensor:
        """(batch, S) → (batch, S) [W per share], of the relaxed power."""
        rise = torch.exp(-x / SOFTNESS) / (-SOFTNESS * math.expm1(-1 / SOFTNESS))
        return rise * self.idle_w + self.dynamic_w + x @ self.recirculation_w

    def exact_power(self, x: Tensor) -> Tensor:
        """(batch, S) → (batch,) [W]: every server that carries anything draws all of its idle power."""
        return (x > TINY).to(x.dtype) @ self.idle_w + self._loaded(x)

    def exact(self, x: Tensor) -> Tensor:
        """`exact_power`: what optima are compared by."""
        return self.exact_power(x)

    def neighbours(self, x: Tensor) -> Tensor:
        """(S,) → (k, S): x's own servers, one more, one less, one for another, one for two …; each set with its best loads.

        All sets that differ in at most three servers, or two where the fleet is large. Those that cannot carry the demand are
        left out. The loads are a convex quadratic programme, solved to rounding.
        """
        on = (x > TINY).cpu().numpy()
        sets = on ^ _exchanges(len(on))
        able = sets[sets @ self.capacity.cpu().numpy() >= self.demand * (1 - 1e-12)]
        dynamic, hessian, weights, first = (
            part.cpu().numpy() for part in (self.dynamic_w, self.recirculation_w, self.capacity, x)
        )
        loads, _ = minimise_pairs(dynamic, hessian, weights, able.astype(np.float64), self.demand, first)
        return torch.from_numpy(loads).to(x.device)

    def lower_bound(self, x: Tensor) -> float:
        """[W] no placement draws less; x (S,) is only where the proof's programmes start.

        Branch and bound on idle·x, the convex envelope of the idle power: the optimum itself for small fleets, and what
        4000 programmes prove for large ones.
        """
        idle, dynamic, hessian, weights, first = (
            part.cpu().numpy() for part in (self.idle_w, self.dynamic_w, self.recirculation_w, self.capacity, x)
        )
        return fixed_charge_bound(idle, dynamic, hessian, weights, self.demand, first, NODES)

    def _loaded(self, x: Tensor) -> Tensor:
        """(batch, S) → (batch,) [W], what the loads draw beyond idling."""
        return x @ self.dynamic_w + 0.5 * ((x @ self.recirculation_w) * x).sum(dim=1)


@lru_cache
def _exchanges(servers: int) -> np.ndarray:
    """(k, S) which servers are switched: none, one, any two …"""
    flips = [np.zeros((1, servers), dtype=bool)]
    for size in range(1, min(EXCHANGED, servers) + 1):
        chosen = np.array(list(itertools.combinations(range(servers), size)))
        if sum(map(len, flips)) + len(chosen) > MOST_SETS:
            break
        switched = np.zeros((len(chosen), servers), dtype=bool)
        np.put_along_axis(switched, chosen, True, axis=1)
        flips.append(switched)
    return np.concatenate(flips)


def _figures(name: str, values: Figures, servers: int | None = None) -> Tensor:
    """`values` as (S,) float64, finite and non-negative."""
    try:
        figures = torch.as_tensor(values, dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no list of numbers ({error}): give one for each server") from error
    if figures.ndim != 1 or (servers is not None and len(figures) != servers):
        wanted = "one number" if servers is None else f"{servers} numbers, one"
        raise ValueError(f"{name} has shape {tuple(figures.shape)}: give {wanted} for each server")
    if not bool((figures.isfinite() & (figures >= 0)).all()):
        raise ValueError(f"{name} must be finite and not negative")
    return figures.clone()


def _recirculation(values: Sequence[Sequence[float]] | Tensor | None, servers: int) -> Tensor:
    """H as (S, S) float64; zero where none is given."""
    if values is None:
        return torch.zeros(servers, servers, dtype=torch.float64)
    try:
        table = torch.as_tensor(values, dtype=torch.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"recirculation_w is no table of numbers ({error}): give a row for each server") from error
    if table.shape != (servers, servers):
        raise ValueError(f"recirculation_w has shape {tuple(table.shape)}: give {servers} rows of {servers}")
    if not bool((table.isfinite() & (table >= 0)).all()):
        raise ValueError("recirculation_w must be finite and not negative: exhaust cools nobody")
    size = float(table.abs().max())
    if float((table - table.T).abs().max()) > 1e-9 * size:
        raise ValueError("recirculation_w is not symmetric: what neighbours cost is shared, so give (H + Hᵀ)/2")
    table = (table + table.T) / 2
    if float(torch.linalg.eigvalsh(table).min()) < -1e-9 * size:
        raise ValueError(
            "recirculation_w has a negative eigenvalue: raise its diagonal until each is at least its row's other sum"
        )
    return table
