"""Predictions that nobody proves settle themselves once their window is final: leaving out the bad ones earns nothing."""

import asyncio

import grpc
import structlog
from eil.decision.v1 import decision_pb2
from eil.events.v1 import event_log_pb2
from eil_mesh.call import acting_for
from eil_mesh.clock import to_us
from eil_mesh.store import Connection, Store, Tx

from eil_proof.judge import Judge
from eil_proof.minter import Minter

log = structlog.get_logger("eil.proof")
PAGE = 200
LOOK_S = 0.05
"""Between looks at two sources: with many of them a round takes longer, and what became final is settled together."""


def note_prediction(tx: Tx, event: event_log_pb2.Event) -> None:
    """Remember a committed prediction of a source until it has a verdict."""
    decision = decision_pb2.Decision.FromString(event.payload)
    if not decision.request.source:
        return
    tx.conn.execute(
        "INSERT INTO open_predictions SELECT ?, ?, ?, ? WHERE NOT EXISTS"
        " (SELECT 1 FROM verdicts WHERE tenant = ? AND prediction_id = ?) ON CONFLICT (tenant, prediction_id) DO NOTHING",
        (
            event.tenant,
            decision.response.prediction_id,
            decision.request.source,
            to_us(decision.window_end),
            event.tenant,
            decision.response.prediction_id,
        ),
    )


class Settlement:
    """Looks at open predictions and at owed rewards, for ever."""

    def __init__(self, store: Store, judge: Judge, minter: Minter, every_s: float) -> None:
        self._store, self._judge, self._minter, self._every_s = store, judge, minter, every_s

    async def run(self) -> None:
        """Settle what is final and book what is owed, every few seconds."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self._minter.book_owed()
                for tenant, source in await self._store.read(_sources):
                    await self._settle_source(tenant, source)
                    await asyncio.sleep(LOOK_S)
            except grpc.aio.AioRpcError as error:
                log.warning("not settled yet", code=error.code().name, detail=error.details())

    async def _settle_source(self, tenant: str, source: str) -> None:
        """Oldest first, until one is not final yet."""
        for prediction_id in await self._store.read(lambda conn: _oldest(conn, tenant, source)):
            with acting_for("proof", tenant):
                decision = await self._judge.commitment(prediction_id)
                if not await self._judge.settle(tenant, decision):
                    return


def _sources(conn: Connection) -> list[tuple[str, str]]:
    rows = conn.execute("SELECT DISTINCT tenant, source FROM open_predictions ORDER BY tenant, source")
    return [tuple(row) for row in rows]


def _oldest(conn: Connection, tenant: str, source: str) -> list[str]:
    rows = conn.execute(
        "SELECT prediction_id FROM open_predictions WHERE tenant = ? AND source = ? ORDER BY window_end_us, prediction_id LIMIT ?",
        (tenant, source, PAGE),
    )
    return [row[0] for row in rows]
