"""This machine's own telemetry as a source."""

import re
import socket
from collections.abc import Callable
from typing import Any, Protocol

from eil_agent import Reading

from eil_cli.feeds.outbox import Outbox, Sample

MAX_SOURCE_LENGTH = 128


class Reader(Protocol):
    """Reads a machine."""

    def read(self) -> Reading:
        """The telemetry of now."""
        ...


def host_source(hostname: str | None = None) -> str:
    """The source name of this machine."""
    name = re.sub(r"[^A-Za-z0-9._:-]", "-", hostname or socket.gethostname())
    return f"host-{name}"[:MAX_SOURCE_LENGTH]


def declaration(reading: Reading, credential: str) -> dict[str, Any]:
    """What a machine is to the mesh: metered where something measures, with its uncertainty; else estimated."""
    return {
        "kind": "estimated" if reading.method == "MODELLED" else "metered",
        "credential": credential,
        "power_uncertainty": reading.relative_uncertainty,
    }


def power_kind(reading: Reading) -> str:
    """How power samples are to be integrated: sensors show an instant, counters and the utilisation model a mean."""
    return "instant" if reading.method == "METERED" else "mean"


class HostFeed:
    """Reads the machine each time it is told to and sends what it read.

    Args:
        reader: of the machine.
        outbox: of the source.
        say: takes lines for people.
    """

    def __init__(self, reader: Reader, outbox: Outbox, say: Callable[[str], None]) -> None:
        self._reader, self._outbox, self._say = reader, outbox, say
        self._notes: tuple[str, ...] = ()

    def tick(self, now_s: float) -> Reading:
        """Reads at `now_s` (Unix time) and sends. New notes of the reader are said once."""
        reading = self._reader.read()
        for note in reading.notes:
            if note not in self._notes:
                self._say(note)
        self._notes = reading.notes
        if reading.values:
            context = {
                "power_kind": power_kind(reading),
                "power_method": reading.method,
                "power_scope": reading.scope,
            }
            self._outbox.put(Sample(now_s, reading.values, context))
        self._outbox.flush(now_s)
        return reading
