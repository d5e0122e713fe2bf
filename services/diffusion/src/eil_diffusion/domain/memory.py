"""Memory that is kept: maps of a few megabytes are made and dropped in every step, and glibc gives each back to the system at once.

Fetching zeroed pages anew costs five to ten times what the arithmetic on them does.
"""

import ctypes
import sys

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""mallopt(3)'s names of what is set."""
KEPT_BYTES = 512 * 2**20
"""Free memory at the heap's end that is not given back."""
MAPPED_BYTES = 32 * 2**20
"""The largest that glibc takes: from there on memory is mapped for each use."""


def keep_memory() -> None:
    """Tell this process's allocator; where it is not glibc's, nothing happens."""
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(ARENA_MAX, 1)
        mallopt(MMAP_THRESHOLD, MAPPED_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
