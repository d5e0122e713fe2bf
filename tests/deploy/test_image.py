"""What goes into an image: the lock's requirements for its device, what is used of them, a bill of what is installed."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest
from eil_mesh.services import SERVICES

ROOT = Path(__file__).parents[2]
IMAGES = (*SERVICES, "gateway")
SITE = Path(sysconfig.get_path("purelib"))
TRIMMED = (
    "PIL",
    "boto3",
    "botocore",
    "fontTools",
    "matplotlib",
    "numpy",
    "numpy.libs",
    "pillow.libs",
    "pyarrow",
    "swagger_ui",
)
"""Installed packages of which an image has a part."""
WORK = """
import io, sys
sys.path.insert(0, sys.argv[1])
import boto3, fontTools, matplotlib, numpy, PIL, pyarrow
assert all(one.__file__.startswith(sys.argv[1]) for one in (boto3, fontTools, matplotlib, numpy, PIL, pyarrow))
from matplotlib.figure import Figure
import eil_atlas.bucket, eil_atlas.domain.segments, eil_atlas.drawing
import pyarrow.parquet
from eil_bridge.description import LIBRARY, _library
for service in ("s3", "signin", "sso", "sso-oidc", "sts"):
    boto3.client(service, region_name="eu-central-1")
for form in ("png", "svg"):
    figure = Figure()
    figure.add_subplot().set_title("Φ")
    figure.savefig(io.BytesIO(), format=form)
kept = io.BytesIO()
table = pyarrow.table({"power_w": numpy.arange(3.0)})
pyarrow.parquet.write_table(table, kept, compression="zstd")
assert pyarrow.parquet.read_table(pyarrow.BufferReader(kept.getvalue())).equals(table)
assert str(_library()).startswith(sys.argv[1])
assert all((_library() / name).exists() for name in LIBRARY)
"""
"""What services do with TRIMMED."""
COLLECTORS = {"EIL_TRACES_EXPORTER", "EIL_TRACES_ENDPOINT"}
"""Variables that deploy/observability/collector.yaml reads."""


@pytest.fixture(scope="module")
def image() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image", ROOT / "deploy" / "image.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lock(name: str) -> Path:
    return ROOT / "deploy" / "requirements" / f"{name}.lock"


def pinned(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", IMAGES)
def test_an_images_lock_is_part_of_the_workspaces(name: str):
    whole = pinned((ROOT / "requirements.lock").read_text())
    own = pinned(lock(name).read_text())
    assert own
    assert own.items() <= whole.items(), "run `make lock`"


@pytest.mark.parametrize("name", IMAGES)
def test_torch_is_where_it_is_used_alone(name: str):
    assert ("torch" in pinned(lock(name).read_text())) is (name in ("nvp", "diffusion"))


def test_the_bill_names_what_is_installed(image: ModuleType):
    found = {one["name"]: one for one in image.bill(SITE)["components"]}
    assert found["grpcio"]["purl"] == f"pkg:pypi/grpcio@{found['grpcio']['version']}"
    assert found["eil-mesh"]["type"] == "library"


def test_what_images_lack_no_service_misses(image: ModuleType, tmp_path: Path):
    for name in TRIMMED:
        shutil.copytree(SITE / name, tmp_path / name, copy_function=os.symlink, ignore=lambda *_: ["__pycache__"])
    image.trim(tmp_path)
    assert not (tmp_path / "botocore" / "data" / "ec2").exists()
    done = subprocess.run(
        [sys.executable, "-B", "-c", WORK, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_pattern_of_what_is_unused_finds_something(image: ModuleType):
    assert [pattern for pattern in image.UNUSED if not any(SITE.glob(pattern))] == []


def test_what_is_stripped_was_not_rewritten_by_its_publisher(image: ModuleType):
    assert all((SITE / package).is_dir() for package in image.SYMBOLS)
    assert not [package for package in image.SYMBOLS if (SITE / f"{package}.libs").exists()]


def test_a_module_that_misses_something_fails_the_build(
    image: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "eil_broken" / "domain").mkdir(parents=True)
    (tmp_path / "eil_broken" / "__init__.py").touch()
    (tmp_path / "eil_broken" / "domain" / "__init__.py").touch()
    (tmp_path / "eil_broken" / "domain" / "late.py").write_text("import eil_trimmed")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="eil_trimmed"):
        image.prove("broken")
    image.prove("economy")


def test_every_setting_of_the_compose_files_exists():
    from importlib import import_module

    from eil_gateway.settings import GatewaySettings
    from eil_mesh.settings import MeshSettings

    known = {f"EIL_MESH_{name.upper()}" for name in MeshSettings.model_fields}
    known |= {f"EIL_GATEWAY_{name.upper()}" for name in GatewaySettings.model_fields}
    for service in SERVICES:
        settings = getattr(import_module(f"eil_{service}.settings"), f"{service.capitalize()}Settings")
        known |= {f"EIL_{service.upper()}_{name.upper()}" for name in settings.model_fields}
    for file in (ROOT / "deploy").glob("compose*.yaml"):
        set_there = set(
            re.findall(
                r"^\s+(?:environment: .*?)?(EIL_(?:MESH|GATEWAY|[A-Z]+)_[A-Z0-9_]+):", file.read_text(), re.MULTILINE
            )
        )
        assert set_there - COLLECTORS <= known, file.name
