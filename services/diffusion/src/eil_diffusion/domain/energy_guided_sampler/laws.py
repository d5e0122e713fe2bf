"""The energy laws that a set of samples must keep, or be refused.

*First law*: what the energy changed by is the work and heat that were booked. *Second law*: Σ = W/kT - ΔF/kT is not negative on the
mean; it may be for a single path. *Fluctuation theorem*: ⟨exp(-Σ)⟩ = 1, which fails where a sampler misses what it claims to have
weighed. Σ of a weighted sample is log Z - log w. Where Z is not known it is estimated from the first half of the samples and tested
on the second, so that the test can fail. With few effective samples exp(-Σ) has no usable spread: the theorem is then `untestable`,
never `held`.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from eil_diffusion.domain.energy_guided_sampler.weights import log_z

Verdict = Literal["held", "contradicted", "untestable"]
ERRORS = 4.0
"""Standard errors that a law may be off."""
EFFECTIVE = 0.2
"""Least share of effective samples with which the fluctuation theorem is tested."""
FEWEST = 8
"""Samples below which nothing is tested."""
ROUNDING = 1e-9
"""Relative error of sums in float64 that is none of physics."""


@dataclass(frozen=True)
class EnergyLaws:
    """What was found."""

    verdict: Verdict
    """"contradicted" if any law is, "untestable" if the fluctuation theorem could not be tested, else "held"."""
    imbalance: float
    """Largest |ΔE - W - Q| over the largest energy that was moved."""
    entropy_production: float
    """Mean Σ."""
    entropy_production_se: float
    jarzynski: float
    """⟨exp(-Σ)⟩."""
    jarzynski_se: float


def energy_laws(log_weights: Tensor, *, exact_log_z: float | None = None, imbalance: float = 0.0) -> EnergyLaws:
    """Judge samples by their log weights (n,), whose exponentials average to Z.

    Args:
        exact_log_z: log Z where it is known; else half of the samples estimate it.
        imbalance: of the first law, as a share.
    """
    n = len(log_weights)
    if n < FEWEST:
        broken = imbalance > ROUNDING
        return EnergyLaws("contradicted" if broken else "untestable", imbalance, math.nan, math.nan, math.nan, math.nan)
    if exact_log_z is None:
        known = log_z(log_weights[: n // 2])
        tested, reference, reference_se = log_weights[n // 2 :], known.value, known.error
    else:
        tested, reference, reference_se = log_weights, exact_log_z, 0.0
    production = reference - tested
    mean, se = _mean(production)
    theorem, theorem_se = _mean((-production).exp())
    rounding = ROUNDING * max(1.0, abs(reference))
    se = math.hypot(se, reference_se) + rounding
    theorem_se = math.hypot(theorem_se, theorem * reference_se) + rounding
    testable = log_z(log_weights).ess >= EFFECTIVE * n and log_z(tested).ess >= EFFECTIVE * len(tested)
    broken = imbalance > ROUNDING or mean < -ERRORS * se or (testable and abs(theorem - 1) > ERRORS * theorem_se)
    verdict: Verdict = "contradicted" if broken or not math.isfinite(mean) else "held" if testable else "untestable"
    return EnergyLaws(verdict, imbalance, mean, se, theorem, theorem_se)


def _mean(values: Tensor) -> tuple[float, float]:
    """Mean and standard error."""
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))


def first_law(change: Tensor, work: Tensor, heat: Tensor) -> float:
    """The largest |ΔE - W - Q| of paths (n,), over the largest of the three."""
    largest = torch.stack([change.abs(), work.abs(), heat.abs()]).max().clamp_min(1e-300)
    return float(((change - work - heat).abs() / largest).max())
