"""A client of EIL, the Energy Intelligence Layer: sense, act and prove, from threads (EIL) or from an event loop (AsyncEIL)."""

from eil_sdk.async_streams import AsyncIngestStream
from eil_sdk.client import EIL, AsyncEIL
from eil_sdk.errors import (
    Aborted,
    AlreadyExists,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    EilError,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from eil_sdk.events import Event
from eil_sdk.streams import IngestStream
from eil_sdk.tokens import ClientCredentials
from eil_sdk.window import Refusal, Tally

__all__ = [
    "EIL",
    "Aborted",
    "AlreadyExists",
    "AsyncEIL",
    "AsyncIngestStream",
    "Cancelled",
    "ClientCredentials",
    "DataLoss",
    "DeadlineExceeded",
    "EilError",
    "Event",
    "FailedPrecondition",
    "IngestStream",
    "Internal",
    "InvalidArgument",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "Refusal",
    "ResourceExhausted",
    "Tally",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
]
