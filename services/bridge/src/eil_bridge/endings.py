"""Why a stream ends, to people and to programs."""

from dataclasses import dataclass, field

from eil_mesh.errors import EilError, InvalidArgument, ResourceExhausted, Unauthenticated, Unavailable

LONGEST_REASON = 123
"""Bytes that a WebSocket close frame may carry as its reason."""
CLOSE_CODES = {
    "INVALID_ARGUMENT": 4400,
    "UNAUTHENTICATED": 4401,
    "PERMISSION_DENIED": 4403,
    "RESOURCE_EXHAUSTED": 1013,
    "UNAVAILABLE": 1001,
}
"""WebSocket close code by the error's gRPC code; those from 4400 on are as in HTTP. The rest are 1011."""


@dataclass(frozen=True, slots=True, eq=False)
class Ending:
    """The error that a client is told at the end; None where it left by itself."""

    error: EilError | None
    code: int = field(init=False)
    """WebSocket close code."""

    def __post_init__(self) -> None:
        code = CLOSE_CODES.get(self.error.code, 1011) if self.error else 1000
        object.__setattr__(self, "code", code)

    @property
    def reason(self) -> str:
        """The message, cut to what a close frame takes."""
        text = self.error.message if self.error else "the client has left"
        raw = text.encode()
        return text if len(raw) <= LONGEST_REASON else raw[: LONGEST_REASON - 3].decode(errors="ignore") + "…"


GONE = Ending(None)
EXPIRED = Ending(
    Unauthenticated(
        "the token has expired; get a new one with `eil token` and connect again with the last id",
        reason="TOKEN_EXPIRED",
    )
)
TOO_SLOW = Ending(
    ResourceExhausted(
        "events came faster than they were read; connect again with the last id, or ask for fewer topics, one source or "
        "slow=skip",
        reason="TOO_SLOW",
    )
)
STOPPING = Ending(Unavailable("the bridge is stopping; connect again with the last id", reason="STREAM_STOPPING"))
UNKNOWN_PLACE = Ending(
    InvalidArgument(
        "the last id is not of these journals, or they were restored to an earlier state; connect again without it",
        reason="LAST_ID_UNKNOWN",
        violations={"last_id": "lies beyond the end of a journal"},
    )
)
RESTORED = Ending(
    Unavailable(
        "a journal was restored to an earlier state, so that ids of before mean nothing; connect again without one",
        reason="JOURNAL_RESTORED",
    )
)
