"""Reputation: how often a participant's proofs were valid, and how sure that is."""

from dataclasses import dataclass
from typing import Final

from eil_physics import beta_quantile

from eil_market.domain.errors import InvalidHistory

LEVEL: Final = 0.90
TRUST_FROM: Final = 0.80
"""Lower bound of validity from which trust is rewarded."""
MAX_DISCOUNT: Final = 0.10


@dataclass(frozen=True, slots=True)
class Reputation:
    """Share of valid proofs: posterior mean and equal-tailed interval at `level`, from `valid` of `total` verdicts."""

    valid: int
    total: int
    mean: float
    low: float
    high: float
    level: float = LEVEL


def jeffreys(valid: int, total: int, level: float = LEVEL) -> Reputation:
    """Posterior Beta(valid + ½, invalid + ½) of the validity rate under Jeffreys' prior.

    The interval ends at 0 where nothing was valid and at 1 where nothing was invalid (Brown, Cai & DasGupta 2001, whose
    frequentist coverage stays near the level for every rate). Raises InvalidHistory.
    """
    if not 0 <= valid <= total:
        raise InvalidHistory(f"{valid} of {total} proofs cannot be valid: give counts with 0 ≤ valid ≤ total.", "valid")
    if not 0.0 < level < 1.0:
        raise InvalidHistory(f"The level is {level}: give a probability between 0 and 1.", "level")
    a, b = valid + 0.5, total - valid + 0.5
    tail = (1.0 - level) / 2.0
    low = beta_quantile(tail, a, b) if valid else 0.0
    high = 1.0 - beta_quantile(tail, b, a) if valid < total else 1.0
    return Reputation(valid, total, a / (a + b), low, high, level)


def reputation_discount(reputation: Reputation) -> float:
    """Discount in 0 … 0.10: linear in the lower bound from 0.80 to 1.

    Only what is established counts, so neither a short nor an empty history earns anything.
    """
    return MAX_DISCOUNT * max(0.0, (reputation.low - TRUST_FROM) / (1.0 - TRUST_FROM))
