"""The online regime detector of one source: rows with named channels in, shifts, regimes, labels and an outlook out."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from . import codec
from .config import DetectorConfig
from .contrast import STEP
from .gaps import find_gaps
from .layout import ABSENT, BASE, CONFIDENCE, LABEL, MISSING, NEXT, PENDING, REGIME, REPORTED_ROW, ROWS
from .stream import (
    AGE,
    AT,
    CHANNELWISE,
    ENTERED,
    EVIDENCE,
    FORGOTTEN,
    KIND,
    KNOWN,
    LEFT,
    SHIFT,
    TRIGGER,
    State,
    advance,
    bridge,
    fresh,
    grown,
)
from .verdict import LABELS, Shift, Trace, Verdict
from .warning import LEANS, SLOWS, STANDS_OUT, sign_of

MAX_CHANNELS = 64
"""Channels followed; values of further names are counted and ignored."""
_PART = 0.3  # of the strongest evidence that names a channel beside it
_CLOCK, _PERIOD, _GAPS = range(3)  # places in the timing


class Detector:
    """Detects and names the regimes of one source from its telemetry. Not thread-safe; give each source its own.

    Values lost to NaN, infinity, absence or a gap are counted and are never evidence of a shift. The state is bounded: about
    2 kB a channel and 1 kB a source.
    """

    def __init__(self, config: DetectorConfig = DetectorConfig()) -> None:  # noqa: B008 (frozen value)
        self._saved_config = dataclasses.asdict(config)
        self._settings = config.vector()
        self._names: list[str] = []
        self._state = fresh(0)
        self._timing = np.array([-math.inf, math.nan, 0.0])  # clock [s], usual time between rows [s], gaps so far
        self._ignored = 0
        self._latest: Shift | None = None
        """The shift that the latest row reported."""
        self._cause: Shift | None = None
        """The shift that began the present regime."""

    @property
    def verdict(self) -> Verdict | None:
        """The latest verdict; None before the first row."""
        if not self._state.s[ROWS]:
            return None
        s = self._state.s
        label, regime, ahead = LABELS[int(s[LABEL])], _name(s[REGIME]), _name(s[NEXT])
        after = "transition" if ahead != regime else ("stable" if label == "transition" else label)
        return Verdict(label, regime, ahead, after, float(s[CONFIDENCE]), self._latest, self._reason(label))

    @property
    def clock_s(self) -> float:
        """Time of the newest row [s]; −inf before the first."""
        return float(self._timing[_CLOCK])

    @property
    def nbytes(self) -> int:
        """Memory of the state."""
        return sum(part.nbytes for part in self._state)

    @property
    def missing(self) -> dict[str, int]:
        """Values that known channels owed: NaN, infinite or absent, by channel."""
        return {name: int(owed) for name, owed in zip(self._names, self._state.h[:, MISSING], strict=True)}

    @property
    def ignored(self) -> int:
        """Values of channels beyond `MAX_CHANNELS`, which are not followed."""
        return self._ignored

    @property
    def gaps(self) -> int:
        """Gaps in time across which nothing was compared."""
        return int(self._timing[_GAPS])

    def update(self, t_s: float, values: Mapping[str, float]) -> Verdict:
        """Take one row of a source: timestamp [s] and a value per channel, in any stable unit.

        Raises ValueError, changing nothing, unless `t_s` is finite and later than every earlier one.
        """
        return self.advance(np.array([t_s]), {name: np.array([value]) for name, value in values.items()}).verdict

    def advance(self, times_s: NDArray[np.float64], columns: Mapping[str, NDArray[np.float64]]) -> Trace:
        """Take n >= 1 rows in one go, as n updates would: times (n,) [s] and a column (n,) per channel, NaN where missing.

        Raises ValueError, changing nothing, unless the times are finite and ascend, each later than every earlier one.
        """
        n = times_s.size
        clock_s = self._timing[_CLOCK]
        if not (n and clock_s < times_s[0] <= times_s[-1] < math.inf and (n == 1 or (np.diff(times_s) > 0.0).all())):
            raise ValueError(
                f"times do not follow {clock_s} s in ascending order: sort the rows, drop those taken already"
            )
        gaps = np.zeros(n, np.bool_)
        find_gaps(times_s, self._timing, gaps)
        trace = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.float32), np.empty(n, np.uint8)
        shifts: list[Shift] = []
        for start, stop in self._stretches(gaps, columns):
            if gaps[start]:
                bridge(self._state)
            shifts += self._advance(times_s, columns, trace, start, stop)
        self._latest = shifts[-1] if shifts and shifts[-1].detected_s == times_s[-1] else None
        if shifts:
            self._cause = shifts[-1]
        verdict = self.verdict
        assert verdict is not None
        return Trace(*trace, tuple(shifts), verdict)

    def _stretches(
        self, gaps: NDArray[np.bool_], columns: Mapping[str, NDArray[np.float64]]
    ) -> Iterator[tuple[int, int]]:
        """Rows between gaps and first values of new channels, which join before the stretch that begins with them."""
        if not gaps.any() and all(name in self._names for name in columns):
            yield 0, gaps.size
            return
        joins: dict[int, list[str]] = {}
        for name, column in columns.items():
            if name not in self._names and (finite := np.flatnonzero(np.isfinite(column))).size:
                joins.setdefault(int(finite[0]), []).append(name)
        cuts = sorted({0, *np.flatnonzero(gaps).tolist(), *joins})
        for start, stop in zip(cuts, [*cuts[1:], gaps.size], strict=True):
            for name in joins.get(start, []):
                self._join(name, columns[name])
            yield start, stop

    def _join(self, name: str, column: NDArray[np.float64]) -> None:
        if len(self._names) >= MAX_CHANNELS:
            kept = np.flatnonzero(self._state.h[:, ABSENT] < FORGOTTEN)
            self._names = [self._names[place] for place in kept]
            self._state = self._state._replace(**{part: getattr(self._state, part)[kept] for part in CHANNELWISE})
        if len(self._names) >= MAX_CHANNELS:
            self._ignored += int(np.isfinite(column).sum())
            return
        self._names.append(name)
        self._state = grown(self._state)

    def _advance(self, times_s, columns, trace, start: int, stop: int) -> list[Shift]:
        rows = np.full((stop - start, len(self._names)), np.nan)
        for place, name in enumerate(self._names):
            if name in columns:
                rows[:, place] = columns[name][start:stop]
        most = (stop - start) // BASE + 1
        records, evidences = np.empty((most, SHIFT)), np.empty((most, len(self._names)))
        regime, ahead, confidence, label = (column[start:stop] for column in trace)
        count = advance(self._state, rows, self._settings, regime, ahead, confidence, label, records, evidences)
        return [
            self._shift(times_s[start + int(record[AT])], record, evidence)
            for record, evidence in zip(records[:count], evidences[:count], strict=True)
        ]

    def _shift(self, detected_s: float, record: NDArray[np.float64], evidence: NDArray[np.float64]) -> Shift:
        period_s = self._timing[_PERIOD]
        age_s = (record[AGE] - 1.0) * (period_s if math.isfinite(period_s) else 0.0)
        order = np.argsort(-evidence, kind="stable")
        least = _PART * evidence.max()
        channels = tuple(self._names[place] for place in order if evidence[place] >= least)
        entered = _name(record[ENTERED])
        what = "level" if record[KIND] == STEP else "texture"
        statistic = float(evidence[int(record[TRIGGER])])
        threshold = statistic - float(record[EVIDENCE])
        return Shift(
            at_s=float(detected_s - age_s),
            detected_s=float(detected_s),
            from_regime=_name(record[LEFT]),
            to_regime=entered if record[KNOWN] else None,
            channels=channels,
            statistic=statistic,
            threshold=threshold,
            reason=(
                f"The {what} of {', '.join(channels)} changed {age_s:g} s ago (evidence {statistic:.1f} nat, "
                f"needed {threshold:.1f}); it {f'looks like {entered} again' if record[KNOWN] else 'has not looked so before'}."
            ),
        )

    def _reason(self, label: str) -> str:
        s = self._state.s
        if label == "transition" and self._cause is not None:
            return self._cause.reason
        signs = {name: sign_of(f, h) for name, f, h in zip(self._names, self._state.f, self._state.h, strict=True)}
        if outside := [name for name, sign in signs.items() if sign == STANDS_OUT]:
            return f"{', '.join(outside)} far outside the range seen so far."
        if slowing := [name for name, sign in signs.items() if sign == SLOWS]:
            return f"Variance and autocorrelation of {', '.join(slowing)} have risen together (early warning)."
        if label == "drifting":
            if leaning := [name for name, sign in signs.items() if sign == LEANS]:
                return f"{', '.join(leaning)} has moved one way for a long time."
            nearest = int(np.argmax(self._state.h[:, PENDING]))
            return f"{self._names[nearest]} moves: {-self._state.h[nearest, PENDING]:.1f} nat short of a shift."
        stood = s[ROWS] - max(s[REPORTED_ROW], 0.0)
        return f"{_name(s[REGIME])} stands since {stood:.0f} samples in {len(self._names)} channels."

    def dump(self) -> bytes:
        """The whole state, settings included, as compact bytes."""
        header = {
            "config": self._saved_config,
            "channels": self._names,
            "ignored": self._ignored,
            "latest": dataclasses.asdict(self._latest) if self._latest else None,
            "cause": dataclasses.asdict(self._cause) if self._cause else None,
        }
        return codec.encode(header, (self._timing, *self._state))

    @classmethod
    def load(cls, blob: bytes) -> Detector:
        """A detector that goes on exactly where `dump` was taken. Raises ValueError for bytes that are none of ours."""
        header, body = codec.decode(blob)
        try:
            detector = cls(DetectorConfig(**header["config"]))
            detector._names = list(header["channels"])
            detector._ignored = int(header["ignored"])
            detector._latest, detector._cause = _shift_of(header["latest"]), _shift_of(header["cause"])
            empty = fresh(len(detector._names))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("detector state is damaged: restore an older copy or start the source afresh") from error
        detector._timing, *parts = codec.arrays(body, (detector._timing, *empty))
        detector._state = State(*parts)
        return detector


def _name(number: float) -> str:
    return f"r{int(number)}"


def _shift_of(saved: dict | None) -> Shift | None:
    return None if saved is None else Shift(**{**saved, "channels": tuple(saved["channels"])})
