"""What stands around every method, from the outside in: telemetry, deadline, identity and access, validation, the caller's budget.

What a layer raises becomes the call's status. Together they are one interceptor.
"""

from __future__ import annotations

import asyncio
import inspect
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import protovalidate
from google.protobuf.message import DecodeError, Message
from opentelemetry import trace

from eil_mesh import baggage, metrics, tracing
from eil_mesh.access import AUTHENTICATED, PUBLIC, access_of
from eil_mesh.call import Call, serving
from eil_mesh.costs import cost_of, from_outside
from eil_mesh.errors import DeadlineExceeded, EilError, InvalidArgument, PermissionDenied, Unauthenticated, Unavailable
from eil_mesh.identity import FORWARDED_HEADER, NOBODY_NAMED, Principal, TokenVerifier
from eil_mesh.services import OUTSIDERS
from eil_mesh.status import abort
from eil_mesh.stream_end import told
from eil_mesh.tls import peer_service
from eil_mesh.under_way import UnderWay

if TYPE_CHECKING:
    from eil_mesh.metering import CeuMeter

T = TypeVar("T")
CHECKED_INSIDE = frozenset({"/eil.regime.v1.RegimeService/IngestStream"})
"""Methods that check their messages by themselves."""
NOBODY = Principal(subject="", tenant="")
SERVICE_HEADER = "x-eil-service"
TENANT_HEADER = "x-eil-tenant"
REQUEST_ID_HEADER = "x-request-id"


@dataclass(frozen=True, slots=True)
class Guard:
    """What the layers need to know of the process."""

    verifier: TokenVerifier
    tls: bool
    """Peers are known by certificate (distributed), not by header on a private socket (embedded)."""
    deadline_s: float
    meter: CeuMeter | None = None
    """Charges callers from outside; None charges nobody."""
    service: str = ""
    """The service's name, in which its other processes hand calls on."""


def _describe(call: Call) -> None:
    """Say in the call's span, if there is one, for whom and what it is."""
    if (span := trace.get_current_span()).is_recording():
        span.set_attributes({"eil.tenant": call.principal.tenant, **call.baggage})


def _code(error: BaseException) -> str:
    """The status that a call ends with, for figures."""
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code().name
    if isinstance(error, asyncio.CancelledError):
        return "CANCELLED"
    return error.code if isinstance(error, EilError) else "INTERNAL"


def identify(
    guard: Guard, metadata: dict[str, str], auth_context: Mapping[str, Iterable[bytes]]
) -> tuple[Principal, str]:
    """The call's principal and its authorization header, from token and peer.

    Raises:
        Unauthenticated: the token is not valid.
    """
    service = peer_service(auth_context) if guard.tls else metadata.get(SERVICE_HEADER)
    if guard.tls and service == guard.service and FORWARDED_HEADER in metadata:
        named = metadata[FORWARDED_HEADER]
        service = None if named == NOBODY_NAMED else named
    if service == "gateway":
        service = None
    if service in OUTSIDERS:  # a token beside the certificate opens nothing more
        return Principal(subject=service, tenant="", service=service), ""
    authorization = metadata.get("authorization", "")
    if authorization:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("the authorization header must be `Bearer TOKEN`", reason="TOKEN_INVALID")
        principal = guard.verifier.verify(token.strip())
        return (replace(principal, service=service) if service else principal), authorization
    if service:
        return Principal(subject=service, tenant=metadata.get(TENANT_HEADER, ""), service=service), ""
    return NOBODY, ""


def authorise(method: str, principal: Principal) -> None:
    """Let the principal through, or say why not.

    Raises:
        Unauthenticated: nobody is known and the method is not public.
        PermissionDenied: the roles do not allow it.
    """
    if method.startswith(PUBLIC):
        return
    if principal is NOBODY:
        raise Unauthenticated("this needs a token: send `Authorization: Bearer $(eil token)`", reason="TOKEN_MISSING")
    if method.startswith(AUTHENTICATED) and principal.service not in OUTSIDERS:
        return
    access = access_of(method)
    if access is None or not access.allows(principal):
        wanted = ", ".join(sorted(access.roles)) if access and access.roles else "no role: only the mesh itself"
        raise PermissionDenied(
            f"{method.rpartition('/')[2]} may be called by {wanted}; this caller has "
            f"{', '.join(sorted(principal.roles)) or 'no role'}",
            reason="ROLE_NOT_ALLOWED",
        )


