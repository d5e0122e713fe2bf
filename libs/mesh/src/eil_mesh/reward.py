"""The reward of a proof: one formula, promised by decision and paid by proof.

Skill is judged by the Winkler (interval) score of the committed 90 % interval against persistence's on the same window: a proper score, so
that neither vague nor overconfident intervals pay (Gneiting and Raftery 2007, §6.2).
"""

MICRO = 1_000_000
LEVEL = 0.9
FULL_REWARD_U = 20 * MICRO
"""Reward of a perfect prediction with every check decided, 10⁻⁶ PFT."""
WEIGHTS = {"energy": 0.6, "entropy": 0.2, "feasibility": 0.2}
"""Share of the reward that each check earns when it is decided; an untested check earns nothing."""


def winkler(low: float, high: float, outcome: float) -> float:
    """Winkler score of an interval at LEVEL, in the outcome's unit; smaller is better.

    Raises:
        ValueError: the interval is upside down.
    """
    if low > high:
        raise ValueError(f"the interval [{low}, {high}] is upside down")
    return (high - low) + 2 / (1 - LEVEL) * (max(low - outcome, 0.0) + max(outcome - high, 0.0))


def skill(score: float, baseline: float) -> float:
    """max(0, 1 − score/baseline): 0 is no better than persistence, 1 is perfect."""
    return max(0.0, 1.0 - score / baseline) if baseline > 0 else 0.0


def reward_u(skill_share: float, decided: set[str]) -> int:
    """Reward in 10⁻⁶ PFT for a skill and the checks that were decided in its favour."""
    return int(FULL_REWARD_U * skill_share * sum(WEIGHTS[check] for check in decided))
