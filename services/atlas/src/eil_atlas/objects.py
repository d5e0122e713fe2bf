"""Objects: files named by the SHA-256 of their content, one folder a tenant, with a row for each in the store.

A file is whole before it has its name (written aside, fsync, rename), and has its name before it has its row: a crash leaves at most a
file without a row, which the next put of that content takes over.
"""

import hashlib
import os
import secrets
import shutil
import sqlite3
from pathlib import Path

from eil_mesh.errors import DataLoss, NotFound, Unavailable
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


class ObjectFolder:
    """The files: `root/<digest of the tenant>/<first two digits>/<digest>`. Its methods block on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"

    def clean(self) -> None:
        """Remove what a crash left half-written. Only for the start, when nobody writes."""
        if self._incoming.exists():
            shutil.rmtree(self._incoming)
        self._incoming.mkdir(parents=True, mode=0o700)

    def put(self, tenant: str, content: bytes) -> str:
        """Store content, durable on return; returns its SHA-256. A damaged file of that name is replaced.

        Raises:
            Unavailable: the disk refused it.
        """
        digest = hashlib.sha256(content).hexdigest()
        path = self._path(tenant, digest)
        aside = self._incoming / secrets.token_hex(16)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not (path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest):
                with aside.open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(path)
            for folder in (path.parent, path.parent.parent, self._root):
                _sync(folder)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise Unavailable(
                f"the object could not be written ({error.strerror}); nothing was stored; free some space and try again",
                reason="STORE_FAILED",
            ) from error
        return digest

    def get(self, tenant: str, digest: str) -> bytes:
        """Content of an object that the tenant has.

        Raises:
            DataLoss: the file is gone, or is not what was stored.
        """
        try:
            content = self._path(tenant, digest).read_bytes()
        except FileNotFoundError:
            raise DataLoss(
                f"the file of object {digest} is gone; put the content again or restore it from a backup",
                reason="OBJECT_LOST",
            ) from None
        if hashlib.sha256(content).hexdigest() != digest:
            raise DataLoss(
                f"the file of object {digest} was altered or damaged; put the content again or restore it from a backup",
                reason="OBJECT_DAMAGED",
            )
        return content

    def _path(self, tenant: str, digest: str) -> Path:
        # A tenant's name may hold what no file name can.
        return self._root / hashlib.sha256(tenant.encode()).hexdigest()[:32] / digest[:2] / digest


def _sync(folder: Path) -> None:
    """Make the names in a folder survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
