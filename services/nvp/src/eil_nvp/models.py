"""Field models in service: a row a tenant and domain with its checkpoint, and the models read from them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eil.atlas.v1 import archive_pb2
from eil.nvp.v1 import nvp_pb2
from eil_mesh.errors import NotFound
from eil_mesh.store import Connection, Store, Tx

if TYPE_CHECKING:  # torch: loaded when first used
    from eil_nvp.domain.fields.model import FieldModel

SCHEMA = """
CREATE TABLE IF NOT EXISTS models (
  tenant TEXT NOT NULL,
  domain TEXT NOT NULL,
  digest TEXT NOT NULL,
  checkpoint BLOB NOT NULL,
  PRIMARY KEY (tenant, domain)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS licensed (
  tenant TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;
"""
TOPIC = "eil.nvp.models"
"""Journal: which checkpoint serves which domain."""
HELD = 64
"""Models kept in memory."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model and the digest of its checkpoint."""

    digest: str
    model: FieldModel
    licensed: bool = False
    """Its use needs a licence."""


class Models:
    """The models of every tenant."""

    def __init__(self, store: Store, device: str) -> None:
        self._store, self._device = store, device
        self._held: dict[str, FieldModel] = {}

    async def put(self, tenant: str, digest: str, checkpoint: bytes, *, licensed: bool = False) -> Served:
        """Put a checkpoint into service, free or for licences; the same one again changes nothing.

        Raises:
            ValueError: it is no checkpoint.
        """
        model = await asyncio.to_thread(self._read, digest, checkpoint)
        served = Served(digest, model, licensed)

        def write(tx: Tx) -> None:
            if _serving(tx.conn, tenant, model.domain.name) != [(digest, licensed)]:
                tx.conn.execute("DELETE FROM licensed WHERE tenant = ? AND digest = ?", (tenant, digest))
                if licensed:
                    tx.conn.execute("INSERT INTO licensed VALUES (?, ?)", (tenant, digest))
                tx.conn.execute(
                    "INSERT INTO models VALUES (?,?,?,?) ON CONFLICT (tenant, domain) DO UPDATE SET digest = excluded.digest,"
                    " checkpoint = excluded.checkpoint",
                    (tenant, model.domain.name, digest, checkpoint),
                )
                tx.journal.append(tx.now_us, tenant, TOPIC, model.domain.name, message(served))

        await self._store.write(write)
        return served

    async def get(self, tenant: str, domain: str) -> Served:
        """The model that serves a domain.

        Raises:
            NotFound: there is none.
        """
        found = await self._store.read(lambda conn: _serving(conn, tenant, domain))
        if not found:
            raise NotFound(
                f"no model serves the domain {domain!r}; train one with `eil nvp train {domain}` and publish it",
                reason="MODEL_NOT_FOUND",
            )
        return await self._served(tenant, *found[0])

    async def all(self, tenant: str) -> list[Served]:
        """Every model of a tenant, by domain."""
        found = await self._store.read(lambda conn: _serving(conn, tenant, None))
        return [await self._served(tenant, *one) for one in found]

    async def _served(self, tenant: str, digest: str, licensed: bool) -> Served:
        """A model; its checkpoint is read from the store if it is not in memory."""
        if (model := self._held.get(digest)) is None:
            checkpoint = await self._store.read(lambda conn: _checkpoint(conn, tenant, digest))
            model = await asyncio.to_thread(self._read, digest, checkpoint)
        return Served(digest, model, licensed)

    def _read(self, digest: str, checkpoint: bytes) -> FieldModel:
        if digest not in self._held:
            while len(self._held) >= HELD:
                del self._held[next(iter(self._held))]
            from eil_nvp.domain.fields.model import loads

            self._held[digest] = loads(checkpoint).to(self._device)
        return self._held[digest]


def _serving(conn: Connection, tenant: str, domain: str | None) -> list[tuple[str, bool]]:
    """(digest, whether its use needs a licence) of a tenant's models by domain; None is all."""
    rows = conn.execute(
        "SELECT digest, EXISTS (SELECT 1 FROM licensed WHERE licensed.tenant = models.tenant AND licensed.digest = models.digest)"
        " FROM models WHERE tenant = ? AND domain = coalesce(?, domain) ORDER BY domain",
        (tenant, domain),
    )
    return [(row[0], bool(row[1])) for row in rows]


def _checkpoint(conn: Connection, tenant: str, digest: str) -> bytes:
    row = conn.execute("SELECT checkpoint FROM models WHERE tenant = ? AND digest = ?", (tenant, digest)).fetchone()
    if row is None:
        raise NotFound(f"the model {digest} was replaced in this moment; ask again", reason="MODEL_NOT_FOUND")
    return row[0]


def message(served: Served) -> nvp_pb2.Model:
    """What is told of a model."""
    model, domain = served.model, served.model.domain
    return nvp_pb2.Model(
        domain=domain.name,
        digest=served.digest,
        members=[
            nvp_pb2.Member(name=name, stage="shadow" if place else "champion", metrics=metrics)
            for place, (name, metrics) in enumerate(model.metrics.items())
        ],
        points=model.points,
        step_s=domain.step_s,
        states=domain.states,
        inputs=domain.inputs,
        data_digest=model.data_digest,
        code=model.code,
        licensed=served.licensed,
    )


def checkpoint(served: Served) -> archive_pb2.PutCheckpointRequest:
    """What the Atlas is told of a model: its object, the data it was trained on and how well each member did."""
    model = served.model
    figures = {f"{member}.{name}": value for member, known in model.metrics.items() for name, value in known.items()}
    return archive_pb2.PutCheckpointRequest(
        name=f"nvp/{model.domain.name}",
        kind=model.domain.name,
        digest=served.digest,
        data=[model.data_digest],
        metrics=figures,
        notes=f"field model on {model.points} × {model.points} points, trained by {model.code}",
    )
