"""The online regime detector of one source: shifts, recurring regimes, labels and an outlook, one update at a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .anticipation import Anticipation, Outlook
from .channel import Channel
from .codec import decode, encode
from .config import DetectorConfig
from .focus import threshold_for
from .library import RegimeLibrary
from .verdict import LABELS, Shift, Trace, Verdict

STATE_VERSION = 1
_CHECK_EVERY = 8  # updates between looks at trend and early warning, which change slowly
_WARNINGS = 4  # consecutive such looks that make an early warning
_OUTSIDE = 3  # consecutive values far out of range that are more than a spike


class Detector:
    """Detects and names the regimes of one source from its telemetry. Not thread-safe; give each source its own.

    Each channel is tested by FOCuS on clipped residuals, its likelihood ratio divided by the long-run variance;
    a shift is reported when a channel exceeds the threshold of the configured false-alarm run, and all channels then
    learn anew. NaN, infinite and absent values are counted and are never evidence of a shift.
    """

    def __init__(self, config: DetectorConfig = DetectorConfig()) -> None:  # noqa: B008 (frozen value)
        self._config = config
        self._settings = dataclasses.asdict(config)
        self._channels: dict[str, Channel] = {}
        self._library = RegimeLibrary(config.max_regimes, config.match_distance)
        self._anticipation = Anticipation(config.horizon, config.prior_dwell)
        self._clock_s = -math.inf
        self._updates = 0
        self._regime_id = self._library.new_id()
        self._left: str | None = None  # the regime before the present one
        self._settled = False
        self._since = 0  # updates since the present regime was taken up
        self._ignored = 0
        self._drifting: list[tuple[str, float]] = []  # channels with a significant trend at the latest look
        self._warned: list[str] = []
        self._verdict: Verdict | None = None

    @property
    def verdict(self) -> Verdict | None:
        """The latest verdict; None before the first update."""
        return self._verdict

    @property
    def missing(self) -> dict[str, int]:
        """Values that known channels owed: NaN, infinite or absent, by channel."""
        return {name: channel.missing for name, channel in self._channels.items()}

    @property
    def ignored(self) -> int:
        """Values of channels beyond `max_channels`, which are not followed."""
        return self._ignored

    def update(self, t_s: float, values: Mapping[str, float]) -> Verdict:
        """Take one row of a source: timestamp [s] and a value per channel, in any stable unit.

        Raises ValueError, changing nothing, unless `t_s` is finite and later than every earlier one.
        """
        if not (math.isfinite(t_s) and t_s > self._clock_s):
            raise ValueError(
                f"timestamp {t_s} s does not follow {self._clock_s} s: rows must come in order of time, once"
            )
        self._clock_s = t_s
        self._updates += 1
        self._since += 1
        threshold = self._threshold()
        self._take(t_s, values, threshold)
        self._settle()
        self._anticipation.stood(self._regime_id)
        shift = self._find_shift(threshold)
        if self._updates % _CHECK_EVERY == 0:
            self._look(threshold)
        self._verdict = self._conclude(shift, threshold)
        return self._verdict

    def advance(self, times_s: NDArray[np.float64], columns: Mapping[str, NDArray[np.float64]]) -> Trace:
        """Take n >= 1 rows in one go, as n updates would: times (n,) [s] and a column (n,) per channel, NaN where missing.

        Raises ValueError, changing nothing, unless the times are finite and ascend, each later than every earlier one.
        """
        if not (
            times_s.size and np.isfinite(times_s).all() and times_s[0] > self._clock_s and (np.diff(times_s) > 0).all()
        ):
            raise ValueError(
                f"times do not follow {self._clock_s} s in ascending order: sort the rows, drop those taken already"
            )
        verdicts = [
            self.update(float(t_s), {name: float(column[i]) for name, column in columns.items()})
            for i, t_s in enumerate(times_s)
        ]
        return Trace(
            np.array([int(v.regime_id[1:]) for v in verdicts], np.int32),
            np.array([int(v.next_regime_id[1:]) for v in verdicts], np.int32),
            np.array([v.confidence for v in verdicts], np.float32),
            np.array([LABELS.index(v.label) for v in verdicts], np.uint8),
            tuple(v.shift for v in verdicts if v.shift is not None),
            verdicts[-1],
        )

    def _threshold(self) -> float:
        tests = max(1, len(self._channels))
        return threshold_for(self._config.mean_samples_between_false_alarms * tests)

    def _take(self, t_s: float, values: Mapping[str, float], threshold: float) -> None:
        for name, value in values.items():
            if name in self._channels or not math.isfinite(value):
                continue
            if len(self._channels) < self._config.max_channels:
                self._channels[name] = Channel(self._config)
            else:
                self._ignored += 1
        forgotten = []
        for name, channel in self._channels.items():
            value = values.get(name, math.nan)
            if math.isfinite(value):
                channel.update(t_s, float(value), threshold)
                continue
            channel.miss()
            if channel.absent >= self._config.forget_after:
                forgotten.append(name)
        for name in forgotten:
            del self._channels[name]

    def _settle(self) -> None:
        """Once the present channels are learnt, name the regime: a known one that came back, or a new one."""
        if self._settled:
            return
        learning = [c for c in self._channels.values() if not c.learned and c.absent < self._config.burn_in]
        signature = {name: c.signature() for name, c in self._channels.items() if c.learned}
        if not signature or (learning and self._since < 2 * self._config.burn_in):
            return
        known = self._library.match(signature, self._least())
        if known is not None and known != self._regime_id:
            self._anticipation.rename(self._regime_id, known)
            self._regime_id = known
        self._settled = True
        self._remember(signature)
        if self._left is not None and self._left in self._library and self._left != self._regime_id:
            self._anticipation.followed(self._left, self._regime_id)

    def _least(self) -> dict[str, float]:
        share = self._config.match_spread
        return {name: share * channel.spread() for name, channel in self._channels.items()}

    def _remember(self, signature: dict[str, tuple[float, float]]) -> None:
        forgotten = self._library.observe(self._regime_id, signature)
        if forgotten is not None:
            self._anticipation.forget(forgotten)

    def _find_shift(self, threshold: float) -> Shift | None:
        shifted = any(c.exceeds(threshold) for c in self._channels.values() if not c.absent)
        if not shifted:
            return None
        also = {name: c for name, c in self._channels.items() if c.exceeds(0.5 * threshold)}
        names = tuple(sorted(also, key=lambda name: -also[name].statistic))
        strongest = also[names[0]]
        assert strongest.change is not None
        onset_s, statistic = strongest.change.mark, strongest.statistic
        left = self._regime_id
        self._anticipation.left(left)
        if left not in self._library:  # gone before it was learnt: nothing to recognise it by
            self._anticipation.forget(left)
        for channel in self._channels.values():
            channel.restart(onset_s)
        first = {name: c.first_signature() for name, c in self._channels.items() if c.values}
        returned = self._library.match(first, self._least(), compare_scale=False, but=left)
        self._left, self._regime_id = left, returned or self._library.new_id()
        self._settled, self._since = False, 0
        self._drifting, self._warned = [], []
        return Shift(onset_s, self._clock_s, left, returned, names, statistic, threshold)

    def _look(self, threshold: float) -> None:
        self._drifting, self._warned = [], []
        for name, channel in self._channels.items():
            if not channel.learned or channel.absent:
                continue
            z = channel.trend_z()
            if abs(z) > self._config.trend_z:
                self._drifting.append((name, z))
            # a pending change of mean raises both variance and autocorrelation, and is no early warning
            calm = not channel.pending(threshold)
            channel.warnings = channel.warnings + 1 if calm and channel.warns() else 0
            if channel.warnings >= _WARNINGS:
                self._warned.append(name)

    def _conclude(self, shift: Shift | None, threshold: float) -> Verdict:
        outlook = self._anticipation.outlook(self._regime_id)
        label, reason = self._label(shift, threshold)
        next_label = label
        if outlook.regime_id != self._regime_id:
            next_label = "transition"
        elif label == "transition":
            next_label = "stable"
        confidence = self._confidence(outlook)
        return Verdict(label, self._regime_id, outlook.regime_id, next_label, confidence, shift, reason)

    def _confidence(self, outlook: Outlook) -> float:
        if self._left is None and not self._settled:  # nothing is known yet: from even odds towards the prior
            part = min(1.0, self._since / self._config.burn_in)
            return 0.5 + part * (outlook.confidence - 0.5)
        return outlook.confidence

    def _label(self, shift: Shift | None, threshold: float) -> tuple[str, str]:
        if shift is not None:
            known = f"looks like {shift.to_regime} again" if shift.to_regime else "has not been seen before"
            age = shift.detected_s - shift.at_s
            return "transition", (
                f"{', '.join(shift.channels)} shifted {age:g} s ago (statistic {shift.statistic:.1f}, "
                f"threshold {shift.threshold:.1f}); the new behaviour {known}."
            )
        if not self._settled:
            have = max((len(c.values) for c in self._channels.values()), default=0)
            label = "stable" if self._left is None else "transition"
            return label, f"Learning {self._regime_id}: {have} of {self._config.burn_in} samples."
        outside = [name for name, c in self._channels.items() if c.outside >= _OUTSIDE]
        if outside:
            return "critical", f"{', '.join(outside)} far outside the range seen so far."
        if self._warned:
            return "critical", f"Variance and autocorrelation of {', '.join(self._warned)} keep rising (early warning)."
        pending = [(c.statistic, name) for name, c in self._channels.items() if c.pending(threshold)]
        if pending:
            statistic, name = max(pending)
            return "drifting", f"{name} moves: pending statistic {statistic:.1f} of {threshold:.1f}."
        if self._drifting:
            name, z = max(self._drifting, key=lambda item: abs(item[1]))
            return "drifting", f"{name} has {'risen' if z > 0 else 'fallen'} steadily, {abs(z):.1f} standard errors."
        return "stable", f"{self._regime_id} stands since {self._since} samples in {len(self._channels)} channels."

    def dump(self) -> bytes:
        """The whole state, settings included, as compact bytes."""
        state: dict[str, Any] = {
            "config": self._settings,
            "clock_s": self._clock_s,
            "updates": self._updates,
            "regime_id": self._regime_id,
            "left": self._left,
            "settled": self._settled,
            "since": self._since,
            "ignored": self._ignored,
            "drifting": self._drifting,
            "warned": self._warned,
            "channels": {name: channel.state() for name, channel in self._channels.items()},
            "library": self._library.state(),
            "anticipation": self._anticipation.state(),
            "verdict": dataclasses.asdict(self._verdict) if self._verdict is not None else None,
        }
        return encode(state, STATE_VERSION)

    @classmethod
    def load(cls, blob: bytes) -> Detector:
        """A detector that goes on exactly where `dump` was taken. Raises ValueError for bytes that are none of ours."""
        try:
            return cls._restored(decode(blob, STATE_VERSION))
        except (KeyError, TypeError, AttributeError, StopIteration, RuntimeError) as error:
            raise ValueError("detector state is damaged: restore an older copy or start the source afresh") from error

    @classmethod
    def _restored(cls, state: dict[str, Any]) -> Detector:
        detector = cls(DetectorConfig(**state["config"]))
        detector._clock_s, detector._updates = state["clock_s"], state["updates"]
        detector._regime_id, detector._left = state["regime_id"], state["left"]
        detector._settled, detector._since, detector._ignored = state["settled"], state["since"], state["ignored"]
        detector._drifting = [(name, z) for name, z in state["drifting"]]
        detector._warned = state["warned"]
        for name, saved in state["channels"].items():
            detector._channels[name] = Channel(detector._config)
            detector._channels[name].restore(saved)
        detector._library.restore(state["library"])
        detector._anticipation.restore(state["anticipation"])
        if (saved := state["verdict"]) is not None:
            if saved["shift"] is not None:
                saved["shift"] = Shift(**{**saved["shift"], "channels": tuple(saved["shift"]["channels"])})
            detector._verdict = Verdict(**saved)
        return detector
