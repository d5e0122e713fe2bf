"""Rows of the graph ⇄ messages of the contract; page tokens."""

from typing import Any

from eil.atlas.v1 import atlas_pb2
from eil_mesh.clock import MICROSECONDS, from_us
from eil_mesh.errors import InvalidArgument

from eil_atlas.changes import END_OF_TIME_US, Link, Shift
from eil_atlas.domain.spans import DAY_US, HOUR_US
from eil_atlas.domain.windows import WINDOW_US, state_id, window_start_us
from eil_atlas.graph import State

LEVELS = {
    atlas_pb2.RESOLUTION_UNSPECIFIED: WINDOW_US,
    atlas_pb2.RESOLUTION_MINUTE: WINDOW_US,
    atlas_pb2.RESOLUTION_HOUR: HOUR_US,
    atlas_pb2.RESOLUTION_DAY: DAY_US,
}
KINDS = {
    "feeds": atlas_pb2.LINK_KIND_FEEDS,
    "calls": atlas_pb2.LINK_KIND_CALLS,
    "adjacent": atlas_pb2.LINK_KIND_ADJACENT,
}
_NAMES = {number: name for name, number in KINDS.items()}


def state_record(tenant: str, domain: str, state: State) -> atlas_pb2.StateRecord:
    """A state as the contract has it."""
    previous_us = state.previous_us
    return atlas_pb2.StateRecord(
        id=state_id(tenant, state.source, state.start_us, state.level_us),
        source=state.source,
        timestamp=from_us(state.start_us),
        energy=state.energy_j,
        entropy=state.entropy,
        domain=domain,
        regime=state.regime,
        previous_id="" if previous_us is None else state_id(tenant, state.source, previous_us, state.level_us),
        covered_s=state.covered_s,
        power_method=state.power_method,
        resolution_s=state.level_us / MICROSECONDS,
        states=state.states,
    )


def shift_record(tenant: str, shift: Shift, standing: set[tuple[str, int]]) -> atlas_pb2.ShiftRecord:
    """A shift as the contract has it; `standing` are the windows (source, begin) that have a state."""
    window = (shift.source, window_start_us(shift.detected_us))
    return atlas_pb2.ShiftRecord(
        id=shift.id,
        source=shift.source,
        onset=from_us(shift.onset_us),
        from_regime=shift.from_regime,
        to_regime=shift.to_regime,
        state_id=state_id(tenant, *window) if window in standing else "",
    )


def link_of(message: atlas_pb2.Link) -> Link:
    """A link from its message; a weight that is not given is 1."""
    return Link(message.from_source, message.to_source, _NAMES[message.kind], message.weight or 1.0)


def link_record(link: Link) -> atlas_pb2.Link:
    """A link as the contract has it."""
    return atlas_pb2.Link(from_source=link.source, to_source=link.to_source, kind=KINDS[link.kind], weight=link.weight)


def strange(token: str) -> InvalidArgument:
    """The refusal of a page token that is none of ours."""
    return InvalidArgument(
        f"{token!r} is no page token; send `next_page_token` of the page before, or none to begin anew",
        violations={"page_token": "is not a token that a page gave"},
    )


def place_of(token: str) -> tuple[int, str]:
    """The place (time [µs], source) in a list, newest first, that a page token stands for; without one, the beginning.

    Raises:
        InvalidArgument: the token is none of ours.
    """
    if not token:
        return END_OF_TIME_US, ""
    time_us, _, source = token.partition("/")
    if not (time_us.isascii() and time_us.isdigit() and len(time_us) < 19):
        raise strange(token)
    return int(time_us), source


def token_after(found: list[Any], size: int, time_us: str) -> str:
    """The token of the page after `found`, whose places are its `source` and the field named; "" at the end."""
    return f"{getattr(found[-1], time_us)}/{found[-1].source}" if len(found) == size else ""
