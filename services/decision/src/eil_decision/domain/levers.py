"""Levers: what may be moved on a source, within which bounds, how fast, and what moving it costs.

| kind | unit | what it moves |
|---|---|---|
| servers | 1 | the size of the fleet: servers that are not wanted are switched off |
| consolidation | 1 | the size of the fleet: work is packed onto so many servers, the vacated ones stay on at `parked_w` |
| frequency | 1 | speed of every server, as a share of its nominal one |
| power_cap | W | the most that a server may draw: it runs as fast as that allows |
| deferral | 1 | share of the load that waits, up to `within_s` |
| cooling | °C | set-point of the cooling: power and temperature follow it as usual until learned |
| set_point | own | any other set-point: nothing of its effect is known before it was seen |
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
FLEET, SPEED, SET_POINTS = ("servers", "consolidation"), ("frequency", "power_cap"), ("cooling", "set_point")
KINDS = (*FLEET, *SPEED, *SET_POINTS, "deferral")
SAFE = {"frequency": "high", "power_cap": "high", "cooling": "low", "deferral": "low"}
"""Bound to go back to where the mesh is gone: full speed, coolest, nothing waiting."""
POINTS = 17
"""Values of a lever that are weighed at most in one decision."""
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Lever:
    """One lever. Values are `low`, `low + step`, … up to `high`; without a step any value between."""

    name: str
    kind: str
    low: float
    high: float
    step: float = 0.0
    ramp_per_s: float = math.inf
    """Fastest that it may be moved [unit/s]."""
    delay_s: float = 0.0
    """From an order to its effect [s]."""
    start_j: float | None = None
    """Energy to start one server [J]; None is learned."""
    wear_j: float = 0.0
    """Wear and disruption of moving it by one unit [J], beside what a fleet's moves cost anyway."""
    channel: str = ""
    """Telemetry channel that shows its value; empty is its name."""
    safe: float | None = None
    """Value to go back to where the mesh is gone; None is the kind's own."""
    explore: bool = False
    """It may be moved a step for no more than to learn what that does."""
    within_s: float = 0.0
    """How long deferred load may wait [s]."""
    parked_w: float = 0.0
    """Power of a vacated server [W]."""

    @property
    def shown_by(self) -> str:
        """Telemetry channel that shows its value."""
        return self.channel or self.name

    @property
    def revert_to(self) -> float:
        """Value to go back to where the mesh is gone."""
        if self.safe is not None:
            return self.safe
        return self.low if SAFE.get(self.kind) == "low" else self.high

    @property
    def unit_step(self) -> float:
        """The step, or a sixteenth of the range where there is none."""
        return self.step or (self.high - self.low) / (POINTS - 1)

    def reachable(self, now: float, horizon_s: float, low: float = -math.inf, high: float = math.inf) -> Vector:
        """Values that it can take within the horizon, `now` among them, the nearest POINTS to `now` if there are more.

        Bounds outrank the wish to stay: from outside of them only values nearer to them are reachable, and none where the ramp is too slow
        for even that.

        Args:
            now: its value now.
            horizon_s: time that it may move for [s].
            low, high: narrower bounds, of what was seen.
        """
        far = self.ramp_per_s * horizon_s + _TOLERANCE
        count = math.floor((self.high - self.low) / self.unit_step + _TOLERANCE) if self.unit_step > 0 else 0
        first = math.floor(min(max((now - self.low) / (self.unit_step or 1.0) - 4 * POINTS, 0), count))
        values = self.low + self.unit_step * np.arange(first, min(count, first + 8 * POINTS) + 1, dtype=np.float64)
        values = values[(np.abs(values - now) <= far) & (values >= low - _TOLERANCE) & (values <= high + _TOLERANCE)]
        if not self.inside(now):
            edge = self.low if now < self.low else self.high
            nearest = now + math.copysign(min(far, abs(edge - now)), edge - now)
            return values if values.size else np.array([nearest])
        values = np.asarray(np.unique(np.append(values, now)), np.float64)
        return values[np.sort(np.argsort(np.abs(values - now), kind="stable")[:POINTS])]

    def inside(self, value: float) -> bool:
        """Whether a value keeps the bounds."""
        return self.low - _TOLERANCE <= value <= self.high + _TOLERANCE


def fleet_lever(largest: int) -> Lever:
    """The lever of a source that declares none: `servers`, from 1 to the largest number seen."""
    return Lever("servers", "servers", 1.0, float(largest), 1.0)


def contradictions(levers: Sequence[Lever]) -> Mapping[str, str]:
    """What is wrong with a declaration, by field; empty if nothing is."""
    found: dict[str, str] = {}
    for i, lever in enumerate(levers):
        for field, problem in _wrong(lever):
            found[f"levers[{i}].{field}"] = problem
        for earlier in levers[:i]:
            if earlier.name == lever.name:
                found[f"levers[{i}].name"] = f"{lever.name!r} is declared twice"
            elif earlier.shown_by == lever.shown_by:
                found[f"levers[{i}].channel"] = f"{earlier.name!r} is shown by {lever.shown_by!r} as well"
            elif clash := next((group for group in (FLEET, SPEED) if {earlier.kind, lever.kind} <= set(group)), None):
                found[f"levers[{i}].kind"] = (
                    f"contradicts {earlier.name!r}: only one of {' and '.join(clash)} can be moved"
                )
    return found


def _wrong(lever: Lever) -> list[tuple[str, str]]:
    """(field, what is wrong with it) of one lever."""
    wrong = []
    if lever.high < lever.low:
        wrong.append(("high", f"lies below `low` ({lever.low:g})"))
    elif lever.step > lever.high - lever.low and lever.high > lever.low:
        wrong.append(("step", f"is larger than the range from {lever.low:g} to {lever.high:g}"))
    if lever.safe is not None and not lever.inside(lever.safe):
        wrong.append(("safe", f"lies outside of {lever.low:g} … {lever.high:g}"))
    if lever.kind in FLEET and (lever.low < 1 or any(value % 1 for value in (lever.low, lever.high, lever.step))):
        wrong.append(
            ("low", "a fleet has whole servers, and one at least: low, high and step must be whole, low 1 or more")
        )
    if lever.kind == "set_point" and lever.safe is None:
        wrong.append(("safe", "must be said for a set_point: the value to go back to when the mesh is gone"))
    if lever.kind == "frequency" and not (lever.low > 0 and lever.high <= 1):
        wrong.append(("low", "a frequency is a share of the nominal one: above 0, and 1 at most"))
    if lever.kind == "deferral" and not (lever.low >= 0 and lever.high <= 1):
        wrong.append(("high", "a deferral is a share of the load: from 0 to 1"))
    if lever.kind == "deferral" and lever.within_s <= 0:
        wrong.append(("within_s", "must be said for a deferral: how long load may wait"))
    return wrong
