"""The call being served: who calls, for which tenant, under which request id. What goes out on its behalf carries it along."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from eil_mesh.errors import PermissionDenied
from eil_mesh.identity import Principal


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of the call. `deadline_s` is on the event loop's clock."""

    method: str
    request_id: str
    principal: Principal
    authorization: str = ""
    idempotency_key: str = ""
    deadline_s: float | None = None
    baggage: Mapping[str, str] = field(default_factory=dict)
    """What the caller said of its purpose; see `baggage`."""


_current: ContextVar[Call | None] = ContextVar("eil_call", default=None)


def current_call() -> Call | None:
    """The call being served here, or None outside of one."""
    return _current.get()


def caller() -> Principal:
    """The principal of the call being served, with a tenant.

    Raises:
        PermissionDenied: outside of a call, or a service that named no tenant.
    """
    call = _current.get()
    if call is None or not call.principal.tenant:
        raise PermissionDenied("this needs a tenant; send a token, or act for a tenant", reason="NO_TENANT")
    return call.principal


@contextmanager
def serving(call: Call) -> Iterator[Call]:
    """Make `call` the current one."""
    token = _current.set(call)
    try:
        yield call
    finally:
        _current.reset(token)


@contextmanager
def acting_for(service: str, tenant: str, *, request_id: str = "") -> Iterator[Call]:
    """Let a task of `service` call others for `tenant` in the service's own name.

    Request id and purpose stay those of the call being served, if there is one.
    """
    served = _current.get()
    call = Call(
        method="background",
        request_id=request_id or (served.request_id if served else ""),
        principal=Principal(subject=service, tenant=tenant, service=service),
        baggage=served.baggage if served else {},
    )
    with serving(call):
        yield call
