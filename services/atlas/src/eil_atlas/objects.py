"""Objects: contents named by their SHA-256, each tenant's apart, with a row for each in the store.

The contents lie in a folder (`folder.py`) or a bucket of an S3 server (`bucket.py`). A content is there before it has its row: a crash
leaves at most a content without a row, which the next put of it takes over.
"""

import hashlib
import sqlite3
from typing import Protocol

from eil_mesh.errors import DataLoss, NotFound
from eil_mesh.store import Tx

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  tenant TEXT NOT NULL,
  digest TEXT NOT NULL,
  media_type TEXT NOT NULL,
  size INTEGER NOT NULL,
  created_us INTEGER NOT NULL,
  PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;
"""
DEFAULT_MEDIA_TYPE = "application/octet-stream"
MOST_AT_WORK = 8
"""Contents put or got at a time; the next waits, at most as long as its deadline."""


def register(tx: Tx, tenant: str, digest: str, media_type: str, size: int) -> None:
    """Make the object the tenant's; one that it has keeps its media type."""
    tx.conn.execute(
        "INSERT INTO objects VALUES (?,?,?,?,?) ON CONFLICT DO NOTHING", (tenant, digest, media_type, size, tx.now_us)
    )


def media_type_of(conn: sqlite3.Connection, tenant: str, digest: str) -> str:
    """Media type of the tenant's object.

    Raises:
        NotFound: the tenant has none such.
    """
    row = conn.execute("SELECT media_type FROM objects WHERE tenant = ? AND digest = ?", (tenant, digest)).fetchone()
    if row is None:
        raise NotFound(f"there is no object {digest}; put it first", reason="OBJECT_NOT_FOUND")
    return row[0]


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


def name_of(tenant: str, digest: str) -> str:
    """Where an object lies: `<digest of the tenant>/<first two digits>/<digest>`. A tenant's name may hold what no file name can."""
    return f"{hashlib.sha256(tenant.encode()).hexdigest()[:32]}/{digest[:2]}/{digest}"


def checked(content: bytes, digest: str) -> bytes:
    """The content, if it is what was stored.

    Raises:
        DataLoss: it is not.
    """
    if hashlib.sha256(content).hexdigest() != digest:
        raise DataLoss(
            f"object {digest} was altered or damaged where it is stored; put the content again or restore it from a backup",
            reason="OBJECT_DAMAGED",
        )
    return content


def lost(digest: str) -> DataLoss:
    """The error of a content that is not where it was put."""
    return DataLoss(
        f"object {digest} is gone from where it was stored; put the content again or restore it from a backup",
        reason="OBJECT_LOST",
    )
