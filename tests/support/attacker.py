"""What an attacker has: sockets that say whatever they are told, tokens written by hand, and a look at what the mesh has stored."""

import base64
import hashlib
import hmac
import json
import socket
import sqlite3
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from eil_gateway.keys import Keys
from eil_mesh.services import STATEFUL
from eil_mesh.signing import public_jwk
from jwt.algorithms import RSAAlgorithm
from support.mesh import RunningMesh

TENANT, CROWN = "attacked", "crown"
"""The tenant that the attacker has tokens of, and the one that it is after."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of an HTTP/1.1 request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """The reason of a refusal; "" of anything else."""
        try:
            details = json.loads(self.body).get("details") or []
        except (ValueError, AttributeError):
            return ""
        return next((d["reason"] for d in details if d.get("@type", "").endswith("ErrorInfo")), "")


class Attacker:
    """Stands before the door of a mesh."""

    def __init__(self, mesh: RunningMesh) -> None:
        self.mesh = mesh
        self._own_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.mesh.endpoint.ca)

    @contextmanager
    def connection(self, *protocols: str) -> Iterator[ssl.SSLSocket]:
        """A connection that says nothing by itself."""
        context, url = self.context(), urlsplit(self.mesh.endpoint.url)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        with (
            socket.create_connection((url.hostname or "", url.port or 0), 30) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as secure,
        ):
            yield secure

    def send(
        self, method: str, target: str, body: bytes = b"", headers: list[tuple[str, str]] | None = None, **named: str
    ) -> Answer:
        """One request, its target and headers as they are given, and the answer to it."""
        lines = [f"{method} {target} HTTP/1.1", "host: localhost", "connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in [*named.items(), *(headers or [])]]
        if body or method in ("POST", "PUT"):
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        with self.connection() as secure:
            secure.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            return read(secure)

    def grpc(self) -> grpc.Channel:
        """A channel to the door."""
        with open(self.mesh.endpoint.ca, "rb") as file:
            return grpc.secure_channel(self.mesh.endpoint.grpc, grpc.ssl_channel_credentials(file.read()))

    def bearer(self, *roles: str) -> str:
        return f"Bearer {self.mesh.token(*roles, tenant=TENANT, subject='mallory')}"

    def signed(self, **claims: Any) -> str:
        """A token with the mesh's true signature, whatever it says."""
        signing = Keys(self.mesh.state / "keys").signing.read_bytes()
        return jwt.encode(self._claims(claims), signing, algorithm="RS256", headers={"kid": self._kid()})

    def forged(self, header: Mapping[str, Any], **claims: Any) -> str:
        """A token that no key of the mesh signed, under the key id of one that could have."""
        whole = {"kid": self._kid(), "typ": "JWT", **header}
        said = _part(json.dumps(whole).encode()) + b"." + _part(json.dumps(self._claims(claims)).encode())
        return (said + b"." + _part(self._signature(whole["alg"], said))).decode()

    def _signature(self, algorithm: str, said: bytes) -> bytes:
        if algorithm == "none":
            return b""
        if algorithm.startswith("HS"):
            return hmac.digest(self._public_pem(), said, hashlib.sha256)
        return jwt.get_algorithm_by_name(algorithm).sign(said, self._own_key)

    def _claims(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        now_s = int(time.time())
        valid = {"iss": "eil", "aud": "eil", "sub": "mallory", "tenant": CROWN, "roles": ["admin"]}
        return {**valid, "iat": now_s, "exp": now_s + 600, **claims}

    def own_jwk(self) -> dict[str, Any]:
        """The attacker's own public key."""
        return RSAAlgorithm.to_jwk(self._own_key.public_key(), as_dict=True)

    def _kid(self) -> str:
        return public_jwk(Keys(self.mesh.state / "keys").signing.read_bytes())["kid"]

    def _public_pem(self) -> bytes:
        private = load_pem_private_key(Keys(self.mesh.state / "keys").signing.read_bytes(), None)
        return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def stored(self) -> dict[str, int]:
        """Journal entries of both tenants, by service: whatever is stored leaves one. The mesh's own accounts, to which even what is
        allowed costs something, are left out."""
        return {name: self._entries(name) for name in STATEFUL}

    def _entries(self, service: str) -> int:
        with closing(sqlite3.connect(f"file:{self.mesh.state}/{service}.db?mode=ro", uri=True)) as conn:
            asked = "SELECT count(*) FROM journal WHERE tenant IN (?, ?) AND key NOT LIKE '@%'"
            return conn.execute(asked, (TENANT, CROWN)).fetchone()[0]


def read(secure: ssl.SSLSocket) -> Answer:
    """The answer after which the door closes."""
    whole = b""
    while chunk := secure.recv(65536):
        whole += chunk
    head, _, body = whole.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


def _part(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")
