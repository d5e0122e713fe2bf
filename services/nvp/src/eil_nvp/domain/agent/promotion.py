"""Who predicts: members rise from shadow to canary to champion, and fall, by live error alone.

Every member predicts every time; only the champion's answer, and for a bounded share of predictions the canary's, is used. Losses are
averaged over blocks (so that autocorrelation dies out), and each block gives for each member m against the champion c a bounded score

    x = clip((l_c - l_m - margin · l_c) / s, -1, 1),   s = CLIP times the discounted mean of |l_c - l_m| before this block,

predictable, and positive when m beats the champion by more than the margin. Under the null E[x | past] <= 0 each factor 1 + λx, 0 < λ < 1,
has mean <= 1, so:

* shadow -> canary: the Shiryaev–Roberts e-detector R <- (R + 1)(1 + λx), averaged over BETS, passes `enter`. R_n - n is a
  supermartingale, so in n blocks a member that is not better enters at most n / enter times on average (Shin, Ramdas and Rinaldo 2023,
  "E-detectors"). A detector, not one test, because a member may become better at any time.
* canary -> champion: an e-process begun at entry passes `promote`: at most a share 1 / promote of undeserved entries (Ville's inequality;
  Choe and Ramdas 2023, "Comparing sequential forecasters"), and its discounted loss is below the champion's by the margin.
* canary -> shadow: the e-process of the opposite claim (worse than the champion) passes `demote`; or patience ends; or at once at `ruin`
  times the champion's loss or a loss that is not finite. It then rests.
* champion -> the champion before it, or without a sound one the member of least discounted loss: at once when a loss is not finite, or
  when its block loss is `ruin` times both the successor's and its own discounted loss, twice in a row. Slower decline is found by the
  detectors of the others.

So equal members bring on average at most (M - 1) · blocks / (enter · promote) promotions: for 7 members, 10,000 steps and the defaults
.008.

Assumption: within the null, a block's expected score given the past is not positive; blocks shorter than the losses' correlation break
it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .stages import DEFAULTS, Event, PromotionConfig

Array = npt.NDArray[np.float64]

BETS = np.array([0.1, 0.25, 0.5, 0.8])
"""λ: an equal mixture is a valid bet for large and small advantages; none needs to be tuned."""
CLIP = 3.0
"""Mean absolute differences at which a block's score is cut."""
_CEILING = 1e100  # a process that passed it is decided; it must not overflow


