"""Objects in a bucket of an S3 server: an object each, which appears whole or not at all.

Credentials come as boto3 finds them: from the usual AWS variables, files or roles, never from our settings.
"""

import hashlib
import io
import logging
from datetime import timedelta
from email.utils import parsedate_to_datetime

from boto3.s3.transfer import TransferConfig
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from eil_mesh.errors import FailedPrecondition, Unavailable

from eil_atlas.objects import MOST_AT_WORK, checked, lost, name_of

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
                now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])  # by the server's clock
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
        try:
            # In parts, an upload that fails is aborted.
            self._client.upload_fileobj(
                io.BytesIO(content),
                self._bucket,
                self._prefix + name_of(tenant, digest),
                ExtraArgs={"ChecksumAlgorithm": "SHA256"},
                Config=TransferConfig(multipart_threshold=IN_PARTS_FROM, multipart_chunksize=PART, use_threads=False),
            )
        except (BotoCoreError, ClientError) as error:
            raise _unavailable("written", error) from error
        return digest

    def get(self, tenant: str, digest: str) -> bytes:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name_of(tenant, digest))
            with answer["Body"] as body:
                content = body.read()
        except ClientError as error:
            if _word(error) == "NoSuchKey":
                raise lost(digest) from None
            raise _unavailable("read", error) from error
        except BotoCoreError as error:
            raise _unavailable("read", error) from error
        return checked(content, digest)


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
