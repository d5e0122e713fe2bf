"""Holds what is shown as a run's answer against what the run wrote down. Importing this module imports torch."""

import torch
from eil.diffusion.v1 import diffusion_pb2
from torch import Tensor

from eil_diffusion.asked import energy_of, energy_to_optimise
from eil_diffusion.domain.energies.energy import Energy
from eil_diffusion.domain.optimise_abilities import Relaxed
from eil_diffusion.runs import request_digest, values_digest

EPSILON = 2.0**-23
"""Spacing of float32 at 1: values are answered in it, energies are computed in float64."""


def verify(request: diffusion_pb2.VerifyRunRequest, run: diffusion_pb2.Run) -> list[diffusion_pb2.Check]:
    """Every check, whether it held or not.

    Raises:
        ValueError: the request that is shown names no energy.
    """
    asked = request.sample if request.HasField("sample") else request.optimize
    digest = request_digest(asked)
    values = values_digest(request.configurations)
    return [
        _check("request", digest == run.request_digest, "the request that was made", "another request than was made"),
        _check(
            "values", values == run.values_digest, "the values that were answered", "other values than were answered"
        ),
        _energies(request),
        _check(
            "laws",
            run.laws.verdict != "contradicted",
            f"the energy laws: {run.laws.verdict or 'not asked of an optimum'}",
            "the samples contradict the energy laws",
        ),
    ]


def _energies(request: diffusion_pb2.VerifyRunRequest) -> diffusion_pb2.Check:
    """Energies computed anew from the values, within what rounding the values to float32 can change."""
    if request.HasField("sample"):
        energy = energy_of(request.sample.energy, request.sample.kt or 1.0)
    else:
        energy, _ = energy_to_optimise(request.optimize)
    size = torch.Size(energy.shape).numel()
    if any(len(one.values) != size for one in request.configurations):
        return _check("energies", False, "", f"a configuration has not the {size} values of this energy")
    x = torch.tensor([list(one.values) for one in request.configurations], dtype=torch.float64).reshape(
        -1, *energy.shape
    )
    claimed = torch.tensor([one.energy for one in request.configurations], dtype=torch.float64)
    found = _exact(energy, x)
    rounding = (energy.gradient(x).abs() * x.abs()).flatten(1).sum(1) * EPSILON + 1e-6 * found.abs().clamp_min(1.0)
    away = (found - claimed).abs()
    worst = int((away / rounding).argmax())
    return _check(
        "energies",
        bool((away <= rounding).all()),
        f"{len(x)} energies, computed anew, off by at most {float(away.max()):.2g}",
        f"configuration {worst} claims {float(claimed[worst]):.6g}, but has {float(found[worst]):.6g}",
    )


def _exact(energy: Energy, x: Tensor) -> Tensor:
    return energy.exact(x) if isinstance(energy, Relaxed) else energy.energy(x)


def _check(name: str, held: bool, good: str, bad: str) -> diffusion_pb2.Check:
    return diffusion_pb2.Check(name=name, held=held, detail=good if held else bad)
