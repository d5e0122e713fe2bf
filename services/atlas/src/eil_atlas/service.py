"""gRPC ⇄ objects and heads; the methods of the graph and of maps are in `graph_methods` and `map_methods`."""

import asyncio

import grpc
from eil.atlas.v1 import atlas_pb2
from eil_mesh.call import caller, current_call
from eil_mesh.clock import Clock
from eil_mesh.paging import DEFAULT_PAGE
from eil_mesh.store import Store

from eil_atlas import heads, objects
from eil_atlas.answers import Answers
from eil_atlas.map_methods import MapMethods


class AtlasService(MapMethods):
    """See the contract for what each method promises."""

    def __init__(self, store: Store, contents: objects.Objects, answers: Answers, clock: Clock, domain: str) -> None:
        super().__init__(answers, clock, domain)
        self._store, self._contents = store, contents
        self._places = asyncio.Semaphore(objects.MOST_AT_WORK)

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
