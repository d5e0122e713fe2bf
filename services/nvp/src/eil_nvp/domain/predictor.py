"""`NVPPredictor`: the next states of one source, from an ensemble that learns as rows come and knows when not to speak.

Row by row: what every member said is scored, stages move (`agent/promotion.py`), the conformal intervals and the ACE agent learn. A
prediction is the robust vote of the members with weights by live error, led by the champion where one has earned it; it is put to the
Socratic questions; its intervals are conformal, widened where the agent or the novelty of the history says so; and the agent decides
whether to predict, to fall back to persistence, or to abstain.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from eil_nvp.domain import members
from eil_nvp.domain.agent import (
    ACEAgent,
    Bounds,
    Ensemble,
    Finding,
    LiveError,
    Persistence,
    Promotion,
    Question,
    Questioned,
    Vote,
    aggregate,
    examine,
)
from eil_nvp.domain.telemetry import ConformalConfig, Novelty, NoveltyConfig, OnlineConformal

Array = npt.NDArray[np.float64]
KEPT = 1024
"""Newest rows remembered."""
REFIT = 256
"""Rows after which everything is trained anew; before, at each doubling."""
SCORED = 16
"""Rows before anyone is scored: until then nobody knows what a usual move is."""
LEVEL = 0.9
NOVELTY = NoveltyConfig(quantile=0.999, range_margin=0.5)
"""A level may wander off by half its range between two trainings, for the members see it; one window in 1000 is strange, not in 100."""
WIDEST = 5.0
"""Most that doubt may widen an interval."""


@dataclass(frozen=True, slots=True)
class TelemetryForecast:
    """The next rows of a source, in its units; intervals hold each value, not the whole path."""

    point: Array
    """(steps, d)."""
    low: Array
    high: Array
    total: Array
    """(d,), the sum over the steps."""
    total_low: Array
    total_high: Array
    method: str
    """Who spoke."""
    reason: str
    in_domain: bool
    abstained: bool
    trust: float
    """0 to 1."""
    disagreement: float
    """Spread of the members over the half-width, root mean square."""
    findings: tuple[Finding, ...]
    members: Array
    """(M, steps, d) what each member says; NaN where it cannot."""
    weights: Array
    """(M,)."""


class NVPPredictor:
    """Next states of one source of d channels at even steps. Not thread-safe; no clock; deterministic.

    Args:
        ace_agent: whose experience to use; by default a fresh one.
        horizon: steps for which intervals are calibrated; beyond, they grow with the square root of the step.

    Example:
        predictor = NVPPredictor(ace_agent=ACEAgent(latent_dim=128))
        predictor.observe(rows)                  # (n, d), oldest first, NaN where missing
        forecast = predictor.predict(steps=12)   # .point, .low, .high, .abstained, .reason
    """

    def __init__(self, ace_agent: ACEAgent | None = None, *, horizon: int = 12) -> None:
        if horizon < 1:
            raise ValueError(f"horizon is {horizon}: predict at least one step ahead")
        self.ace = ace_agent or ACEAgent()
        self.horizon = horizon
        self._rows: Array = np.empty((0, 0))
        self._plan: Array = np.empty((0, 0))
        self._seen = 0
        self._trained: members.Trained | None = None
        self._novelty: Novelty | None = None
        self._live = LiveError.fresh(len(members.NAMES))
        self._stages = Promotion(len(members.NAMES), champion=members.NAMES.index("persistence"))
        self._intervals: OnlineConformal | None = None
        self._said: tuple[Array, Array, Array] | None = None  # members' next row, the vote's, the context
        self._next_fit = members.LEAST_ROWS

    @property
    def rows(self) -> int:
        """Rows seen so far."""
        return self._seen

    @property
    def stages(self) -> dict[str, str]:
        """shadow, canary or champion, by member."""
        return {name: self._stages.stage(place) for place, name in enumerate(members.NAMES)}

    @property
    def live_errors(self) -> dict[str, float]:
        """Root mean square error of the next row so far, in standard deviations of the rows; NaN before the first."""
        return dict(zip(members.NAMES, self._live.rms.tolist(), strict=True))

    @property
    def usual_move(self) -> Array:
        """(d,) standard deviation of the changes from row to row, in the rows' units."""
        return self._scale()

    def drivers(self, most: int = 8) -> list[tuple[int, int, int, float]]:
        """What the autoregressive member's next row is made of: (channel, by channel, rows before it, contribution), strongest first.

        A contribution is a lag's weight times how far that value lies from the newest of its channel; what is left is the newest value.
        Empty before it was trained.
        """
        trained = self._trained
        if trained is None or trained.autoregressive is None or len(self._rows) < trained.lags:
            return []
        window = self._rows[-trained.lags :]
        weights = trained.autoregressive.lag_weights.reshape(trained.lags, window.shape[1], -1)
        parts = weights * (window - window[-1])[:, :, None]
        found = [
            (channel, by, trained.lags - lag, float(parts[lag, by, channel]))
            for lag, by, channel in np.ndindex(parts.shape)
        ]
        return sorted((one for one in found if one[3]), key=lambda one: -abs(one[3]))[:most]

    def observe(self, rows: npt.ArrayLike, *, plan: npt.ArrayLike | None = None) -> None:
        """Take rows (n, d) that follow those before, oldest first, NaN where missing, and what the planned inputs were, (n, p).

        Raises ValueError for another number of channels or inputs, infinite values, or a first row with a missing one.
        """
        new, inputs = self._checked(rows, plan)
        for row, given in zip(new, inputs, strict=True):
            self._learn(row, given)
            self._append(row, given)
            if self._seen >= self._next_fit:
                self._train()
            self._say()

    def predict(
        self, steps: int | None = None, *, plan: npt.ArrayLike | None = None, level: float = LEVEL
    ) -> TelemetryForecast:
        """The next `steps` rows (by default the horizon), under planned inputs (steps, p).

        Raises ValueError before the first row, for steps < 1, a level outside (0, 1), or a plan of another shape.
        """
        count = self.horizon if steps is None else steps
        if not self._seen or count < 1 or not 0.0 < level < 1.0:
            raise ValueError(
                f"{self._seen} rows seen, {count} steps and level {level} asked for: observe a row first, and ask for at least one "
                "step at a level between 0 and 1"
            )
        said = members.predict(self._trained, self._rows, count, self._future(plan, count))
        vote = self._vote(said)
        half, total_half = self._widths(count, level)
        point, method = self._spoken(said, vote)
        asked = examine(point, half, self._questions(vote, count), asked_of=method)
        return self._answer(asked, total_half, said, vote, method)

    def _checked(self, rows: npt.ArrayLike, plan: npt.ArrayLike | None) -> tuple[Array, Array]:
        new = np.array(rows, np.float64)
        if new.ndim != 2 or not new.shape[1] or np.isinf(new).any():
            raise ValueError(f"rows have shape {new.shape}: give (n, d), finite or NaN where missing")
        inputs = np.empty((len(new), 0)) if plan is None else np.array(plan, np.float64)
        if inputs.ndim != 2 or len(inputs) != len(new) or not np.isfinite(inputs).all():
            raise ValueError(f"the plan has shape {inputs.shape}: give ({len(new)}, p), all of it known")
        if not self._seen:
            if len(new) and np.isnan(new[0]).any():
                raise ValueError("the first row lacks a value: begin with a complete one")
            self._rows, self._plan = np.empty((0, new.shape[1])), np.empty((0, inputs.shape[1]))
            config = ConformalConfig(level=LEVEL, period=1)
            steps = tuple(range(1, self.horizon + 1))
            self._intervals = OnlineConformal(new.shape[1], steps, (self.horizon,), config)
        if new.shape[1] != self._rows.shape[1] or inputs.shape[1] != self._plan.shape[1]:
            raise ValueError(
                f"{new.shape[1]} channels and {inputs.shape[1]} planned inputs were given; this source has {self._rows.shape[1]} and "
                f"{self._plan.shape[1]}"
            )
        return new, inputs

    def _scale(self) -> Array:
        """(d,) standard deviation of the changes from row to row, never 0."""
        moves = np.diff(self._rows[-256:], axis=0)
        size = np.sqrt(np.mean(np.square(moves), axis=0)) if len(moves) else np.zeros(self._rows.shape[1])
        return np.where(size > 0.0, size, np.maximum(np.abs(self._rows[-1]), 1.0) * 1e-6)

    def _learn(self, row: Array, given: Array) -> None:
        """What the newest row, under the inputs it was given, says of those who foretold it."""
        if self._intervals is not None and self._seen:
            self._intervals.observe(row)
        if self._said is None or self._seen < SCORED or not np.isfinite(row).all():
            return
        said, voted, context = self._said
        if given.size:  # what was to be done is known now: nobody is to blame for not knowing it
            path = members.predict(self._trained, self._rows, 1, self._future(given[None], 1))
            said, voted = path[:, 0], self._spoken(path, self._vote(path))[0][0]
        scale = self._scale()
        present = np.where(np.isfinite(said), said, voted)  # one that had nothing to say is not to blame either
        self._live = self._live.updated(list(present), row, scale)
        errors = np.sqrt(np.mean(np.square((present - row) / scale), axis=1))
        self._stages.update(errors)
        error, still = (float(np.sqrt(np.mean(np.square((x - row) / scale)))) for x in (voted, self._rows[-1]))
        self.ace.learn(context, error, baseline_error=still, member_errors=errors)

    def _append(self, row: Array, inputs: Array) -> None:
        held = np.where(np.isnan(row), self._rows[-1], row) if self._seen else row
        self._rows = np.vstack([self._rows[-KEPT + 1 :], held])
        self._plan = np.vstack([self._plan[-KEPT + 1 :], inputs])
        self._seen += 1

    def _train(self) -> None:
        self._trained = members.train(self._rows, self._plan, self.horizon)
        self._next_fit = min(2 * self._seen, self._seen + REFIT)
        try:
            self._novelty = Novelty.fit(self._rows, config=NOVELTY, plan=self._plan if self._plan.shape[1] else None)
        except ValueError:  # too few rows to know what is usual
            self._novelty = None

    def _say(self) -> None:
        said = members.predict(self._trained, self._rows, self.horizon, self._future(None, self.horizon))
        vote = self._vote(said)
        point, _ = self._spoken(said, vote)
        self._said = said[:, 0], point[0], self._context(said)
        assert self._intervals is not None
        self._intervals.issue(np.vstack([point, point.sum(axis=0)]))

    def _vote(self, said: Array) -> Vote:
        """The members' vote. One that cannot speak stands where the best of those that can does: it must not make a majority."""
        able = np.asarray(np.isfinite(said).all(axis=(1, 2)))
        best = min((int(place) for place in np.flatnonzero(able)), key=self._record)
        usable = np.where(able[:, None, None], said, said[best])
        return aggregate(usable, live_rms=self._live.rms if self._live.seen.min() > 8 else None, scale=self._scale())

    def _record(self, member: int) -> float:
        """Live error of a member; before any is known persistence is the best."""
        error = float(self._live.rms[member])
        return error if np.isfinite(error) else float(member != members.NAMES.index("persistence"))

    def _spoken(self, said: Array, vote: Vote) -> tuple[Array, str]:
        """The champion's path once one was promoted and while its peers keep it, else the vote."""
        champion = self._stages.champion
        if (
            members.NAMES[champion] == "persistence"
            or not np.isfinite(said[champion]).all()
            or not vote.weights[champion]
        ):
            return vote.value, "ensemble"
        return 0.5 * (said[champion] + vote.value), f"{members.NAMES[champion]} and ensemble"

    def _context(self, said: Array) -> Array:
        """(3,): logs of the newest move, of the recent volatility and of the members' disagreement, in usual moves."""
        scale = self._scale()
        moves = np.diff(self._rows[-9:], axis=0) / scale if len(self._rows) > 1 else np.zeros((1, len(scale)))
        spread = np.nanstd(said[:, 0] / scale, axis=0)
        sizes = [np.abs(moves[-1]).mean(), np.sqrt(np.mean(np.square(moves))), spread.mean()]
        return np.log(np.array(sizes) + 1e-3)

    def _future(self, plan: npt.ArrayLike | None, steps: int) -> Array:
        """(n + steps, p): inputs so far, then the plan, or the last held."""
        held = np.repeat(self._plan[-1:], steps, axis=0) if plan is None else np.asarray(plan, np.float64)
        if held.shape != (steps, self._plan.shape[1]) or not np.isfinite(held).all():
            raise ValueError(f"the plan has shape {held.shape}: give ({steps}, {self._plan.shape[1]}), all of it known")
        return np.vstack([self._plan, held])

    def _widths(self, steps: int, level: float) -> tuple[Array, Array]:
        """Half-widths (steps, d), and (d,) of the sum, at the level."""
        assert self._intervals is not None
        channels, known = self._rows.shape[1], self.horizon
        low, high = self._intervals.intervals(np.zeros((known + 1, channels)))
        half = 0.5 * (high - low)
        usual = np.repeat(3.0 * self._scale()[None], known + 1, axis=0)  # before enough errors were seen
        half = np.where(np.isfinite(half), half, usual * np.sqrt(np.r_[np.arange(1, known + 1), known**3])[:, None])
        half *= NormalDist().inv_cdf(0.5 + level / 2.0) / NormalDist().inv_cdf(0.5 + LEVEL / 2.0)
        growth = np.sqrt(np.maximum(np.arange(1, steps + 1) / known, 1.0))[:, None]
        path = half[np.minimum(np.arange(steps), known - 1)] * growth
        # The sum's errors grow between √n (independent) and n (the same at every step): as those of the horizon's sum did.
        power = np.log(np.maximum(half[-1] / half[0], 1.0)) / np.log(max(known, 2))
        return path, half[0] * float(steps) ** np.minimum(power, 1.5)

    def _questions(self, vote: Vote, steps: int) -> list[Question]:
        lags = np.minimum(np.arange(1, steps + 1), max(len(self._rows) - 1, 1))
        largest = np.stack([np.abs(self._rows[lag:] - self._rows[:-lag]).max(axis=0, initial=0.0) for lag in lags])
        low = np.where((self._rows >= 0.0).all(axis=0), 0.0, -np.inf)
        return [
            Bounds(low, np.inf),
            Ensemble(vote.value, vote.spread, floor=self._scale()),
            Persistence(self._rows[-1], 1.5 * largest),
        ]

    def _answer(self, asked: Questioned, total_half: Array, said: Array, vote: Vote, method: str) -> TelemetryForecast:
        point, half = asked.prediction.value, asked.prediction.radius
        decision = self.ace.decide(self._context(said))
        strange = (
            self._novelty.judge(self._rows, plan=self._plan if self._plan.shape[1] else None) if self._novelty else None
        )
        new = not np.isfinite(decision.radius)
        abstained = (
            asked.prediction.abstained
            or (not new and decision.action == "abstain")
            or bool(strange and strange.abstain)
        )
        reasons = [decision.reason, *(strange.reasons if strange else ())]
        if abstained or (not new and decision.action == "fall_back"):
            point, method = np.repeat(self._rows[-1:], len(point), axis=0), "persistence"
        wider = np.ones(point.shape[1]) if strange is None else strange.widening
        if not new and decision.expected_error > 0.0:
            usual = self.ace.aspiration.present
            wider = wider * max(1.0, decision.expected_error / usual) if usual and usual > 0.0 else wider
        wider = np.full_like(wider, WIDEST) if abstained else np.minimum(wider, WIDEST)
        half, total_half = half * wider, total_half * wider
        total = point.sum(axis=0)
        spread = np.where(half > 0.0, vote.spread / np.where(half > 0.0, half, 1.0), 0.0)
        return TelemetryForecast(
            point=point,
            low=point - half,
            high=point + half,
            total=total,
            total_low=total - total_half,
            total_high=total + total_half,
            method=method,
            reason="; ".join(reasons),
            in_domain=not abstained and (strange is None or strange.in_domain) and self._trained is not None,
            abstained=abstained,
            trust=0.0 if abstained else decision.trust,
            disagreement=float(np.sqrt(np.mean(np.square(spread)))),
            findings=asked.findings,
            members=said,
            weights=vote.weights,
        )