_validator = protovalidate.Validator()


def validate(request: Message) -> None:
    """Check the rules that the protos declare.

    Raises:
        InvalidArgument: with a violation for each field.
    """
    try:
        problems = _validator.collect_violations(request)
    except protovalidate.CompilationError as error:
        raise RuntimeError(f"the rules of {request.DESCRIPTOR.full_name} do not compile: {error}") from error
    if problems:
        violations: dict[str, str] = {}
        for problem in problems:
            path, message = _field_path(problem.proto.field), problem.proto.message
            violations[path] = f"{violations[path]}, {message}" if path in violations else message
        first = next(iter(violations.items()))
        raise InvalidArgument(
            f"{first[0] or 'the request'} {first[1]}"
            + (f" (and {len(violations) - 1} more fields)" if len(violations) > 1 else "")
            + "; nothing was stored; mend it and send it again",
            violations=violations,
        )


def _field_path(path: Any) -> str:
    parts: list[str] = []
    for element in path.elements if path else ():
        subscript = element.subscript
        suffix = "" if subscript is None else f"[{getattr(subscript, 'value', subscript)}]"
        parts.append(f"{element.field_name}{suffix}")
    return ".".join(parts)


def _reading(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """The request of its bytes, or the error that they are none: raised here it would leave past every layer."""

    def request(raw: bytes) -> Any:
        try:
            return read(raw)
        except DecodeError:
            return InvalidArgument(
                "the request is no message of this method's type: a field has a value of another kind; mend it and send it again",
                reason="MALFORMED_REQUEST",
            )

    return request


class Layers(grpc.aio.ServerInterceptor):
    """The layers as one interceptor."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._handlers: dict[str, grpc.RpcMethodHandler] = {}
        """Of the methods called so far."""
        self.elsewhere: Callable[[str], grpc.RpcMethodHandler] | None = None
        """What serves a method while this process does not write; None: it does. Health is always its own."""
        self.under_way = UnderWay()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        method = handler_call_details.method
        if self.elsewhere and not method.startswith(PUBLIC):
            return self.elsewhere(method)
        if not method.startswith(PUBLIC):
            # From here on, though its request may still have to arrive: what was let in is served here.
            self.under_way.note()
        if (known := self._handlers.get(method)) is None and (handler := await continuation(handler_call_details)):
            known = self._handlers[method] = self._surrounded(method, handler)
        return known

    def _surrounded(self, method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        """The method's handler inside of the layers."""
        codec = {
            "request_deserializer": handler.request_deserializer and _reading(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(method, handler.unary_unary), **codec)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._stream(method, handler.unary_stream), **codec)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(self._received(method, handler.stream_unary), **codec)
        if handler.stream_stream:
            return grpc.stream_stream_rpc_method_handler(self._bidi(method, handler.stream_stream), **codec)
        return handler

    async def _around(
        self,
        method: str,
        request: Any,
        context: grpc.aio.ServicerContext,
        work: Callable[[], Awaitable[T]],
        *,
        limit: bool,
    ) -> T:
        """The work inside of every layer. Plain code, since every call of the mesh passes it."""
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        known_as, begun_s, code = metadata.get(REQUEST_ID_HEADER) or secrets.token_hex(8), time.perf_counter(), "OK"
        traceparent = metadata.get(tracing.HEADER, "")
        try:
            try:
                with tracing.served(method, traceparent):
                    return await self._admitted(method, request, context, metadata, known_as, work, limit)
            except BaseException as error:
                code = _code(error)
                raise
            finally:
                if not method.startswith(PUBLIC):  # health checks are no use of the API
                    metrics.count_request(method, code, time.perf_counter() - begun_s, traceparent)
        except grpc.aio.AbortError:
            raise
        except asyncio.CancelledError:
            if self.under_way.cut:
                await abort(context, Unavailable("another process takes over; try again", retry_after_s=0.0), known_as)
            raise
        except BaseException as error:
            await abort(context, error, known_as)
            raise

    async def _admitted(
        self,
        method: str,
        request: Any,
        context: grpc.aio.ServicerContext,
        metadata: dict[str, str],
        known_as: str,
        work: Callable[[], Awaitable[T]],
        limit: bool,
    ) -> T:
        """The work within its deadline, once caller and request are found good."""
        remaining_s = _remaining(context, self._guard.deadline_s if limit else None)
        deadline = asyncio.timeout(None if remaining_s is None else max(remaining_s, 0.0))
        try:
            async with deadline:
                certified = context.auth_context() if self._guard.tls else {}
                principal, authorization = identify(self._guard, metadata, certified)
                authorise(method, principal)
                if isinstance(request, InvalidArgument):
                    raise request
                if isinstance(request, Message):
                    validate(request)
                await self._charge(method, request, principal)
                call = Call(
                    method=method,
                    request_id=known_as,
                    principal=principal,
                    authorization=authorization,
                    idempotency_key=metadata.get("idempotency-key", ""),
                    baggage=baggage.read(metadata.get(baggage.HEADER, "")),
                    deadline_s=None if remaining_s is None else asyncio.get_running_loop().time() + remaining_s,
                )
                _describe(call)
                with serving(call):
                    return await work()
        except TimeoutError:
            if not deadline.expired():  # something inside timed out: that is no deadline of the caller's
                raise
            raise DeadlineExceeded(
                "the deadline passed before the answer was ready; what was already stored stays stored; "
                "try again with a longer deadline and the same request id"
            ) from None

    async def _charge(self, method: str, request: Any, principal: Principal) -> None:
        meter = self._guard.meter
        if meter is None or not meter.on or not from_outside(principal):
            return
        cost_u = cost_of(method).of(request)
        if cost_u and not meter.spend(principal.tenant, principal.subject, cost_u):
            await meter.pay(principal.tenant, principal.subject, cost_u)

    def _unary(self, method: str, behaviour: Any) -> Any:
        async def serve(request: Any, context: grpc.aio.ServicerContext) -> Any:
            return await self._around(method, request, context, lambda: behaviour(request, context), limit=True)

        return serve

    def _stream(self, method: str, behaviour: Any) -> Any:
        async def serve(request: Any, context: grpc.aio.ServicerContext) -> None:
            async def work() -> None:
                responses = behaviour(request, context)
                if inspect.isawaitable(responses):  # it writes to the context itself, as Health.Watch does
                    await responses
                    return
                last: Message | None = None
                try:
                    async for last in responses:
                        await context.write(last)
                except Exception as error:
                    raise await told(error, last, context) from None

            await self._around(method, request, context, work, limit=False)

        return serve

    def _received(self, method: str, behaviour: Any) -> Any:
        async def serve(requests: Any, context: grpc.aio.ServicerContext) -> Any:
            return await self._around(
                method, requests, context, lambda: behaviour(_validated(requests), context), limit=False
            )

        return serve

    def _bidi(self, method: str, behaviour: Any) -> Any:
        async def serve(requests: Any, context: grpc.aio.ServicerContext) -> None:
            async def work() -> None:
                # A stream of telemetry looks at each batch by itself: a bad one is named, and the others are taken.
                looked_at = _understood(requests) if method in CHECKED_INSIDE else _validated(requests)
                async for response in behaviour(looked_at, context):
                    await context.write(response)

            with self.under_way.endless():
                await self._around(method, requests, context, work, limit=False)

        return serve


async def _understood(requests: Any) -> AsyncIterator[Message]:
    async for request in requests:
        if isinstance(request, InvalidArgument):
            raise request
        yield request


async def _validated(requests: Any) -> AsyncIterator[Message]:
    async for request in _understood(requests):
        validate(request)
        yield request


def _remaining(context: grpc.aio.ServicerContext, longest_s: float | None) -> float | None:
    asked_s = context.time_remaining()
    # A client without a deadline is told "never" as a very large number by some transports. What is past by this clock may be the clock's
    # doing, which jumped; what is really past the transport ends by itself.
    asked_s = None if asked_s is None or not 0 < asked_s < 10 * 365 * 86400 else asked_s
    if longest_s is None:
        return asked_s
    return longest_s if asked_s is None else min(asked_s, longest_s)
