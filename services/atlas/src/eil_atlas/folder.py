"""Objects in a folder: a file each.

A file is whole before it has its name (written aside, fsync, rename), and has its name before it has its row: a crash leaves at most a
file without a row, which the next put of that content takes over.
"""

import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from eil_mesh.errors import Unavailable

from eil_atlas.objects import NAME, checked, damaged, lost, name_of


class Folder:
    """The files: `root/<digest of the tenant>/<first two digits>/<digest>`. See Objects for what each method promises."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        self._lock = threading.Lock()
        """Held while a file is named, found young or removed for its age: what is put while the sweep is under way stays."""

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
            if not self._sound(path, digest):
                with aside.open("xb") as file:
                    file.write(content)
                self._name(aside, path)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise _refused(error) from error
        return digest

    def put_file(self, tenant: str, path: Path, digest: str) -> None:
        """As `put`; the file, on the same file system, is given its new name, not copied."""
        try:
            self._name(path, self._root / name_of(tenant, digest))
        except OSError as error:
            raise _refused(error) from error

    def _sound(self, path: Path, digest: str) -> bool:
        """Whether a file is there and is what it should be; it then counts as put now."""
        try:
            with self._lock:
                os.utime(path)
            with path.open("rb") as file:
                sound = hashlib.file_digest(file, "sha256").hexdigest() == digest
        except FileNotFoundError:
            return False
        if sound:
            self._sync(path)
        return sound

    def _name(self, aside: Path, path: Path) -> None:
        """Give a file its name, both durable."""
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._lock:
            os.utime(aside)
            aside.replace(path)
        self._sync(path)

    def _sync(self, path: Path) -> None:
        for folder in (path.parent, path.parent.parent, self._root):
            _sync(folder)

    def get(self, tenant: str, digest: str) -> bytes:
        try:
            content = (self._root / name_of(tenant, digest)).read_bytes()
        except FileNotFoundError:
            raise lost(digest) from None
        return checked(content, digest)

    def open(self, tenant: str, digest: str, scratch: Path) -> BinaryIO:
        try:
            file = (self._root / name_of(tenant, digest)).open("rb")
        except FileNotFoundError:
            raise lost(digest) from None
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            file.close()
            raise damaged(digest)
        file.seek(0)
        return file

    def older(self, age_s: float) -> Iterator[str]:
        put_s = time.time() - age_s
        for folder, _, names in os.walk(self._root):
            for name in names:
                path = Path(folder, name)
                place = path.relative_to(self._root).as_posix()
                if NAME.fullmatch(place) and path.stat().st_mtime < put_s:
                    yield place

    def remove(self, name: str, age_s: float) -> bool:
        path = self._root / name
        with self._lock:
            if path.stat().st_mtime >= time.time() - age_s:
                return False
            path.unlink()
        return True


def _refused(error: OSError) -> Unavailable:
    return Unavailable(
        f"the object could not be written ({error.strerror}); nothing was stored; free some space and try again",
        reason="STORE_FAILED",
    )


def _sync(folder: Path) -> None:
    """Make the names in a folder survive power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
