"""Keys and certificates replaced while the mesh runs: the door and the services take them without a restart."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from eil_mesh.errors import FailedPrecondition
from eil_mesh.signing import public_jwk

from eil_gateway.envoy import refresh
from eil_gateway.keys import LOCAL_HOSTS, Keys, ensure_keys, new_signing_key, place

ANNOUNCED_S = 1.0
"""Seconds between publishing a key and signing with it: what door and services take to read it, and some more."""


def rotate_keys(state: Path, wait: Callable[[float], None] = time.sleep) -> None:
    """Make a new signing key. Tokens of the ones before stay good until they expire, or `retire_keys` withdraws their keys.

    Args:
        state: the state folder.
        wait: waits for seconds.

    Raises:
        FailedPrecondition: there are no keys yet.
    """
    keys = Keys(state / "keys")
    _current(keys)
    signing = new_signing_key()
    _publish(state, keys, [public_jwk(signing), *json.loads(keys.jwks.read_text())["keys"]])
    wait(ANNOUNCED_S)
    place(keys.signing, signing, replace=True)


def retire_keys(state: Path) -> int:
    """Withdraw every key but the one that signs now, and with them every token that they signed; returns how many keys that were.

    Raises:
        FailedPrecondition: there are no keys yet.
    """
    keys = Keys(state / "keys")
    current = public_jwk(_current(keys))
    published = json.loads(keys.jwks.read_text())["keys"]
    _publish(state, keys, [current])
    return sum(key["kid"] != current["kid"] for key in published)


def renew_certificate(state: Path, hosts: Sequence[str] = (), now_s: float | None = None) -> bool:
    """Issue the door's certificate anew where it is due, or lacks a host; returns whether it was.

    Args:
        state: the state folder.
        hosts: DNS names and addresses that it must carry beside the local ones.
        now_s: seconds since 1970; None is this machine's clock.
    """
    certificate = Keys(state / "keys").certificate
    before = certificate.read_bytes() if certificate.exists() else b""
    ensure_keys(state, hosts=(*LOCAL_HOSTS, *hosts), now_s=now_s)
    return certificate.read_bytes() != before


def _publish(state: Path, keys: Keys, key_set: Sequence[object]) -> None:
    place(keys.jwks, json.dumps({"keys": key_set}, indent=2).encode(), replace=True)
    refresh(state)


def _current(keys: Keys) -> bytes:
    """The key that signs now; there must be a key set, too."""
    if not (keys.signing.exists() and keys.jwks.exists()):
        raise FailedPrecondition(f"{keys.folder} holds no keys: the mesh never ran here; start it with `eil up`")
    return keys.signing.read_bytes()
