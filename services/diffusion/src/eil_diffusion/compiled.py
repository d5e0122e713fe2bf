"""Compile the kernels of spins and fleets ahead of their first use, or load them where that was done before.

Run as a module after installing: numba keeps the compiled code beside the sources (or in NUMBA_CACHE_DIR), and the first request need not
wait for several seconds.
"""

import torch

from eil_diffusion.domain.energies.ising import IsingField
from eil_diffusion.domain.energies.placement import FleetPlacement
from eil_diffusion.domain.energy_guided_sampler.cluster import sample_ising
from eil_diffusion.domain.optimise import optimise


def compile_kernels() -> None:
    """Anneal a chain of spins, and place a load on two servers."""
    sample_ising(IsingField(2, 0.1), 1, seed=0, ess=0.5)
    optimise(FleetPlacement([1.0, 1.0], [1.0, 2.0], [1.0, 1.0], 1.2), seed=0, steps=1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    compile_kernels()
