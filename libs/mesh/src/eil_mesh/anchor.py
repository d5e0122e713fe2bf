"""Signed journal heads: every few seconds the service signs where its chain stands and the Atlas keeps it.

Entries younger than the last anchored head are not yet anchored: whoever holds the file could still rewrite them unseen.
"""

import asyncio
import os
from pathlib import Path

import grpc
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from eil.atlas.v1 import atlas_pb2, atlas_pb2_grpc

from eil_mesh import metrics
from eil_mesh.call import acting_for
from eil_mesh.client import Peers
from eil_mesh.clock import Clock, from_us
from eil_mesh.store import Store

log = structlog.get_logger("eil.anchor")


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The service's signing key, made at first and readable by its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Whole or not at all: a process killed half-way must not leave an empty key.
        draft = path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        with draft.open("wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def signed_bytes(journal: str, offset: int, entry_hash: bytes) -> bytes:
    """What a head's signature covers."""
    return f"eil-journal-head\n{journal}\n{offset}\n".encode() + entry_hash


def sign_head(
    key: Ed25519PrivateKey, journal: str, offset: int, entry_hash: bytes, now_us: int
) -> atlas_pb2.JournalHead:
    """The signed head of a journal."""
    return atlas_pb2.JournalHead(
        journal=journal,
        offset=offset,
        hash=entry_hash,
        public_key=key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        signature=key.sign(signed_bytes(journal, offset, entry_hash)),
        time=from_us(now_us),
    )


def check_head(head: atlas_pb2.JournalHead) -> None:
    """Check a head's signature.

    Raises:
        cryptography.exceptions.InvalidSignature: it was not made by the key that the head names.
    """
    signed = signed_bytes(head.journal, head.offset, head.hash)
    Ed25519PublicKey.from_public_bytes(head.public_key).verify(head.signature, signed)


async def anchor(store: Store, peers: Peers, clock: Clock, me: str, key: Ed25519PrivateKey, every_s: float) -> None:
    """Anchor the store's head in the Atlas for ever."""
    stub, anchored = peers.stub(atlas_pb2_grpc.AtlasServiceStub, "atlas"), 0
    while True:
        await asyncio.sleep(every_s)
        row = await store.read(
            lambda conn: conn.execute('SELECT "offset", hash FROM journal ORDER BY "offset" DESC LIMIT 1').fetchone()
        )
        if row is None or row[0] == anchored:
            continue
        metrics.JOURNAL_OFFSET.set(row[0])
        head = sign_head(key, f"{me}/0", row[0], row[1], clock.now_us())
        try:
            with acting_for(me, ""):
                await stub.AnchorHead(atlas_pb2.AnchorHeadRequest(head=head))
        except grpc.aio.AioRpcError as error:
            log.warning("head not anchored", code=error.code().name, detail=error.details())
            continue
        anchored = row[0]
        metrics.ANCHORED_OFFSET.set(anchored)
