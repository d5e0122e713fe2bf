"""Compiled kernels are kept on disk; here those of other sources are thrown away.

numba notices when the file of a kernel changes, not when a constant changes that the kernel took from another file. So the kernels
kept carry a digest of all sources of this folder, and are dropped when it does not fit.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import numba

_STAMP = "eil_regime.kernels"


def drop_stale(cache: Path, sources: Path) -> None:
    """Delete what `cache` holds of kernels in the folder `sources` unless it was compiled from the files that lie there now."""
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=16)
    files = sorted(sources.glob("*.py"))
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    stamp = cache / _STAMP
    with contextlib.suppress(OSError):  # a cache that cannot be read or written holds nothing either
        if stamp.exists() and stamp.read_text() == digest.hexdigest():
            return
        for file in files:
            for kept in cache.glob(f"{file.stem}.*.nb[ic]"):
                kept.unlink(missing_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest.hexdigest())
