"""Objects in a folder: a file each.

A file is whole before it has its name (written aside, fsync, rename), and has its name before it has its row: a crash leaves at most a
file without a row, which the next put of that content takes over.
"""

import hashlib
import os
import secrets
import shutil
from pathlib import Path

from eil_mesh.errors import Unavailable

from eil_atlas.objects import checked, lost, name_of


class Folder:
    """The files: `root/<digest of the tenant>/<first two digits>/<digest>`. See Objects for what each method promises."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"

    def clean(self) -> None:
        """Remove what a crash left half-written. Only for the start, when nobody writes."""
        if self._incoming.exists():
            shutil.rmtree(self._incoming)
        self._incoming.mkdir(parents=True, mode=0o700)

    def put(self, tenant: str, content: bytes) -> str:
        """A sound file of that name is left as it is, a damaged one replaced."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._root / name_of(tenant, digest)
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
        try:
            content = (self._root / name_of(tenant, digest)).read_bytes()
        except FileNotFoundError:
            raise lost(digest) from None
        return checked(content, digest)


def _sync(folder: Path) -> None:
    """Make the names in a folder survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
