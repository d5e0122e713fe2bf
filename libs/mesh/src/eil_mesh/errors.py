"""The one error tree. Raise these anywhere; the server turns them into google.rpc.Status with ErrorInfo, BadRequest and RetryInfo.

Anything else that escapes a method becomes INTERNAL with an error id that stands in the log: details of bugs do not leave the process.
This module imports nothing, so that domain code may use it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

DOMAIN = "eil.energy"
"""`domain` of every ErrorInfo."""


class EilError(Exception):
    """An error that a caller can act on.

    `message` says what happened, what it means and what to do. `reason` is UPPER_SNAKE and stable: programs may rely on it.
    """

    code = "INTERNAL"
    reason = "INTERNAL"
    retry_after_s: float | None = None
    """When to try again [s], where waiting helps."""

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        violations: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or type(self).reason
        self.violations = dict(violations or {})
        self.headers = dict(headers or {})
        """What the answer carries beside the status; only names that `status.PASSED` knows go on through other services."""
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s


class InvalidArgument(EilError):
    """The request breaks a rule whatever the state; `violations` maps fields to what is wrong with them."""

    code = "INVALID_ARGUMENT"
    reason = "INVALID_ARGUMENT"


class OutOfRange(EilError):
    """A value lies outside what is accepted now."""

    code = "OUT_OF_RANGE"
    reason = "OUT_OF_RANGE"


class NotFound(EilError):
    """There is no such thing, or it is another tenant's."""

    code = "NOT_FOUND"
    reason = "NOT_FOUND"


class AlreadyExists(EilError):
    """The id was used for something else."""

    code = "ALREADY_EXISTS"
    reason = "ALREADY_EXISTS"


class FailedPrecondition(EilError):
    """The state does not allow it; repeating alone does not help."""

    code = "FAILED_PRECONDITION"
    reason = "FAILED_PRECONDITION"


class Unauthenticated(EilError):
    """Nobody knows who is asking."""

    code = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"


class PermissionDenied(EilError):
    """The caller is known and may not."""

    code = "PERMISSION_DENIED"
    reason = "PERMISSION_DENIED"


class ResourceExhausted(EilError):
    """A queue, budget or balance is used up."""

    code = "RESOURCE_EXHAUSTED"
    reason = "RESOURCE_EXHAUSTED"


class Unavailable(EilError):
    """Not now; trying again may help."""

    code = "UNAVAILABLE"
    reason = "UNAVAILABLE"
    retry_after_s = 1.0


class DeadlineExceeded(EilError):
    """The caller's deadline passed."""

    code = "DEADLINE_EXCEEDED"
    reason = "DEADLINE_EXCEEDED"


class DataLoss(EilError):
    """Stored data is not what was stored."""

    code = "DATA_LOSS"
    reason = "DATA_LOSS"


@contextmanager
def as_invalid_argument(field: str = "") -> Iterator[None]:
    """Turn the ValueError by which domain code refuses a value into InvalidArgument; its message is already for the caller."""
    try:
        yield
    except ValueError as error:
        raise InvalidArgument(str(error), violations={field: str(error)} if field else None) from error
