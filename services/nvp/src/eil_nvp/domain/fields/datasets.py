"""Data sets of trajectories in HDF5, with where they come from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

from .domain import FieldDomain, Trajectories


@dataclass(frozen=True, slots=True)
class Provenance:
    """Enough to make the same data set again."""

    domain: str
    seed: int
    trajectories: int
    steps: int
    points: int
    step_s: float
    substeps: int
    method: str
    """How the truth was made."""
    code: str
    """Package and version that made it."""
    digest: str
    """SHA-256 of all values, as little-endian float64 in order."""


def generate(
    domain: FieldDomain, *, seed: int, trajectories: int, steps: int, points: int
) -> tuple[Trajectories, Provenance]:
    """Make a data set."""
    made = domain.simulate(np.random.default_rng(seed), trajectories, steps, points)
    return made, Provenance(
        domain=domain.name,
        seed=seed,
        trajectories=trajectories,
        steps=steps,
        points=points,
        step_s=domain.step_s,
        substeps=domain.substeps,
        method=domain.method,
        code=f"eil-nvp {version('eil-nvp')}",
        digest=digest(made),
    )


def digest(made: Trajectories) -> str:
    """SHA-256 of states and inputs."""
    total = hashlib.sha256()
    for part in (made.states, made.inputs):
        total.update(np.ascontiguousarray(part, "<f8").data)
    return total.hexdigest()


def write(path: Path, made: Trajectories, provenance: Provenance) -> None:
    """Write a data set; the file appears whole or not at all."""
    aside = path.with_suffix(".part")
    with h5py.File(aside, "w") as file:
        for name, part in (("states", made.states), ("inputs", made.inputs)):
            file.create_dataset(name, data=part, compression="gzip" if part.size else None, shuffle=bool(part.size))
        file.attrs["provenance"] = json.dumps(asdict(provenance))
    aside.replace(path)


def read(path: Path) -> tuple[Trajectories, Provenance]:
    """Read a data set.

    Raises:
        ValueError: the file is none, or its values are not those that its provenance names.
    """
    try:
        with h5py.File(path, "r") as file:
            made = Trajectories(file["states"][()], file["inputs"][()])  # type: ignore[index]
            provenance = Provenance(**json.loads(str(file.attrs["provenance"])))
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no data set of fields ({error}); make one with `eil nvp data`") from error
    if digest(made) != provenance.digest:
        raise ValueError(f"{path} was altered: its values do not have the digest that it names; make it anew")
    return made, provenance
