"""An OpenID provider as far as tokens go: signs them, and publishes its keys over HTTPS on this machine."""

import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from eil_gateway.certificates import Authority, moment, new_key, pem, self_signed
from eil_mesh.issuers import Issuer
from jwt.algorithms import ECAlgorithm, RSAAlgorithm


class Provider:
    """Signs with RS256 and ES256; `published` names the keys that its page shows, `fails` lets it answer 500.

    Args:
        folder: where the certificate that its page is checked against is put, as `provider.crt`.
    """

    def __init__(self, folder: Path) -> None:
        self.keys: dict[str, Any] = {}
        self.published: list[str] = []
        self.fails, self.asked = False, 0
        key = new_key()
        certificate = self_signed(key, moment(time.time()))
        (folder / "provider.crt").write_bytes(certificate)
        own = new_key()
        authority = Authority(key, x509.load_pem_x509_certificate(certificate))
        (folder / "provider-tls.pem").write_bytes(
            pem(own) + authority.issue(own.public_key(), ["localhost", "127.0.0.1"], moment(time.time()))
        )
        self._folder = folder
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "provider-tls.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_port}"

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                body = json.dumps({"keys": [provider.jwk(name) for name in provider.published]}).encode()
                self.send_response(500 if provider.fails else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        return Handler

    def new_key(self, name: str, kind: str = "RSA", *, publish: bool = True) -> None:
        """Make a key, and publish it beside those that are."""
        curve = kind == "EC"
        self.keys[name] = (
            ec.generate_private_key(ec.SECP256R1())
            if curve
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        if publish:
            self.published.append(name)

    def jwk(self, name: str) -> dict[str, Any]:
        """The public key, as its page shows it; no `alg`, as with some providers."""
        key = self.keys[name]
        kind: Any = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
        return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig"}

    def token(self, key: str, **claims: Any) -> str:
        """A token for ten minutes."""
        said = {"iss": self.url, "aud": "eil", "sub": "ada", "exp": time.time() + 600, **claims}
        algorithm = "RS256" if isinstance(self.keys[key], rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(said, self.keys[key], algorithm=algorithm, headers={"kid": key})

    def issuer(self, **fields: Any) -> Issuer:
        """How the mesh is told of it: roles in `realm_access.roles`, the tenant in `org`."""
        given = {"roles_claim": "realm_access.roles", "tenant_claim": "org", **fields}
        return Issuer(issuer=self.url, audience="eil", jwks_url=f"{self.url}/jwks", ca_file="provider.crt", **given)

    @contextmanager
    def serving(self) -> Iterator["Provider"]:
        """Its page, meanwhile."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(10)
