"""Equal servers, where the decision service's search can be asked the same."""

from __future__ import annotations

import numpy as np
import torch
from eil_decision.domain.goal import Goal, Weights
from eil_decision.domain.load import Load
from eil_decision.domain.plant import Plant
from eil_decision.domain.search import Situation, decide
from eil_diffusion.domain.energies.placement import FleetPlacement
from eil_diffusion.domain.optimise import optimise

from eil_cli.bench.diffusion_optimise.fleets import enumerate_optimum, power_w, row
from eil_cli.bench.diffusion_optimise.tally import Tally
from eil_cli.bench.progress import Begin
from eil_cli.bench.report import Measure

ALIKE = 24
"""Fleets, with seeds from 0."""
UTILISATION = 0.97
"""Of a server at most, as the decision service plans where no latency is asked for."""


def alike_measures(begin: Begin, tally: Tally) -> tuple[dict[str, Measure], dict[str, dict[str, float]]]:
    """Equal servers, where the decision service's search can be asked the same: with neighbours that do not matter, and that do."""
    step = begin("equal servers", ALIKE)
    ours: dict[str, list[float]] = {"alike_gap": [], "alike_heat_gap": []}
    theirs: dict[str, list[float]] = {"alike_gap": [], "alike_heat_gap": []}
    for seed in range(ALIKE):
        rng = np.random.default_rng(seed)
        servers, peak, share = int(rng.integers(6, 13)), rng.uniform(200, 500), rng.uniform(0.4, 0.6)
        load, idle = servers * UTILISATION * rng.uniform(0.2, 0.8), share * peak
        chosen = _decided(servers, idle, peak - idle, load)
        for name, link in (("alike_gap", 0.0), ("alike_heat_gap", 0.2 * peak)):
            full = np.full(servers, UTILISATION)
            dynamic = (peak - idle) * full
            idle_w, dynamic_w, work = (torch.from_numpy(values) for values in (np.full(servers, idle), dynamic, full))
            fleet = FleetPlacement(idle_w, dynamic_w, work, load, row(np.full(servers - 1, link)))
            truth = enumerate_optimum(fleet)
            found = optimise(fleet, seed=seed)
            tally.check(found, truth)
            ours[name].append(found.energy / truth - 1)
            spread = np.where(np.arange(servers) < chosen, load / (chosen * UTILISATION), 0.0)
            theirs[name].append(power_w(fleet, spread) / truth - 1)
        step()
    measures = {name: Measure(max(values), "") for name, values in ours.items()}
    measures |= {f"{name}_mean": Measure(float(np.mean(values)), "") for name, values in ours.items()}
    service = {name: max(values) for name, values in theirs.items()}
    service |= {f"{name}_mean": float(np.mean(values)) for name, values in theirs.items()}
    return measures, {"decision service": service}


def _decided(servers: int, idle_w: float, slope_w: float, load: float) -> int:
    """How many servers the decision service's search takes, all of them running before."""
    plant = Plant(idle_w, slope_w, (0.0, 0.0, 0.0), 0.0, 0.0, 0.0, None, None)
    known = Load(load, load, load, load, "known", (load, load))
    goal = Goal(300.0, weights=Weights(irreversibility=0.0))
    return decide(Situation(plant, known, goal, servers, servers, step_s=300.0)).chosen.servers
