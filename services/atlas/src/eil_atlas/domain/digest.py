"""A digest of states that does not depend on their order: the same on whichever side they are kept."""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from eil_atlas.domain.spans import HOUR_US

_SPACE = 1 << 64


@dataclass(frozen=True, slots=True)
class HourDigest:
    """States that begin in an hour: how many, and the sum of their hashes modulo 2⁶⁴."""

    start_us: int
    states: int
    digest: int


def state_hash(start_us: int, energy_j: float, covered_s: float, entropy: float, power_method: str, regime: str) -> int:
    """Hash of a state's key and figures, to the bit; 64 bits."""
    figures = struct.pack("<qddd", start_us, energy_j, covered_s, entropy)
    text = f"{power_method}\x00{regime}".encode()
    return int.from_bytes(hashlib.blake2b(figures + text, digest_size=8).digest(), "little")


def by_hour(states: Iterable[tuple[int, int]]) -> list[HourDigest]:
    """Digests of the hours that states (begin [µs], hash) lie in, oldest first."""
    hours: dict[int, tuple[int, int]] = {}
    for start_us, hashed in states:
        hour = start_us - start_us % HOUR_US
        count, total = hours.get(hour, (0, 0))
        hours[hour] = (count + 1, (total + hashed) % _SPACE)
    return [HourDigest(hour, *hours[hour]) for hour in sorted(hours)]
