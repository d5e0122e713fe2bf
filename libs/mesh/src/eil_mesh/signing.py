"""The mesh's own tokens: signed with the key in the state folder, where there is one (embedded profile)."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import RSAAlgorithm

from eil_mesh.errors import FailedPrecondition, InvalidArgument
from eil_mesh.issuers import ROLES

ISSUER = AUDIENCE = "eil"


def public_jwk(signing_pem: bytes) -> dict[str, Any]:
    """The public JSON Web Key of a signing key; its id is its thumbprint (RFC 7638).

    Raises:
        ValueError: it is no RSA private key.
    """
    private = load_pem_private_key(signing_pem, None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise ValueError("signing.pem holds no RSA private key; remove it so that it is made anew")
    whole = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    public = {name: whole[name] for name in ("e", "kty", "n")}
    digest = hashlib.sha256(json.dumps(public, separators=(",", ":"), sort_keys=True).encode()).digest()
    thumbprint = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return {**public, "kid": thumbprint, "alg": "RS256", "use": "sig"}


def sign_token(signing: Path, *, subject: str, roles: Sequence[str], tenant: str, ttl_s: float, now_s: float) -> str:
    """An RS256 token that the door and every service accept.

    Args:
        signing: file of the key.
        subject: who it is for.
        roles: of viewer, operator, agent, admin.
        tenant: whose facts it reaches.
        ttl_s: seconds until it expires.
        now_s: seconds since 1970.

    Raises:
        InvalidArgument: an unknown role, or an empty subject or tenant.
        FailedPrecondition: there is no key.
    """
    if not subject or not tenant or not roles or not set(roles) <= set(ROLES):
        raise InvalidArgument(f"a token needs a subject, a tenant and roles of {', '.join(ROLES)}; got {list(roles)}")
    try:
        private = signing.read_bytes()
    except FileNotFoundError:
        raise FailedPrecondition(f"{signing} is missing: the mesh never ran here; start it with `eil up`") from None
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "tenant": tenant,
        "roles": list(roles),
        "iat": int(now_s),
        "exp": int(now_s + ttl_s),
    }
    return jwt.encode(claims, private, algorithm="RS256", headers={"kid": public_jwk(private)["kid"]})
