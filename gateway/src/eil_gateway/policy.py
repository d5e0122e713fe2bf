"""Who may pass: tokens, and roles by gRPC path, from the `access` option beside every method. What is not named is denied."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from eil_mesh.access import PUBLIC
from eil_mesh.identity import DEFAULT_TENANT, ROLES
from eil_mesh.issuers import REFRESH_S, RETRY_S, Issuer, claim_path, read_issuers
from eil_mesh.signing import AUDIENCE, ISSUER

from eil_gateway.clusters import issuer_cluster
from eil_gateway.contract import all_methods
from eil_gateway.options import Options
from eil_gateway.xds import Json, http_filter

JWT = "envoy.filters.http.jwt_authn"
RBAC = "envoy.filters.http.rbac"
HEALTH = "/v1/health"
STREAM = "/v1/stream"
MCP = "/mcp"
TOKEN = "/v1/token"
OPEN = (HEALTH, TOKEN, "/v1/openapi.json", "/docs")
"""The bridge's paths that need no token."""
DOCS_FILES = "/docs/[A-Za-z0-9._-]+"
"""And those of the files that its page loads, as a pattern."""
FOREIGN_ORIGIN = "foreign-origin"
"""Name of the rule that turns a page away; it stands in the log."""
SKEW_S = 5
"""Seconds by which clocks may differ when a token is judged: the services' own tolerance."""


def all_issuers(keys: Path) -> list[Issuer]:
    """The mesh itself and the providers that a folder of keys lists, as every service's TokenVerifier takes them.

    Raises:
        InvalidArgument: the list is damaged.
    """
    own = Issuer(issuer=ISSUER, audience=AUDIENCE, jwks_file="jwks.json", tenant_claim="tenant", tenant=DEFAULT_TENANT)
    return [own, *(issuer for issuer in read_issuers(keys) if issuer.issuer != ISSUER)]


def grants() -> dict[str, frozenset[str]]:
    """Roles that may call each path: the methods with roles (and `admin`, where any role may), and the bridge's paths."""
    allowed = {method.path: method.access.roles | {"admin"} for method in all_methods() if method.access.roles}
    return {**allowed, STREAM: frozenset(ROLES), MCP: frozenset(ROLES)}


def _keys(issuer: Issuer, keys: Path) -> Json:
    if issuer.jwks_file:
        return {"local_jwks": {"inline_string": (keys / issuer.jwks_file).read_text()}}
    source = {"uri": issuer.jwks_url, "cluster": issuer_cluster(issuer), "timeout": "10s"}
    return {
        "remote_jwks": {
            "http_uri": source,
            "cache_duration": f"{REFRESH_S}s",
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": f"{RETRY_S}s"},
        }
    }


def _provider(issuer: Issuer, keys: Path, **extra: object) -> Json:
    return {
        "issuer": issuer.issuer,
        "audiences": [issuer.audience],
        "require_expiration": True,
        "clock_skew_seconds": SKEW_S,
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "forward": True,  # the services verify it again
        "payload_in_metadata": "jwt",
        "jwt_cache_config": {"jwt_cache_size": 1024},
        **_keys(issuer, keys),
        **extra,
    }


def _any_of(names: Sequence[str]) -> Json:
    requirements = [{"provider_name": name} for name in names]
    return requirements[0] if len(names) == 1 else {"requires_any": {"requirements": requirements}}


def jwt_filter(keys: Path) -> Json:
    """Verifies tokens. Browsers cannot set headers on a WebSocket: for the stream alone the token may be a query parameter."""
    issuers = all_issuers(keys)
    header = {issuer.issuer: _provider(issuer, keys) for issuer in issuers}
    either = {f"query {name}": {**provider, "from_params": ["access_token"]} for name, provider in header.items()}
    return http_filter(
        "jwt_authn",
        "jwt_authn",
        "JwtAuthentication",
        providers={**header, **either},
        rules=[
            *({"match": {"path": path}} for path in OPEN),
            {"match": {"safe_regex": {"regex": DOCS_FILES}}},
            *({"match": {"prefix": prefix}} for prefix in PUBLIC),
            {"match": {"path": STREAM}, "requires": _any_of(list(either))},
            {"match": {"prefix": "/"}, "requires": _any_of(list(header))},
        ],
    )


def _claims(path: Sequence[str], value: Json) -> Json:
    keys = [{"key": key} for key in ("jwt", *path)]
    return {"sourced_metadata": {"metadata_matcher": {"filter": JWT, "path": keys, "value": value}}}


def _holds(role: str, issuer: Issuer) -> list[Json]:
    """Principals with a token of the issuer that gives them the role, one for each of its names."""
    names = [name for name, given in issuer.roles.items() if given == role] if issuer.roles else [role]
    theirs = _claims(["iss"], {"string_match": {"exact": issuer.issuer}})
    return [{"and_ids": {"ids": [theirs, _claims(claim_path(issuer.roles_claim), _listed(name))]}} for name in names]


def _listed(name: str) -> Json:
    return {"list_match": {"one_of": {"string_match": {"exact": name}}}}


def _exact(path: str) -> Json:
    return {"url_path": {"path": {"exact": path}}}


def policies(issuers: Sequence[Issuer]) -> dict[str, Json]:
    """One RBAC policy for each set of roles, and one for what is open to everybody."""
    paths: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    for path, roles in grants().items():
        paths[roles].append(path)
    open_to_all = [
        *map(_exact, OPEN),
        {"url_path": {"path": {"safe_regex": {"regex": DOCS_FILES}}}},
        *({"url_path": {"path": {"prefix": prefix}}} for prefix in PUBLIC),
    ]
    by_roles = {
        "-".join(sorted(roles)): {
            "permissions": [_exact(path) for path in sorted(own)],
            "principals": [held for issuer in issuers for role in sorted(roles) for held in _holds(role, issuer)],
        }
        for roles, own in sorted(paths.items(), key=lambda item: sorted(item[0]))
    }
    return {"everybody": {"permissions": open_to_all, "principals": [{"any": True}]}, **by_roles}


def role_filter(keys: Path) -> Json:
    """Lets through what a policy allows and denies everything else."""
    return http_filter("rbac", "rbac", "RBAC", rules={"action": "ALLOW", "policies": policies(all_issuers(keys))})


def origin_filter(options: Options) -> Json:
    """Turns pages of other origins away from the stream: a WebSocket is nothing that CORS governs, any page may open one."""
    own = [f"https://{host}:{options.port}" for host in ("localhost", "127.0.0.1", "[::1]")]
    allowed = [{"header": {"name": "origin", "string_match": {"exact": o}}} for o in (*own, *options.cors_origins)]
    foreign = [
        _exact(STREAM),
        {"header": {"name": "origin", "present_match": True}},
        {"not_rule": {"or_rules": {"rules": allowed}}},
    ]
    denied = {"permissions": [{"and_rules": {"rules": foreign}}], "principals": [{"any": True}]}
    rules = {"action": "DENY", "policies": {FOREIGN_ORIGIN: denied}}
    return {**http_filter("rbac", "rbac", "RBAC", rules=rules), "name": "origins"}
