"""`eil bench diffusion`: fields with known truths, spins, heat maps, optimisation, and calls to the running service."""

import torch
from eil_diffusion.domain.memory import keep_memory

from eil_cli.bench.diffusion_field import field_measures
from eil_cli.bench.diffusion_heat import heat_measures
from eil_cli.bench.diffusion_ising import ising_measures
from eil_cli.bench.diffusion_optimise import optimise_measures
from eil_cli.bench.diffusion_wire import call_measures
from eil_cli.bench.progress import progress
from eil_cli.bench.report import Measure, Report


def bench_diffusion(*, quick: bool = False) -> Report:
    """Measure the diffusion engine, on the checkpoints that come with the package.

    Args:
        quick: leaves out the running service.

    Raises:
        Failure: the mesh did not start.
    """
    keep_memory()
    torch.set_num_threads(1)
    parts = [field_measures, ising_measures, heat_measures, optimise_measures]
    if not quick:
        parts.append(call_measures)
    measures: dict[str, Measure] = {}
    baselines: dict[str, dict[str, float]] = {}
    notes: list[str] = []
    with progress() as begin:
        for part in parts:
            found, others, said = part(begin)
            measures |= found
            notes += said
            for name, values in others.items():
                baselines.setdefault(name, {}).update(values)
    return Report("diffusion", measures, baselines, tuple(notes))
