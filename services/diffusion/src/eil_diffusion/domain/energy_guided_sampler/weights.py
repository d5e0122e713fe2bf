"""Importance weights, in log space."""

import math
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class BoltzmannWeights:
    """Importance weights in log space."""

    log_weights: Tensor
    """(n,) normalised: their exponentials sum to one."""
    ess: float
    """Kish's effective sample size 1/Σw², between 1 and n."""


def boltzmann_weight(energies: Tensor, kt: float = 1.0, *, log_proposal: Tensor | None = None) -> BoltzmannWeights:
    """Weights ∝ exp(-E/kT)/q of samples with `energies` (n,) drawn from q; without `log_proposal` (n,), q is uniform.

    Raises ValueError unless kT is positive and there is at least one energy.
    """
    if not kt > 0 or energies.numel() == 0:
        raise ValueError(f"kt is {kt} for {energies.numel()} energies: give a positive kt and at least one energy")
    raw = -energies / kt if log_proposal is None else -energies / kt - log_proposal
    log_weights = raw - raw.logsumexp(dim=0)
    return BoltzmannWeights(log_weights, float((-(2 * log_weights).logsumexp(dim=0)).exp()))


@dataclass(frozen=True)
class LogZ:
    """An estimate of log Z from log weights whose mean weight is Z."""

    value: float
    error: float
    """Standard error by the delta method; infinite for one weight, and too small where `ess` is small."""
    ess: float
    """Kish's effective number, between 1 and n. From weights of own samples: it does not see what they all missed."""


def log_z(log_weights: Tensor) -> LogZ:
    """log of the mean weight of n independent samples, `log_weights` (n,)."""
    n = len(log_weights)
    scaled = (log_weights - log_weights.max()).exp()
    mean = float(scaled.mean())
    spread = float(scaled.std()) / mean / math.sqrt(n) if n > 1 else math.inf
    ess = float(scaled.sum() ** 2 / scaled.square().sum())
    return LogZ(math.log(mean) + float(log_weights.max()), spread, ess)
