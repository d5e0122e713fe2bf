"""Who is calling: a verified token's principal, a service of the mesh, or both (a service on a principal's behalf)."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import structlog

from eil_mesh.errors import InvalidArgument, Unauthenticated, Unavailable
from eil_mesh.issuers import FILE, ROLES, Issuer, RemoteKeys, read_issuers, signing_keys

__all__ = ["DEFAULT_TENANT", "LEEWAY_S", "ROLES", "Principal", "TokenVerifier"]
DEFAULT_TENANT = "default"
log = structlog.get_logger("eil.identity")
FORWARDED_HEADER = "x-eil-forwarded-for"
"""Metadata by which a service's process says for whom it hands a call on to another of its own: the service whose certificate came with
it, or NOBODY_NAMED. From anybody else it counts for nothing."""
NOBODY_NAMED = "-"
LEEWAY_S = 5.0
"""Difference of clocks that a token's times forgive [s]."""
Stamp = tuple[int, int, int]
"""What of a file changes when it is written anew."""


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
    """Verifies tokens of the mesh and of the providers in `issuers.json`, which stands beside the mesh's key set.

    Files are read again when they change, and keys behind URLs are fetched in the background: new keys serve, withdrawn ones do not any
    more, and what cannot be read or fetched leaves the keys known before in force.

    Args:
        jwks: file with the mesh's own JSON Web Key Set.
        issuer: `iss` that the mesh's own tokens carry.
        audience: `aud` that they carry.
        now_s: the clock [s since 1970].
        remember: verified tokens kept, so that a caller's next request costs no signature check.
        look_s: seconds between looks at the files; 0 looks for each token.
    """

    def __init__(
        self,
        jwks: Path,
        issuer: str,
        audience: str,
        *,
        now_s: Callable[[], float],
        remember: int = 1024,
        look_s: float = 0.0,
    ) -> None:
        own = Issuer(
            issuer=issuer,
            audience=audience,
            jwks_file=jwks.name,
            tenant_claim="tenant",
            tenant=DEFAULT_TENANT,
        )
        self._folder, self._now_s, self._remember = jwks.parent, now_s, remember
        self._look_s, self._looked_s = look_s, float("-inf")
        self._list = self._folder / FILE
        self._own, self._issuers = own, {own.issuer: own}
        self._stamps: dict[Path, Stamp | None] = {}
        self._files: dict[Path, dict[str, jwt.PyJWK]] = {}
        self._remote: dict[str, tuple[Issuer, RemoteKeys]] = {}
        self._seen: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self._other_keys = threading.Event()
        """Set by the threads that fetch keys; what was verified before is judged anew."""
        self._read_list()  # keys behind URLs are under way before the first token comes

    def verify(self, token: str) -> Principal:
        """The token's principal.

        Raises:
            Unauthenticated: bad signature, expired, wrong issuer or audience, unknown key, malformed claims.
            Unavailable: its issuer's keys were never fetched yet.
        """
        self._refresh()
        if known := self._seen.get(token):
            expires, principal = known
            if self._now_s() < expires:
                self._seen.move_to_end(token)
                return principal
            del self._seen[token]
        try:
            issuer, key = self._signer(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],  # never what the token says
                issuer=issuer.issuer,
                audience=issuer.audience,
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
        principal = _principal(issuer, claims)
        self._seen[token] = (expires, principal)
        if len(self._seen) > self._remember:
            self._seen.popitem(last=False)
        return principal

    def close(self) -> None:
        """Fetch no more keys; those known stay."""
        for _, keys in self._remote.values():
            keys.stop()

    def _signer(self, token: str) -> tuple[Issuer, jwt.PyJWK]:
        """Whose token it says it is, and the key that it names."""
        whole = jwt.decode_complete(token, options={"verify_signature": False})
        name, kid = whole["payload"].get("iss"), whole["header"].get("kid")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise jwt.InvalidIssuerError("nobody here knows its issuer")
        keys = self._keys(issuer)
        if not isinstance(kid, str) or kid not in keys:
            if name in self._remote:
                self._remote[name][1].want()
            raise jwt.InvalidTokenError("it was signed by a key that the mesh does not know")
        return issuer, keys[kid]

    def _keys(self, issuer: Issuer) -> Mapping[str, jwt.PyJWK]:
        if issuer.jwks_file:
            return self._files.get(self._folder / issuer.jwks_file, {})
        keys = self._remote[issuer.issuer][1].keys
        if keys is None:
            raise Unavailable(
                f"the keys of {issuer.issuer} could not be fetched yet, so its tokens cannot be judged; try again in a few "
                f"seconds; see that {issuer.jwks_url} can be reached from here",
                reason="ISSUER_UNREACHABLE",
                retry_after_s=5.0,
            )
        return keys

    def _refresh(self) -> None:
        """Read what is another file than the one read before."""
        if self._look_s:  # asking the file system costs as much as all the rest of a known token
            if (now_s := time.monotonic()) < self._looked_s + self._look_s:
                return
            self._looked_s = now_s
        if self._changed(self._list):
            self._read_list()
        for issuer in self._issuers.values():
            if issuer.jwks_file and self._changed(path := self._folder / issuer.jwks_file):
                self._read_keys(path)
        if self._other_keys.is_set():
            self._other_keys.clear()
            self._seen.clear()

    def _changed(self, path: Path) -> bool:
        """Whether the file is another than at the last time; one that is gone is no other, except for the list."""
        try:
            stat = path.stat()
            stamp = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        except OSError as error:
            if path != self._list:
                log.error(
                    "the key set cannot be read; the keys known before stay in force", path=str(path), error=repr(error)
                )
                return False
            stamp = None
        if stamp == self._stamps.get(path):
            return False
        self._stamps[path] = stamp
        return True

    def _read_keys(self, path: Path) -> None:
        try:
            self._files[path] = signing_keys(json.loads(path.read_text()))
            self._seen.clear()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
            log.error(
                "the key set cannot be read; the keys known before stay in force", path=str(path), error=repr(error)
            )

    def _read_list(self) -> None:
        """Take the providers of the list, and none that is in it no more. The mesh's own issuer cannot be replaced by it."""
        try:
            listed = {issuer.issuer: issuer for issuer in read_issuers(self._folder)}
        except (InvalidArgument, OSError) as error:
            log.error("the list of issuers cannot be read; those known before stay in force", error=str(error))
            return
        self._issuers = {**listed, self._own.issuer: self._own}
        remote = {name: issuer for name, issuer in self._issuers.items() if issuer.jwks_url}
        for name, (issuer, keys) in list(self._remote.items()):
            if remote.get(name) != issuer:
                keys.stop()
                del self._remote[name]
        for name, issuer in remote.items():
            if name not in self._remote:
                self._remote[name] = issuer, RemoteKeys(issuer, self._folder, self._other_keys.set)
        self._seen.clear()


def _principal(issuer: Issuer, claims: dict[str, Any]) -> Principal:
    try:
        if not claims["sub"]:
            raise ValueError("the token's `sub` names nobody")
        return Principal(claims["sub"], issuer.tenant_of(claims), issuer.roles_of(claims), token=True)
    except ValueError as error:
        raise Unauthenticated(f"{error}; have its issuer mend it", reason="TOKEN_INVALID") from None
