"""What a request asks of the tensors. Importing this module imports torch: the service does so with its first request."""

import math

import torch
from eil.diffusion.v1 import diffusion_pb2

from eil_diffusion.domain import GaussianFreeField, QuadraticEnergy, RackHeatMap, device, optimise, sample

KELVIN = 273.15


def energy_of(request: diffusion_pb2.Energy) -> QuadraticEnergy:
    """The energy that a request names.

    Raises:
        ValueError: its parameters make no sense.
    """
    if request.HasField("gaussian_free_field"):
        field = request.gaussian_free_field
        return GaussianFreeField(field.side, field.mass2)
    racks = request.rack_heat_map
    if len(racks.power_w) != racks.rows * racks.columns:
        raise ValueError(
            f"power_w has {len(racks.power_w)} values for {racks.rows} × {racks.columns} racks; give one for each, row by row"
        )
    power_w = torch.tensor(list(racks.power_w), dtype=torch.float64).reshape(racks.rows, racks.columns)
    set_point_k = racks.ambient_c + KELVIN
    return RackHeatMap(
        racks.rows, racks.columns, power_w, set_point_k=set_point_k, limit_k=max(313.15, set_point_k + 1)
    )


def run_sample(request: diffusion_pb2.SampleRequest, threads: int) -> diffusion_pb2.SampleResponse:
    """Sample as asked."""
    torch.set_num_threads(threads)
    where = device()
    drawn = sample(
        energy_of(request.energy),
        request.count or 1,
        steps=request.steps or 50,
        seed=request.seed,
        kt=request.kt or 1.0,
        device=where,
    )
    maps, energies = drawn.maps.cpu(), drawn.energies.cpu()
    return diffusion_pb2.SampleResponse(
        configurations=[
            diffusion_pb2.Configuration(values=one.flatten().tolist(), energy=energy)
            for one, energy in zip(maps, energies.tolist(), strict=True)
        ],
        shape=list(maps.shape[1:]),
        mean_energy=drawn.mean_energy,
        # A single map has no standard error; 0 samples of spread are reported as infinite.
        mean_energy_se=drawn.mean_energy_se if math.isfinite(drawn.mean_energy_se) else math.inf,
        acceptance=drawn.acceptance,
        ess=drawn.ess,
        device=where,
    )


def run_optimize(request: diffusion_pb2.OptimizeRequest, threads: int) -> diffusion_pb2.OptimizeResponse:
    """Optimise as asked."""
    torch.set_num_threads(threads)
    where, energy, start = device(), energy_of(request.energy), None
    if request.start:
        if len(request.start) != energy.size:
            raise ValueError(f"start has {len(request.start)} values; the energy has {energy.size}, row by row")
        start = torch.tensor(list(request.start), dtype=torch.float64).reshape(energy.shape)
    best = optimise(energy, start, seed=request.seed, steps=request.steps or 100, device=where)
    return diffusion_pb2.OptimizeResponse(
        best=diffusion_pb2.Configuration(values=best.x.flatten().tolist(), energy=best.energy),
        shape=list(energy.shape),
        start_energy=best.start_energy,
        lower_bound=best.lower_bound or 0.0,
        bounded=best.lower_bound is not None,
        device=where,
    )
