"""Backups: one instant of all databases, chunks that are shared and checked, and a restore that gives back every byte."""

import itertools
import json
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from eil_cli.backup.instant import instant
from eil_cli.backup.restore import restore
from eil_cli.backup.take import take
from eil_cli.backup.vault import CHUNK, FileRecord, Manifest, Vault, VaultError
from eil_cli.main import build
from typer.testing import CliRunner


def database(path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("CREATE TABLE IF NOT EXISTS counted (n INTEGER)")
    return conn


def newest(path: Path) -> int:
    with closing(sqlite3.connect(path)) as conn:
        return conn.execute("SELECT coalesce(max(n), 0) FROM counted").fetchone()[0]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    for part in ("keys", "objects/ab", "objects/incoming", "logs"):
        (folder / part).mkdir(parents=True)
    (folder / "keys" / "signing.pem").write_bytes(b"a key")
    (folder / "keys" / "signing.pem").chmod(0o600)
    (folder / "objects" / "ab" / "abcd").write_bytes(os.urandom(CHUNK + 17))
    (folder / "objects" / "incoming" / "half").write_bytes(b"not whole")
    (folder / "logs" / "regime.log").write_text("not state")
    for name in ("regime", "atlas"):
        database(folder / f"{name}.db").close()
    return folder


class Writers:
    """A cause and its effect: n is committed to `regime` first, then to `atlas`, for ever."""

    def __init__(self, state: Path) -> None:
        self._cause, self._effect = database(state / "regime.db"), database(state / "atlas.db")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._cause.close()
        self._effect.close()

    def _run(self) -> None:
        for n in itertools.count(1):
            if self._stop.is_set():
                return
            self._cause.execute("INSERT INTO counted VALUES (?)", (n,))
            self._effect.execute("INSERT INTO counted VALUES (?)", (n,))


def test_no_effect_is_copied_without_its_cause(state, tmp_path):
    # Named so that the effect's database would be copied first if they were copied one after the other.
    paths = [state / "atlas.db", state / "regime.db"]
    with Writers(state):
        for turn in range(15):
            passed, deadline = newest(paths[1]), time.monotonic() + 5
            while newest(paths[1]) == passed and time.monotonic() < deadline:
                time.sleep(0.001)
            with instant(paths) as moment:
                for path in paths:
                    moment.copy(path, tmp_path / f"{turn}-{path.name}")
    moved = set()
    for turn in range(15):
        cause, effect = newest(tmp_path / f"{turn}-regime.db"), newest(tmp_path / f"{turn}-atlas.db")
        assert effect <= cause <= effect + 1
        moved.add(cause)
    assert len(moved) > 1, "the writers went on meanwhile"


def test_every_byte_comes_back(state, tmp_path):
    with closing(database(state / "regime.db")) as conn:
        conn.execute("INSERT INTO counted VALUES (42)")
        vault = Vault(tmp_path / "vault")
        manifest = take(state, vault)
    restored = tmp_path / "restored"
    restore(vault, manifest, restored)
    assert newest(restored / "regime.db") == 42
    for name in ("keys/signing.pem", "objects/ab/abcd"):
        assert (restored / name).read_bytes() == (state / name).read_bytes()
    assert (restored / "keys/signing.pem").stat().st_mode & 0o777 == 0o600
    assert restored.stat().st_mode & 0o777 == 0o700
    assert not (restored / "logs").exists()
    assert not (restored / "objects" / "incoming").exists()


def test_what_did_not_change_is_kept_once(state, tmp_path):
    vault = Vault(tmp_path / "vault")
    take(state, vault)
    before = {path for path in (tmp_path / "vault/chunks").rglob("*") if path.is_file()}
    take(state, vault)
    assert {path for path in (tmp_path / "vault/chunks").rglob("*") if path.is_file()} == before
    assert len(vault.manifests()) == 2


def test_older_backups_go_with_what_only_they_need(state, tmp_path):
    vault = Vault(tmp_path / "vault")
    take(state, vault)
    (state / "objects/ab/abcd").unlink()
    (state / "objects/ab/ef01").write_bytes(b"another")
    kept = take(state, vault)
    assert vault.thin(1) == 1
    assert vault.newest() == kept
    restore(vault, kept, tmp_path / "restored")
    needed = {chunk for file in kept.files for chunk in file.chunks}
    assert {path.name for path in (tmp_path / "vault/chunks").glob("??/*")} == needed


def test_a_damaged_chunk_is_found_and_nothing_is_restored(state, tmp_path):
    vault = Vault(tmp_path / "vault")
    manifest = take(state, vault)
    victim = next(file for file in manifest.files if file.name == "objects/ab/abcd").chunks[0]
    path = tmp_path / "vault/chunks" / victim[:2] / victim
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VaultError, match="gone or damaged"):
        restore(vault, manifest, tmp_path / "restored")
    assert not [path for path in (tmp_path / "restored").rglob("*") if path.is_file()]


def test_a_folder_that_holds_something_is_left_alone(state, tmp_path):
    vault = Vault(tmp_path / "vault")
    manifest = take(state, vault)
    before = sorted(state.rglob("*"))
    with pytest.raises(VaultError, match="not empty"):
        restore(vault, manifest, state)
    assert sorted(state.rglob("*")) == before


def test_a_manifest_that_leads_outside_is_refused(tmp_path):
    vault = Vault(tmp_path / "vault")
    digest = vault.put(b"x")
    with pytest.raises(VaultError, match="outside"):
        restore(vault, Manifest(1, 0.0, (FileRecord("../escaped", 1, 0o600, (digest,)),)), tmp_path / "restored")
    assert not (tmp_path / "escaped").exists()


def test_a_newer_release_s_backup_is_named_as_such(state, tmp_path):
    vault = Vault(tmp_path / "vault")
    take(state, vault)
    (path,) = vault.manifests()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    with pytest.raises(VaultError, match="version 99"):
        vault.newest()


def test_the_newest_before_a_moment(tmp_path):
    vault = Vault(tmp_path / "vault")
    for taken_us in (10, 20, 30):
        vault.add(Manifest(taken_us, 0.0, ()))
    assert [found.taken_us for at in (25, 20, None) if (found := vault.newest(at))] == [20, 20, 30]
    assert vault.newest(5) is None


def test_the_commands_say_what_they_did_and_what_is_wrong(state, tmp_path):
    run, folder = CliRunner(), str(tmp_path / "vault")
    assert run.invoke(build(), ["restore", folder]).exit_code == 1
    taken = json.loads(run.invoke(build(), ["backup", folder, "--state", str(state), "--json"]).stdout)
    listed = json.loads(run.invoke(build(), ["restore", folder, "--list", "--json"]).stdout)
    assert [one["time"] for one in listed] == [taken["time"]]
    target = str(tmp_path / "restored")
    early = run.invoke(build(), ["restore", folder, "--at", "2001-01-01T00:00:00Z", "--state", target])
    assert early.exit_code == 1
    done = json.loads(run.invoke(build(), ["restore", folder, "--state", target, "--json"]).stdout)
    assert (done["time"], done["bytes"]) == (taken["time"], taken["bytes"])
    assert run.invoke(build(), ["backup", folder, "--state", str(tmp_path / "nothing")]).exit_code == 1
