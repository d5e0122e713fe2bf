"""Two steps of an image's build, by its own interpreter's standard library.

python image.py finish SERVICE /opt/eil: what starts the service, what its health check asks, what is in it; nothing differs by build.
python image.py prove SERVICE: import every module of the service by the interpreter that will run it, or fail.
"""

import compileall
import importlib
import json
import pkgutil
import py_compile
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

STARTS = """#!{python} -P
import runpy
import sys

sys.argv[0] = "eil-service"
runpy.run_module("eil_{service}", run_name="__main__", alter_sys=True)
"""
ASKS = """#!{python} -P
import sys

from eil_{where}.probe import main

sys.exit(main())
"""


UNUSED = (
    "*/tests",
    "numpy/**/tests",
    "scipy/**/tests",
    # When uv built our own packages, and the list of their files with its digest: nothing else differs between two builds.
    "eil_*.dist-info/uv_cache.json",
    "eil_*.dist-info/RECORD",
    # What compilers and type checkers read.
    "**/*.pyi",
    "**/*.pyx",
    "**/*.pxd",
    "**/*.pxi",
    "**/*.c",
    "numpy/_core/include",
    "numpy/distutils",
    "pyarrow/include",
    # Arrow's server of tables and its own way to S3; a library under three names, of which the middle one is loaded.
    "pyarrow/*arrow_*flight*",
    "pyarrow/_flight*",
    "pyarrow/libarrow_s3*",
    "pyarrow/_s3fs*",
    "pyarrow/libarrow_python*.so",
    "pyarrow/libarrow_python*.so.*.*.*",
    # What matplotlib writes PDF and PostScript with.
    "fontTools/*/",
    "fontTools/misc/bezierTools*",
    "PIL/_avif*",
    "pillow.libs/libavif*",
    # Swagger's editor, and its page for those who bundle it.
    "swagger_ui/static/*.map",
    "swagger_ui/static/swagger-editor*",
    "swagger_ui/static/*-es-*",
    # All of AWS but storage and where credentials for it come from.
    "botocore/data/*/",
)
"""Files and folders of installed packages that no service opens."""
KEPT = re.compile(r"^(?:botocore/data/(?:s3|signin|sso|sso-oidc|sts)|fontTools/misc)$")
"""What of UNUSED is used."""
SYMBOLS = ("cryptography", "httptools", "kiwisolver", "llvmlite", "numba", "pyarrow", "uvloop", "yaml")
"""Packages published with symbols that debuggers and linkers alone read. Not those with a folder NAME.libs of libraries:
they were rewritten to find it, and do not bear to be stripped."""


def bill(site: Path) -> dict[str, object]:
    """What is installed, as CycloneDX 1.6 tells it (https://cyclonedx.org/docs/1.6/json/)."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [
            _component(one) for one in sorted(distributions(path=[str(site)]), key=lambda one: one.name.lower())
        ],
    }


def _component(one: Distribution) -> dict[str, object]:
    name = one.name.lower().replace("_", "-")
    licence = one.metadata.json.get("license_expression") or one.metadata.json.get("license") or ""
    said = {"licenses": [{"license": {"name": str(licence).splitlines()[0][:200]}}]} if licence else {}
    return {"type": "library", "name": name, "version": one.version, "purl": f"pkg:pypi/{name}@{one.version}", **said}


def finish(service: str, folder: Path) -> None:
    """Write the commands and the bill, compile what was installed, and lay out `tls`, where keys are mounted or made.

    A volume belongs to whom the image's folder belongs that it is mounted on: so the one that makes keys has one for each service.
    """
    owners = [one.name for one in Path("services").iterdir()] if service == "gateway" else []
    for path in (Path("tls"), *(Path("tls/keys", name) for name in ("", "gateway", "door", *owners) if owners)):
        path.mkdir(mode=0o700)
    python = folder / "bin" / "python"
    (site,) = (folder / "lib").glob("python3.*/site-packages")
    for name, text in (
        ("eil-service", STARTS.format(python=python, service=service)),
        ("eil-healthy", ASKS.format(python=python, where="gateway" if service == "gateway" else "mesh")),
    ):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    (folder / "sbom.cdx.json").write_text(json.dumps(bill(site), indent=1) + "\n")
    trim(site)
    for package in SYMBOLS:
        for library in sorted((site / package).rglob("*.so*")):
            subprocess.run(["strip", "--strip-unneeded", library], check=True)
    # Compiled by content, not by time: the same sources make the same image.
    compileall.compile_dir(site, quiet=2, workers=0, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def trim(site: Path) -> None:
    """Delete what no service opens."""
    for pattern in UNUSED:
        for path in list(site.glob(pattern)):
            if KEPT.match(path.relative_to(site).as_posix()):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def prove(service: str) -> None:
    """Import every module of the service, those that it loads late among them."""
    package = importlib.import_module(f"eil_{service}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["finish", service, folder]:
            finish(service, Path(folder))
        case ["prove", service]:
            prove(service)
        case _:
            sys.exit(__doc__)
