"""A service's front, `python -m eil_mesh.front SERVICE`: a process of its own for methods that are called very often.

It does what needs none of the service's state, half of the work of a small call, which one interpreter cannot do beside the other half:
the wire, identity, access, validation, budget. What was found good goes to the service in bundles. While one is under way, calls gather
for the next: the busier it is, the larger the bundles, and the fewer the commits.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

import grpc
from eil.common.v1 import relay_pb2, relay_pb2_grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from pydantic import ConfigDict

from eil_mesh import metrics, tracing
from eil_mesh.access import contract
from eil_mesh.call import Call, acting_for, current_call, serving
from eil_mesh.client import Peers
from eil_mesh.errors import EilError, PermissionDenied
from eil_mesh.identity import Principal
from eil_mesh.layers import authorise
from eil_mesh.server import Mesh, serve
from eil_mesh.services import SERVICES
from eil_mesh.settings import MeshSettings
from eil_mesh.status import from_status, internal, to_status

BUNDLE: Final = 256
"""Calls of a bundle at most."""
Behaviour = Callable[[Any, Any], Awaitable[Message]]


class Front:
    """Relays calls to its service.

    Args:
        peers: channels.
        service: name of the service whose front this is.
    """

    def __init__(self, peers: Peers, service: str) -> None:
        self._stub = peers.stub(relay_pb2_grpc.RelayServiceStub, service)
        self._service = service
        self._waiting: deque[tuple[relay_pb2.RelayedCall, asyncio.Future[bytes]]] = deque()
        self._under_way: asyncio.Task[None] | None = None

    def handler(self, path: str) -> grpc.GenericRpcHandler:
        """What serves the unary method at a gRPC path."""
        _, interface, name = path.split("/")
        method = grpc.unary_unary_rpc_method_handler(
            self.relay,
            request_deserializer=request_type(path).FromString,
            response_serializer=bytes,  # as the service wrote it
        )
        return grpc.method_handlers_generic_handler(interface, {name: method})

    async def relay(self, request: Message, context: object) -> bytes:
        """The service's answer to the call being served.

        Raises:
            EilError: the service refused.
            grpc.aio.AioRpcError: it could not be reached.
        """
        call = current_call()
        assert call is not None, "the layers stand around it"
        principal = call.principal
        relayed = relay_pb2.RelayedCall(
            method=call.method,
            request=request.SerializeToString(),
            subject=principal.subject,
            tenant=principal.tenant,
            roles=principal.roles,
            service=principal.service or "",
            request_id=call.request_id,
            idempotency_key=call.idempotency_key,
            baggage=call.baggage,
            traceparent=tracing.carried(),
        )
        answered = asyncio.get_running_loop().create_future()
        self._waiting.append((relayed, answered))
        self._send_on()
        return await answered

    def _send_on(self, _sent: object = None) -> None:
        """Send what waits, unless a bundle is under way: one at a time, so that they grow with the load."""
        if self._waiting and (self._under_way is None or self._under_way.done()):
            bundle = [self._waiting.popleft() for _ in range(min(len(self._waiting), BUNDLE))]
            metrics.FRONT_BUNDLE.observe(len(bundle))
            # A bundle goes in nobody's name: what is known of the call that filled it must not go on with those behind it.
            nobody = contextvars.Context()
            self._under_way = asyncio.create_task(self._send(bundle), context=nobody)
            self._under_way.add_done_callback(self._send_on, context=nobody)

    async def _send(self, bundle: list[tuple[relay_pb2.RelayedCall, asyncio.Future[bytes]]]) -> None:
        try:
            with acting_for(self._service, ""):
                response = await self._stub.Relay(relay_pb2.RelayRequest(calls=[call for call, _ in bundle]))
            for answer, (_, answered) in zip(response.answers, bundle, strict=True):
                if answered.done():  # the caller has left
                    continue
                if answer.status:
                    answered.set_exception(from_status(status_pb2.Status.FromString(answer.status)))
                else:
                    answered.set_result(answer.response)
        except Exception as error:  # whatever it was, nobody may wait for ever
            for _, answered in bundle:
                if not answered.done():
                    answered.set_exception(error)


def request_type(path: str) -> type[Message]:
    """What the method at a gRPC path of our contract takes."""
    _, interface, name = path.split("/")
    return GetMessageClass(descriptor_pool.Default().FindServiceByName(interface).methods_by_name[name].input_type)


class Behind(relay_pb2_grpc.RelayServiceServicer):
    """What a service with a front serves to it.

    Args:
        service: its name: nobody else's bundles are taken.
        servicer: answers the methods that the service table calls fronted.
    """

    def __init__(self, service: str, servicer: object) -> None:
        self._service = service
        self._methods: dict[str, tuple[Behaviour, type[Message]]] = {
            path: (getattr(servicer, path.rpartition("/")[2]), request_type(path)) for path in SERVICES[service].fronted
        }

    async def Relay(  # noqa: N802 - the contract's name
        self, request: relay_pb2.RelayRequest, context: grpc.aio.ServicerContext
    ) -> relay_pb2.RelayResponse:
        """Answer every call of the bundle."""
        asking = current_call()
        if asking is None or asking.principal.token or asking.principal.service != self._service:
            raise PermissionDenied("only the service's own front may relay", reason="ROLE_NOT_ALLOWED")
        answers = await asyncio.gather(*(self._answer(relayed, context) for relayed in request.calls))
        return relay_pb2.RelayResponse(answers=answers)

    async def _answer(
        self, relayed: relay_pb2.RelayedCall, context: grpc.aio.ServicerContext
    ) -> relay_pb2.RelayedAnswer:
        principal = Principal(
            relayed.subject, relayed.tenant, frozenset(relayed.roles), relayed.service or None, token=True
        )
        call = Call(
            method=relayed.method,
            request_id=relayed.request_id,
            principal=principal,
            idempotency_key=relayed.idempotency_key,
            baggage=dict(relayed.baggage),
        )
        try:
            if relayed.method not in self._methods:
                raise PermissionDenied(f"{relayed.method} has no front", reason="ROLE_NOT_ALLOWED")
            authorise(relayed.method, principal)
            behaviour, kind = self._methods[relayed.method]
            with tracing.served(relayed.method, relayed.traceparent), serving(call):
                response = await behaviour(kind.FromString(relayed.request), context)
        except Exception as error:
            known = error if isinstance(error, EilError) else internal(error, relayed.request_id)
            return relay_pb2.RelayedAnswer(status=to_status(known, relayed.request_id).SerializeToString())
        return relay_pb2.RelayedAnswer(response=response.SerializeToString())


def settings_of(service: str) -> type[MeshSettings]:
    """The settings of a service's front: those that every service has, under the service's own variables, and a socket of its own."""
    address = f"unix:{service}-front.sock"

    class FrontSettings(MeshSettings):
        """What else the service's variables say is not the front's."""

        model_config = ConfigDict(extra="ignore")

        service: ClassVar[str] = ""
        listen: str = address

    FrontSettings.service = service
    return FrontSettings


async def build(mesh: Mesh[Any]) -> None:
    """Serve what the service table calls fronted."""
    service = mesh.settings.service
    contract(service)  # its messages must be known before they are looked up
    front = Front(mesh.peers, service)
    mesh.server.add_generic_rpc_handlers([front.handler(path) for path in SERVICES[service].fronted])


if __name__ == "__main__":
    serve(settings_of(sys.argv.pop(1)), build)