class Promotion:
    """The stages of `members` members for one source or domain. Not thread-safe; no clock, no randomness.

    Args:
        members: M >= 2.
        champion: who begins.
        config: evidence asked for.
    """

    def __init__(self, members: int, champion: int = 0, config: PromotionConfig = DEFAULTS) -> None:
        if members < 2 or not 0 <= champion < members:
            raise ValueError(
                f"champion {champion} of {members} members: there is nothing to promote; give >= 2 members and one of them"
            )
        self.config = config
        self.champion, self.previous, self.canary = champion, champion, -1
        self.step, self.blocks, self.canary_blocks, self.served, self.ruined = 0, 0, 0, 0, 0
        self._loss = np.full(members, np.nan)
        """(M,) discounted block losses."""
        self._sum = np.zeros(members)
        """(M,) losses of the block so far."""
        self._count = 0
        self._gap = np.full(members, np.nan)
        """(M,) discounted |loss - champion's loss| under this champion."""
        self._rises = np.zeros((members, len(BETS)))
        """(M, λ) Shiryaev–Roberts statistics of being better than the champion."""
        self._up, self._down = np.ones(len(BETS)), np.ones(len(BETS))
        """(λ,) e-processes of the canary: better, worse."""
        self._rest = np.zeros(members, np.int64)
        """(M,) blocks still to rest."""

    @property
    def loss(self) -> Array:
        """(M,) discounted losses, NaN before the first block."""
        return self._loss.copy()

    @property
    def evidence(self) -> Array:
        """(M,) detector level of each challenger; `config.enter` makes a canary."""
        return self._rises.mean(axis=1)

    def stage(self, member: int) -> str:
        """ "champion", "canary" or "shadow"."""
        return "champion" if member == self.champion else "canary" if member == self.canary else "shadow"

    def serve(self) -> int:
        """The member whose answer is used for the next prediction: the canary for every 1/share-th, spread evenly."""
        if self.canary < 0:
            return self.champion
        before = int(self.served * self.config.share)
        self.served += 1
        return self.canary if int(self.served * self.config.share) > before else self.champion

    def update(self, losses: npt.ArrayLike) -> list[Event]:
        """Take the losses (M,) >= 0 of all members on one prediction; not finite means the member failed. Says what changed."""
        values = np.asarray(losses, np.float64)
        if values.shape != self._loss.shape or (values < 0).any():
            raise ValueError(
                f"losses {values} do not fit {len(self._loss)} members: each has one loss, >= 0; give NaN for one that failed"
            )
        self.step += 1
        events = self._failures(~np.isfinite(values))
        self._sum += values
        self._count += 1
        if self._count == self.config.block:
            block, self._sum, self._count = self._sum / self._count, np.zeros_like(self._sum), 0
            events += self._judge(block)
        return events

    def _failures(self, failed: npt.NDArray[np.bool_]) -> list[Event]:
        """A champion or canary without a finite answer goes at once; when all failed the question was at fault, not they."""
        events = []
        if failed.all():
            return events
        if self.canary >= 0 and failed[self.canary]:
            events.append(self._fall("its answer was not finite"))
        if failed[self.champion] and (heir := self._heir(failed)) >= 0:
            events.append(self._roll_back(heir, "its answer was not finite"))
        return events

    def _heir(self, failed: npt.NDArray[np.bool_]) -> int:
        """Who follows a champion that failed: its predecessor, else the member of least discounted loss; -1 for nobody."""
        if self.previous != self.champion and not failed[self.previous]:
            return self.previous
        loss = np.where(failed | np.isnan(self._loss), np.inf, self._loss)
        loss[self.champion] = np.inf
        return int(np.argmin(loss)) if np.isfinite(loss).any() else -1

    def _judge(self, block: Array) -> list[Event]:
        """One block's mean losses (M,): bets first, with scales from the past, then the discounted losses, then the verdicts."""
        self.blocks += 1
        finite, champion, config = np.isfinite(block), block[self.champion], self.config
        scale = CLIP * self._gap
        scale = np.where(np.isfinite(scale) & (scale > 0), scale, np.inf)  # no bet without a past
        with np.errstate(invalid="ignore"):
            better = (champion * (1 - config.margin) - block) / scale
            worse = (block - champion * (1 + config.margin)) / scale
        failing = ~finite[self.champion] & finite
        better = np.clip(np.where(failing, 1.0, np.where(finite, better, -1.0)), -1.0, 1.0)
        self._rises = np.minimum((self._rises + 1) * (1 + BETS * better[:, None]), _CEILING)
        self._rest = np.maximum(self._rest - 1, 0)
        self._rises[self._rest > 0] = 0.0
        self._rises[self.champion] = 0.0
        gap = np.where(np.isfinite(champion - block), np.abs(champion - block), self._gap)
        self._gap = np.where(np.isnan(self._gap), gap, self._gap + config.forget * (gap - self._gap))
        past = self._loss.copy()
        mixed = np.where(np.isfinite(past), past + config.forget * (block - past), block)
        self._loss = np.where(finite, mixed, past)
        events = self._check_champion(block, past)
        if self.canary >= 0:
            self._up = np.minimum(self._up * (1 + BETS * better[self.canary]), _CEILING)
            self._down = np.minimum(
                self._down * (1 + BETS * np.clip(np.nan_to_num(worse[self.canary]), -1.0, 1.0)), _CEILING
            )
            events += self._check_canary(block)
        elif (leader := int(np.argmax(self.evidence))) != self.champion and self.evidence[leader] >= config.enter:
            events.append(self._enter(leader))
        return events

    def _check_champion(self, block: Array, past: Array) -> list[Event]:
        heir = self._heir(~np.isfinite(block))
        if heir < 0 or not np.isfinite(past[self.champion]):
            return []
        bad = block[self.champion] > self.config.ruin * max(block[heir], past[self.champion])
        self.ruined = self.ruined + 1 if bad else 0
        if self.ruined < 2:
            return []
        said = f"its loss rose to {block[self.champion]:.3g}, over {self.config.ruin:g} times what it was"
        return [self._roll_back(heir, said)]

    def _check_canary(self, block: Array) -> list[Event]:
        member, config = self.canary, self.config
        self.canary_blocks += 1
        if block[member] > config.ruin * max(block[self.champion], self._loss[self.champion]):
            return [self._fall(f"its loss {block[member]:.3g} is over {config.ruin:g} times the champion's")]
        if self._down.mean() >= config.demote:
            return [self._fall(f"evidence {self._down.mean():.0f}:1 that it is worse than the champion")]
        if self._up.mean() >= config.promote and self._loss[member] < (1 - config.margin) * self._loss[self.champion]:
            return [self._promote()]
        if self.canary_blocks >= config.patience:
            return [self._fall(f"undecided after {config.patience} blocks")]
        return []

    def _enter(self, member: int) -> Event:
        sentence = f"member {member} answers {self.config.share:.0%} of predictions: loss {self._loss[member]:.3g}"
        sentence += f" against the champion's {self._loss[self.champion]:.3g}, evidence {self.evidence[member]:.0f}"
        self.canary, self.canary_blocks, self.served = member, 0, 0
        self._up[:], self._down[:] = 1.0, 1.0
        return Event(self.step, "canary", member, sentence)

    def _fall(self, why: str) -> Event:
        member, self.canary = self.canary, -1
        self._rises[member], self._rest[member] = 0.0, self.config.rest
        return Event(self.step, "demoted", member, f"member {member} is a shadow again: {why}")

    def _promote(self) -> Event:
        member, beaten = self.canary, self.champion
        sentence = f"member {member} is champion: loss {self._loss[member]:.3g} against {self._loss[beaten]:.3g}"
        sentence += f", evidence {self._up.mean():.0f}:1 from {self.canary_blocks} blocks"
        self._crown(member)
        self._rest[beaten] = self.config.rest
        return Event(self.step, "promoted", member, sentence)

    def _roll_back(self, heir: int, why: str) -> Event:
        fallen = self.champion
        self._crown(heir)
        self.previous = heir  # the fallen is no predecessor to return to
        self._rest[fallen] = self.config.rest
        return Event(self.step, "rolled_back", heir, f"member {heir} takes over: champion {fallen} failed, {why}")

    def _crown(self, member: int) -> None:
        """All evidence was against the old champion, so it is void."""
        self.previous, self.champion, self.canary, self.ruined = self.champion, member, -1, 0
        self._rises[:], self._gap[:] = 0.0, np.nan

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The state, without the settings; `from_arrays` goes on exactly as this would have."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        arrays = {name: getattr(self, f"_{name}").copy() for name in _ARRAYS}
        return arrays | {"numbers": np.frombuffer(json.dumps(numbers).encode(), np.uint8).copy()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], config: PromotionConfig = DEFAULTS) -> Promotion:
        """What `to_arrays` gave, with the settings to go on with. Raises ValueError when arrays are missing."""
        if missing := {*_ARRAYS, "numbers"} - set(arrays):
            raise ValueError(
                f"the state lacks {sorted(missing)}: it cannot go on as it was; restore a whole copy or start afresh"
            )
        restored = cls(len(arrays["loss"]), config=config)
        for name, value in json.loads(np.asarray(arrays["numbers"], np.uint8).tobytes()).items():
            setattr(restored, name, value)
        for name in _ARRAYS:
            setattr(restored, f"_{name}", np.array(arrays[name]))
        return restored


_NUMBERS = ("champion", "previous", "canary", "step", "blocks", "canary_blocks", "served", "ruined", "_count")
_ARRAYS = ("loss", "gap", "sum", "rises", "up", "down", "rest")
