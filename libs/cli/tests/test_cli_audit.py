"""Offline verification on a real store: what holds, and each way in which it does not."""

import asyncio
import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eil.decision.v1 import decision_pb2
from eil.regime.v1 import regime_pb2
from eil_cli.audit import JournalReport, verify_state
from eil_cli.audit_log import NotAnExport, export, records, unpack
from eil_mesh.anchor import sign_head, signing_key
from eil_mesh.call import Call, serving
from eil_mesh.clock import ManualClock
from eil_mesh.identity import Principal
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


SET_MODE = f"/{decision_pb2.DESCRIPTOR.services_by_name['DecisionService'].full_name}/SetMode"


async def _asked(state: Path, subject: str, tenant: str) -> None:
    store = Store(state / "decision.db", "", ManualClock(), durable=False)
    principal = Principal(subject, tenant, frozenset({"operator"}), token=True)
    with serving(Call(SET_MODE, f"req-{subject}", principal)):
        await store.write(lambda tx: tx.journal.append(1, tenant, "topic", "dc-01", regime_pb2.RegimeShift(id="1")))
    store.close()


def test_the_log_says_who_asked_for_what(state: Path) -> None:
    for subject, tenant in (("anna", "acme"), ("bert", "acme"), ("anna", "other")):
        asyncio.run(_asked(state, subject, tenant))

    everything = records(state)

    assert [(one.record.subject, one.tenant) for one in everything] == [
        ("anna", "acme"),
        ("bert", "acme"),
        ("anna", "other"),
    ]
    first = everything[0]
    assert (first.journal, first.offset, list(first.record.offsets)) == ("decision/0", 2, [1])
    assert (first.record.method, first.record.request_id) == (SET_MODE, "req-anna")
    assert [one.tenant for one in records(state, subject="anna")] == ["acme", "other"]
    assert [one.record.subject for one in records(state, tenant="acme")] == ["anna", "bert"]
    assert records(state, subject="carl") == []


@pytest.fixture(params=["log.jsonl", "log.jsonl.gz"])
def exported(request: pytest.FixtureRequest, state: Path, tmp_path: Path) -> Path:
    asyncio.run(_asked(state, "anna", "acme"))
    path = tmp_path / request.param
    assert export(state, path) == 12
    return path


def verified(path: Path, tmp_path: Path) -> dict[str, JournalReport]:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    unpack(path, folder)
    return {report.journal: report for report in verify_state(folder)}


def test_an_export_can_be_verified_by_itself(exported: Path, tmp_path: Path) -> None:
    reports = verified(exported, tmp_path)

    assert not any(report.problems for report in reports.values())
    regime_report = reports["regime/0"]
    assert (regime_report.entries, regime_report.heads, regime_report.not_anchored) == (10, 2, 2)
    assert reports["decision/0"].entries == 2


def lines_of(path: Path) -> list[str]:
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode().splitlines()


def changed(path: Path, change: Callable[[list[str]], list[str]]) -> Path:
    altered = path.with_name("altered.jsonl")
    altered.write_text("\n".join(change(lines_of(path))) + "\n")
    return altered


def _with(line: str, **fields: object) -> str:
    return json.dumps({**json.loads(line), **fields})


def _swapped(lines: list[str]) -> list[str]:
    """The last two entries of regime in each other's place."""
    one, other = json.loads(lines[-2]), json.loads(lines[-1])
    return [
        *lines[:-2],
        json.dumps({**other, "offset": one["offset"]}),
        json.dumps({**one, "offset": other["offset"]}),
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: [*lines[:-1], _with(lines[-1], tenant="mine")], "the hash of entry 10 does not follow"),
        (lambda lines: [*lines[:-1], _with(lines[-1], payload="AAAA")], "the payload of entry 10 was altered"),
        (lambda lines: [*lines[:-2], lines[-1]], "entries 9 to 9 are missing"),
        (lambda lines: lines[:-4], "entry 8 was anchored, but the journal ends at entry 6"),
        (_swapped, "the hash of entry 9 does not follow"),
    ],
    ids=["changed", "payload", "removed", "cut off", "reordered"],
)
def test_an_export_that_was_tampered_with_does_not_hold(
    exported: Path, tmp_path: Path, change: Callable[[list[str]], list[str]], expected: str
) -> None:
    problems = verified(changed(exported, change), tmp_path)["regime/0"].problems

    assert any(expected in problem for problem in problems), problems


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: [*lines, "{"],
        lambda lines: [*lines, lines[-1]],
        lambda lines: [*lines, _with(lines[-1], journal="../../evil/0")],
        lambda lines: [],
    ],
    ids=["no header", "cut", "twice", "elsewhere", "empty"],
)
def test_what_is_no_export_is_refused(exported: Path, tmp_path: Path, change: Callable[[list[str]], list[str]]) -> None:
    with pytest.raises(NotAnExport):
        verified(changed(exported, change), tmp_path)


def test_bulk_goes_out_as_digests(state: Path, tmp_path: Path) -> None:
    async def sense() -> None:
        store = Store(state / "regime.db", "", ManualClock(), durable=False)
        record = regime_pb2.TelemetryRecord(source="dc-01")
        await store.write(lambda tx: tx.journal.append(1, "default", "eil.sense.telemetry", "dc-01", record))
        store.close()

    asyncio.run(sense())
    export(state, tmp_path / "log.jsonl")

    last = json.loads(lines_of(tmp_path / "log.jsonl")[-1])
    assert (last["topic"], last["payload"], last["salt"]) == ("eil.sense.telemetry", None, "")
    assert not any(report.problems for report in verified(tmp_path / "log.jsonl", tmp_path).values())
