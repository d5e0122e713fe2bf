"""Sets of fields to learn from, in HDF5, with where they come from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Provenance:
    """Enough to make the same set again."""

    name: str
    energy: Mapping[str, Any]
    """Name and parameters of the energy that the fields are samples of; empty for telemetry."""
    kt: float
    seed: int
    method: str
    """How the fields were made."""
    periodic: bool = True
    code: str = field(default_factory=lambda: f"eil-diffusion {version('eil-diffusion')}")


@dataclass(frozen=True)
class FieldSet:
    """Fields with what is known beside each."""

    fields: Tensor
    """(n, fields, rows, columns) float64."""
    names: tuple[str, ...]
    """Of the fields, with units."""
    about: Provenance
    signals: Tensor | None = None
    """(n, signals)."""
    signal_names: tuple[str, ...] = ()
    maps: Tensor | None = None
    """(n, maps, rows, columns)."""
    map_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.fields)

    def digest(self) -> str:
        """SHA-256 of all values as little-endian float64: fields, signals, maps."""
        total = hashlib.sha256()
        for part in (self.fields, self.signals, self.maps):
            if part is not None:
                total.update(np.ascontiguousarray(part.numpy(), "<f8").data)
        return total.hexdigest()

    def part(self, chosen: slice) -> "FieldSet":
        """Some of it."""
        signals, maps = (None if one is None else one[chosen] for one in (self.signals, self.maps))
        return FieldSet(self.fields[chosen], self.names, self.about, signals, self.signal_names, maps, self.map_names)


def write(path: Path, made: FieldSet) -> None:
    """Write a set; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    about = {
        **asdict(made.about),
        "names": made.names,
        "signal_names": made.signal_names,
        "map_names": made.map_names,
        "digest": made.digest(),
    }
    with h5py.File(aside, "w") as file:
        for name, part in (("fields", made.fields), ("signals", made.signals), ("maps", made.maps)):
            if part is not None:
                file.create_dataset(name, data=part.numpy(), compression="gzip", shuffle=True)
        file.attrs["about"] = json.dumps(about)
    aside.replace(path)


def read(path: Path) -> FieldSet:
    """Read a set.

    Raises:
        ValueError: the file is none, or its values are not those that its provenance names.
    """
    try:
        with h5py.File(path, "r") as file:
            about = json.loads(str(file.attrs["about"]))
            parts = {
                name: torch.from_numpy(np.asarray(file[name][()], np.float64)) if name in file else None  # type: ignore[index]
                for name in ("fields", "signals", "maps")
            }
        names, signal_names, map_names = (tuple(about.pop(key)) for key in ("names", "signal_names", "map_names"))
        wanted, fields = about.pop("digest"), parts["fields"]
        if fields is None:
            raise KeyError("fields")
        made = FieldSet(fields, names, Provenance(**about), parts["signals"], signal_names, parts["maps"], map_names)
    except (OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no set of fields ({error}); make one with `eil diffusion train`") from error
    if made.digest() != wanted:
        raise ValueError(f"{path} was altered: its values do not have the digest that it names; make it anew")
    return made
