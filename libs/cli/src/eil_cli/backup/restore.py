"""Restoring a backup into a new state folder."""

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from eil_cli.backup.vault import FileRecord, Manifest, Vault, VaultError


def restore(vault: Vault, manifest: Manifest, state: Path, progress: Callable[[str], None] = lambda name: None) -> None:
    """Write a backup's files into a folder that is empty or does not exist; every chunk is checked.

    Raises:
        VaultError: the folder holds something, the backup is damaged, or the disk refuses. What was written so far is removed again.
    """
    if state.exists() and any(state.iterdir()):
        raise VaultError(f"{state} is not empty; restore into a new folder with --state, then start it with `eil up`")
    written: list[Path] = []
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        state.chmod(0o700)
        for file in manifest.files:
            progress(file.name)
            written.append(_place(file, state))
            _write(vault, file, written[-1])
    except (VaultError, OSError) as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise VaultError(f"nothing was restored: {error}") from None


def _place(file: FileRecord, state: Path) -> Path:
    name = PurePosixPath(file.name)
    if name.is_absolute() or ".." in name.parts:
        raise VaultError(f"the backup names a file outside of its folder: {file.name}")
    return state / name


def _write(vault: Vault, file: FileRecord, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode), "wb") as out:
        for digest in file.chunks:
            out.write(vault.get(digest))
        out.flush()
        os.fsync(out.fileno())
