"""The folder of objects: where files lie, what a crash leaves, what damage does."""

import hashlib
from pathlib import Path

import pytest
from eil_atlas.objects import ObjectFolder
from eil_mesh.errors import DataLoss, Unavailable

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> ObjectFolder:
    made = ObjectFolder(tmp_path / "objects")
    made.clean()
    return made


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]


def test_an_object_lies_under_its_digest_in_its_tenants_folder(folder: ObjectFolder, tmp_path: Path):
    assert folder.put("../evil", CONTENT) == DIGEST
    tenant = hashlib.sha256(b"../evil").hexdigest()[:32]
    assert files(tmp_path) == [tmp_path / "objects" / tenant / DIGEST[:2] / DIGEST]
    assert folder.get("../evil", DIGEST) == CONTENT


def test_the_same_content_again_is_the_same_file(folder: ObjectFolder, tmp_path: Path):
    folder.put("a", CONTENT)
    (path,) = files(tmp_path)
    before = path.stat().st_ino
    folder.put("a", CONTENT)
    assert files(tmp_path) == [path]
    assert path.stat().st_ino == before


@pytest.mark.parametrize("damage", [b"", b"weightz", CONTENT + b"\n"])
def test_damage_is_data_loss_until_the_content_is_put_again(folder: ObjectFolder, tmp_path: Path, damage: bytes):
    folder.put("a", CONTENT)
    files(tmp_path)[0].write_bytes(damage)
    with pytest.raises(DataLoss) as caught:
        folder.get("a", DIGEST)
    assert caught.value.reason == "OBJECT_DAMAGED"
    folder.put("a", CONTENT)
    assert folder.get("a", DIGEST) == CONTENT


def test_a_lost_file_is_data_loss(folder: ObjectFolder, tmp_path: Path):
    folder.put("a", CONTENT)
    files(tmp_path)[0].unlink()
    with pytest.raises(DataLoss) as caught:
        folder.get("a", DIGEST)
    assert caught.value.reason == "OBJECT_LOST"


def test_what_a_crash_left_half_written_goes_at_the_start(folder: ObjectFolder, tmp_path: Path):
    folder.put("a", CONTENT)
    (tmp_path / "objects" / "incoming" / "0123").write_bytes(b"wei")
    folder.clean()
    assert [path.name for path in files(tmp_path)] == [DIGEST]


def test_a_disk_that_refuses_leaves_nothing(folder: ObjectFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eil_atlas.objects.os.fsync", full)
    with pytest.raises(Unavailable, match="No space left on device"):
        folder.put("a", CONTENT)
    assert files(tmp_path) == []
