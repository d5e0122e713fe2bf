"""Books rewards in the ledger. A reward is owed from its verdict on, and booked once however often it is tried."""

from __future__ import annotations

import asyncio

import grpc
import structlog
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil_mesh.call import acting_for
from eil_mesh.store import Store

from eil_proof import verdicts

log = structlog.get_logger("eil.proof")
DEADLINE_S = 2.0


class Minter:
    """Turns what is owed into mints."""

    def __init__(self, store: Store, economy: economy_pb2_grpc.EconomyServiceAsyncStub) -> None:
        self._store, self._economy = store, economy
        self._notes: set[asyncio.Task[None]] = set()

    async def book(self, reward: verdicts.Owed) -> bool:
        """Book one reward; False if the ledger cannot be reached now: it stays owed."""
        request = economy_pb2.MintRequest(
            id=f"proof:{reward.prediction_id}",
            owner=reward.owner,
            token="PFT",
            amount_u=reward.amount_u,
            reason=f"valid proof of {reward.prediction_id}",
        )
        try:
            with acting_for("proof", reward.tenant):
                await self._economy.Mint(request, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            log.warning("mint not booked yet", prediction=reward.prediction_id, code=error.code().name)
            return False
        # Nobody waits for the note: without it the mint would be tried again, which changes nothing.
        note = asyncio.create_task(self._store.write(lambda tx: verdicts.booked(tx, reward)))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)
        return True

    async def book_owed(self) -> None:
        """Book everything that is owed, until the ledger cannot be reached."""
        for reward in await self._store.read(verdicts.owed):
            if not await self.book(reward):
                return
