"""Who may issue tokens beside the mesh itself: OpenID providers, listed in `issuers.json` beside the mesh's own key set.

The door and every service read the same list and judge alike: the door's configuration is made from it.
"""

import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from eil_mesh.errors import InvalidArgument

ROLES = ("viewer", "operator", "agent", "admin")
FILE = "issuers.json"
REFRESH_S = 300.0
"""Seconds after which keys behind a URL are fetched again; providers announce new ones well before they sign with them."""
RETRY_S = 5.0
"""Seconds after a fetch that failed, and at least between two that an unknown key asked for."""
FETCH_TIMEOUT_S = 10.0
ALGORITHMS: Mapping[tuple[str | None, str | None], tuple[str, ...]] = {
    ("RSA", None): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
"""Algorithms by kind of key and curve, the first where a key does not say. There is no shared secret among them, and no `none`."""
log = structlog.get_logger("eil.identity")


class Issuer(BaseModel):
    """One provider, and how its claims are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(min_length=1)
    """`iss` of its tokens, to the letter."""
    audience: str = Field(min_length=1)
    """What `aud` must name."""
    jwks_url: str = ""
    """Where its keys are: https://…"""
    jwks_file: str = ""
    """Or a file with them, relative to the list's folder."""
    ca_file: str = ""
    """Certificates that the URL's server is checked against, relative to the list's folder; empty: the system's."""
    roles_claim: str = Field(default="roles", min_length=1)
    """Claim that lists roles: a name, or a path such as `realm_access.roles`. One that holds a slash is a name, dots and all."""
    roles: dict[str, str] = Field(default_factory=dict)
    """Role of the mesh by the provider's; empty: they have the mesh's names."""
    tenant_claim: str = ""
    """Claim that names the tenant, as `roles_claim`."""
    tenant: str = ""
    """Tenant of tokens that name none; with a claim and without this such tokens are refused."""

    @field_validator("jwks_url")
    @classmethod
    def _encrypted(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme != "https" or not parts.hostname or parts.username or parts.fragment):
            raise ValueError(
                "must be https://HOST[:PORT]/PATH: whoever could alter the keys on their way could be anybody"
            )
        return url

    @field_validator("roles")
    @classmethod
    def _known(cls, roles: dict[str, str]) -> dict[str, str]:
        if unknown := sorted(set(roles.values()) - set(ROLES)):
            raise ValueError(f"{', '.join(unknown)}: no role of the mesh, which has {', '.join(ROLES)}")
        return roles

    @model_validator(mode="after")
    def _whole(self) -> "Issuer":
        if bool(self.jwks_url) == bool(self.jwks_file):
            raise ValueError("its keys are behind jwks_url or in jwks_file: give one of them")
        if not self.tenant_claim and not self.tenant:
            raise ValueError("give a tenant for all its tokens, or the tenant_claim that names it")
        return self

    def roles_of(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """The mesh's roles that verified claims speak of.

        Raises:
            ValueError: the claim is no list.
        """
        named = _claim(claims, self.roles_claim)
        if named is None:
            return frozenset()
        if not isinstance(named, list):
            raise ValueError(f"the token's `{self.roles_claim}` must be a list")
        known = self.roles or {role: role for role in ROLES}
        return frozenset(known[name] for name in named if isinstance(name, str) and name in known)

    def tenant_of(self, claims: Mapping[str, Any]) -> str:
        """The tenant that verified claims speak of.

        Raises:
            ValueError: they name none and must, or it is no name.
        """
        named = _claim(claims, self.tenant_claim) if self.tenant_claim else None
        tenant = self.tenant if named is None else named
        if not isinstance(tenant, str) or not tenant:
            raise ValueError(f"the token's `{self.tenant_claim}` must be a name")
        return tenant


def claim_path(claim: str) -> Sequence[str]:
    """The names on the way to a claim: `realm_access.roles` has two, `https://eil.example/roles` is one."""
    return (claim,) if "/" in claim else claim.split(".")


def _claim(claims: Mapping[str, Any], claim: str) -> Any:
    found: Any = claims
    for name in claim_path(claim):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    issuers: list[Issuer]

    @model_validator(mode="after")
    def _distinct(self) -> "_File":
        names = [issuer.issuer for issuer in self.issuers]
        if len(names) != len(set(names)):
            raise ValueError("an issuer is listed twice")
        return self


def read_issuers(folder: Path) -> list[Issuer]:
    """The providers that a folder of keys lists; none without the file.

    Raises:
        InvalidArgument: the file is not what it must be.
    """
    try:
        text = (folder / FILE).read_text()
    except FileNotFoundError:
        return []
    try:
        return _File.model_validate_json(text).issuers
    except ValidationError as error:
        raise InvalidArgument(f"{folder / FILE}: {problems(error)}; mend it with `eil issuers`") from None


def write_issuers(issuers: Sequence[Issuer]) -> str:
    """The text of the file that lists them.

    Raises:
        InvalidArgument: one is listed twice.
    """
    try:
        return _File(issuers=list(issuers)).model_dump_json(indent=2, exclude_defaults=True) + "\n"
    except ValidationError as error:
        raise InvalidArgument(problems(error)) from None


def problems(error: ValidationError) -> str:
    """What a model refuses, in a line."""
    return "; ".join(
        ".".join(map(str, problem["loc"]))
        + (": " if problem["loc"] else "")
        + problem["msg"].removeprefix("Value error, ")
        for problem in error.errors()
    )


def signing_keys(key_set: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """Public signature keys by id; a set may hold keys of other kinds, which verify nothing here."""
    keys: dict[str, jwt.PyJWK] = {}
    for key in key_set["keys"]:
        algorithms = ALGORITHMS.get((key.get("kty"), key.get("crv")), ("",))
        algorithm = key.get("alg", algorithms[0])
        if algorithm and algorithm in algorithms and key.get("use", "sig") == "sig" and "kid" in key:
            keys[key["kid"]] = jwt.PyJWK.from_dict(key, algorithm)
    return keys


class RemoteKeys:
    """The keys behind a URL, fetched by a thread of their own for as long as it is not stopped. The last good ones stay in force.

    Args:
        issuer: whose keys.
        folder: of its `ca_file`.
        changed: called, in that thread, when there are other keys than before.
    """

    def __init__(self, issuer: Issuer, folder: Path, changed: Callable[[], None]) -> None:
        self.keys: dict[str, jwt.PyJWK] | None = None
        """None until they were fetched once."""
        self._issuer, self._folder, self._changed = issuer, folder, changed
        self._raw: Any = None
        self._stopped, self._wanted = threading.Event(), threading.Event()
        threading.Thread(target=self._keep, name="eil-issuer-keys", daemon=True).start()

    def want(self) -> None:
        """A token names a key that is not among them: fetch them soon."""
        self._wanted.set()

    def stop(self) -> None:
        """Fetch no more."""
        self._stopped.set()
        self._wanted.set()

    def _keep(self) -> None:
        while not self._stopped.is_set():
            fetched = self._fetch()
            if not self._stopped.wait(RETRY_S) and fetched:
                self._wanted.wait(REFRESH_S - RETRY_S)
            self._wanted.clear()

    def _fetch(self) -> bool:
        try:
            trusted = str(self._folder / self._issuer.ca_file) if self._issuer.ca_file else None
            client = jwt.PyJWKClient(
                self._issuer.jwks_url,
                cache_jwk_set=False,
                timeout=FETCH_TIMEOUT_S,
                ssl_context=ssl.create_default_context(cafile=trusted),
            )
            raw = client.fetch_data()
            if raw != self._raw:
                self.keys, self._raw = signing_keys(raw), raw
                self._changed()
        except Exception as error:  # whatever a server far away answers, the keys known before stay in force
            if not self._stopped.is_set():
                log.error("the issuer's keys cannot be fetched", issuer=self._issuer.issuer, error=repr(error))
            return False
        return True
