"""A case of OpenFOAM on a square of one layer of cells, periodic or walled: written, run, read back.

Dictionaries are those of OpenFOAM v1912's user guide. A field here is (points, points) or (points, points, 3), its first axis along x.
"""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray

BASHRC = Path("/usr/share/openfoam/etc/bashrc")
"""Where Debian's package `openfoam` keeps the file that sets its programs' environment."""
ADVICE = f"OpenFOAM is not installed: {BASHRC} is missing (Debian: apt install openfoam)"

HEADER = Template("FoamFile { version 2.0; format ascii; class $kind; object $name; }\n")
MESH = Template("""
vertices
(
    (0 0 0) ($extent 0 0) ($extent $extent 0) (0 $extent 0)
    (0 0 $depth) ($extent 0 $depth) ($extent $extent $depth) (0 $extent $depth)
);
blocks ( hex (0 1 2 3 4 5 6 7) ($points $points 1) simpleGrading (1 1 1) );
boundary
(
$edges
    sides  { type empty; faces ((0 3 2 1) (4 5 6 7)); }
);
""")
PERIODIC = """
    left   { type cyclic; neighbourPatch right;  faces ((0 4 7 3)); }
    right  { type cyclic; neighbourPatch left;   faces ((1 2 6 5)); }
    bottom { type cyclic; neighbourPatch top;    faces ((0 1 5 4)); }
    top    { type cyclic; neighbourPatch bottom; faces ((3 7 6 2)); }
"""
WALLED = """
    walls  { type patch; faces ((0 4 7 3) (1 2 6 5) (0 1 5 4) (3 7 6 2)); }
"""
CONTROL = Template("""
startFrom startTime; startTime 0; stopAt endTime; endTime $duration_s; deltaT $step_s;
writeControl timeStep; writeInterval $steps; writeFormat ascii; writePrecision 15; timePrecision 12;
runTimeModifiable false;
""")
SCHEMES = """
ddtSchemes { default backward; }
gradSchemes { default Gauss linear; }
divSchemes { default Gauss linear; }
laplacianSchemes { default Gauss linear orthogonal; }
interpolationSchemes { default linear; }
snGradSchemes { default orthogonal; }
"""
FIELD = Template("""
dimensions $dimensions;
internalField nonuniform List<$kind>
$count
(
$values
)
;
boundaryField { $edges sides { type empty; } }
""")


class FoamError(Exception):
    """OpenFOAM did not do what was asked; the message says why."""


def installed() -> bool:
    """Whether Debian's OpenFOAM is here."""
    return BASHRC.is_file()


def field_text(name: str, values: NDArray[np.float64], dimensions: str, wall: float | None = None) -> str:
    """A field's file, with the dimensions as OpenFOAM writes them: [kg m s K mol A cd]. The cells of a block run fastest along x.

    With `wall` the edges are held at that value, else they are periodic.
    """
    vector = values.ndim == 3
    rows = values.swapaxes(0, 1).reshape(-1, 3 if vector else 1).tolist()
    lines = (" ".join(f"{value:.17g}" for value in row) for row in rows)
    body = "\n".join(f"({line})" if vector else line for line in lines)
    kind = "vector" if vector else "scalar"
    periodic, held = '"left|right|bottom|top" { type cyclic; }', "walls { type fixedValue; value uniform %.17g; }"
    edges = periodic if wall is None else held % wall
    return HEADER.substitute(kind=f"vol{kind.capitalize()}Field", name=name) + FIELD.substitute(
        dimensions=dimensions, kind=kind, count=len(rows), values=body, edges=edges
    )


def read_field(text: str, points: int) -> NDArray[np.float64]:
    """The inner values of an ASCII field.

    Raises:
        FoamError: it is not a list of so many values.
    """
    _, found, rest = text.partition("internalField")
    head, opened, body = rest.partition("(")
    words = head.split()
    if not found or not opened or words[:1] != ["nonuniform"] or not words[-1].isdigit():
        raise FoamError("the field that OpenFOAM wrote has no list of inner values")
    vector = "List<vector>" in words
    values = np.array(body.partition(";")[0].replace("(", " ").replace(")", " ").split(), float)
    width = 3 if vector else 1
    if int(words[-1]) != points**2 or values.size != width * points**2:
        raise FoamError(f"the field that OpenFOAM wrote has {values.size / width:g} values, not {points}²")
    if not np.isfinite(values).all():
        raise FoamError("the field that OpenFOAM wrote is not finite")
    return values.reshape((points, points, 3) if vector else (points, points)).swapaxes(0, 1)


def write_case(
    folder: Path,
    points: int,
    extent: float,
    duration_s: float,
    steps: int,
    files: Mapping[str, str],
    fields: Mapping[str, str],
    edges: str = PERIODIC,
) -> None:
    """A case on a square of side `extent` [m]: further dictionaries by their paths, start fields by name; `edges` PERIODIC or WALLED."""
    mesh = MESH.substitute(extent=f"{extent:.17g}", depth=f"{extent / points:.17g}", points=points, edges=edges)
    control = CONTROL.substitute(duration_s=f"{duration_s:.17g}", step_s=f"{duration_s / steps:.17g}", steps=steps)
    dictionaries = {"system/blockMeshDict": mesh, "system/controlDict": control, "system/fvSchemes": SCHEMES, **files}
    texts = {
        path: HEADER.substitute(kind="dictionary", name=Path(path).name) + text for path, text in dictionaries.items()
    }
    texts |= {f"0/{name}": text for name, text in fields.items()}
    for path, text in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


def run_program(folder: Path, program: str, deadline_s: float) -> float:
    """Wall time [s] of one of OpenFOAM's programs in a case.

    Raises:
        FoamError: it failed, or had not ended by the deadline.
    """
    command = ["bash", "-c", 'source "$0"; exec "$1"', str(BASHRC), program]
    began_s = time.perf_counter()
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=deadline_s)
    except subprocess.TimeoutExpired:
        raise FoamError(f"{program} had not ended after {deadline_s:g} s") from None
    if done.returncode != 0:
        raise FoamError(f"{program} ended with {done.returncode}: {_complaint(done.stdout + done.stderr)}")
    return time.perf_counter() - began_s


def last_field(folder: Path, name: str, points: int) -> NDArray[np.float64]:
    """A field at the last time that was written.

    Raises:
        FoamError: none was written but the start.
    """
    times = {float(path.name): path for path in folder.iterdir() if path.name.replace(".", "", 1).isdigit()}
    last = max(times, default=0.0)
    if last <= 0.0 or not (times[last] / name).is_file():
        raise FoamError(f"OpenFOAM wrote no {name}")
    return read_field((times[last] / name).read_text(), points)


def _complaint(log: str) -> str:
    """What OpenFOAM says after "FATAL", or else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    fatal = next((number for number, line in enumerate(lines) if "FATAL" in line), len(lines) - 1)
    return " ".join(lines[fatal : fatal + 3]) if lines else "it said nothing"
