"""Models that drafts can be asked of: those that come with the package, and a tenant's own, a row each with its checkpoint."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING

from eil.atlas.v1 import archive_pb2
from eil.diffusion.v1 import diffusion_pb2
from eil_mesh.errors import DataLoss, NotFound
from eil_mesh.store import Connection, Store, Tx

if TYPE_CHECKING:  # torch: loaded when first used
    from eil_diffusion.domain.energy_diffusion_core.model import EnergyDiffusionModel

SCHEMA = """
CREATE TABLE IF NOT EXISTS models (
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  checkpoint BLOB NOT NULL,
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
"""
TOPIC = "eil.diffusion.models"
"""Journal: which checkpoint serves which name."""
BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "gaussian_free_field": "4196b1eadb983b22c8e61a00b92b97e68f7be1aca63f0413706b4f1a75c94756",
        "phi4": "66495694d7d74241339797541baeea9d91ada7d54224f01cc853c2ebdc35f836",
        "rack_heat_map": "74e8bab54aaef1d99f37916075e2365ce7b74d34f9c700d5939c6bd752e3a5c9",
    }
)
"""Models that come with the package, made by `eil diffusion train all`: name → SHA-256 of the checkpoint."""
HELD = 32
"""Models kept in memory."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model and the digest of its checkpoint."""

    digest: str
    model: EnergyDiffusionModel
    built_in: bool = False


class Models:
    """The models of every tenant."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: OrderedDict[str, EnergyDiffusionModel] = OrderedDict()

    async def put(self, tenant: str, digest: str, checkpoint: bytes) -> Served:
        """Put a checkpoint into service; the same one again changes nothing.

        Raises:
            ValueError: it is no checkpoint.
        """
        model = await asyncio.to_thread(self._read, digest, checkpoint)
        served, name = Served(digest, model), model.card.name

        def write(tx: Tx) -> None:
            if _serving(tx.conn, tenant).get(name) != digest:
                tx.conn.execute(
                    "INSERT INTO models VALUES (?,?,?,?) ON CONFLICT (tenant, name) DO UPDATE SET digest = excluded.digest,"
                    " checkpoint = excluded.checkpoint",
                    (tenant, name, digest, checkpoint),
                )
                tx.journal.append(tx.now_us, tenant, TOPIC, name, message(served))

        await self._store.write(write)
        return served

    async def get(self, tenant: str, name: str) -> Served:
        """The tenant's model of a name, or the one that comes with the package.

        Raises:
            NotFound: there is neither.
        """
        digest = (await self._store.read(lambda conn: _serving(conn, tenant))).get(name)
        if digest is None:
            if name not in BUILT_IN:
                raise NotFound(
                    f"no model is called {name!r}; there are {', '.join(BUILT_IN)}, and those you put with `eil diffusion publish`",
                    reason="MODEL_NOT_FOUND",
                )
            return await asyncio.to_thread(self._built_in, name)
        if digest in self._held:
            return Served(digest, self._read(digest, b""))
        checkpoint = await self._store.read(lambda conn: _checkpoint(conn, tenant, digest))
        return Served(digest, await asyncio.to_thread(self._read, digest, checkpoint))

    async def all(self, tenant: str) -> list[Served]:
        """Every model of a tenant, by name."""
        names = {*BUILT_IN, *await self._store.read(lambda conn: _serving(conn, tenant))}
        return [await self.get(tenant, name) for name in sorted(names)]

    def _built_in(self, name: str) -> Served:
        known = BUILT_IN[name]
        if known in self._held:
            return Served(known, self._read(known, b""), built_in=True)
        content = resources.files("eil_diffusion").joinpath("checkpoints", f"{name}.ckpt").read_bytes()
        if (found := hashlib.sha256(content).hexdigest()) != known:
            raise DataLoss(
                f"the checkpoint {name}.ckpt of this installation has the digest {found}, not {known}: install it anew"
            )
        return Served(known, self._read(known, content), built_in=True)

    def _read(self, digest: str, checkpoint: bytes) -> EnergyDiffusionModel:
        if digest not in self._held:
            from eil_diffusion.domain.energy_diffusion_core.model import loads

            self._held[digest] = loads(checkpoint)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(digest)
        return self._held[digest]


def _serving(conn: Connection, tenant: str) -> dict[str, str]:
    """Name → digest of a tenant's own models."""
    return dict(conn.execute("SELECT name, digest FROM models WHERE tenant = ? ORDER BY name", (tenant,)))


def _checkpoint(conn: Connection, tenant: str, digest: str) -> bytes:
    row = conn.execute("SELECT checkpoint FROM models WHERE tenant = ? AND digest = ?", (tenant, digest)).fetchone()
    if row is None:
        raise NotFound(f"the model {digest} was replaced in this moment; ask again", reason="MODEL_NOT_FOUND")
    return row[0]


def message(served: Served) -> diffusion_pb2.Model:
    """What is told of a model."""
    card = served.model.card
    return diffusion_pb2.Model(
        name=card.name,
        digest=served.digest,
        fields=card.fields,
        signals=card.signals,
        maps=card.maps,
        energy=json.dumps(dict(card.energy), sort_keys=True) if card.energy else "",
        networked=card.networked,
        data_digest=card.data_digest,
        code=card.code,
        metrics=card.metrics,
        built_in=served.built_in,
    )


def checkpoint(served: Served) -> archive_pb2.PutCheckpointRequest:
    """What the Atlas is told of a model: its object, the data it was trained on and how well it did."""
    card = served.model.card
    return archive_pb2.PutCheckpointRequest(
        name=f"diffusion/{card.name}",
        kind=card.name,
        digest=served.digest,
        data=[card.data_digest],
        metrics=card.metrics,
        notes=f"diffusion model of {', '.join(card.fields)}, trained by {card.code}",
    )
