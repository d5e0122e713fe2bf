"""A thin synchronous client of the Atlas's archive over gRPC, for what is too large for REST."""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import grpc
import numpy as np
from eil.atlas.v1 import archive_pb2, archive_pb2_grpc, consistency_pb2, consistency_pb2_grpc
from eil_mesh.clock import from_us
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from numpy.typing import NDArray

from eil_cli.endpoint import Endpoint
from eil_cli.terminal import NOT_RUNNING, REFUSED, Failure

CHUNK = 1024 * 1024
CALL_S = 30.0
"""Longest wait for the answer to a question."""
Page = tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]
"""Times (n,) [µs], rising, and values (n,) by channel, NaN where missing."""


class Archive:
    """The archive behind a channel; `token` says as whom."""

    def __init__(self, channel: grpc.Channel, token: str) -> None:
        self._channel, self._auth = channel, (("authorization", f"Bearer {token}"),)
        self._stub = archive_pb2_grpc.ArchiveServiceStub(channel)

    @classmethod
    def at(cls, endpoint: Endpoint, token: str | None = None) -> "Archive":
        """The archive of a mesh; without a token as its administrator.

        Raises:
            Failure: the mesh's certificate cannot be read.
        """
        try:
            credentials = grpc.ssl_channel_credentials(Path(endpoint.ca).read_bytes())
        except OSError as error:
            raise Failure(f"the mesh's certificate {endpoint.ca} cannot be read ({error})") from None
        target = endpoint.grpc.replace("127.0.0.1", "localhost")  # the name in the certificate
        options = [("grpc.max_receive_message_length", 16 * CHUNK)]
        return cls(grpc.secure_channel(target, credentials, options), token or endpoint.admin_token)

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def segments(self, source: str, start_us: int, end_us: int) -> Iterator[archive_pb2.SegmentInfo]:
        """The index of segments with samples in a span [µs], by time.

        Raises:
            Failure: it was refused, or nobody answers.
        """
        ask = archive_pb2.ListSegmentsRequest(
            source=source, start=from_us(start_us), end=from_us(end_us), page_size=1000
        )
        while True:
            with _refusals():
                answer = self._stub.ListSegments(ask, metadata=self._auth, timeout=CALL_S)
            yield from answer.segments
            if not answer.next_page_token:
                return
            ask.page_token = answer.next_page_token

    def samples(self, source: str, start_us: int, end_us: int, channels: Sequence[str] = ()) -> Iterator[Page]:
        """Samples in a span [µs], page by page; of some channels, or of all (none given).

        Raises:
            Failure: it was refused, part of it is lost, or nobody answers.
        """
        ask = archive_pb2.ReadSamplesRequest(
            source=source, start=from_us(start_us), end=from_us(end_us), channels=channels
        )
        with _refusals():
            for page in self._stub.ReadSamples(ask, metadata=self._auth):
                yield (
                    np.array(page.times_us, np.int64),
                    {column.name: np.array(column.values, np.float64) for column in page.columns},
                )

    def verify(self, source: str, *, repair: bool, deep: bool) -> Iterator[consistency_pb2.VerifyResponse]:
        """Compare what is kept of a source, or of all (""), with the log: progress, findings, the summary.

        Raises:
            Failure: it was refused, or nobody answers.
        """
        ask = consistency_pb2.VerifyRequest(source=source, repair=repair, deep=deep)
        with _refusals():
            yield from consistency_pb2_grpc.ConsistencyServiceStub(self._channel).Verify(ask, metadata=self._auth)

    def put(self, path: Path, media_type: str) -> archive_pb2.PutObjectStreamResponse:
        """Store a file of any size as an object.

        Raises:
            Failure: it was refused, the file cannot be read, or nobody answers.
        """
        with _refusals(), path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)

            def pieces() -> Iterator[archive_pb2.PutObjectStreamRequest]:
                yield archive_pb2.PutObjectStreamRequest(digest=digest, media_type=media_type)
                while chunk := file.read(CHUNK):
                    yield archive_pb2.PutObjectStreamRequest(chunk=chunk)

            return self._stub.PutObjectStream(pieces(), metadata=self._auth)

    def get(self, digest: str, path: Path) -> int:
        """Write an object to a file, whole or not at all; returns its size [byte].

        Raises:
            Failure: it was refused, is damaged, the file cannot be written, or nobody answers.
        """
        aside, found, size = path.with_name(f".{path.name}.{secrets.token_hex(4)}"), hashlib.sha256(), 0
        try:
            with _refusals():
                with aside.open("xb") as file:
                    ask = archive_pb2.GetObjectStreamRequest(digest=digest)
                    for piece in self._stub.GetObjectStream(ask, metadata=self._auth):
                        size += file.write(piece.chunk)
                        found.update(piece.chunk)
                if found.hexdigest() != digest:
                    raise Failure(f"what arrived of object {digest} has SHA-256 {found.hexdigest()}; try again")
                aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return size


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what the mesh refuses, and what the disk does, into failures."""
    try:
        yield
    except grpc.RpcError as error:
        status, reason = rpc_status.from_call(error), ""  # pyright: ignore[reportArgumentType] - a failed call is one
        for detail in status.details if status else ():
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                reason = f" [{info.reason}]"
        nobody = error.code() is grpc.StatusCode.UNAVAILABLE and not reason  # pyright: ignore[reportAttributeAccessIssue]
        raise Failure(f"{error.details()}{reason}", NOT_RUNNING if nobody else REFUSED) from None  # pyright: ignore[reportAttributeAccessIssue]
    except OSError as error:
        raise Failure(f"{error.filename} cannot be read or written ({error.strerror})") from None
