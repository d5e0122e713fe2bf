"""Keys and certificates, made at first run: what signs tokens, what verifies them, and the door's TLS.

A file that exists is never overwritten, with two exceptions: a server or service certificate that is about to expire, or that lacks a
host that is asked for, is issued anew for the same key; and `rotation` replaces the signing key.
"""

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from eil_mesh.errors import InvalidArgument
from eil_mesh.identity import DEFAULT_TENANT
from eil_mesh.services import OUTSIDERS, SERVICES
from eil_mesh.signing import public_jwk, sign_token

from eil_gateway.certificates import Authority, load_key, moment, new_key, pem, self_signed

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the keys stand."""

    folder: Path

    @property
    def signing(self) -> Path:
        """RSA private key that signs tokens."""
        return self.folder / "signing.pem"

    @property
    def jwks(self) -> Path:
        """JSON Web Key Set that verifies tokens."""
        return self.folder / "jwks.json"

    @property
    def ca(self) -> Path:
        """Certificate that clients trust."""
        return self.folder / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """The CA's private key."""
        return self.folder / "ca.key"

    @property
    def certificate(self) -> Path:
        """The door's certificate."""
        return self.folder / "tls.crt"

    @property
    def key(self) -> Path:
        """The door's private key."""
        return self.folder / "tls.key"


def place(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Put a whole file at a path, mode 0600; without `replace` a file that somebody else put there first stays."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if replace:
        beside.replace(path)
        return
    try:
        os.link(beside, path)
    except FileExistsError:  # two processes started at once and the other was first: its file is the one
        return
    finally:
        beside.unlink()


def _kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """The file's content, made at first."""
    if not path.exists():
        place(path, make())
    return path.read_bytes()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.stat().st_mode & 0o777 != 0o700:  # an image's is so, and cannot be changed
        path.chmod(0o700)
    return path


def new_signing_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _authority(folder: Path, now_s: float) -> Authority:
    key = load_key(_kept(folder / "ca.key", lambda: pem(new_key())))
    text = _kept(folder / "ca.crt", lambda: self_signed(key, moment(now_s)))
    return Authority(key, x509.load_pem_x509_certificate(text))


def _ensure_certificate(folder: Path, authority: Authority, hosts: Sequence[str], now_s: float) -> None:
    now, path = moment(now_s), folder / "tls.crt"
    key = load_key(_kept(folder / "tls.key", lambda: pem(new_key())))
    if not authority.covers(_kept(path, lambda: authority.issue(key.public_key(), hosts, now)), hosts, now):
        place(path, authority.issue(key.public_key(), hosts, now), replace=True)


def ensure_keys(state: Path, *, hosts: Sequence[str] = LOCAL_HOSTS, now_s: float | None = None) -> Keys:
    """Make what is missing in `state/keys` (mode 0700, files 0600); renew the door's certificate where it is due.

    Args:
        state: the state folder; it is made at first.
        hosts: DNS names and addresses that clients know the door by.
        now_s: seconds since 1970; None is this machine's clock.
    """
    now_s = time.time() if now_s is None else now_s
    keys = Keys(_folder(_folder(state) / "keys"))
    signing = _kept(keys.signing, new_signing_key)
    _kept(keys.jwks, lambda: json.dumps({"keys": [public_jwk(signing)]}, indent=2).encode())
    _ensure_certificate(keys.folder, _authority(keys.folder, now_s), hosts, now_s)
    return keys


def service_certificates(folder: Path, names: Sequence[str], *, now_s: float | None = None) -> None:
    """Make `folder/<service>/{ca.crt,tls.crt,tls.key}` for mutual TLS, all of the CA in `folder`, which is made at first.

    With a state's `keys` as the folder the CA is the door's own. Each certificate carries the DNS names `eil-<service>` and localhost; an
    outsider's (KEDA) its bare name alone, which no server answers to.

    Raises:
        InvalidArgument: a name is neither in the service table nor `gateway` nor an outsider's.
    """
    now_s = time.time() if now_s is None else now_s
    if unknown := sorted(set(names) - {*SERVICES, "gateway", *OUTSIDERS}):
        raise InvalidArgument(f"{', '.join(unknown)}: not in the service table; certificates are for its services")
    authority = _authority(_folder(folder), now_s)
    ca = (folder / "ca.crt").read_bytes()
    for name in names:
        own = _folder(folder / name)
        place(own / "ca.crt", ca, replace=True)
        _ensure_certificate(own, authority, (name,) if name in OUTSIDERS else (f"eil-{name}", "localhost"), now_s)


def issue_token(
    state: Path,
    *,
    subject: str,
    roles: Sequence[str],
    tenant: str = DEFAULT_TENANT,
    ttl_s: float = 12 * 3600,
    now_s: float,
) -> str:
    """An RS256 token that the door and every service accept.

    Args:
        state: the state folder, with keys.
        subject: who it is for.
        roles: of viewer, operator, agent, admin.
        tenant: whose facts it reaches.
        ttl_s: seconds until it expires.
        now_s: seconds since 1970.

    Raises:
        InvalidArgument: an unknown role, or an empty subject or tenant.
        FailedPrecondition: there are no keys yet.
    """
    return sign_token(
        Keys(state / "keys").signing, subject=subject, roles=roles, tenant=tenant, ttl_s=ttl_s, now_s=now_s
    )
