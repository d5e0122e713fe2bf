"""Clients of the mesh's services: one factory, from the service table.

A call carries the caller's token, request id, trace and what is left of its deadline. Retries happen only where the protos declare the
method idempotent. Headless names are balanced round robin.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from opentelemetry import propagate

from eil_mesh import baggage
from eil_mesh.access import access_of, contract, interface_of, methods
from eil_mesh.call import current_call
from eil_mesh.errors import DeadlineExceeded
from eil_mesh.layers import REQUEST_ID_HEADER, SERVICE_HEADER, TENANT_HEADER
from eil_mesh.settings import MeshSettings
from eil_mesh.tls import channel_credentials

Stub = TypeVar("Stub")
DEADLINE_S = 10.0
"""Deadline of a call on nobody's behalf."""
KEEPALIVE_MS = 30_000
"""Time between pings of a quiet connection; a server must bear pings this often, or it ends the connection."""


def service_config(watched: str, *interfaces: ServiceDescriptor) -> str:
    """gRPC service config: round robin over replicas whose health says that they serve `watched`; unary calls wait for one, and those that
    are idempotent are tried again."""
    unary = [
        (interface, path, method)
        for interface in interfaces
        for path, method in methods(interface)
        if not (method.server_streaming or method.client_streaming)
    ]
    retried, waiting = list[dict[str, str]](), list[dict[str, str]]()
    for interface, path, method in unary:
        access = access_of(path)
        kind = retried if access and access.idempotent else waiting
        kind.append({"service": interface.full_name, "method": method.name})
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    # A replica that is to go gets no calls from the moment that it says so.
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": watched},
    }
    config["methodConfig"] = [
        *([{"name": retried, "retryPolicy": policy, "waitForReady": True}] if retried else []),
        *([{"name": waiting, "waitForReady": True}] if waiting else []),
    ]
    return json.dumps(config)


def outgoing(service: str, own: Iterable[tuple[str, str | bytes]] = ()) -> grpc.aio.Metadata:
    """Metadata of a call that goes out from `service` on behalf of the call being served, beside the caller's `own`."""
    carrier: dict[str, str] = {SERVICE_HEADER: service}
    if call := current_call():
        carrier[REQUEST_ID_HEADER] = call.request_id
        if call.authorization:
            carrier["authorization"] = call.authorization
        elif call.principal.tenant:
            carrier[TENANT_HEADER] = call.principal.tenant
        if call.baggage:
            carrier[baggage.HEADER] = baggage.write(call.baggage)
    propagate.inject(carrier)
    return grpc.aio.Metadata(*((key, value) for key, value in own if key not in carrier), *carrier.items())


def _timeout_s(asked_s: float | None, *, longest_s: float | None) -> float | None:
    """What is left of the deadline of the call being served, at most what is asked for."""
    limits = [limit for limit in (asked_s, longest_s) if limit is not None]
    call = current_call()
    if call and call.deadline_s is not None:
        left_s = call.deadline_s - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise DeadlineExceeded("the deadline passed before the next service could be asked")
        limits.append(left_s)
    return min(limits, default=None)


class _Carrying:
    """A channel whose calls carry what they must. Interceptors would do the same at the price of a task for each call."""

    def __init__(self, channel: grpc.aio.Channel, service: str) -> None:
        self.channel, self._service = channel, service

    def unary_unary(self, *method: Any, **codec: Any) -> Callable[..., Any]:
        """A method of the stub; calls without a deadline get one."""
        return self._carried(self.channel.unary_unary(*method, **codec), longest_s=DEADLINE_S)

    def unary_stream(self, *method: Any, **codec: Any) -> Callable[..., Any]:
        """A method of the stub."""
        return self._carried(self.channel.unary_stream(*method, **codec), longest_s=None)

    def stream_unary(self, *method: Any, **codec: Any) -> Callable[..., Any]:
        """A method of the stub."""
        return self._carried(self.channel.stream_unary(*method, **codec), longest_s=None)

    def stream_stream(self, *method: Any, **codec: Any) -> Callable[..., Any]:
        """A method of the stub."""
        return self._carried(self.channel.stream_stream(*method, **codec), longest_s=None)

    def _carried(self, call: Callable[..., Any], *, longest_s: float | None) -> Callable[..., Any]:
        def carried(
            request: Any,
            *,
            timeout: float | None = None,
            metadata: Iterable[tuple[str, str | bytes]] | None = None,
            **rest: Any,
        ) -> Any:
            timeout_s = _timeout_s(timeout, longest_s=longest_s)
            return call(request, timeout=timeout_s, metadata=outgoing(self._service, metadata or ()), **rest)

        return carried


class Peers:
    """Channels to the other services, made when first needed."""

    def __init__(self, settings: MeshSettings) -> None:
        self._settings = settings
        self._channels: dict[tuple[str, bool], _Carrying] = {}

    def stub(self, make: Callable[[grpc.aio.Channel], Stub], service: str, *, well: bool = True) -> Stub:
        """A stub on a service's channel, e.g. `stub(RegimeServiceStub, "regime")`.

        Args:
            make: class of the stub.
            service: name of the service.
            well: reach only replicas whose health says that they serve; False is for asking about health.
        """
        if (service, well) not in self._channels:
            self._channels[service, well] = _Carrying(self._connect(service, well), self._settings.service)
        return make(cast(grpc.aio.Channel, self._channels[service, well]))

    def _connect(self, service: str, well: bool) -> grpc.aio.Channel:
        interfaces = [interface for file in contract(service) for interface in file.services_by_name.values()]
        options = [
            ("grpc.service_config", service_config(interface_of(service), *interfaces)),
            ("grpc.inhibit_health_checking", int(not well)),
            # Its own connections: a socket's name is relative to the state folder, and another's back-off is not ours.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2000),
            # Replicas come and go; asked again at once, a name server may still say what was.
            ("grpc.dns_min_time_between_resolutions_ms", 1000),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.max_receive_message_length", 64 * 1024 * 1024),
        ]
        address = self._settings.peer(service)
        if self._settings.tls_dir is None:
            options.append(("grpc.default_authority", "localhost"))
            return grpc.aio.insecure_channel(address, options)
        credentials = channel_credentials(self._settings.tls_dir)
        return grpc.aio.secure_channel(address, credentials, options)

    async def close(self) -> None:
        """Close every channel."""
        for channel in self._channels.values():
            await channel.channel.close()
