"""Writing small files so that a reader sees the old text or the new, never a part."""

import os
import secrets
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file by `text`, readable by its owner alone; it survives power loss.

    Raises:
        OSError: the folder cannot be written to; the old file stands.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
