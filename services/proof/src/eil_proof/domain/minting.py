"""When a verdict mints, and how much. Every rule here keeps somebody from being paid for what was not proven."""

from dataclasses import dataclass

from eil_mesh.reward import MICRO, reward_u, skill, winkler

from eil_proof.domain.tri_check import Verdict

CONFIDENCE_DIGITS = 4
"""That a confidence is answered with, and multiplies by."""
DEMO_TENANT = "demo"
"""The only tenant in which simulated sources mint."""
MAX_DELAY_S = 60.0
"""Minting samples carry timestamps this close to their receipt; tenant demo excepted."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a reward rests on."""

    tenant: str
    kind: str
    """Kind of the source: metered, estimated, simulated or unenrolled."""
    own_credential: bool
    largest_delay_s: float
    may_mint: bool
    """No earlier prediction that may mint overlaps its window."""
    interval: tuple[float, float]
    baseline: tuple[float, float]
    """Persistence's interval of the same window [J]."""
    measured_energy_j: float
    cap_left_u: int
    """What the source may still earn today, 10⁻⁶ PFT."""


@dataclass(frozen=True, slots=True)
class Reward:
    """What is minted, 10⁻⁶ PFT, and why: what was earned, times the confidence."""

    earned_u: int
    confidence_ppm: int
    reason: str
    winkler: float
    winkler_baseline: float

    @property
    def amount_u(self) -> int:
        """Minted by the ledger's policy `proof_reward`, rounded down."""
        return self.earned_u * self.confidence_ppm // MICRO


def reward(verdict: Verdict, claim: Claim) -> Reward:
    """The reward of a verdict: ∝ max(0, 1 − Winkler score / persistence's), by the checks that were decided, times the confidence."""
    score = winkler(*claim.interval, claim.measured_energy_j)
    baseline = winkler(*claim.baseline, claim.measured_energy_j)
    refused = _refusal(verdict, claim)
    share = skill(score, baseline)
    if not refused and share == 0:
        refused = "it was no better than persistence"
    if refused:
        return Reward(0, MICRO, f"nothing is minted: {refused}", score, baseline)
    full_u = reward_u(share, verdict.decided)
    earned_u, confidence = min(full_u, claim.cap_left_u), round(verdict.confidence, CONFIDENCE_DIGITS)
    capped = ", cut by the source's daily cap" if earned_u < full_u else ""
    text = f"{share:.0%} better than persistence; decided: {', '.join(sorted(verdict.decided))}; confidence {confidence:g}{capped}"
    return Reward(earned_u, round(confidence * MICRO), text, score, baseline)


def _refusal(verdict: Verdict, claim: Claim) -> str:
    demo = claim.tenant == DEMO_TENANT
    if not verdict.valid:
        return verdict.reason
    if claim.kind == "simulated" and not demo:
        return f"simulated sources mint only in tenant {DEMO_TENANT!r}"
    if claim.kind not in ("metered", "simulated"):
        return "the source is not enrolled as `metered`; declare it with PUT /v1/sources/{source}"
    if not claim.own_credential:
        return "samples of the window did not come from the source's own credential"
    if claim.largest_delay_s > MAX_DELAY_S and not demo:
        return (
            f"samples arrived {claim.largest_delay_s:.0f} s from their timestamps; at most {MAX_DELAY_S:.0f} s may pass"
        )
    if not claim.may_mint:
        return "an earlier prediction of this source overlaps its window"
    if claim.cap_left_u <= 0:
        return "the source's daily cap is reached"
    return ""
