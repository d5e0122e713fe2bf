"""Where backups lie: contents in chunks named by their SHA-256, and a manifest for each backup.

A chunk is written once, whoever needs it again: a backup of a state in which little changed costs little. A chunk is whole and durable
before it has its name, and a manifest is written last, so that a backup which a crash cut short does not exist. The folder can be copied
elsewhere by any tool; nothing in it ever changes but by being removed.
"""

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from eil_cli.files import write_private

VERSION = 1
READABLE = frozenset({1})
"""Versions of manifests that this release reads: its own and the one before, once there is one."""
CHUNK = 1024 * 1024
"""Bytes of a chunk; a database's pages keep their places, so that a change touches few chunks."""


class VaultError(Exception):
    """A backup that cannot be written or read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file of the state: its name in the folder, length [byte], permissions and chunks in order."""

    name: str
    size: int
    mode: int
    chunks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup."""

    taken_us: int
    """The instant that it holds [µs since 1970]."""
    held_s: float
    """How long commits waited for it [s]."""
    files: tuple[FileRecord, ...]
    version: int = VERSION

    @property
    def name(self) -> str:
        """Its name: the instant, so that names sort by age."""
        return f"{self.taken_us:020d}"


class Vault:
    """A folder of backups. One process at a time may write there.

    Raises:
        VaultError: the folder cannot be made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for part in ("chunks", "manifests"):
                (root / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise VaultError(
                f"{root} cannot hold backups ({error.strerror}); name a folder that you may write to"
            ) from None

    def put(self, content: bytes, known: frozenset[str] = frozenset()) -> str:
        """Keep a chunk, durable on return; returns its SHA-256. `known`: chunks that are there for certain and are not looked at again."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._chunk(digest)
        if digest in known or (path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == digest):
            return digest
        path.parent.mkdir(exist_ok=True, mode=0o700)
        draft = path.with_name(f".{digest}.{secrets.token_hex(4)}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise VaultError(f"the backup could not be written ({error.strerror}); earlier backups stand") from None
        return digest

    def get(self, digest: str) -> bytes:
        """A chunk, checked against its name.

        Raises:
            VaultError: it is gone or damaged.
        """
        try:
            content = self._chunk(digest).read_bytes()
        except OSError:
            content = b""
        if hashlib.sha256(content).hexdigest() != digest:
            raise VaultError(f"chunk {digest[:16]}… of the backup is gone or damaged; restore an earlier backup (--at)")
        return content

    def add(self, manifest: Manifest) -> None:
        """Make a backup exist, all chunks of which are there."""
        for folder in {self._chunk(chunk).parent for file in manifest.files for chunk in file.chunks}:
            _sync(folder)
        _sync(self.root / "chunks")
        write_private(self.root / "manifests" / f"{manifest.name}.json", json.dumps(asdict(manifest)) + "\n")
        _sync(self.root / "manifests")

    def manifests(self) -> list[Path]:
        """The backups' manifests, oldest first."""
        return sorted((self.root / "manifests").glob("[0-9]*.json"))

    def load(self, path: Path) -> Manifest:
        """The manifest in a file.

        Raises:
            VaultError: it cannot be read, or a release wrote it that is too new or too old.
        """
        try:
            given = json.loads(path.read_text())
            version = given["version"]
            files = tuple(FileRecord(**{**file, "chunks": tuple(file["chunks"])}) for file in given["files"])
            manifest = Manifest(**{**given, "files": files})
        except (OSError, ValueError, KeyError, TypeError):
            raise VaultError(f"{path} is no manifest of a backup; restore an earlier one (--at)") from None
        if version not in READABLE:
            raise VaultError(
                f"{path} has version {version}, this release reads {sorted(READABLE)}: use the release that wrote it"
            )
        return manifest

    def newest(self, before_us: int | None = None) -> Manifest | None:
        """The newest backup, of those not after a moment [µs] if one is given."""
        for path in reversed(self.manifests()):
            manifest = self.load(path)
            if before_us is None or manifest.taken_us <= before_us:
                return manifest
        return None

    def thin(self, keep: int) -> int:
        """Remove all but the newest `keep` backups and the chunks that none of these needs; returns how many backups went."""
        gone = self.manifests()[:-keep]
        if not gone:
            return 0
        for path in gone:
            path.unlink()
        needed = {chunk for path in self.manifests() for file in self.load(path).files for chunk in file.chunks}
        for path in self._chunks():
            if path.name not in needed:
                path.unlink()
        return len(gone)

    def _chunk(self, digest: str) -> Path:
        return self.root / "chunks" / digest[:2] / digest

    def _chunks(self) -> Iterator[Path]:
        return (self.root / "chunks").glob("??/*")


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
