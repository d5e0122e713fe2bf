"""How far the mesh may go: modes, leases, the budget of moves, and actions that nothing follows. All pure."""

from dataclasses import dataclass, replace

MODES = ("observe", "advise", "approve", "auto")
"""How far the mesh may go, least first."""
NEW_SOURCE_MODE = "advise"
MICROSECONDS = 1_000_000
BUDGET_WINDOW_S = 3600.0
"""The budget of moves is of so much of the source's clock [s]."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much trust the operator of the mesh lends it; see the service's settings."""

    lease_s: float = 900.0
    moved_per_hour: float = 0.5
    follow_s: float = 300.0
    missed: int = 5


@dataclass(frozen=True, slots=True)
class Lease:
    """An emitted action while it holds."""

    target: int
    revert_to: int


@dataclass(frozen=True, slots=True)
class Order:
    """An action as it would be emitted: how many servers it moves beyond what was ordered, and its lease."""

    target: int
    moved: int
    renewal: bool
    lease_s: float
    revert_to: int


def lower(own: str, asked: str) -> str:
    """The mode in force: a request can only lower the source's own."""
    return min(own, asked or own, key=MODES.index)


def may_emit(mode: str) -> bool:
    """Whether actions of the mode can leave at all, be it after an approval."""
    return MODES.index(mode) >= MODES.index("approve")


def order(servers: int, target: int, standing: Lease | None, horizon_s: float, limits: Limits) -> Order:
    """The action that takes `servers` to `target`, given the lease that stands.

    The size to go back to is the largest of the fleet now, the target, and what the standing lease goes back to: whoever is left without
    the mesh cannot know whether fewer would do. The lease covers two horizons at least, so that the next decision comes in time.
    """
    return Order(
        target=target,
        moved=abs(target - (standing.target if standing else servers)),
        renewal=standing is not None and standing.target == target,
        lease_s=max(limits.lease_s, 2 * horizon_s),
        revert_to=max(servers, target, standing.revert_to if standing else 0),
    )


def over_budget(moving: int, moved: int, fleet: int, limits: Limits) -> str:
    """Why a move is too much for this hour, or "" if it is not. One server may always be moved in an hour.

    Args:
        moving: servers that the action moves.
        moved: servers that actions moved in the hour before.
        fleet: the largest fleet seen.
        limits: what is allowed.
    """
    allowed = max(1, int(limits.moved_per_hour * fleet))
    if moving == 0 or moved + moving <= allowed:
        return ""
    return (
        f"it would move {moving} of {fleet} servers after {moved} in the hour before, and at most {allowed} may move in an hour "
        f"({limits.moved_per_hour:.0%} of the fleet); wait, or carry it out by hand"
    )


@dataclass(frozen=True, slots=True)
class Pending:
    """A move that was ordered and not seen yet."""

    before: int
    target: int
    since_us: int
    """When it was ordered at first, on the source's clock."""


@dataclass(frozen=True, slots=True)
class Following:
    """Whether the telemetry follows what is ordered."""

    missed: int = 0
    """Orders in a row that nothing followed."""
    pending: Pending | None = None
    halted: str = ""
    """Why the mesh set the source back to `advise`, until an operator sets its mode again."""

    def seen(self, servers: int, clock_us: int, follow_s: float) -> "Following":
        """After `servers` were seen at a moment of the source's clock: a move in the ordered direction is followed, however far it got."""
        move = self.pending
        if move is None:
            return self
        if abs(servers - move.target) < abs(move.before - move.target):
            return replace(self, missed=0, pending=None)
        if clock_us - move.since_us < follow_s * MICROSECONDS:
            return self
        return replace(self, missed=self.missed + 1, pending=None)

    def ordered(self, servers: int, target: int, clock_us: int) -> "Following":
        """After a size was ordered. The same intention, ordered again before it could be seen, counts once."""
        if servers == target:
            return replace(self, pending=None)
        since_us = self.pending.since_us if self.pending else clock_us
        return replace(self, pending=Pending(servers, target, since_us))


def not_followed(source: str, following: Following, servers: int, limits: Limits) -> str:
    """Why the source falls to `advise`, or "" if it does not."""
    if following.missed < limits.missed:
        return ""
    return (
        f"{following.missed} emitted actions in a row were not followed by the telemetry, which still shows {servers} servers, so that "
        f"{source!r} was set back to advise; look after what carries its actions out, then set its mode again"
    )


def stands_still(since_us: int, now_us: int, horizon_s: float) -> str:
    """Why a clock that no sample moved on makes everything old, for people; "" if it does not yet."""
    stood_s = (now_us - since_us) / MICROSECONDS
    if stood_s <= horizon_s:
        return ""
    return f"no sample has come for {stood_s:.0f} s, longer than the horizon of {horizon_s:.0f} s"
