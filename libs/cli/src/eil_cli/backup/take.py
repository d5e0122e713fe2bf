"""Taking a backup: the databases as of one instant, then keys and objects."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eil_cli.backup.instant import instant
from eil_cli.backup.vault import CHUNK, FileRecord, Manifest, Vault, VaultError

FOLDERS = ("keys", "objects")
"""Folders of a state that are kept beside its databases; logs, sockets and what `eil up` writes anew are not."""
HALF_WRITTEN = "incoming"
"""Folder of objects that are not whole yet."""


def take(state: Path, vault: Vault, progress: Callable[[str], None] = lambda name: None) -> Manifest:
    """Back up a state folder; the mesh may run meanwhile.

    Objects never change and are there before the row that names them. Those that are there before the instant are kept, too, should they be
    deleted while it is copied.

    Raises:
        VaultError: the state cannot be read or the vault cannot be written; earlier backups stand.
    """
    databases = sorted(state.glob("*.db"))
    if not databases:
        raise VaultError(f"{state} holds no service's state (no *.db); name the state folder with --state")
    earlier = vault.newest()
    known = {file.name: file for file in earlier.files} if earlier else {}
    chunks = frozenset(chunk for file in known.values() for chunk in file.chunks)
    kept = {file.name: file for file in _folders(state, vault, known, chunks)}
    files: list[FileRecord] = []
    try:
        with tempfile.TemporaryDirectory(prefix="backup-", dir=state) as aside, instant(databases) as moment:
            for path in databases:
                progress(path.name)
                copied = Path(aside) / path.name
                moment.copy(path, copied)
                files.append(_keep(copied, path.name, 0o600, vault, chunks))
                copied.unlink()
    except (sqlite3.Error, OSError) as error:
        raise VaultError(f"the state could not be copied ({error}); earlier backups stand; try again") from None
    kept |= {file.name: file for file in _folders(state, vault, kept, chunks)}
    manifest = Manifest(moment.taken_us, round(moment.held_s, 6), (*files, *kept.values()))
    vault.add(manifest)
    return manifest


def _folders(state: Path, vault: Vault, known: dict[str, FileRecord], chunks: frozenset[str]) -> Iterator[FileRecord]:
    """The files of the folders that are kept. An object that is known is not read again: its name is its content."""
    for path in sorted(path for folder in FOLDERS for path in (state / folder).rglob("*")):
        name = path.relative_to(state).as_posix()
        if HALF_WRITTEN in path.parts or path.is_dir() or path.is_symlink():
            continue
        if name in known and name.startswith("objects/"):
            yield known[name]
            continue
        try:
            yield _keep(path, name, path.stat().st_mode & 0o777, vault, chunks)
        except FileNotFoundError:
            continue  # deleted just now


def _keep(path: Path, name: str, mode: int, vault: Vault, chunks: frozenset[str]) -> FileRecord:
    digests: list[str] = []
    size = 0
    with path.open("rb") as file:
        while content := file.read(CHUNK):
            digests.append(vault.put(content, chunks))
            size += len(content)
    return FileRecord(name, size, mode, tuple(digests))


def bytes_of(files: Sequence[FileRecord]) -> int:
    """Length of all files [byte]."""
    return sum(file.size for file in files)
