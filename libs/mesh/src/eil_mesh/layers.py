"""What stands around every method, from the outside in: telemetry, deadline, identity and access, validation.

What a layer raises becomes the call's status. Together they are one interceptor.
"""

import asyncio
import inspect
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import grpc
import protovalidate
from google.protobuf.message import Message
from opentelemetry import propagate, trace

from eil_mesh import metrics
from eil_mesh.access import AUTHENTICATED, PUBLIC, access_of
from eil_mesh.call import Call, serving
from eil_mesh.errors import DeadlineExceeded, EilError, InvalidArgument, PermissionDenied, Unauthenticated
from eil_mesh.identity import Principal, TokenVerifier
from eil_mesh.services import OUTSIDERS
from eil_mesh.status import abort
from eil_mesh.telemetry import tracer
from eil_mesh.tls import peer_service

T = TypeVar("T")
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


def _span(method: str, metadata: dict[str, str]) -> AbstractContextManager[object]:
    """The call's span, where somebody traces it: the caller, or this process."""
    if "traceparent" in metadata or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return tracer.start_as_current_span(method, context=propagate.extract(metadata))
    return nullcontext()


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
    if service == "gateway":
        service = None
    if service in OUTSIDERS:  # a token beside the certificate opens nothing more
        return Principal(subject=service, tenant="", service=service), ""
    authorization = metadata.get("authorization", "")
    if authorization:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("the authorization header must be `Bearer TOKEN`", reason="TOKEN_INVALID")
        return replace(guard.verifier.verify(token.strip()), service=service), authorization
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


class Layers(grpc.aio.ServerInterceptor):
    """The layers as one interceptor."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return handler
        codec = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary:
            return grpc.unary_unary_rpc_method_handler(self._unary(method, handler.unary_unary), **codec)
        if handler.unary_stream:
            return grpc.unary_stream_rpc_method_handler(self._stream(method, handler.unary_stream), **codec)
        if handler.stream_unary:
            return grpc.stream_unary_rpc_method_handler(self._received(method, handler.stream_unary), **codec)
        if handler.stream_stream:  # reflection: no request to validate before the stream begins
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
        try:
            try:
                with _span(method, metadata):
                    return await self._admitted(method, request, context, metadata, known_as, work, limit)
            except BaseException as error:
                code = _code(error)
                raise
            finally:
                if not method.startswith(PUBLIC):  # health checks are no use of the API
                    metrics.count_request(method, code, time.perf_counter() - begun_s)
        except (grpc.aio.AbortError, asyncio.CancelledError):
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
                principal, authorization = identify(self._guard, metadata, context.auth_context())
                authorise(method, principal)
                if isinstance(request, Message):
                    validate(request)
                call = Call(
                    method=method,
                    request_id=known_as,
                    principal=principal,
                    authorization=authorization,
                    idempotency_key=metadata.get("idempotency-key", ""),
                    deadline_s=None if remaining_s is None else asyncio.get_running_loop().time() + remaining_s,
                )
                with serving(call):
                    return await work()
        except TimeoutError:
            if not deadline.expired():  # something inside timed out: that is no deadline of the caller's
                raise
            raise DeadlineExceeded(
                "the deadline passed before the answer was ready; what was already stored stays stored; "
                "try again with a longer deadline and the same request id"
            ) from None

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
                async for response in responses:
                    await context.write(response)

            await self._around(method, request, context, work, limit=False)

        return serve

    def _received(self, method: str, behaviour: Any) -> Any:
        async def validated(requests: Any) -> AsyncIterator[Message]:
            async for request in requests:
                validate(request)
                yield request

        async def serve(requests: Any, context: grpc.aio.ServicerContext) -> Any:
            return await self._around(
                method, requests, context, lambda: behaviour(validated(requests), context), limit=False
            )

        return serve

    def _bidi(self, method: str, behaviour: Any) -> Any:
        async def serve(requests: Any, context: grpc.aio.ServicerContext) -> None:
            async def work() -> None:
                async for response in behaviour(requests, context):
                    await context.write(response)

            await self._around(method, requests, context, work, limit=False)

        return serve


def _remaining(context: grpc.aio.ServicerContext, longest_s: float | None) -> float | None:
    asked_s = context.time_remaining()
    # A client without a deadline is told "never" as a very large number by some transports.
    asked_s = None if asked_s is None or asked_s > 10 * 365 * 86400 else asked_s
    if longest_s is None:
        return asked_s
    return longest_s if asked_s is None else min(asked_s, longest_s)
