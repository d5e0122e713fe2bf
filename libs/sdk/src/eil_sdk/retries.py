"""Deadlines, and which calls are made again.

A call is made again where the contract says that this does no harm: its method is declared idempotent, or its request has a `request_id`,
under which the mesh keeps the answer.
"""

import random
import time
from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool

from eil_sdk.errors import EilError

DEADLINE_S = 10.0
LONG_DEADLINE_S = {"/eil.diffusion.v1.DiffusionService/": 30.0}
"""Deadline of unary calls, all attempts together [s], and of those of services whose work takes longer. The mesh ends its own at 30 s."""
REPEATED = ("UNAVAILABLE", "RESOURCE_EXHAUSTED")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0


@cache
def idempotent(path: str) -> bool:
    """Whether the protos declare the method at a gRPC path idempotent."""
    service, _, name = path.removeprefix("/").partition("/")
    method = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    return method.GetOptions().idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN


@cache
def deadline_s(path: str) -> float:
    """How long a unary call may take that says nothing of it [s]."""
    return next((longer for prefix, longer in LONG_DEADLINE_S.items() if path.startswith(prefix)), DEADLINE_S)


def pause_s(tried: int) -> float:
    """How long to wait after so many failures in a row [s]: doubled each time, spread so that clients do not come back at once."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(tried - 1, 10)) * random.uniform(0.5, 1.0)


class Attempts:
    """The attempts of one unary call.

    Args:
        path: of the method, `/package.Service/Method`.
        request: what is sent.
        timeout_s: deadline of all attempts together; absent is the method's default.
    """

    def __init__(self, path: str, request: Any, timeout_s: float | None) -> None:
        self._repeats = idempotent(path) or bool(getattr(request, "request_id", ""))
        self._until = time.monotonic() + (deadline_s(path) if timeout_s is None else timeout_s)
        self._tried, self._renewed = 0, False

    def left_s(self) -> float:
        """How long the next attempt may take [s]."""
        return max(self._until - time.monotonic(), 0.0)

    def after(self, error: EilError, *, renewed: bool) -> float:
        """How long to wait before the next attempt [s]; `renewed` says that another token may be had than the one that was refused.

        Raises:
            EilError: there is no next attempt: this is how the call ends.
        """
        self._tried += 1
        if error.code == "UNAUTHENTICATED" and renewed and not self._renewed:
            self._renewed = True  # refused at the door: nothing was done, whatever the method
            return 0.0
        # Only the mesh knows when a queue or a budget has room again; where it does not say, waiting would be guessing.
        wait_s = error.retry_after_s if error.retry_after_s is not None else pause_s(self._tried)
        hopeless = error.code not in REPEATED or (error.code != "UNAVAILABLE" and error.retry_after_s is None)
        if hopeless or not self._repeats or wait_s >= self.left_s():
            raise error
        return wait_s
