"""Who may pass: tokens, and roles by gRPC path, from the `access` option beside every method. What is not named is denied."""

from collections import defaultdict

from eil_mesh.access import PUBLIC
from eil_mesh.identity import ROLES

from eil_gateway.contract import all_methods
from eil_gateway.keys import AUDIENCE, ISSUER
from eil_gateway.xds import Json, http_filter

JWT = "envoy.filters.http.jwt_authn"
HEALTH = "/v1/health"
STREAM = "/v1/stream"
MCP = "/mcp"
SKEW_S = 5
"""Seconds by which clocks may differ when a token is judged: the services' own tolerance."""


def grants() -> dict[str, frozenset[str]]:
    """Roles that may call each path: the methods with roles (and `admin`, where any role may), and the bridge's paths."""
    allowed = {method.path: method.access.roles | {"admin"} for method in all_methods() if method.access.roles}
    return {**allowed, STREAM: frozenset(ROLES), MCP: frozenset(ROLES)}


def _provider(**extra: object) -> Json:
    return {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "require_expiration": True,
        "clock_skew_seconds": SKEW_S,
        "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}],
        "forward": True,  # the services verify it again
        "payload_in_metadata": "jwt",
        "jwt_cache_config": {"jwt_cache_size": 1024},
        "local_jwks": {"filename": "keys/jwks.json"},
        **extra,
    }


def jwt_filter() -> Json:
    """Verifies tokens. Browsers cannot set headers on a WebSocket: for the stream alone the token may be a query parameter."""
    return http_filter(
        "jwt_authn",
        "jwt_authn",
        "JwtAuthentication",
        providers={"header": _provider(), "header_or_query": _provider(from_params=["access_token"])},
        rules=[
            {"match": {"path": HEALTH}},
            *({"match": {"prefix": prefix}} for prefix in PUBLIC),
            {"match": {"path": STREAM}, "requires": {"provider_name": "header_or_query"}},
            {"match": {"prefix": "/"}, "requires": {"provider_name": "header"}},
        ],
    )


def _holds(role: str) -> Json:
    roles = {
        "filter": JWT,
        "path": [{"key": "jwt"}, {"key": "roles"}],
        "value": {"list_match": {"one_of": {"string_match": {"exact": role}}}},
    }
    return {"sourced_metadata": {"metadata_matcher": roles}}


def _exact(path: str) -> Json:
    return {"url_path": {"path": {"exact": path}}}


def policies() -> dict[str, Json]:
    """One RBAC policy for each set of roles, and one for what is open to everybody."""
    paths: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    for path, roles in grants().items():
        paths[roles].append(path)
    open_to_all = [_exact(HEALTH), *({"url_path": {"path": {"prefix": prefix}}} for prefix in PUBLIC)]
    by_roles = {
        "-".join(sorted(roles)): {
            "permissions": [_exact(path) for path in sorted(own)],
            "principals": [_holds(role) for role in sorted(roles)],
        }
        for roles, own in sorted(paths.items(), key=lambda item: sorted(item[0]))
    }
    return {"everybody": {"permissions": open_to_all, "principals": [{"any": True}]}, **by_roles}


def role_filter() -> Json:
    """Lets through what a policy allows and denies everything else."""
    return http_filter("rbac", "rbac", "RBAC", rules={"action": "ALLOW", "policies": policies()})
