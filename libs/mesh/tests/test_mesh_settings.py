"""Settings: read from the environment, refused where unknown or malformed, explained where they are defined."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from eil_mesh.server import serve
from eil_mesh.settings import MeshSettings, load_settings
from pydantic import ValidationError

ROOT = next(folder for folder in Path(__file__).parents if (folder / "services").is_dir())
MODULES = [ROOT / "libs/mesh/src/eil_mesh/settings.py", *sorted(ROOT.glob("services/*/src/*/settings.py"))]


class RegimeSettings(MeshSettings):
    service: ClassVar[str] = "regime"

    window_s: float = 60.0


def run(*arguments, **environment):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EIL_")}
    command = [sys.executable, "-m", "eil_regime", *arguments]
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, timeout=60, check=False)


def test_print_config_says_what_is_in_force(tmp_path):
    done = run("--print-config", EIL_REGIME_STATE=str(tmp_path), EIL_REGIME_METRICS_PORT="9107", EIL_ATLAS_NONSENSE="1")
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)
    assert (settings["state"], settings["metrics_port"]) == (str(tmp_path), 9107)
    assert settings["deadline_s"] == MeshSettings.model_fields["deadline_s"].default
    assert set(MeshSettings.model_fields) < set(settings)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_key_ends_the_process_by_name(tmp_path, monkeypatch, capsys):
    async def build(mesh):
        pytest.fail("it was built")

    monkeypatch.setattr(sys, "argv", ["eil_regime"])
    monkeypatch.setenv("EIL_REGIME_STATE", str(tmp_path))
    monkeypatch.setenv("EIL_REGIME_WINDOWS", "3")
    with pytest.raises(SystemExit) as caught:
        serve(RegimeSettings, build)
    told = capsys.readouterr().err
    assert caught.value.code == 2
    assert told.startswith("EIL_REGIME_WINDOWS: ")
    assert "EIL_REGIME_WINDOW_S" in told  # the known ones are listed
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("METRICS_PORT", "many"),
        ("METRICS_PORT", "70000"),
        ("DEADLINE_S", "-1"),
        ("GRACE_S", "soon"),
        ("LOG_JSON", "perhaps"),
        ("LOG_LEVEL", "loud"),
        ("SERVICE", "atlas"),
        ("", "x"),
    ],
)
def test_a_malformed_value_ends_the_process_by_name(capsys, name, value):
    with pytest.raises(SystemExit) as caught:
        load_settings(RegimeSettings, {f"EIL_REGIME_{name}": value})
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"EIL_REGIME_{name}: ")


def test_every_problem_is_told_at_once(capsys):
    with pytest.raises(SystemExit):
        load_settings(RegimeSettings, {"EIL_REGIME_GRACE_S": "soon", "EIL_REGIME_NONE": "1"})
    told = capsys.readouterr().err
    assert "EIL_REGIME_GRACE_S" in told
    assert "EIL_REGIME_NONE" in told


def test_variables_are_the_services_own():
    environ = {"EIL_REGIME_WINDOW_S": "90", "EIL_ATLAS_WINDOW_S": "1", "PATH": "/bin", "EIL_REGIME_LOG_LEVEL": "DEBUG"}
    settings = load_settings(RegimeSettings, environ)
    assert settings.window_s == 90.0
    assert settings.log_level == "DEBUG"


def test_settings_do_not_change():
    settings = load_settings(RegimeSettings, {})
    with pytest.raises(ValidationError, match="frozen"):
        settings.window_s = 1.0


def test_one_key_signs_whatever_the_service_says():
    assert RegimeSettings(state=Path("s")).signing_key() == Path("s/keys/regime.ed25519")
    assert RegimeSettings(head_key=Path("/tls/head.ed25519")).signing_key() == Path("/tls/head.ed25519")


def test_addresses_follow_the_profile():
    embedded = load_settings(RegimeSettings, {})
    assert (embedded.address(), embedded.peer("atlas")) == ("unix:regime.sock", "unix:atlas.sock")
    distributed = load_settings(
        RegimeSettings,
        {"EIL_REGIME_LISTEN": "0.0.0.0:7000", "EIL_REGIME_PEERS": "dns:///eil-{service}:7000"},
    )
    assert (distributed.address(), distributed.peer("atlas")) == ("0.0.0.0:7000", "dns:///eil-atlas:7000")


def test_a_service_outside_of_the_table_is_refused():
    class Stranger(MeshSettings):
        service: ClassVar[str] = "stranger"

    with pytest.raises(ValidationError, match="not in the service table"):
        Stranger()


def test_every_service_is_looked_at():
    services = {path.parts[-4] for path in MODULES}
    assert {"mesh", "regime", "atlas", "economy", "nvp", "diffusion", "decision", "proof"} <= services | {"mesh"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.parts[-2])
def test_every_field_is_explained_beneath_it(path):
    fields = 0
    for kind in (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ClassDef)):
        body = [node for node in kind.body if not isinstance(node, ast.FunctionDef)]
        for node, after in zip(body, [*body[1:], None], strict=True):
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            if node.target.id == "service" and "ClassVar" in ast.unparse(node.annotation):
                continue  # explained once, in MeshSettings
            fields += 1
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            assert isinstance(text, str), f"{kind.name}.{node.target.id} has no docstring beneath it"
            assert len(text.split()) >= 2, f"{kind.name}.{node.target.id} has no docstring beneath it"
    assert fields or path.parts[-2] != "eil_mesh"
