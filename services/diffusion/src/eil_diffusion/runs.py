"""What the service has claimed: a record of each run, in the journal and in a table, under a name that follows from the request.

The same request of a tenant is the same run, whose answer is the same on one kind of device: it is written down once.
"""

import hashlib
from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from eil.diffusion.v1 import diffusion_pb2
from eil_mesh.clock import MICROSECONDS
from eil_mesh.errors import NotFound
from eil_mesh.store import Connection, Store, Tx
from google.protobuf.message import Message

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
  tenant TEXT NOT NULL,
  run_id TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  record BLOB NOT NULL,
  PRIMARY KEY (tenant, run_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_age ON runs (at_us);
"""
TOPIC = "energy.diffusion.events"
FORGOTTEN = 100
"""Runs past their time that a new one removes at most."""


def run_id(tenant: str, method: str, request: Message, model_digest: str) -> str:
    """The name of a run: SHA-256 of who asked what of which code and model, cut to 128 bits."""
    total = hashlib.sha256()
    for part in (tenant, method, version("eil-diffusion"), model_digest):
        total.update(f"{len(part)}:{part}".encode())
    total.update(request.SerializeToString(deterministic=True))
    return f"run_{total.hexdigest()[:32]}"


class Runs:
    """The runs of every tenant.

    Args:
        store: where they are kept.
        keep_s: for how long [s]; the journal keeps them for ever.
    """

    def __init__(self, store: Store, keep_s: float) -> None:
        self._store, self._keep_us = store, round(keep_s * MICROSECONDS)

    async def record(self, tenant: str, run: diffusion_pb2.Run) -> None:
        """Write a run down before it is answered."""

        def write(tx: Tx) -> None:
            run.time.FromMicroseconds(tx.now_us)
            wrote = tx.conn.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?) ON CONFLICT (tenant, run_id) DO NOTHING",
                (tenant, run.run_id, tx.now_us, run.SerializeToString()),
            )
            if wrote.rowcount:
                tx.journal.append(tx.now_us, tenant, TOPIC, run.energy, run)
            old = tx.conn.execute(
                "SELECT tenant, run_id FROM runs WHERE at_us < ? ORDER BY at_us LIMIT ?",
                (tx.now_us - self._keep_us, FORGOTTEN),
            ).fetchall()
            for key in old:
                tx.conn.execute("DELETE FROM runs WHERE tenant = ? AND run_id = ?", tuple(key))

        await self._store.write(write)

    async def get(self, tenant: str, name: str) -> diffusion_pb2.Run:
        """A run of the tenant.

        Raises:
            NotFound: it has none of that name, or it is past its time.
        """

        def read(conn: Connection) -> bytes | None:
            row = conn.execute("SELECT record FROM runs WHERE tenant = ? AND run_id = ?", (tenant, name)).fetchone()
            return row and row[0]

        if (record := await self._store.read(read)) is None:
            raise NotFound(
                f"there is no run {name}; runs are kept for {self._keep_us / MICROSECONDS / 86400:g} days, in the journal for ever",
                reason="RUN_NOT_FOUND",
            )
        return diffusion_pb2.Run.FromString(record)


def request_digest(request: Message) -> str:
    """SHA-256 of a request."""
    return hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()


def values_digest(configurations: Sequence[diffusion_pb2.Configuration]) -> str:
    """SHA-256 of the values as little-endian float32, one configuration after the other."""
    total = hashlib.sha256()
    for one in configurations:
        total.update(np.asarray(one.values, "<f4").tobytes())
    return total.hexdigest()
