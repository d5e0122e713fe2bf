"""A detector's state as bytes: a header in JSON, then the arrays, bit for bit."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAGIC = b"EILR"
VERSION = 3
_HEAD = struct.Struct("<4sBI")
_FOREIGN = "bytes are no detector state of this version: start the source afresh"
_TRUNCATED = "detector state is truncated: restore an older copy or start the source afresh"


def encode(header: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> bytes:
    """Bytes of a header that JSON can hold and of arrays, whose shapes and types the reader must know."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join([_HEAD.pack(_MAGIC, VERSION, len(text)), text, *(part.tobytes() for part in arrays)])


def decode(blob: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the arrays' bytes. Raises ValueError for bytes that `encode` did not write, or not all of them."""
    if len(blob) < _HEAD.size:
        raise ValueError(_FOREIGN)
    magic, version, size = _HEAD.unpack_from(blob)
    if magic != _MAGIC or version != VERSION:
        raise ValueError(_FOREIGN)
    if len(blob) < _HEAD.size + size:
        raise ValueError(_TRUNCATED)
    try:
        header = json.loads(blob[_HEAD.size : _HEAD.size + size])
    except ValueError as error:
        raise ValueError(_FOREIGN) from error
    if not isinstance(header, dict):
        raise ValueError(_FOREIGN)
    return header, blob[_HEAD.size + size :]


def arrays(body: bytes, like: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Arrays of the shapes and types of `like`. Raises ValueError if the bytes are not exactly theirs."""
    if len(body) != sum(part.nbytes for part in like):
        raise ValueError(_TRUNCATED)
    found, at = [], 0
    for part in like:
        found.append(np.frombuffer(body, part.dtype, part.size, at).reshape(part.shape).copy())
        at += part.nbytes
    return found
