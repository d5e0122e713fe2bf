"""For tests: a real service in this process, on a Unix socket in a temporary folder, and tokens that it takes.

async with running(tmp_path, AtlasSettings, build) as mesh, grpc.aio.insecure_channel(f"unix:{tmp_path}/atlas.sock") as channel:
    await AtlasServiceStub(channel).ListStates(request, metadata=metadata(token(tmp_path, roles=["viewer"])))
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TypeVar

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from eil_mesh.clock import Clock, SystemClock
from eil_mesh.identity import DEFAULT_TENANT
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings

S = TypeVar("S", bound=MeshSettings)
KEY_ID = "test"
FOR_EVER_S = 4_102_444_800
"""The year 2100: tokens outlive whatever clock a test holds."""


@contextlib.asynccontextmanager
async def running(
    tmp_path: Path,
    kind: type[S],
    build: Callable[[Mesh[S]], Awaitable[None]],
    *,
    clock: Clock | None = None,
    **settings: object,
) -> AsyncIterator[Mesh[S]]:
    """A service with its state and socket in `tmp_path`, which is the working directory meanwhile; drained at the end.

    Several may run in one folder and reach each other as peers. `settings` are fields of the service's settings.

    Raises:
        Exception: what the service's background work raised, at the end.
    """
    stop = asyncio.Event()
    with contextlib.chdir(tmp_path):  # a socket's path may have 107 letters at most: it stays relative
        mesh = Mesh(kind.model_validate(settings), clock or SystemClock())
        await build(mesh)
        await mesh.start()
        run = asyncio.create_task(mesh.run(stop))
        try:
            yield mesh
        finally:
            stop.set()
            await run


def token(
    tmp_path: Path, roles: Iterable[str] = ("admin",), tenant: str = DEFAULT_TENANT, subject: str = "tester"
) -> str:
    """A token that does not expire; the key that verifies it is put into `tmp_path/keys/jwks.json`, where services look for it."""
    jwks = tmp_path / "keys" / "jwks.json"
    if not jwks.exists():
        public = RSAAlgorithm.to_jwk(_key().public_key(), as_dict=True)
        jwks.parent.mkdir(exist_ok=True)
        jwks.write_text(json.dumps({"keys": [{**public, "kid": KEY_ID, "alg": "RS256", "use": "sig"}]}))
    claims = {
        "iss": "eil",
        "aud": "eil",
        "sub": subject,
        "roles": list(roles),
        "tenant": tenant,
        "exp": FOR_EVER_S,
    }
    return jwt.encode(claims, _key(), algorithm="RS256", headers={"kid": KEY_ID})


def metadata(bearer: str) -> tuple[tuple[str, str], ...]:
    """gRPC metadata of a call with a token."""
    return (("authorization", f"Bearer {bearer}"),)


@cache
def _key() -> rsa.RSAPrivateKey:
    """One key for all tests of a process: making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
