"""gRPC ⇄ archive, large objects and checkpoints."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
from eil.atlas.v1 import archive_pb2, archive_pb2_grpc
from eil_mesh.call import caller
from eil_mesh.clock import from_us, to_us
from eil_mesh.errors import DataLoss, InvalidArgument
from eil_mesh.paging import page_of
from eil_mesh.store import Connection, Store

from eil_atlas import checkpoints, lifecycle, objects, segment_index
from eil_atlas.archive import Archive
from eil_atlas.domain.content import between
from eil_atlas.domain.segments import Samples
from eil_atlas.upload import Upload

PAGE_CELLS = 65_536
"""Values in a page of samples at most, times not counted."""
END_US = 2**62
"""Later than any moment."""


class ArchiveService(archive_pb2_grpc.ArchiveServiceServicer):
    """See the contract for what each method promises.

    Args:
        store: index, rows of objects, checkpoints.
        contents: where contents lie.
        archive: reads samples.
        scratch: folder for contents on their way; on the file system of `contents`, if that is a folder.
        largest: size of the largest object [byte].
    """

    def __init__(self, store: Store, contents: objects.Objects, archive: Archive, scratch: Path, largest: int) -> None:
        self._store, self._contents, self._archive = store, contents, archive
        self._scratch, self._largest = scratch, largest
        self._places = asyncio.Semaphore(objects.MOST_AT_WORK)

    async def ReadSamples(  # noqa: N802 - the contract's name
        self, request: archive_pb2.ReadSamplesRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[archive_pb2.ReadSamplesResponse]:
        start_us, end_us = _span(request)
        async for hour in self._archive.hours(caller().tenant, request.source, start_us, end_us):
            try:
                told = await self._archive.read(hour, request.channels)
            except DataLoss:
                if not request.skip_lost:
                    raise
                yield archive_pb2.ReadSamplesResponse(lost=from_us(hour.begin_us))
                continue
            for page in _pages(between(told.samples, start_us, end_us), told.own_credential):
                yield page

    async def ListSegments(  # noqa: N802
        self, request: archive_pb2.ListSegmentsRequest, context: grpc.aio.ServicerContext
    ) -> archive_pb2.ListSegmentsResponse:
        tenant, (size, token) = caller().tenant, page_of(request)
        hour, through, source = _place(token, 3) if token else (-END_US, 0, "")
        span_us = (
            to_us(request.start) if request.HasField("start") else -END_US,
            to_us(request.end) if request.HasField("end") else END_US,
        )
        after = (source, int(hour), int(through))
        found = await self._store.read(
            lambda conn: segment_index.page(conn, tenant, request.source, span_us, after, size)
        )
        last = found[-1] if len(found) == size else None
        return archive_pb2.ListSegmentsResponse(
            segments=[entry.message() for entry in found],
            next_page_token=f"{last.hour_us}/{last.through}/{last.source}" if last else "",
        )

    async def PutObjectStream(  # noqa: N802
        self, requests: AsyncIterator[archive_pb2.PutObjectStreamRequest], context: grpc.aio.ServicerContext
    ) -> archive_pb2.PutObjectStreamResponse:
        tenant = caller().tenant
        async with self._places:
            with Upload(self._scratch / secrets.token_hex(16), self._largest) as upload:
                media_type = await upload.receive(requests)
                await asyncio.to_thread(self._contents.put_file, tenant, upload.path, upload.digest)
        digest, size = upload.digest, upload.size
        await self._store.write(lambda tx: objects.register(tx, tenant, digest, media_type, size))
        return archive_pb2.PutObjectStreamResponse(digest=digest, size=size)

    async def GetObjectStream(  # noqa: N802
        self, request: archive_pb2.GetObjectStreamRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[archive_pb2.GetObjectStreamResponse]:
        tenant = caller().tenant
        about = await self._store.read(lambda conn: objects.find(conn, tenant, request.digest))
        async with self._places:
            file = await asyncio.to_thread(self._contents.open, tenant, request.digest, self._scratch)
            with file:
                first = archive_pb2.GetObjectStreamResponse(media_type=about.media_type, size=about.size)
                while chunk := await asyncio.to_thread(file.read, objects.CHUNK):
                    first.chunk = chunk
                    yield first
                    first = archive_pb2.GetObjectStreamResponse()

    async def DeleteObject(  # noqa: N802
        self, request: archive_pb2.DeleteObjectRequest, context: grpc.aio.ServicerContext
    ) -> archive_pb2.DeleteObjectResponse:
        tenant = caller().tenant
        await self._store.write(lambda tx: lifecycle.delete_object(tx, tenant, request.digest))
        return archive_pb2.DeleteObjectResponse()

    async def ListObjects(  # noqa: N802
        self, request: archive_pb2.ListObjectsRequest, context: grpc.aio.ServicerContext
    ) -> archive_pb2.ListObjectsResponse:
        tenant, (size, token) = caller().tenant, page_of(request)
        before = _newest_first(token)
        found = await self._store.read(lambda conn: objects.page(conn, tenant, request.media_type, before, size))
        return archive_pb2.ListObjectsResponse(
            objects=[
                archive_pb2.ObjectInfo(
                    digest=one.digest, media_type=one.media_type, size=one.size, created=from_us(one.created_us)
                )
                for one in found
            ],
            next_page_token=f"{found[-1].created_us}/{found[-1].digest}" if len(found) == size else "",
        )

    async def PutCheckpoint(  # noqa: N802
        self, request: archive_pb2.PutCheckpointRequest, context: grpc.aio.ServicerContext
    ) -> archive_pb2.PutCheckpointResponse:
        tenant = caller().tenant
        stands = await self._store.write(lambda tx: checkpoints.put(tx, tenant, request))
        return archive_pb2.PutCheckpointResponse(checkpoint=stands)

    async def GetCheckpoint(  # noqa: N802
        self, request: archive_pb2.GetCheckpointRequest, context: grpc.aio.ServicerContext
    ) -> archive_pb2.GetCheckpointResponse:
        tenant, name, metric = caller().tenant, request.name, request.metric
        if not (request.checkpoint_id or name):
            raise InvalidArgument(
                "neither a checkpoint's id nor a name is given; send one of them",
                violations={"checkpoint_id": "is needed where no name is given"},
            )

        def find(conn: Connection) -> archive_pb2.Checkpoint:
            if request.checkpoint_id:
                return checkpoints.get(conn, tenant, request.checkpoint_id)
            if metric:
                return checkpoints.best(conn, tenant, name, metric, greatest=request.greatest)
            return checkpoints.newest(conn, tenant, name)

        return archive_pb2.GetCheckpointResponse(checkpoint=await self._store.read(find))

    async def ListCheckpoints(  # noqa: N802
        self, request: archive_pb2.ListCheckpointsRequest, context: grpc.aio.ServicerContext
    ) -> archive_pb2.ListCheckpointsResponse:
        tenant, (size, token) = caller().tenant, page_of(request)
        before = _newest_first(token)
        found = await self._store.read(lambda conn: checkpoints.page(conn, tenant, request.name, before, size))
        last = f"{to_us(found[-1].created)}/{found[-1].checkpoint_id}" if len(found) == size else ""
        return archive_pb2.ListCheckpointsResponse(checkpoints=found, next_page_token=last)

    async def GetLineage(  # noqa: N802
        self, request: archive_pb2.GetLineageRequest, context: grpc.aio.ServicerContext
    ) -> archive_pb2.GetLineageResponse:
        tenant = caller().tenant
        found, more = await self._store.read(lambda conn: checkpoints.lineage(conn, tenant, request.checkpoint_id))
        return archive_pb2.GetLineageResponse(checkpoints=found, truncated=more)

    async def DeleteCheckpoint(  # noqa: N802
        self, request: archive_pb2.DeleteCheckpointRequest, context: grpc.aio.ServicerContext
    ) -> archive_pb2.DeleteCheckpointResponse:
        tenant = caller().tenant
        await self._store.write(lambda tx: checkpoints.delete(tx, tenant, request.checkpoint_id))
        return archive_pb2.DeleteCheckpointResponse()


def _span(request: archive_pb2.ReadSamplesRequest) -> tuple[int, int]:
    """Begin and end [µs]. Raises InvalidArgument if the one is not before the other."""
    start_us, end_us = to_us(request.start), to_us(request.end)
    if start_us >= end_us:
        raise InvalidArgument(
            "the span must end after it starts: choose another `start` or `end`",
            violations={"end": "must come after the start"},
        )
    return start_us, end_us


def _pages(samples: Samples, own_credential: bool) -> list[archive_pb2.ReadSamplesResponse]:
    """Samples as pages of `PAGE_CELLS` values at most."""
    if not samples.channels:
        return []
    rows = max(1, PAGE_CELLS // len(samples.channels))
    return [
        archive_pb2.ReadSamplesResponse(
            times_us=samples.times_us[first : first + rows],
            columns=[
                archive_pb2.SampleColumn(name=name, values=values[first : first + rows])
                for name, values in samples.channels.items()
            ],
            own_credential=own_credential,
        )
        for first in range(0, samples.times_us.size, rows)
    ]


def _newest_first(token: str) -> tuple[int, str]:
    """The place in a list by time and name that a token stands for; without one, the beginning."""
    if not token:
        return END_US, ""
    time_us, name = _place(token, 2)
    return int(time_us), name


def _place(token: str, parts: int) -> list[str]:
    """The parts of a page token, all but the last of them numbers.

    Raises:
        InvalidArgument: the token is none of ours.
    """
    found = token.split("/", parts - 1)
    numbers = [part.removeprefix("-") for part in found[:-1]]
    if len(found) != parts or not all(part.isascii() and part.isdigit() and len(part) < 19 for part in numbers):
        raise InvalidArgument(
            f"{token!r} is no page token; send `next_page_token` of the page before, or none to begin anew",
            violations={"page_token": "is not a token that a page gave"},
        )
    return found
