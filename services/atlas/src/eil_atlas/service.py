"""gRPC ⇄ graph, objects and heads."""

import asyncio
import sqlite3
from typing import Any

import grpc
from eil.atlas.v1 import atlas_pb2, atlas_pb2_grpc
from eil_mesh.call import caller, current_call
from eil_mesh.clock import MICROSECONDS, to_us
from eil_mesh.errors import InvalidArgument
from eil_mesh.paging import DEFAULT_PAGE, page_of
from eil_mesh.store import Store

from eil_atlas import graph, heads, objects
from eil_atlas.domain.windows import WINDOW_S, WINDOW_US, window_start_us

DEFAULT_MAP_S = 3600.0
LONGEST_MAP_S = 31 * 86400.0


class AtlasService(atlas_pb2_grpc.AtlasServiceServicer):
    """See the contract for what each method promises."""

    def __init__(self, store: Store, contents: objects.Objects, domain: str) -> None:
        self._store, self._contents, self._domain = store, contents, domain
        self._places = asyncio.Semaphore(objects.MOST_AT_WORK)

    async def GetEnergyMap(
        self, request: atlas_pb2.GetEnergyMapRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.GetEnergyMapResponse:
        tenant = caller().tenant
        return await self._store.read(lambda conn: _map(conn, tenant, request))

    async def ListStates(
        self, request: atlas_pb2.ListStatesRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.ListStatesResponse:
        tenant, (size, token) = caller().tenant, page_of(request)
        before = _place(token)
        found = await self._store.read(
            lambda conn: graph.list_states(conn, tenant, self._domain, request.source, before, size)
        )
        states, next_page_token = _page(found, size)
        return atlas_pb2.ListStatesResponse(states=states, next_page_token=next_page_token)

    async def ListShiftStates(
        self, request: atlas_pb2.ListShiftStatesRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.ListShiftStatesResponse:
        tenant, (size, token) = caller().tenant, page_of(request)
        before = _place(token)
        found = await self._store.read(lambda conn: graph.list_shifts(conn, tenant, request.source, before, size))
        shifts, next_page_token = _page(found, size)
        return atlas_pb2.ListShiftStatesResponse(shifts=shifts, next_page_token=next_page_token)

    async def PutObject(
        self, request: atlas_pb2.PutObjectRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.PutObjectResponse:
        tenant, media_type = caller().tenant, request.media_type or objects.DEFAULT_MEDIA_TYPE
        async with self._places:
            digest = await asyncio.to_thread(self._contents.put, tenant, request.content)
        await self._store.write(lambda tx: objects.register(tx, tenant, digest, media_type, len(request.content)))
        return atlas_pb2.PutObjectResponse(digest=digest)

    async def GetObject(
        self, request: atlas_pb2.GetObjectRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.GetObjectResponse:
        tenant = caller().tenant
        media_type = await self._store.read(lambda conn: objects.media_type_of(conn, tenant, request.digest))
        async with self._places:
            content = await asyncio.to_thread(self._contents.get, tenant, request.digest)
        return atlas_pb2.GetObjectResponse(content=content, media_type=media_type)

    async def AnchorHead(
        self, request: atlas_pb2.AnchorHeadRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.AnchorHeadResponse:
        call = current_call()  # a service speaks for itself here, for no tenant
        heads.check(request.head, call.principal.service if call else None)
        await self._store.write(lambda tx: heads.anchor(tx, request.head))
        return atlas_pb2.AnchorHeadResponse()

    async def ListHeads(
        self, request: atlas_pb2.ListHeadsRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.ListHeadsResponse:
        # Heads are the mesh's, and hold nothing of any tenant.
        size = request.page_size or DEFAULT_PAGE
        found = await self._store.read(lambda conn: heads.newest(conn, request.journal, size))
        return atlas_pb2.ListHeadsResponse(heads=found)


def _map(
    conn: sqlite3.Connection, tenant: str, request: atlas_pb2.GetEnergyMapRequest
) -> atlas_pb2.GetEnergyMapResponse:
    """The map over whole windows: the begin asked for goes down and the end up to a window's edge."""
    if request.HasField("end"):
        end_us = window_start_us(to_us(request.end) + WINDOW_US - 1)
    elif (newest_us := graph.newest_end_us(conn, tenant)) is not None:
        end_us = newest_us
    else:
        return atlas_pb2.GetEnergyMapResponse(unit="J", resolution_s=WINDOW_S)
    start_us = window_start_us(to_us(request.start)) if request.HasField("start") else end_us - _us(DEFAULT_MAP_S)
    if not 0 < end_us - start_us <= _us(LONGEST_MAP_S):
        raise InvalidArgument(
            f"the map must end after it starts and span at most {LONGEST_MAP_S / 86400:.0f} days; without an end it ends with the newest "
            "state: choose another `start` or `end`",
            violations={"end" if request.HasField("end") else "start": "the end must come after the start"},
        )
    return graph.energy_map(conn, tenant, start_us, end_us)


def _us(seconds: float) -> int:
    return round(seconds * MICROSECONDS)


def _place(token: str) -> tuple[int, str]:
    """The place in a list that a page token stands for; without one, the beginning.

    Raises:
        InvalidArgument: the token is none of ours.
    """
    if not token:
        return graph.END_OF_TIME_US, ""
    time_us, _, source = token.partition("/")
    if not (time_us.isascii() and time_us.isdigit() and len(time_us) < 19):
        raise InvalidArgument(
            f"{token!r} is no page token; send `next_page_token` of the page before, or none to begin anew",
            violations={"page_token": "is not a token that a page gave"},
        )
    return int(time_us), source


def _page(found: list[tuple[tuple[int, str], Any]], size: int) -> tuple[list[Any], str]:
    """The records of a page, and the token of the next."""
    token = "{}/{}".format(*found[-1][0]) if len(found) == size else ""
    return [record for _, record in found], token
