"""Signed records: what leaves the service and is checked offline.

The file is the canonical JSON of {"record", "signature": {"algorithm", "public_key", "value"}}, hexadecimal where bytes are meant.
The signature covers a prefix and the canonical record, by the key that signs the service's journal heads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from eil_proof.domain.mv.record import canonical, verify

PREFIX = b"eil-verification-record\n"
ALGORITHM = "ed25519"


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a file; it holds if `problems` is empty."""

    record: Mapping[str, Any]
    public_key: str
    """The key that the file names, in hex."""
    problems: tuple[str, ...]


def signed(record: Mapping[str, Any], key: Ed25519PrivateKey) -> str:
    """The file of a record."""
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    value = key.sign(PREFIX + canonical(record)).hex()
    return canonical(
        {"record": record, "signature": {"algorithm": ALGORITHM, "public_key": public, "value": value}}
    ).decode()


def check(content: bytes, public_key: str = "") -> Checked:
    """Check a file to the bit: its form, its signature, its digests, and everything that follows from its data.

    Args:
        content: the file.
        public_key: hex of the key that must have signed it; "" trusts the one that the file names.
    """
    try:
        envelope = json.loads(content)
        record, signature = envelope["record"], envelope["signature"]
        named = signature["public_key"]
        problems = [] if canonical(envelope) == content else ["the text is not the canonical form of what it says"]
        if set(envelope) != {"record", "signature"} or set(signature) != {"algorithm", "public_key", "value"}:
            problems.append("the file holds more or less than a record and its signature")
        problems += _signature(record, signature, public_key)
        return Checked(record, str(named), (*problems, *verify(record)))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        return Checked({}, "", (f"the file is no signed record: {error!r}",))


def _signature(record: Any, signature: Mapping[str, Any], public_key: str) -> list[str]:
    if signature["algorithm"] != ALGORITHM:
        return ["signature.algorithm"]
    if public_key and signature["public_key"] != public_key.lower():
        return ["signature.public_key: another key than the one given signed it"]
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature["public_key"]))
        key.verify(bytes.fromhex(signature["value"]), PREFIX + canonical(record))
    except (InvalidSignature, ValueError, TypeError):
        return ["signature.value: it does not fit the record"]
    return []
