"""What calls are for, as W3C baggage: the mesh carries it through every hop into traces, events and audit records.

It is the caller's word: nothing is decided by it.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import quote

from eil_sdk.errors import InvalidArgument

HEADER = "baggage"
NAME = re.compile(r"[a-z0-9_.]{1,60}")
MOST, LONGEST = 16, 256
"""Entries, and characters of a value, that the mesh carries on; it would leave out what goes beyond."""

_header: ContextVar[Mapping[str, str] | None] = ContextVar("eil_purpose", default=None)


@contextmanager
def purpose(*, goal: str | None = None, energy_budget_j: float | None = None, **more: str | float) -> Iterator[None]:
    """Say what the calls in this block are for, in this thread or task.

    Blocks nest: an inner one adds to the outer, and changes what it names anew.

    Args:
        goal: what is to be reached, in words: `eil.goal`.
        energy_budget_j: energy that reaching it may cost [J]: `eil.energy_budget_j`.
        more: further entries; a name `x` is sent as `eil.x`.

    Raises:
        InvalidArgument: the mesh would not carry it on: over 16 entries, a name that is not of a–z, 0–9, _ and ., or a value that is
            empty or over 256 characters.
    """
    named = {"goal": goal, "energy_budget_j": energy_budget_j, **more}
    entries = dict(_header.get() or {}) | {
        f"eil.{name}": str(value) for name, value in named.items() if value is not None
    }
    if len(entries) > MOST:
        raise InvalidArgument(f"a purpose has {MOST} entries at most, not {len(entries)}")
    for name, value in entries.items():
        if not NAME.fullmatch(name.removeprefix("eil.")) or not 0 < len(value) <= LONGEST:
            raise InvalidArgument(
                f"the mesh would leave this entry of a purpose out: names are of a-z, 0-9, _ and ., values of 1 to {LONGEST} characters",
                violations={name.removeprefix("eil."): f"{len(value)} characters"},
            )
    token = _header.set(entries)
    try:
        yield
    finally:
        _header.reset(token)


def header() -> dict[str, str]:
    """The header that says it; empty where nothing was said."""
    entries = _header.get() or {}
    return {HEADER: ",".join(f"{name}={quote(value, safe='')}" for name, value in entries.items())} if entries else {}
