"""Claims rewards from the ledger. A reward is owed from its verdict on, and booked once however often it is claimed."""

from __future__ import annotations

import asyncio
import hashlib
from typing import NamedTuple

import grpc
import structlog
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil_mesh.call import acting_for
from eil_mesh.reward import MICRO
from eil_mesh.store import Store

from eil_proof import verdicts

log = structlog.get_logger("eil.proof")
DEADLINE_S = 2.0
POLICY, VERSION = "proof_reward", 1
"""The ledger's mint policy that rewards are claimed under."""


class Booking(NamedTuple):
    """What became of a claim."""

    decided: bool
    """By the ledger; otherwise it stays owed."""
    why_not: str = ""
    """Why nothing was minted, for people."""


class Minter:
    """Turns what is owed into mints."""

    def __init__(self, store: Store, economy: economy_pb2_grpc.EconomyServiceAsyncStub) -> None:
        self._store, self._economy = store, economy
        self._notes: set[asyncio.Task[None]] = set()

    async def book(self, reward: verdicts.Owed) -> Booking:
        """Claim one reward under the ledger's policy."""
        verdict = reward.verdict
        prediction_id = verdict.response.prediction_id
        request = economy_pb2.SubmitMintRequest(
            proof_id=prediction_id,
            policy=POLICY,
            version=VERSION,
            owner=reward.owner,
            evidence=hashlib.sha256(verdict.SerializeToString(deterministic=True)).hexdigest(),
            inputs={
                "valid": int(verdict.response.valid),
                "reward_u": verdict.earned_u,
                "confidence_ppm": round(verdict.response.confidence_score * MICRO),
            },
        )
        try:
            with acting_for("proof", reward.tenant):
                claim = (await self._economy.SubmitMint(request, timeout=DEADLINE_S)).mint
        except grpc.aio.AioRpcError as error:
            log.warning("mint not booked yet", prediction=prediction_id, code=error.code().name)
            return Booking(False, "the ledger cannot be reached now and books it as soon as it can")
        # Nobody waits for the note: without it the mint would be tried again, which changes nothing.
        note = asyncio.create_task(self._store.write(lambda tx: verdicts.booked(tx, reward, claim.amount_u)))
        self._notes.add(note)
        note.add_done_callback(self._notes.discard)
        if claim.state == "refused":
            log.warning("mint refused", prediction=prediction_id, why=claim.why)
            return Booking(True, f"the ledger refused it: {claim.why}")
        return Booking(True)

    async def book_owed(self) -> None:
        """Book everything that is owed, until the ledger cannot be reached."""
        for reward in await self._store.read(verdicts.owed):
            if not (await self.book(reward)).decided:
                return
