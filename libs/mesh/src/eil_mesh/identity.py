"""Who is calling: a verified token's principal, a service of the mesh, or both (a service on a principal's behalf)."""

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import structlog

from eil_mesh.errors import Unauthenticated

DEFAULT_TENANT = "default"
ROLES = ("viewer", "operator", "agent", "admin")
log = structlog.get_logger("eil.identity")
LEEWAY_S = 5.0
"""Difference of clocks that a token's times forgive [s]."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. `tenant` comes from the verified token, or from the calling service, never from a body."""

    subject: str
    tenant: str
    roles: frozenset[str] = frozenset()
    service: str | None = None
    """The calling service of the mesh, if it is one."""
    token: bool = False
    """A verified token stands behind it; otherwise it is a service in its own name."""


class TokenVerifier:
    """Verifies RS256 tokens against a JWKS file, which is read again when it changes: new keys serve, withdrawn ones do not any more.

    Args:
        jwks: file with the JSON Web Key Set.
        issuer: `iss` that tokens must carry.
        audience: `aud` that tokens must carry.
        remember: verified tokens kept, so that a caller's next request costs no signature check.
    """

    def __init__(self, jwks: Path, issuer: str, audience: str, *, now_s: Callable[[], float], remember: int = 1024):
        self._jwks, self._issuer, self._audience = jwks, issuer, audience
        self._now_s, self._remember = now_s, remember
        self._keys: dict[str, Any] = {}
        self._read: tuple[int, int, int] | None = None
        self._seen: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    def verify(self, token: str) -> Principal:
        """The token's principal.

        Raises:
            Unauthenticated: bad signature, expired, wrong issuer or audience, unknown key, malformed claims.
        """
        self._refresh()
        if known := self._seen.get(token):
            expires, principal = known
            if self._now_s() < expires:
                self._seen.move_to_end(token)
                return principal
            del self._seen[token]
        try:
            claims = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token).get("kid", "")),
                algorithms=["RS256"],
                issuer=self._issuer,
                audience=self._audience,
                # The times are judged below, on the injected clock.
                options={"require": ["exp", "sub"], "verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            expires, begins = float(claims["exp"]), float(claims.get("nbf", 0))
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(
                f"the token is not valid ({error}); get one with `eil token`", reason="TOKEN_INVALID"
            ) from None
        except (TypeError, ValueError):
            raise Unauthenticated("the token's `exp` and `nbf` must be numbers", reason="TOKEN_INVALID") from None
        if self._now_s() > expires + LEEWAY_S:
            raise Unauthenticated("the token has expired; get a new one with `eil token`", reason="TOKEN_EXPIRED")
        if self._now_s() < begins - LEEWAY_S:
            raise Unauthenticated("the token is not valid yet; check the clocks", reason="TOKEN_INVALID")
        principal = _principal(claims)
        self._seen[token] = (expires, principal)
        if len(self._seen) > self._remember:
            self._seen.popitem(last=False)
        return principal

    def _refresh(self) -> None:
        """Read the key set if the file is another than the one read before."""
        try:
            stat = self._jwks.stat()
            stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if stamp == self._read:
                return
            self._read = stamp
            self._keys = _signing_keys(json.loads(self._jwks.read_text()))
            self._seen.clear()
        except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            log.error(
                "the key set cannot be read; the keys known before stay in force",
                path=str(self._jwks),
                error=repr(error),
            )

    def _key(self, kid: str) -> Any:
        if kid not in self._keys:
            raise jwt.InvalidTokenError("it was signed by a key that the mesh does not know")
        return self._keys[kid]


def _signing_keys(key_set: dict[str, Any]) -> dict[str, Any]:
    """RSA signature keys by id; a set may hold keys of other kinds, which verify nothing here."""
    return {
        key["kid"]: jwt.PyJWK.from_dict(key, "RS256").key
        for key in key_set["keys"]
        if key.get("kty") == "RSA" and key.get("use", "sig") == "sig" and "kid" in key
    }


def _principal(claims: dict[str, Any]) -> Principal:
    roles, tenant = claims.get("roles", []), claims.get("tenant", DEFAULT_TENANT)
    if not isinstance(roles, list) or not isinstance(tenant, str) or not tenant:
        raise Unauthenticated("the token's `roles` must be a list and its `tenant` a name", reason="TOKEN_INVALID")
    return Principal(claims["sub"], tenant, frozenset(role for role in roles if role in ROLES), token=True)
