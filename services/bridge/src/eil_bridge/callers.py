"""Who asks over HTTP: the token is verified here again, whatever the door has done, and carried on to the services."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import jwt
from eil_mesh import baggage
from eil_mesh.call import Call
from eil_mesh.errors import Unauthenticated
from eil_mesh.identity import Principal, TokenVerifier
from starlette.requests import HTTPConnection

from eil_bridge.replies import request_id_of


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller with a verified token. `expires_s` is when it ends, in seconds since 1970."""

    principal: Principal
    authorization: str
    expires_s: float
    request_id: str
    baggage: Mapping[str, str] = field(default_factory=dict)
    """What it says of its purpose; see `eil_mesh.baggage`."""

    def call(self, method: str, deadline_s: float | None = None) -> Call:
        """The call that goes out in this caller's name; `deadline_s` is on the event loop's clock."""
        return Call(
            method=method,
            request_id=self.request_id,
            principal=self.principal,
            authorization=self.authorization,
            deadline_s=deadline_s,
            baggage=self.baggage,
        )


def authenticate(verifier: TokenVerifier, connection: HTTPConnection, *, in_query: bool = False) -> Caller:
    """The caller of a request.

    Args:
        verifier: verifies tokens.
        connection: the request or WebSocket.
        in_query: whether `access_token` in the query may stand for the header: browsers cannot set headers on a WebSocket.

    Raises:
        Unauthenticated: no token, or not a valid one.
    """
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme and scheme.lower() != "bearer":
        raise Unauthenticated("the authorization header must be `Bearer TOKEN`", reason="TOKEN_INVALID")
    token = token.strip() or (connection.query_params.get("access_token", "") if in_query else "")
    if not token:
        raise Unauthenticated("this needs a token: send `Authorization: Bearer $(eil token)`", reason="TOKEN_MISSING")
    principal = verifier.verify(token)
    claims = jwt.decode(token, options={"verify_signature": False})  # verified the line before
    said = baggage.read(connection.headers.get(baggage.HEADER, ""))
    return Caller(principal, f"Bearer {token}", float(claims["exp"]), request_id_of(connection), said)
