"""The Socratic loop: each prediction is asked an ordered list of questions until its answer no longer changes.

The questions are in `questions.py`; put those that change before those that doubt.

Each change is a projection onto a convex set or (conservation) the caller's own; alternating them converges where the sets meet (Bregman
1965), so the loop ends, after `rounds` at most; if a round then still moves the value by more than UNSETTLED of its magnitude, the
questions contradict each other and the prediction abstains. Doubts only ever raise the half-width to a stated level, so asking again
changes nothing.

Assumptions: arrays share one shape, of the prediction or broadcast to it; the half-width is symmetric about the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Verdict = Literal["kept", "changed", "doubted"]

SETTLED = 1e-9
"""A round that moves no element by more than this share of the prediction's largest magnitude changed nothing."""
UNSETTLED = 1e-3
"""Share of the largest magnitude by which the last round may move it before it abstains."""


@dataclass(frozen=True)
class Prediction:
    """What is questioned."""

    value: Array
    """(...), in the caller's units."""
    radius: Array
    """(...), half-width of its interval, >= 0."""
    abstained: bool = False
    """True: do not rely on it."""


@dataclass(frozen=True)
class Finding:
    """One question's answer."""

    question: str
    """"conservation", "bounds", "persistence", "ensemble" or "agreement" (of the questions among themselves)."""
    asked_of: str
    """Whose prediction."""
    verdict: Verdict
    """kept, changed (value) or doubted (interval or abstention)."""
    size: float
    """How large: relative imbalance, largest correction, ratio of moves or of spreads; its unit is in the sentence."""
    before: float
    """Mean of the value (changed, kept) or of the half-width (doubted) before ..."""
    after: float
    """... and after."""
    sentence: str
    """For people."""
    round: int = 0
    """From 1: of the loop that asked."""


class Question(Protocol):
    """Anything that can be put to a prediction; asking twice must change nothing more."""

    def ask(self, prediction: Prediction, asked_of: str) -> tuple[Prediction, Finding]:
        """The prediction, corrected or doubted where needed, and what was found."""
        ...


@dataclass(frozen=True)
class Questioned:
    """A prediction after questioning."""

    prediction: Prediction
    findings: tuple[Finding, ...]
    """In the order asked, all rounds."""
    rounds: int
    settled: bool
    """False: it still changed in the last round."""


def examine(
    value: npt.ArrayLike,
    radius: npt.ArrayLike,
    questions: Sequence[Question],
    *,
    asked_of: str = "champion",
    rounds: int = 20,
) -> Questioned:
    """Put `questions`, in order and again until nothing changes, to a value (...) with half-width broadcast to it.

    Raises ValueError for values or half-widths that are not finite, negative half-widths, or rounds < 1.
    """
    start = np.array(value, np.float64)
    width = np.broadcast_to(np.asarray(radius, np.float64), start.shape).copy()
    if not np.isfinite(start).all() or not np.isfinite(width).all() or (width < 0).any() or rounds < 1:
        raise ValueError(
            f"value {start.shape} and half-width must be finite, the half-width >= 0, rounds ({rounds}) >= 1: "
            "nothing can be asked of a prediction that is none; use another member or abstain"
        )
    prediction, findings = Prediction(start, width), []
    for turn in range(1, rounds + 1):
        moved, quiet = 0.0, True
        for question in questions:
            before = prediction
            prediction, finding = question.ask(before, asked_of)
            findings.append(replace(finding, round=turn))
            # Within the round too: two questions that undo each other leave the round's end where it began.
            moved = max(moved, float(np.abs(prediction.value - before.value).max(initial=0.0)))
            quiet = quiet and _same(before, prediction)
        if quiet:
            return Questioned(prediction, tuple(findings), turn, True)
    apart = moved > UNSETTLED * float(np.abs(prediction.value).max())
    said = f"after {rounds} rounds the questions still move it by {moved:.3g}" + (
        ": they contradict each other; it abstains" if apart else ""
    )
    radius = np.maximum(prediction.radius, moved)
    prediction, finding = doubt("agreement", asked_of, moved, prediction, radius, said, abstain=apart)
    return Questioned(prediction, (*findings, replace(finding, round=rounds)), rounds, False)


def _same(before: Prediction, after: Prediction) -> bool:
    scale = float(np.abs(after.value).max(initial=0.0))
    return (
        bool((np.abs(after.value - before.value) <= SETTLED * scale).all())
        and bool((after.radius - before.radius <= SETTLED * scale).all())
        and before.abstained == after.abstained
    )


def kept(question: str, asked_of: str, size: float, prediction: Prediction, said: str) -> Finding:
    """The finding that nothing was wrong; `size` as in Finding, `said` without the subject."""
    mean = float(np.mean(prediction.value))
    return Finding(question, asked_of, "kept", size, mean, mean, f"{asked_of}: {said}")


def change(
    question: str, asked_of: str, size: float, prediction: Prediction, value: Array, said: str
) -> tuple[Prediction, Finding]:
    """The prediction with another value, and the finding."""
    finding = Finding(
        question, asked_of, "changed", size, float(prediction.value.mean()), float(value.mean()), f"{asked_of}: {said}"
    )
    return replace(prediction, value=value), finding


def doubt(
    question: str, asked_of: str, size: float, prediction: Prediction, radius: Array, said: str, *, abstain: bool
) -> tuple[Prediction, Finding]:
    """The prediction with another half-width, abstaining if so, and the finding."""
    before, after = float(prediction.radius.mean()), float(radius.mean())
    finding = Finding(question, asked_of, "doubted", size, before, after, f"{asked_of}: {said}")
    return replace(prediction, radius=radius, abstained=prediction.abstained or abstain), finding
