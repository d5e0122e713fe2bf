"""How far the services of a mesh follow each other, and what they could not handle: asked of each service on its own socket.

The door does not let these questions through: a dead letter may be of any tenant. The sockets lie in the state folder, which is its
owner's alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import grpc
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil_mesh.services import SERVICES

from eil_cli.terminal import NOT_RUNNING, Failure

T = TypeVar("T")
TIMEOUT_S = 30.0
PAGE = 200
OWNER = "cli"
"""The name that the command gives as its own."""


def ask(state: Path, tenant: str, question: Callable[[str, Any], Awaitable[T]]) -> dict[str, T]:
    """The answers of all services that keep a journal and run, by service. `question` gets a service's name and its stub.

    Args:
        state: the state folder.
        tenant: whose letters; empty is everybody's.
        question: asks one service.

    Raises:
        Failure: no service runs there, or one refuses.
    """
    with contextlib.chdir(_folder(state)):  # a socket's path may have 107 letters at most: it stays relative
        running = [name for name, service in SERVICES.items() if service.grpc and Path(f"{name}.sock").exists()]
        if not running:
            raise Failure(f"no service of a mesh runs in {state}; start it with `eil up --detach`", NOT_RUNNING)
        return asyncio.run(_ask(running, tenant, question))


async def _ask(running: Sequence[str], tenant: str, question: Callable[[str, Any], Awaitable[T]]) -> dict[str, T]:
    answers: dict[str, T] = {}
    for name in running:
        async with grpc.aio.insecure_channel(f"unix:{name}.sock") as channel:
            try:
                answers[name] = await question(name, _Log(channel, tenant))
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:  # it keeps no journal
                    continue
                code = NOT_RUNNING if error.code() is grpc.StatusCode.UNAVAILABLE else 1
                raise Failure(f"{name} does not answer: {error.details()}", code) from None
    return answers


class _Log:
    """A service's event log, asked in the name of the folder's owner."""

    def __init__(self, channel: grpc.aio.Channel, tenant: str) -> None:
        self._stub: Any = event_log_pb2_grpc.EventLogServiceStub(channel)
        self._metadata = [("x-eil-service", OWNER), *([("x-eil-tenant", tenant)] if tenant else [])]

    async def followed(self) -> list[event_log_pb2.Followed]:
        """What the service follows."""
        request = event_log_pb2.ListFollowedRequest()
        answer = await self._stub.ListFollowed(request, metadata=self._metadata, timeout=TIMEOUT_S)
        return list(answer.followed)

    async def dead(self, limit: int) -> list[event_log_pb2.StoredDeadLetter]:
        """Its dead letters, the newest first."""
        found: list[event_log_pb2.StoredDeadLetter] = []
        token = ""
        while len(found) < limit:
            request = event_log_pb2.ListDeadLettersRequest(page_size=min(PAGE, limit - len(found)), page_token=token)
            answer = await self._stub.ListDeadLetters(request, metadata=self._metadata, timeout=TIMEOUT_S)
            found += answer.dead_letters
            if not (token := answer.next_page_token):
                break
        return found

    async def replay(self, ids: Sequence[int]) -> event_log_pb2.ReplayDeadLettersResponse:
        """Have letters handled anew."""
        whole = event_log_pb2.ReplayDeadLettersResponse()
        for begin in range(0, len(ids), PAGE):
            request = event_log_pb2.ReplayDeadLettersRequest(ids=ids[begin : begin + PAGE])
            whole.MergeFrom(
                await self._stub.ReplayDeadLetters(request, metadata=self._metadata, timeout=10 * TIMEOUT_S)
            )
        return whole


def _folder(state: Path) -> Path:
    if not state.is_dir():
        raise Failure(f"{state} is no state folder; name one with --state", NOT_RUNNING)
    return state
