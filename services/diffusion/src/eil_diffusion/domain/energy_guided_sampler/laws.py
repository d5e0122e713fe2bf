"""The energy laws that a set of samples must keep, or be refused.

*First law*: what the energy changed by is the work and heat that were booked. *Second law*: Σ = W/kT - ΔF/kT is not negative on the
mean; it may be for a single path. *Fluctuation theorem*: ⟨exp(-Σ)⟩ = 1, which fails where a sampler misses what it claims to have
weighed. Σ of a weighted sample is log Z - log w. Where Z is not known it is estimated from the first half of the samples and tested
on the second, so that the test can fail. With few effective samples exp(-Σ) has no usable spread: the theorem is then `untestable`,
never `held`.

The theorem is judged by log⟨exp(-Σ)⟩, which is nearer to normal than the mean itself, and errors that are estimated from few
samples by Student's t: else one in ten correct sets of eight samples would be refused.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from scipy.special import stdtrit
from torch import Tensor

from eil_diffusion.domain.energy_guided_sampler.weights import log_z

Verdict = Literal["held", "contradicted", "untestable"]
ERRORS = 4.0
"""Standard errors that a law may be off, where they are known; as unlikely a distance where they are estimated."""
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
        kept = imbalance <= ROUNDING
        return EnergyLaws("untestable" if kept else "contradicted", imbalance, math.nan, math.nan, math.nan, math.nan)
    if exact_log_z is None:
        known = log_z(log_weights[: n // 2])
        tested, reference, reference_se, reference_ess = log_weights[n // 2 :], known.value, known.error, known.ess
    else:
        tested, reference, reference_se, reference_ess = log_weights, exact_log_z, 0.0, math.inf
    production = reference - tested
    mean, se = _mean(production)
    theorem, theorem_se = _mean((-production).exp())
    rounding = ROUNDING * max(1.0, abs(reference))
    se = math.hypot(se, reference_se) + rounding
    theorem_se = math.hypot(theorem_se, theorem * reference_se) + theorem * rounding
    effective = log_z(tested).ess
    testable = log_z(log_weights).ess >= EFFECTIVE * n and effective >= EFFECTIVE * len(tested)
    # Said so that a NaN keeps no law.
    kept = imbalance <= ROUNDING and mean >= -_errors(min(len(tested), reference_ess)) * se
    kept = kept and bool(log_weights.isfinite().all()) and math.isfinite(reference)
    if testable:
        kept = kept and _is_one(theorem, theorem_se, _errors(min(effective, reference_ess)))
    verdict: Verdict = "contradicted" if not kept else "held" if testable else "untestable"
    return EnergyLaws(verdict, imbalance, mean, se, theorem, theorem_se)


def _errors(samples: float) -> float:
    """Estimated standard errors that are as unlikely to be exceeded as ERRORS known ones."""
    return -float(stdtrit(max(1.0, samples - 1), 0.5 * math.erfc(ERRORS / math.sqrt(2))))


def _is_one(value: float, se: float, errors: float) -> bool:
    """Whether the mean of positive numbers is 1 within its errors, in logarithms."""
    return 0 < value < math.inf and abs(math.log(value)) <= errors * se / value < math.inf


def _mean(values: Tensor) -> tuple[float, float]:
    """Mean and standard error."""
    return float(values.mean()), float(values.std()) / math.sqrt(len(values))


def first_law(change: Tensor, work: Tensor, heat: Tensor) -> float:
    """The largest |ΔE - W - Q| of paths (n,), over the largest of the three."""
    largest = torch.stack([change.abs(), work.abs(), heat.abs()]).max().clamp_min(1e-300)
    return float(((change - work - heat).abs() / largest).max())
