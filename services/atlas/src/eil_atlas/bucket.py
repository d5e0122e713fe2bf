"""Objects in a bucket of an S3 server: an object each, which appears whole or not at all.

Credentials come as boto3 finds them: from the usual AWS variables, files or roles, never from our settings.
"""

import hashlib
import io
import logging
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO

from boto3.s3.transfer import TransferConfig
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from eil_mesh.errors import FailedPrecondition, Unavailable

from eil_atlas.objects import CHUNK, MOST_AT_WORK, NAME, checked, damaged, lost, name_of

CONNECT_S = 2.0
READ_S = 30.0
ATTEMPTS = 3
RETRY_AFTER_S = 5.0
IN_PARTS_FROM = 16 * 1024 * 1024
"""Bytes from which a content goes up in parts, each tried again by itself."""
PART = 8 * 1024 * 1024
ABANDONED_S = 3600.0
"""Age of an upload in parts that nobody can still be at."""
log = logging.getLogger(__name__)


class Bucket:
    """The objects: `<prefix>/<digest of the tenant>/<first two digits>/<digest>`. See Objects for what each method promises."""

    def __init__(self, url: str, endpoint_url: str, region: str, abandoned_s: float = ABANDONED_S) -> None:
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = prefix.rstrip("/") + "/" if prefix else ""
        self._abandoned = timedelta(seconds=abandoned_s)
        self._lock, self._putting = threading.Lock(), Counter[str]()
        self._client = Session().client(
            "s3",
            endpoint_url=endpoint_url or None,
            region_name=region,
            config=Config(
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=MOST_AT_WORK,
                s3={"addressing_style": "path"},
                # We compare with the digest that we know ourselves, not with one that the server tells.
                response_checksum_validation="when_required",
            ),
        )

    def clean(self) -> None:
        """Abort uploads in parts that a crash left. If the server is away that is logged, and left to the next start."""
        try:
            for page in self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            ):
                now = _now(page)
                for upload in page.get("Uploads", []):
                    if now - upload["Initiated"] >= self._abandoned:
                        self._client.abort_multipart_upload(
                            Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                        )
        except (BotoCoreError, ClientError) as error:
            if not _passing(error):
                raise FailedPrecondition(
                    f"the bucket {self._bucket} cannot be used ({_word(error)}); check EIL_ATLAS_OBJECTS_URL, and that the credentials "
                    "of the environment may get, put and list there"
                ) from error
            log.warning("the S3 server is away, uploads in parts were not looked through: %s", _word(error))

    def put(self, tenant: str, content: bytes) -> str:
        """Written even if it is there, so that a damaged one is mended; the server checks what arrives, and has it when it answers."""
        digest = hashlib.sha256(content).hexdigest()
        self._upload(io.BytesIO(content), name_of(tenant, digest))
        return digest

    def put_file(self, tenant: str, path: Path, digest: str) -> None:
        """As `put`."""
        with path.open("rb") as file:
            self._upload(file, name_of(tenant, digest))

    def _upload(self, file: BinaryIO, name: str) -> None:
        try:
            with self._held(name):
                # In parts, an upload that fails is aborted.
                self._client.upload_fileobj(
                    file,
                    self._bucket,
                    self._prefix + name,
                    ExtraArgs={"ChecksumAlgorithm": "SHA256"},
                    Config=TransferConfig(
                        multipart_threshold=IN_PARTS_FROM, multipart_chunksize=PART, use_threads=False
                    ),
                )
        except (BotoCoreError, ClientError) as error:
            raise _unavailable("written", error) from error

    @contextmanager
    def _held(self, name: str) -> Iterator[None]:
        """While it is put, nobody removes an older one of its name."""
        with self._lock:
            self._putting[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._putting[name] -= 1
                if not self._putting[name]:
                    del self._putting[name]

    def get(self, tenant: str, digest: str) -> bytes:
        return checked(b"".join(self._pieces(tenant, digest)), digest)

    def open(self, tenant: str, digest: str, scratch: Path) -> BinaryIO:
        copy, found = tempfile.TemporaryFile(dir=scratch), hashlib.sha256()  # noqa: SIM115 - the caller closes it
        try:
            for piece in self._pieces(tenant, digest):
                found.update(piece)
                copy.write(piece)
            if found.hexdigest() != digest:
                raise damaged(digest)
            copy.seek(0)
        except BaseException:
            copy.close()
            raise
        return copy

    def _pieces(self, tenant: str, digest: str) -> Iterator[bytes]:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name_of(tenant, digest))
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(CHUNK)
        except ClientError as error:
            if _word(error) == "NoSuchKey":
                raise lost(digest) from None
            raise _unavailable("read", error) from error
        except BotoCoreError as error:
            raise _unavailable("read", error) from error

    def older(self, age_s: float) -> Iterator[str]:
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            ):
                put = _now(page) - timedelta(seconds=age_s)
                for entry in page.get("Contents", []):
                    name = entry["Key"].removeprefix(self._prefix)
                    if NAME.fullmatch(name) and entry["LastModified"] < put:
                        yield name
        except (BotoCoreError, ClientError) as error:
            raise _unavailable("listed", error) from error

    def remove(self, name: str, age_s: float) -> bool:
        key = self._prefix + name
        try:
            with self._lock:
                if name in self._putting:
                    return False
                about = self._client.head_object(Bucket=self._bucket, Key=key)
                if about["LastModified"] >= _now(about) - timedelta(seconds=age_s):
                    return False
                self._client.delete_object(Bucket=self._bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise _unavailable("removed", error) from error
        return True


def _now(answer: Any) -> datetime:
    """The moment of an answer by the server's clock."""
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


def _passing(error: Exception) -> bool:
    """Whether it may be over later without anybody changing what is set up."""
    if isinstance(error, ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    return isinstance(error, NoConnection | HTTPClientError)


def _word(error: Exception) -> str:
    """What the server or boto3 calls the error; its text may hold addresses and keys."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__


def _unavailable(done: str, error: Exception) -> Unavailable:
    log.warning("the object could not be %s: %s", done, error)
    return Unavailable(
        f"the object could not be {done}: the S3 server is away or refuses ({_word(error)}); try again later",
        reason="STORE_FAILED",
        retry_after_s=RETRY_AFTER_S,
    )
