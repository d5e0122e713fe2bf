"""A door that stays usable for as long as a feed runs: its token is renewed, and a mesh that moved is found again."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from eil_gateway.keys import issue_token
from eil_mesh.errors import FailedPrecondition

from eil_cli.door import NOT_REACHED, Door, DoorError
from eil_cli.endpoint import Endpoint, EndpointMissing

TOKEN_S = 24 * 3600.0
TIMEOUT_S = 10.0
UNAUTHENTICATED = 401
# 408 and 5xx: not now. 429: too much at once.
PASSING = frozenset({NOT_REACHED, UNAUTHENTICATED, 408, 429, 500, 502, 503, 504})


class Caller(Protocol):
    """What feeds need of a door."""

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, params: Mapping[str, Any] | None = None
    ) -> Any:
        """The answer of a call that succeeds; raises DoorError."""
        ...


class Closable(Caller, Protocol):
    """A door that can be shut."""

    def close(self) -> None:
        """Close the connection."""
        ...


def is_passing(error: DoorError) -> bool:
    """Whether trying again may help. The others repeat for ever: the request itself is refused."""
    return error.status in PASSING


class Contact:
    """A caller whose door is opened anew, with a new token, when half of the token's life is over, when the token is refused and
    when nobody answers (the mesh may have come back at another port).

    Args:
        open_door: opens a door with a fresh token.
        now_s: clock [s].
        renew_s: age of a door at which it is opened anew [s].
    """

    def __init__(
        self,
        open_door: Callable[[], Closable],
        *,
        now_s: Callable[[], float] = time.monotonic,
        renew_s: float = TOKEN_S / 2,
    ) -> None:
        self._open_door, self._now_s, self._renew_s = open_door, now_s, renew_s
        self._door: Closable | None = None
        self._opened_s = 0.0

    @classmethod
    def of(cls, state: Path, *, subject: str, roles: tuple[str, ...], tenant: str) -> "Contact":
        """Contact with the mesh of a state folder, under tokens issued with the folder's own key."""

        def open_door() -> Door:
            try:
                endpoint = Endpoint.load(state)
            except EndpointMissing as error:
                raise DoorError(NOT_REACHED, "NO_ENDPOINT", str(error)) from None
            try:
                token = issue_token(
                    state, subject=subject, roles=roles, tenant=tenant, ttl_s=TOKEN_S, now_s=time.time()
                )
            except FailedPrecondition as error:
                raise DoorError(NOT_REACHED, error.reason, error.message) from None
            return Door(endpoint, token, timeout_s=TIMEOUT_S)

        return cls(open_door)

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, params: Mapping[str, Any] | None = None
    ) -> Any:
        """The answer of a call that succeeds.

        Raises:
            DoorError: it was refused, or no answer came.
        """
        if self._door is not None and self._now_s() - self._opened_s >= self._renew_s:
            self.close()
        if self._door is None:
            self._door, self._opened_s = self._open_door(), self._now_s()
        try:
            return self._door.call(method, path, body, params=params)
        except DoorError as error:
            if error.status in (NOT_REACHED, UNAUTHENTICATED):
                self.close()
            raise

    def close(self) -> None:
        """Close the door, if one is open."""
        if self._door is not None:
            self._door.close()
            self._door = None
