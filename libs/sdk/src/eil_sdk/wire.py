"""Channels whose calls carry token and purpose, have deadlines, are made again where that does no harm, and fail with EilError.

Generated stubs are made on them as on any channel. Calls are plain: a unary one answers the message (or its awaitable), a streaming one
an iterator. Streams have no deadline unless one is given.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

import grpc
from grpc import aio

from eil_sdk import purpose
from eil_sdk.errors import of_rpc
from eil_sdk.retries import Attempts
from eil_sdk.tokens import AsyncTokens, Tokens

Metadata = Iterable[tuple[str, str | bytes]]
UNAUTHENTICATED = "UNAUTHENTICATED"


def outgoing(token: str, own: Metadata | None) -> tuple[tuple[str, str | bytes], ...]:
    """Metadata of a call: the token, what the call is for, and the caller's `own`."""
    return (("authorization", f"Bearer {token}"), *purpose.header().items(), *(own or ()))


class Responses(Iterator[Any]):
    """The answers of a stream; `refused` is called if the mesh refuses its token."""

    def __init__(self, call: Any, refused: Callable[[], Any]) -> None:
        self._call, self._refused = call, refused

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as failed:
            error = of_rpc(failed)
            if error.code == UNAUTHENTICATED:
                self._refused()
            raise error from failed

    def close(self) -> None:
        """Give the call up."""
        self._call.cancel()


class Wire:
    """A synchronous channel."""

    def __init__(self, channel: grpc.Channel, tokens: Tokens) -> None:
        self._channel, self._tokens = channel, tokens

    def unary_unary(self, path: str, *more: Any, **codec: Any) -> Callable[..., Any]:
        """A method of a stub."""
        call = self._channel.unary_unary(path, *more, **codec)

        def unary(request: Any, timeout: float | None = None, metadata: Metadata | None = None, **rest: Any) -> Any:
            attempts = Attempts(path, request, timeout)
            while True:
                token = self._tokens.get()
                try:
                    return call(request, timeout=attempts.left_s(), metadata=outgoing(token, metadata), **rest)
                except grpc.RpcError as failed:
                    error = of_rpc(failed)
                    refused = error.code == UNAUTHENTICATED and self._tokens.refused(token)
                    wait_s = attempts.after(error, renewed=refused)
                time.sleep(wait_s)

        return unary

    def stream_unary(self, path: str, *more: Any, **codec: Any) -> Callable[..., Any]:
        """A method of a stub."""
        call = self._channel.stream_unary(path, *more, **codec)

        def unary(requests: Any, timeout: float | None = None, metadata: Metadata | None = None, **rest: Any) -> Any:
            try:
                return call(requests, timeout=timeout, metadata=outgoing(self._tokens.get(), metadata), **rest)
            except grpc.RpcError as error:
                raise of_rpc(error) from error

        return unary

    def unary_stream(self, path: str, *more: Any, **codec: Any) -> Callable[..., Responses]:
        """A method of a stub."""
        return self._streaming(self._channel.unary_stream(path, *more, **codec))

    def stream_stream(self, path: str, *more: Any, **codec: Any) -> Callable[..., Responses]:
        """A method of a stub."""
        return self._streaming(self._channel.stream_stream(path, *more, **codec))

    def _streaming(self, call: Any) -> Callable[..., Responses]:
        def stream(sent: Any, timeout: float | None = None, metadata: Metadata | None = None, **rest: Any) -> Responses:
            token = self._tokens.get()
            going = call(sent, timeout=timeout, metadata=outgoing(token, metadata), **rest)
            return Responses(going, lambda: self._tokens.refused(token))

        return stream


class AsyncWire:
    """The same on an event loop."""

    def __init__(self, channel: aio.Channel, tokens: AsyncTokens) -> None:
        self._channel, self._tokens = channel, tokens

    def unary_unary(self, path: str, *more: Any, **codec: Any) -> Callable[..., Any]:
        """A method of a stub."""
        call: Any = self._channel.unary_unary(path, *more, **codec)

        async def unary(
            request: Any,
            timeout: float | None = None,  # noqa: ASYNC109 - as gRPC calls it
            metadata: Metadata | None = None,
            **rest: Any,
        ) -> Any:
            attempts = Attempts(path, request, timeout)
            while True:
                token = await self._tokens.get()
                try:
                    return await call(request, timeout=attempts.left_s(), metadata=outgoing(token, metadata), **rest)
                except grpc.RpcError as failed:
                    error = of_rpc(failed)
                    refused = error.code == UNAUTHENTICATED and self._tokens.refused(token)
                    wait_s = attempts.after(error, renewed=refused)
                await asyncio.sleep(wait_s)

        return unary

    def stream_unary(self, path: str, *more: Any, **codec: Any) -> Callable[..., Any]:
        """A method of a stub."""
        call: Any = self._channel.stream_unary(path, *more, **codec)

        async def unary(
            requests: Any,
            timeout: float | None = None,  # noqa: ASYNC109 - as gRPC calls it
            metadata: Metadata | None = None,
            **rest: Any,
        ) -> Any:
            token = await self._tokens.get()
            try:
                return await call(requests, timeout=timeout, metadata=outgoing(token, metadata), **rest)
            except grpc.RpcError as error:
                raise of_rpc(error) from error

        return unary

    def unary_stream(self, path: str, *more: Any, **codec: Any) -> Callable[..., AsyncIterator[Any]]:
        """A method of a stub."""
        return self._streaming(self._channel.unary_stream(path, *more, **codec))

    def stream_stream(self, path: str, *more: Any, **codec: Any) -> Callable[..., AsyncIterator[Any]]:
        """A method of a stub."""
        return self._streaming(self._channel.stream_stream(path, *more, **codec))

    def _streaming(self, call: Any) -> Callable[..., AsyncIterator[Any]]:
        async def stream(
            sent: Any,
            timeout: float | None = None,  # noqa: ASYNC109 - as gRPC calls it
            metadata: Metadata | None = None,
            **rest: Any,
        ) -> AsyncIterator[Any]:
            token = await self._tokens.get()
            going = call(sent, timeout=timeout, metadata=outgoing(token, metadata), **rest)
            try:
                async for response in going:
                    yield response
            except grpc.RpcError as failed:
                error = of_rpc(failed)
                if error.code == UNAUTHENTICATED:
                    self._tokens.refused(token)
                raise error from failed
            finally:
                going.cancel()

        return stream
