"""The chart and the programs that read it. Nothing is built here: `scripts/chart-test` does that."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "eil"
TRIAL = ("-f", str(CHART / "ci" / "trial-values.yaml"))
WITHOUT_OPERATORS = ("-f", str(CHART / "ci" / "full-values.yaml"))
FULL = (*WITHOUT_OPERATORS, "-f", str(CHART / "ci" / "operators-values.yaml"))
RELEASE, NAMESPACE = "eil", "eil-chart"

Manifest = dict[str, Any]


def programs() -> str:
    """A PATH on which `k8s.sh`'s cache comes last."""
    cached = Path(os.environ.get("EIL_CACHE", Path.home() / ".cache" / "eil")) / "k8s"
    return f"{os.environ.get('PATH', '')}{os.pathsep}{cached}"


def program(name: str) -> str:
    """Where a program is; skips the test if it is nowhere."""
    found = shutil.which(name, path=programs())
    if not found:
        pytest.skip(f"{name} is missing: scripts/chart-test makes it, with EIL_TEST_TOOLS set; or put it on the PATH")
    return found


def cluster_script() -> Path:
    """The script that makes schemas and clusters; skips the test if there is none."""
    script = Path(os.environ.get("EIL_TEST_TOOLS", "")) / "k8s.sh"
    if not script.is_file():
        pytest.skip("k8s.sh is missing: set EIL_TEST_TOOLS to the folder that holds it, and run scripts/chart-test")
    return script


def template(*values: str) -> subprocess.CompletedProcess[str]:
    """`helm template` with these options."""
    command = [program("helm"), "template", RELEASE, str(CHART), "--namespace", NAMESPACE]
    command += ["--kube-version", "1.30", *values]  # a helm built from source takes itself for one of 1.20
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@cache
def text(*values: str) -> str:
    """All manifests, as text."""
    done = template(*values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def manifests(*values: str, kind: str = "") -> list[Manifest]:
    """All manifests, or those of a kind."""
    found = yaml.load_all(text(*values), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [one for one in found if one and kind in ("", one["kind"])]


def named(kind: str, *values: str) -> dict[str, Manifest]:
    """Those of a kind, by the name without `eil-`."""
    return {one["metadata"]["name"].removeprefix("eil-"): one for one in manifests(*values, kind=kind)}


def pods(*values: str) -> dict[str, Manifest]:
    """Specs of all pods that the manifests make, by kind and name."""
    found = {}
    for one in manifests(*values):
        where = f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] == "Pod":
            found[where] = one["spec"]
        elif "template" in one.get("spec", {}):
            found[where] = one["spec"]["template"]["spec"]
    return found


def mesh() -> dict[str, Any]:
    """The chart's table of services."""
    return yaml.safe_load((CHART / "mesh.yaml").read_text())
