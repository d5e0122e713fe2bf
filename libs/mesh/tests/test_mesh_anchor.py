"""Signed journal heads: what is signed, that it reaches the Atlas, and that tampering shows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eil.atlas.v1 import atlas_pb2
from eil.economy.v1 import economy_pb2
from eil_mesh.anchor import check_head, sign_head, signing_key
from eil_mesh.call import current_call
from eil_mesh.clock import ManualClock
from eil_mesh.errors import FailedPrecondition
from eil_mesh.journal import GENESIS, Entry, chain_hash, verify
from prometheus_client import REGISTRY

FAST = {"anchor_s": 0.02}


async def publish(store, name):
    await store.write(
        lambda tx: tx.journal.append(tx.now_us, "acme", "topic", "key", economy_pb2.TransferRecord(id=name))
    )


class Atlas:
    """`AnchorHead`, refusing as often as it is told to."""

    def __init__(self, *errors):
        self.errors, self.heads, self.services = list(errors), [], []

    async def __call__(self, request, context):
        if self.errors:
            raise self.errors.pop(0)
        call = current_call()
        self.services.append(call.principal.service if call else None)
        self.heads.append(request.head)
        return atlas_pb2.AnchorHeadResponse()


@pytest.fixture
def head():
    return sign_head(Ed25519PrivateKey.generate(), "regime/0", 7, bytes(range(32)), 1_800_000_000_000_000)


class TestSignature:
    def test_a_head_holds(self, head):
        check_head(head)
        assert (head.journal, head.offset, head.time.seconds) == ("regime/0", 7, 1_800_000_000)

    @pytest.mark.parametrize(
        "change",
        [
            {"journal": "decision/0"},
            {"offset": 8},
            {"hash": bytes(32)},
            {"signature": bytes(64)},
            {"public_key": Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_whatever_is_altered_shows(self, head, change):
        for field, value in change.items():
            setattr(head, field, value)
        with pytest.raises(InvalidSignature):
            check_head(head)

    def test_the_key_is_made_once_for_the_owner_alone(self, tmp_path):
        path = tmp_path / "keys" / "regime.ed25519"
        made = signing_key(path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        again = signing_key(path)
        assert again.private_bytes_raw() == made.private_bytes_raw()


class TestAnchoring:
    async def test_each_new_head_reaches_the_atlas_signed(self, serve, until):
        atlas = Atlas()
        async with (
            serve("atlas", AnchorHead=atlas),
            serve("regime", store="", settings=FAST, clock=ManualClock()) as regime,
        ):
            (store,) = regime.mesh._stores
            for count in (1, 2):
                await publish(store, str(count))
                await until(lambda count=count: len(atlas.heads) == count)
            rows = await store.read(lambda conn: conn.execute("SELECT offset, hash FROM journal").fetchall())
        for head in atlas.heads:
            check_head(head)
        assert [(head.offset, head.hash) for head in atlas.heads] == [tuple(row) for row in rows]
        assert {head.journal for head in atlas.heads} == {"regime/0"}
        assert {head.public_key for head in atlas.heads} == {atlas.heads[0].public_key}
        assert set(atlas.services) == {"regime"}
        assert REGISTRY.get_sample_value("eil_journal_anchored_offset") == 2

    async def test_a_refused_head_is_offered_again(self, serve, until):
        atlas = Atlas(FailedPrecondition("not now"), FailedPrecondition("not now"))
        async with serve("atlas", AnchorHead=atlas), serve("regime", store="", settings=FAST) as regime:
            await publish(regime.mesh._stores[0], "one")
            await until(lambda: len(atlas.heads) == 1)
        assert atlas.heads[0].offset == 1

    async def test_the_key_and_the_chain_outlast_a_restart(self, serve, until):
        atlas = Atlas()
        async with serve("atlas", AnchorHead=atlas):
            for count in (1, 2):
                async with serve("regime", store="", settings=FAST) as regime:
                    await publish(regime.mesh._stores[0], str(count))
                    await until(lambda count=count: any(head.offset == count for head in atlas.heads))
        assert len({head.public_key for head in atlas.heads}) == 1
        assert len({head.hash for head in atlas.heads}) == 2


async def test_a_rewritten_journal_no_longer_fits_its_anchored_head(serve, until, tmp_path):
    """Whoever holds the file can rewrite it with a chain that is whole in itself: the anchored head is what gives it away."""
    atlas = Atlas()
    async with serve("atlas", AnchorHead=atlas), serve("regime", store="", settings=FAST) as regime:
        for name in ("one", "two", "three"):
            await publish(regime.mesh._stores[0], name)
        await until(lambda: any(head.offset == 3 for head in atlas.heads))
    head = next(head for head in atlas.heads if head.offset == 3)
    assert hash_at(tmp_path, 3) == head.hash
    rewrite(tmp_path / "regime.db", 2, tenant="mallory")
    with closing(sqlite3.connect(tmp_path / "regime.db")) as conn:
        assert list(verify(conn)) == []
    assert hash_at(tmp_path, 3) != head.hash


def hash_at(tmp_path: Path, offset: int) -> bytes:
    with closing(sqlite3.connect(tmp_path / "regime.db")) as conn:
        return conn.execute("SELECT hash FROM journal WHERE offset = ?", (offset,)).fetchone()[0]


def rewrite(path: Path, offset: int, tenant: str) -> None:
    """Change one entry and mend every hash after it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute("DROP TRIGGER journal_holds")
        conn.execute("UPDATE journal SET tenant = ? WHERE offset = ?", (tenant, offset))
        previous = GENESIS
        for row in conn.execute("SELECT * FROM journal ORDER BY offset").fetchall():
            e = Entry(*row)
            previous = chain_hash(previous, e.offset, e.time_us, e.tenant, e.topic, e.key, e.digest)
            conn.execute("UPDATE journal SET hash = ? WHERE offset = ?", (previous, e.offset))
