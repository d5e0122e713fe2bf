"""W3C baggage: what a caller says of its purpose, carried through every hop into traces, events and audit records.

It is the caller's word, and nothing is decided by it: identity and tenant come from the verified token alone. Only names under `eil.` are
carried, such as `eil.goal` and `eil.energy_budget_j`; whatever else stands in the header stays at the first service. (OpenTelemetry's own
reader takes a value's properties for a part of it.)
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

HEADER: Final = "baggage"
NAME: Final = re.compile(r"eil\.[a-z0-9_.]{1,60}")
MOST: Final = 16
"""Entries carried; what comes behind them is left out."""
LONGEST: Final = 256
"""Characters of a value; a longer one is left out."""
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def read(header: str) -> Mapping[str, str]:
    """The entries of a `baggage` header that are carried on; what is malformed is left out."""
    return dict(islice(_entries(header), MOST)) if header else NOTHING


def _entries(header: str) -> Iterator[tuple[str, str]]:
    for member in header.split(","):
        name, _, rest = member.partition("=")
        value = unquote(rest.partition(";")[0].strip(), errors="replace")
        if NAME.fullmatch(name.strip()) and 0 < len(value) <= LONGEST:
            yield name.strip(), value


def write(entries: Mapping[str, str]) -> str:
    """The header of these entries."""
    return ",".join(f"{name}={quote(value, safe='')}" for name, value in entries.items())
