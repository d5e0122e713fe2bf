"""Compact, versioned and safe encoding of nested state: JSON for structure, raw little-endian float64 for arrays."""

from __future__ import annotations

import json
import struct
from array import array
from typing import Any

MAGIC = b"EILR"
_HEADER = struct.Struct("<4sHI")  # magic, version, length of the JSON part
_ARRAY = "f64"
_TRUNCATED = "detector state is truncated: restore an older copy or start the source afresh"
_FOREIGN = "these bytes are no detector state: restore an older copy or start the source afresh"


def encode(state: dict[str, Any], version: int) -> bytes:
    """State (JSON values and `array("d")`) as bytes; floats keep every bit, equal arrays are stored once."""
    stored: dict[bytes, int] = {}
    end = 0

    def put(value: Any) -> dict[str, list[int]]:
        nonlocal end
        if not isinstance(value, array):
            raise TypeError(f"state may hold JSON values and float arrays, not {type(value).__name__}")
        raw = struct.pack(f"<{len(value)}d", *value)
        start = stored.setdefault(raw, end)
        if start == end:
            end += len(value)
        return {_ARRAY: [start, len(value)]}

    text = json.dumps(state, default=put, separators=(",", ":")).encode()
    return _HEADER.pack(MAGIC, version, len(text)) + text + b"".join(stored)


def decode(blob: bytes, version: int) -> dict[str, Any]:
    """Inverse of `encode`, arrays as tuples. Raises ValueError for foreign, truncated or differently versioned bytes."""
    if len(blob) < _HEADER.size:
        raise ValueError(_TRUNCATED)
    magic, found, length = _HEADER.unpack_from(blob)
    if magic != MAGIC:
        raise ValueError(_FOREIGN)
    if found != version:
        raise ValueError(f"detector state has version {found}, this release reads {version}: start the source afresh")
    text, raw = blob[_HEADER.size : _HEADER.size + length], blob[_HEADER.size + length :]
    if len(text) < length:
        raise ValueError(_TRUNCATED)

    def take(value: dict[str, Any]) -> Any:
        if value.keys() != {_ARRAY}:
            return value
        start, size = value[_ARRAY]
        if not 0 <= start <= start + size <= len(raw) // 8:
            raise ValueError(_TRUNCATED)
        return struct.unpack_from(f"<{size}d", raw, 8 * start)

    state = json.loads(text, object_hook=take)
    if not isinstance(state, dict):
        raise ValueError(_FOREIGN)
    return state
