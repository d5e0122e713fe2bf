"""Objects: contents named by their SHA-256, each tenant's apart, with a row for each in the store.

The contents lie in a folder (`folder.py`) or a bucket of an S3 server (`bucket.py`). A content is there before it has its row: a crash
leaves at most a content without a row, which the next put of it takes over. Deleting an object takes its row alone; the sweep
(`lifecycle.py`) is the one that removes contents, and none that was put lately.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from eil_mesh.errors import DataLoss, NotFound
from eil_mesh.store import Connection, Tx

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  tenant TEXT NOT NULL,
  digest TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS objects_by_age ON objects (tenant, created_us, digest);
"""
DEFAULT_MEDIA_TYPE = "application/octet-stream"
NAME = re.compile("[0-9a-f]{32}/[0-9a-f]{2}/[0-9a-f]{64}")
"""What `name_of` answers."""
CHUNK = 1024 * 1024
"""Bytes of a large content that are in memory at a time."""
MOST_AT_WORK = 8
"""Contents put or got at a time; the next waits, at most as long as its deadline."""


def register(tx: Tx, tenant: str, digest: str, media_type: str, size: int) -> None:
    """Make the object the tenant's; one that it has keeps its media type."""
    tx.conn.execute(
        "INSERT INTO objects VALUES (?,?,?,?,?) ON CONFLICT (tenant, digest) DO NOTHING",
        (tenant, digest, media_type, size, tx.now_us),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of an object: size [byte] and when it was put first [µs]."""

    digest: str
    media_type: str
    size: int
    created_us: int


def find(conn: Connection, tenant: str, digest: str) -> Row:
    """The tenant's object.

    Raises:
        NotFound: the tenant has none such.
    """
    row = conn.execute(
        "SELECT digest, media_type, size, created_us FROM objects WHERE tenant = ? AND digest = ?", (tenant, digest)
    ).fetchone()
    if row is None:
        raise NotFound(f"there is no object {digest}; put it first", reason="OBJECT_NOT_FOUND")
    return Row(*row)


def media_type_of(conn: Connection, tenant: str, digest: str) -> str:
    """Media type of the tenant's object.

    Raises:
        NotFound: the tenant has none such.
    """
    return find(conn, tenant, digest).media_type


def page(conn: Connection, tenant: str, media_type: str, before: tuple[int, str], size: int) -> list[Row]:
    """Objects behind a place (time [µs], digest), newest first; of one media type, or of all ("")."""
    type_is, values = ("AND media_type = ?", [media_type]) if media_type else ("", [])
    rows = conn.execute(
        f"SELECT digest, media_type, size, created_us FROM objects WHERE tenant = ? {type_is} AND (created_us, digest) < (?, ?)"
        " ORDER BY created_us DESC, digest DESC LIMIT ?",
        (tenant, *values, *before, size),
    )
    return [Row(*row) for row in rows]


class Objects(Protocol):
    """Where contents lie. The methods block, on a disk or a server: call them in threads."""

    def clean(self) -> None:
        """Remove what a crash left half-written. For the start, before anything is put.

        Raises:
            FailedPrecondition: the place is not to be used as it is set up.
        """
        ...

    def put(self, tenant: str, content: bytes) -> str:
        """Store content, durable on return; returns its SHA-256. The same again is one object, and mends a damaged one.

        Raises:
            Unavailable: the disk or the server refused it.
        """
        ...

    def get(self, tenant: str, digest: str) -> bytes:
        """Content of an object that the tenant has, checked against its SHA-256.

        Raises:
            DataLoss: it is gone, or is not what was stored.
            Unavailable: the server is away.
        """
        ...

    def put_file(self, tenant: str, path: Path, digest: str) -> None:
        """Store the file's content, which has that SHA-256; durable on return. The file may be gone then.

        Raises:
            Unavailable: the disk or the server refused it.
        """
        ...

    def open(self, tenant: str, digest: str, scratch: Path) -> BinaryIO:
        """As `get`, for a content of any size: a file at its begin, checked already. A server's is copied to a nameless file
        in `scratch`."""
        ...

    def older(self, age_s: float) -> Iterator[str]:
        """Names of the contents that were last put longer ago than that [s].

        Raises:
            Unavailable: the server is away.
        """
        ...

    def remove(self, name: str, age_s: float) -> bool:
        """Remove the content of a name, unless it was put again within that time [s]; returns whether it did.

        Raises:
            Unavailable: the server is away.
        """
        ...


def name_of(tenant: str, digest: str) -> str:
    """Where an object lies: `<digest of the tenant>/<first two digits>/<digest>`. A tenant's name may hold what no file name can."""
    return f"{part_of(tenant)}/{digest[:2]}/{digest}"


def part_of(tenant: str) -> str:
    """Where a tenant's objects lie."""
    return hashlib.sha256(tenant.encode()).hexdigest()[:32]


def checked(content: bytes, digest: str) -> bytes:
    """The content, if it is what was stored.

    Raises:
        DataLoss: it is not.
    """
    if hashlib.sha256(content).hexdigest() != digest:
        raise damaged(digest)
    return content


def damaged(digest: str) -> DataLoss:
    """The error of a content that is not what was stored."""
    return DataLoss(
        f"object {digest} was altered or damaged where it is stored; put the content again or restore it from a backup",
        reason="OBJECT_DAMAGED",
    )


def lost(digest: str) -> DataLoss:
    """The error of a content that is not where it was put."""
    return DataLoss(
        f"object {digest} is gone from where it was stored; put the content again or restore it from a backup",
        reason="OBJECT_LOST",
    )
