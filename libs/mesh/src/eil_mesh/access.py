"""Who may call what, read from the `access` option beside every method in the protos."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from eil.common.v1 import access_pb2
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor

from eil_mesh.identity import Principal
from eil_mesh.services import OUTSIDERS

PUBLIC = ("/grpc.health.v1.Health/",)
"""Reachable without a token."""
AUTHENTICATED = ("/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/")
"""Reachable with any token."""


@dataclass(frozen=True, slots=True)
class Access:
    """Access to one method: any of the roles, or any of the services ("*" is every service)."""

    roles: frozenset[str]
    services: frozenset[str]
    idempotent: bool
    audited: bool = False
    """What it changes leaves an audit record beside it."""

    def allows(self, principal: Principal) -> bool:
        """Whether the caller may call.

        A token's roles alone decide wherever the method names roles: a service that acts for a user lends the user nothing. A service's own
        name counts where it comes without a token, and for methods that no role may call.
        """
        by_role = bool(self.roles) and ("admin" in principal.roles or bool(self.roles & principal.roles))
        if by_role or (principal.token and self.roles):
            return by_role
        if principal.service is None or principal.service in self.services:
            return principal.service is not None
        return "*" in self.services and principal.service not in OUTSIDERS


def role_name(role: int) -> str:
    """`ROLE_VIEWER` → `viewer`, as tokens carry it."""
    return access_pb2.Role.Name(access_pb2.Role.ValueType(role)).removeprefix("ROLE_").lower()


def _access(method: MethodDescriptor) -> Access:
    options = method.GetOptions()
    extension: Any = access_pb2.access  # the generated type is that of any extension
    rule = options.Extensions[extension]
    return Access(
        roles=frozenset(role_name(role) for role in rule.roles),
        services=frozenset(rule.services),
        idempotent=options.idempotency_level != descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN,
        audited=rule.audited,
    )


OTLP_METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
FOREIGN: Mapping[str, tuple[str, Access]] = {
    OTLP_METRICS: ("regime", Access(frozenset({"agent", "operator"}), frozenset(), idempotent=True)),
}
"""Methods of other people's contracts that a service serves: its name in the service table, and who may call."""


def contract(service: str) -> list[FileDescriptor]:
    """The proto files of a service's package, `eil.<service>.v1`."""
    package = importlib.import_module(f"eil.{service}.v1")
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__) if module.name.endswith("_pb2"))
    return [importlib.import_module(f"{package.__name__}.{name}").DESCRIPTOR for name in names]


def interface_of(service: str) -> str:
    """Full name of the interface that a service is named after; it has others beside."""
    return f"eil.{service}.v1.{service.capitalize()}Service"


def methods(service: ServiceDescriptor) -> Iterator[tuple[str, MethodDescriptor]]:
    """(`/package.Service/Method`, descriptor) of each method."""
    for method in service.methods:
        yield f"/{service.full_name}/{method.name}", method


@cache
def access_of(path: str) -> Access | None:
    """Access to the method at a gRPC path, or None if neither the protos nor `FOREIGN` know it."""
    if path in FOREIGN:
        return FOREIGN[path][1]
    service_name, _, method_name = path.removeprefix("/").partition("/")
    try:
        service = descriptor_pool.Default().FindServiceByName(service_name)
    except KeyError:
        return None
    method = service.methods_by_name.get(method_name)
    return _access(method) if method is not None else None
