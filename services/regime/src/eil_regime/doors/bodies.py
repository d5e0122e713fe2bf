"""Bodies as agents send them: encoded one way or another, and never trusted to be small."""

import zlib

import cramjam
from eil_mesh.errors import InvalidArgument

MAX_BYTES = 32 * 1024 * 1024
"""Longest that a body may be once decoded."""


def plain(body: bytes, encoding: str) -> bytes:
    """A body without its content encoding: identity, gzip, or snappy in the block format.

    Raises:
        InvalidArgument: it is encoded otherwise, is not what it says, or is too long once decoded.
    """
    if encoding in ("", "identity"):
        return body
    try:
        if encoding == "gzip":
            decoder = zlib.decompressobj(wbits=31)
            decoded = decoder.decompress(body, MAX_BYTES + 1)
            if len(decoded) > MAX_BYTES:
                raise _too_long()
            if not decoder.eof:
                raise ValueError("it ends too early")
            return decoded
        if encoding == "snappy":
            if cramjam.snappy.decompress_raw_len(body) > MAX_BYTES:
                raise _too_long()
            return bytes(cramjam.snappy.decompress_raw(body))
    except (ValueError, zlib.error, cramjam.DecompressionError) as error:
        raise InvalidArgument(f"the body is no {encoding}: {error}", reason="MALFORMED_REQUEST") from None
    raise InvalidArgument(
        f"content-encoding {encoding!r} is not read here; send gzip, snappy (block format) or none",
        reason="MALFORMED_REQUEST",
    )


def _too_long() -> InvalidArgument:
    return InvalidArgument(f"the body is longer than {MAX_BYTES >> 20} MiB once decoded; send less at once")
