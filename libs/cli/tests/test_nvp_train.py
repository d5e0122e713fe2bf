"""`eil nvp`: what is trained can be read, is the same again, and data that are there are used again."""

import json
from pathlib import Path

import pytest
from eil_cli.main import build
from eil_nvp.domain.fields import datasets, model
from typer.testing import CliRunner

SMALL = ("--trajectories", "4", "--steps", "2", "--points", "16", "--updates", "2")


def eil(*arguments: str):
    return CliRunner().invoke(build(), ["nvp", *arguments])


def test_a_model_is_trained_with_its_data_beside_it(tmp_path: Path) -> None:
    out = str(tmp_path / "models")
    said = eil("train", "heat", "--out", out, "--json", *SMALL)
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)["heat"]
    trained = model.load(Path(told["checkpoint"]))
    _, about = datasets.read(tmp_path / "models" / "heat.h5")
    assert trained.data_digest == about.digest == told["data_digest"]
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["heat.h5", "heat.safetensors"]


def test_the_same_again_is_the_same_and_other_data_are_made_anew(tmp_path: Path) -> None:
    made = tmp_path / "heat.h5"
    assert eil("train", "heat", "--out", str(tmp_path), *SMALL).exit_code == 0
    once, age = (tmp_path / "heat.safetensors").read_bytes(), made.stat().st_mtime_ns
    assert eil("train", "heat", "--out", str(tmp_path), *SMALL).exit_code == 0
    assert (tmp_path / "heat.safetensors").read_bytes() == once
    assert made.stat().st_mtime_ns == age
    assert eil("train", "heat", "--out", str(tmp_path), *SMALL, "--seed", "1").exit_code == 0
    assert datasets.read(made)[1].seed == 1


def test_the_table_shows_every_member(tmp_path: Path) -> None:
    said = eil("train", "power", "--out", str(tmp_path), *SMALL)
    for member in ("spectral", "convolution", "skill over persistence", "eil nvp publish"):
        assert member in said.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("train", "plasma"), 2, "no such domain"),
        (("publish", "FILE"), 1, "no checkpoint"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, arguments: tuple[str, ...], code: int, message: str, capfd) -> None:
    file = tmp_path / "FILE"
    file.write_bytes(b"nothing")
    given = [str(file) if one == "FILE" else one for one in arguments]
    said = eil(*given, "--state", str(_mesh(tmp_path))) if arguments[0] == "publish" else eil(*given)
    assert said.exit_code == code
    assert message in said.output + "".join(capfd.readouterr())


def _mesh(tmp_path: Path) -> Path:
    """A state folder whose endpoint is never asked."""
    from eil_cli.endpoint import Endpoint

    Endpoint("https://127.0.0.1:1", "127.0.0.1:1", str(tmp_path / "ca.crt"), "token", {}, 1).save(tmp_path)
    return tmp_path


def test_without_a_mesh_publishing_says_how_to_start_one(tmp_path: Path, capfd) -> None:
    file = tmp_path / "FILE"
    file.write_bytes(b"nothing")
    said = eil("publish", str(file), "--state", str(tmp_path / "none"))
    assert said.exit_code == 3
    assert "eil up" in said.output + "".join(capfd.readouterr())
