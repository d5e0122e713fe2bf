"""Offline verification on a real store: what holds, and each way in which it does not."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eil.regime.v1 import regime_pb2
from eil_cli.audit import JournalReport, verify_state
from eil_mesh.anchor import sign_head, signing_key
from eil_mesh.clock import ManualClock
from eil_mesh.journal import chain_hash
from eil_mesh.store import Store, Tx

HEADS = """
CREATE TABLE heads (journal TEXT NOT NULL, offset INTEGER NOT NULL, hash BLOB NOT NULL, public_key BLOB NOT NULL,
  signature BLOB NOT NULL, time_us INTEGER NOT NULL, PRIMARY KEY (journal, offset)) STRICT;
"""


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder: 10 entries of regime, heads anchored at 4 and 8."""
    state = tmp_path_factory.mktemp("intact")
    clock = ManualClock()

    async def write() -> None:
        store = Store(state / "regime.db", "", clock, durable=False)
        for number in range(10):
            shift = regime_pb2.RegimeShift(id=str(number), source="dc-01")

            def append(tx: Tx, shift: regime_pb2.RegimeShift = shift) -> None:
                tx.journal.append(tx.now_us, "default", "eil.regime.shifts", "dc-01", shift)

            await store.write(append)
        store.close()
        Store(state / "atlas.db", HEADS, clock, durable=False).close()

    asyncio.run(write())
    anchor(state, signing_key(state / "keys" / "regime.ed25519"), 4, 8)
    sqlite3.connect(state / "cache.db").execute("CREATE TABLE something (x)").connection.close()
    return state


@pytest.fixture
def state(intact: Path, tmp_path: Path) -> Path:
    shutil.copytree(intact, tmp_path / "state")
    return tmp_path / "state"


def anchor(state: Path, key: Ed25519PrivateKey, *offsets: int, journal: str = "regime/0") -> None:
    with sqlite3.connect(state / "atlas.db") as atlas, sqlite3.connect(state / "regime.db") as regime:
        for offset in offsets:
            (digest,) = regime.execute("SELECT hash FROM journal WHERE offset = ?", (offset,)).fetchone()
            head = sign_head(key, journal, offset, digest, 0)
            row = (head.journal, head.offset, head.hash, head.public_key, head.signature, 0)
            atlas.execute("INSERT OR REPLACE INTO heads VALUES (?,?,?,?,?,?)", row)


def tamper(path: Path, *statements: str) -> None:
    """What somebody who holds the file can do: drop the triggers, then anything."""
    with sqlite3.connect(path) as conn:
        conn.executescript("DROP TRIGGER IF EXISTS journal_stands; DROP TRIGGER IF EXISTS journal_holds;")
        for statement in statements:
            conn.execute(statement)


def rewrite(path: Path, first: int) -> None:
    """Change who an entry speaks of and chain everything after it anew, so that the chain itself holds."""
    with sqlite3.connect(path) as conn:
        conn.executescript("DROP TRIGGER IF EXISTS journal_holds;")
        conn.execute("UPDATE journal SET key = 'forged' WHERE offset = ?", (first,))
        rows = conn.execute(
            "SELECT offset, time_us, tenant, topic, key, digest FROM journal ORDER BY offset"
        ).fetchall()
        previous = bytes(32)
        for row in rows:
            previous = chain_hash(previous, *row)
            conn.execute("UPDATE journal SET hash = ? WHERE offset = ?", (previous, row[0]))


def regime(state: Path) -> JournalReport:
    return next(report for report in verify_state(state) if report.journal == "regime/0")


def test_an_intact_journal_holds_and_young_entries_are_counted(state: Path) -> None:
    before = {path.name: path.read_bytes() for path in state.glob("*.db")}

    reports = verify_state(state)

    assert [report.journal for report in reports] == ["atlas/0", "regime/0"]
    assert all(report.problems == () for report in reports)
    report = regime(state)
    assert (report.entries, report.heads, report.anchored, report.not_anchored) == (10, 2, 8, 2)
    assert {path.name: path.read_bytes() for path in state.glob("*.db")} == before


def test_an_open_store_can_be_verified_meanwhile(tmp_path: Path) -> None:
    async def run() -> JournalReport:
        store = Store(tmp_path / "regime.db", "", ManualClock(), durable=False)
        await store.write(lambda tx: tx.journal.append(1, "t", "topic", "key", regime_pb2.RegimeShift(id="1")))
        report = regime(tmp_path)
        store.close()
        return report

    report = asyncio.run(run())

    assert (report.entries, report.not_anchored, report.problems) == (1, 1, ())


TAMPERINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "payload": (
        lambda state: tamper(state / "regime.db", "UPDATE journal SET payload = x'00' WHERE offset = 3"),
        "the payload of entry 3 was altered",
    ),
    "tenant": (
        lambda state: tamper(state / "regime.db", "UPDATE journal SET tenant = 'other' WHERE offset = 5"),
        "the hash of entry 5 does not follow",
    ),
    "hole": (
        lambda state: tamper(state / "regime.db", "DELETE FROM journal WHERE offset = 6"),
        "entries 6 to 6 are missing",
    ),
    "cut off": (
        lambda state: tamper(state / "regime.db", "DELETE FROM journal WHERE offset > 7"),
        "entry 8 was anchored, but the journal ends at entry 7",
    ),
    "emptied": (
        lambda state: tamper(state / "regime.db", "DELETE FROM journal"),
        "the journal ends at entry 0",
    ),
    "rewritten": (
        lambda state: rewrite(state / "regime.db", 7),
        "entry 8 is not the one that was anchored",
    ),
    "file removed": (
        lambda state: (state / "regime.db").unlink(),
        "its file is gone",
    ),
    "table dropped": (
        lambda state: tamper(state / "regime.db", "DROP TABLE journal"),
        "its table is gone",
    ),
    "head altered": (
        lambda state: tamper(state / "atlas.db", "UPDATE heads SET hash = zeroblob(32) WHERE offset = 4"),
        "the signature of the head at entry 4 is not valid",
    ),
    "key of no length": (
        lambda state: tamper(state / "atlas.db", "UPDATE heads SET public_key = x'00' WHERE offset = 4"),
        "the signature of the head at entry 4 is not valid",
    ),
    "head by a stranger": (
        lambda state: anchor(state, Ed25519PrivateKey.generate(), 8),
        "the head at entry 8 was signed by another key",
    ),
    "file damaged": (
        lambda state: _overwrite(state / "regime.db"),
        "cannot be verified",
    ),
    "key damaged": (
        lambda state: (state / "keys" / "regime.ed25519").write_bytes(b""),
        "regime.ed25519 is damaged",
    ),
}


def _overwrite(path: Path) -> None:
    path.write_bytes(b"nothing of a database" * 400)


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found(state: Path, name: str) -> None:
    act, expected = TAMPERINGS[name]

    act(state)

    problems = regime(state).problems
    assert any(expected in problem for problem in problems), problems


def test_entries_younger_than_the_newest_head_can_be_rewritten_which_is_why_they_are_counted(state: Path) -> None:
    rewrite(state / "regime.db", 9)

    report = regime(state)

    assert report.problems == ()
    assert report.not_anchored == 2


def test_heads_that_cannot_be_read_are_a_problem(state: Path) -> None:
    _overwrite(state / "atlas.db")

    problems = [problem for report in verify_state(state) for problem in report.problems]

    assert any("anchored heads cannot be read" in problem for problem in problems)


def test_a_folder_without_state_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--state"):
        verify_state(tmp_path)
