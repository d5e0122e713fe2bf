"""What calls cost, in one table: by gRPC path, 10⁻⁶ CEU. A call of a method that the table does not name costs `CALL_U`.

Methods that take samples cost one more for each hundred of them begun; a sample is one row, the values of a source at one moment,
however many they are. Inference costs by the step, whatever the call: 1 CEU is 1000 steps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from google.protobuf.message import Message

from eil_mesh.access import AUTHENTICATED, PUBLIC
from eil_mesh.identity import Principal

DOORS: Final = (None, "bridge")
"""Where calls from outside come from: straight through the gateway, or by the bridge, which speaks for agents."""
CALL_U: Final = 1
"""Price of an ordinary call: a tenant's starting grant of 1000 CEU pays thirty of them a second for a year."""
READ_U: Final = 100
"""Price of a call that reads or draws without an end of its own."""
SAMPLES_PER_U: Final = 100
"""Samples that one 10⁻⁶ CEU pays."""
STEP_U: Final = 1000
"""Price of one inference step."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call costs: itself, and the samples that its request holds."""

    call_u: int = CALL_U
    samples: Callable[[Any], int] | None = None

    def of(self, request: object) -> int:
        """Cost of a call with this request, 10⁻⁶ CEU; of a stream of requests, cost of opening it."""
        if self.samples is None or not isinstance(request, Message):
            return self.call_u
        return self.call_u + samples_u(self.samples(request))


def rows_of(batch: Any) -> int:
    """Samples of an IngestRequest, whose times are written in one of two ways."""
    return max(len(batch.timestamps), len(batch.times_us))


FREE: Final = Cost(0)
ORDINARY: Final = Cost()
TABLE: Final[Mapping[str, Cost]] = {
    # Whoever has used up a budget can still see it, and pay into it.
    "/eil.economy.v1.EconomyService/": FREE,
    # Messages of these are others' doing.
    "/eil.events.v1.EventLogService/": FREE,
    "/eil.decision.v1.DecisionService/StreamActions": FREE,
    # The stop button is pressed by whoever may, at any time.
    "/eil.decision.v1.DecisionService/StopActions": FREE,
    "/eil.regime.v1.RegimeService/Ingest": Cost(samples=rows_of),
    "/eil.atlas.v1.ArchiveService/ReadSamples": Cost(READ_U),
    "/eil.atlas.v1.AtlasService/DrawEnergyMap": Cost(READ_U),
    "/eil.atlas.v1.ConsistencyService/Verify": Cost(READ_U),
    "/eil.diffusion.v1.DiffusionService/VerifyRun": Cost(READ_U),
    **dict.fromkeys((*PUBLIC, *AUTHENTICATED), FREE),
}
"""By path, or by `/package.Service/` for all methods of one. Streams of telemetry are charged message by message: see `CeuMeter.charge`."""


@cache
def cost_of(path: str) -> Cost:
    """What a method costs."""
    return TABLE.get(path) or TABLE.get(path[: path.rfind("/") + 1], ORDINARY)


def samples_u(samples: int) -> int:
    """Price of `samples` (>= 0) samples that come together, 10⁻⁶ CEU."""
    return -(-samples // SAMPLES_PER_U)


def from_outside(principal: Principal) -> bool:
    """Whether calls, and the samples they bring, are charged to the caller: not again where a service calls on a user's behalf."""
    return principal.token and principal.service in DOORS
