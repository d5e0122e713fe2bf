"""Calls that reach a process which does not write go on to the one that does, as they came: bytes in, bytes out.

While none writes, which is a moment when one takes over from another, calls wait. What was sent on and broke off is not sent again, since
it may have been done; a process that is not the writer either says so before it has done anything, and then it is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from typing import Any, Final

import grpc
import psycopg
from google.protobuf import descriptor_pool

from eil_mesh.client import KEEPALIVE_MS
from eil_mesh.errors import Unavailable
from eil_mesh.identity import FORWARDED_HEADER, NOBODY_NAMED
from eil_mesh.settings import MeshSettings
from eil_mesh.status import abort
from eil_mesh.tls import channel_credentials, peer_service

NOT_WRITER: Final = "eil-not-writer"
"""Metadata of a refusal that did nothing: this process does not write."""
LOOK_S: Final = 0.05
"""Time between looks who writes, while nobody that can be reached does [s]."""
OWN: Final = ("user-agent",)
"""Metadata that each connection has of its own."""


class Forwarding:
    """The way to the writer.

    Args:
        settings: the service's.
        writer: address of the process that writes, or empty. Raises psycopg.Error.
    """

    def __init__(self, settings: MeshSettings, writer: Callable[[], Awaitable[str]]) -> None:
        self._settings, self._writer = settings, writer
        self._address, self._channels = "", dict[str, grpc.aio.Channel]()
        self._seeking: asyncio.Task[grpc.aio.Channel] | None = None

    def handler(self, method: str) -> grpc.RpcMethodHandler:
        """What serves a method here."""
        return grpc.stream_stream_rpc_method_handler(partial(self._forward, method))

    async def close(self) -> None:
        """Close every channel."""
        if self._seeking:
            self._seeking.cancel()
        for channel in self._channels.values():
            await channel.close()

    async def _forward(self, method: str, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        metadata = list(context.invocation_metadata() or ())
        # One request is received whole first: a status that overtakes it would come out as a failure of sending it.
        sent: Any = b"".join([one async for one in requests]) if takes_one(method) else requests
        if any(key == FORWARDED_HEADER for key, _ in metadata):
            return await self._refuse(context, "this process does not write at present")
        certified = context.auth_context() if self._settings.tls_dir else {}
        metadata = [(key, value) for key, value in metadata if key not in OWN]
        metadata.append((FORWARDED_HEADER, peer_service(certified) or NOBODY_NAMED))
        until_s = asyncio.get_running_loop().time() + min(_left(context), self._settings.deadline_s)
        while not await self._sent_on(method, sent, metadata, context, until_s):
            self._address = ""
            await asyncio.sleep(LOOK_S)

    async def _sent_on(
        self, method: str, requests: Any, metadata: Iterable[tuple[str, Any]], context: Any, until_s: float
    ) -> bool:
        """Whether the call was answered; otherwise nothing was done."""
        try:
            async with asyncio.timeout_at(until_s):
                channel = await self._connected()
        except TimeoutError:
            await self._refuse(context, f"no process of {self._settings.service} writes at present")
            return True
        call: Any = channel.unary_stream(method) if isinstance(requests, bytes) else channel.stream_stream(method)
        going = call(requests, timeout=context.time_remaining(), metadata=grpc.aio.Metadata(*metadata))
        written = False
        try:
            async for response in going:
                written = True
                await context.write(response)
            context.set_trailing_metadata(tuple(await going.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            trailing = tuple(error.trailing_metadata() or ())
            if not written and isinstance(requests, bytes) and any(key == NOT_WRITER for key, _ in trailing):
                return False
            await context.abort(error.code(), error.details() or "", trailing)
        finally:
            going.cancel()
        return True

    async def _connected(self) -> grpc.aio.Channel:
        """A channel to the writer that stands; it waits for one."""
        known = self._channels.get(self._address)
        if known and known.get_state() == grpc.ChannelConnectivity.READY:
            return known
        if self._seeking is None or self._seeking.done():  # all who wait share one search
            self._seeking = asyncio.create_task(self._seek())
        return await asyncio.shield(self._seeking)

    async def _seek(self) -> grpc.aio.Channel:
        while True:
            if not self._address:
                with suppress(psycopg.Error):  # without the database nobody writes
                    self._address = await self._writer()
            if self._address:
                channel = self._channels.get(self._address) or self._channel(self._address)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await channel.channel_ready()
                        return channel
                self._address = ""
            await asyncio.sleep(LOOK_S)

    def _channel(self, address: str) -> grpc.aio.Channel:
        options: list[tuple[str, Any]] = [
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.max_receive_message_length", -1),  # the writer's own limit holds
        ]
        if self._settings.tls_dir is None:
            made = grpc.aio.insecure_channel(address, options)
        else:
            options.append(("grpc.ssl_target_name_override", f"eil-{self._settings.service}"))
            made = grpc.aio.secure_channel(address, channel_credentials(self._settings.tls_dir), options)
        self._channels[address] = made
        return made

    async def _refuse(self, context: grpc.aio.ServicerContext, why: str) -> None:
        refusal = Unavailable(
            f"{why}; nothing was done; try again", reason="NO_WRITER", retry_after_s=1.0, headers={NOT_WRITER: "1"}
        )
        await abort(context, refusal, "")


@cache
def takes_one(method: str) -> bool:
    """Whether the method at a gRPC path is known to take one request, not a stream of them."""
    _, interface, name = method.split("/")
    try:
        return not descriptor_pool.Default().FindServiceByName(interface).methods_by_name[name].client_streaming
    except KeyError:
        return False


def _left(context: grpc.aio.ServicerContext) -> float:
    """What is left of the caller's deadline [s]; none is for ever."""
    left_s = context.time_remaining()
    return float("inf") if left_s is None else left_s
