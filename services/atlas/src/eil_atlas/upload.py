"""A content that arrives in pieces: written to a file as it comes, measured and hashed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType

from eil.atlas.v1 import archive_pb2
from eil_mesh.errors import DeadlineExceeded, InvalidArgument, OutOfRange, Unavailable

from eil_atlas.objects import DEFAULT_MEDIA_TYPE

IDLE_S = 60.0
"""Longest pause between pieces."""


class Upload:
    """The file `path` while the content arrives and until it was stored; gone at the end. At most `largest` bytes."""

    def __init__(self, path: Path, largest: int) -> None:
        self.path, self._largest = path, largest
        self.digest, self.size = "", 0

    def __enter__(self) -> "Upload":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)

    async def receive(self, pieces: AsyncIterator[archive_pb2.PutObjectStreamRequest]) -> str:
        """Take the whole content; then `digest` and `size` [byte] are known. Returns its media type.

        Raises:
            InvalidArgument: there is none, or it has another digest than the first piece says.
            OutOfRange: it is too large.
            DeadlineExceeded: the next piece did not come in time.
            Unavailable: the disk refused it.
        """
        found, promised, media_type = hashlib.sha256(), "", ""
        try:
            with self.path.open("xb") as file:
                while (piece := await _next(pieces)) is not None:
                    promised, media_type = promised or piece.digest, media_type or piece.media_type
                    self.size += len(piece.chunk)
                    if self.size > self._largest:
                        raise OutOfRange(
                            f"the object is larger than {self._largest} bytes; nothing was stored; divide it, or raise largest_object",
                            reason="OBJECT_TOO_LARGE",
                        )
                    found.update(piece.chunk)
                    await asyncio.to_thread(file.write, piece.chunk)
        except OSError as error:
            raise Unavailable(
                f"the object could not be written ({error.strerror}); nothing was stored; free some space and try again",
                reason="STORE_FAILED",
            ) from error
        self.digest = found.hexdigest()
        if promised not in ("", self.digest) or not self.size:
            raise InvalidArgument(
                f"{self.size} bytes with SHA-256 {self.digest} arrived, not the content of {promised or 'an object'}; nothing was stored; "
                "send the whole content again",
                violations={"digest": "is not the SHA-256 of what arrived"},
            )
        return media_type or DEFAULT_MEDIA_TYPE


async def _next(pieces: AsyncIterator[archive_pb2.PutObjectStreamRequest]) -> archive_pb2.PutObjectStreamRequest | None:
    try:
        async with asyncio.timeout(IDLE_S):
            return await anext(pieces, None)
    except TimeoutError:
        raise DeadlineExceeded(
            f"no piece of the object came for {IDLE_S:.0f} s; nothing was stored; send it again"
        ) from None
