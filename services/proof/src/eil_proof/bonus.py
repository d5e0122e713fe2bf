"""The bonus of a verified saving: set aside when the baseline is committed, minted for the proven lower bound, or given up.

What is due is written in the transaction that makes it due, and carried out until the ledger has done it, whatever dies in between. The
ledger knows each bonus by its verification, so that nothing is paid twice.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

import grpc
import structlog
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.proof.v1 import proof_pb2
from eil_mesh.call import acting_for
from eil_mesh.clock import MICROSECONDS, Clock, to_us
from eil_mesh.store import Connection, Store, Tx

log = structlog.get_logger("eil.proof")
DEADLINE_S = 2.0
MOST_J = 10**10
"""Saving that a bonus is set aside for at most [J]: the ledger's policy pays no more."""
GRACE_S, LONGEST_S = 30 * 86_400.0, 400 * 86_400.0
"""How long after the reporting period a bonus waits for its verdict, and how long in all."""
REFUSED = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
"""By the ledger, for good."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS bonuses (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  owner TEXT NOT NULL,
  until_us INTEGER NOT NULL,
  due TEXT NOT NULL CHECK (due IN ('reserve', 'post', 'void', '')),
  low_j INTEGER NOT NULL,
  evidence TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS bonuses_due ON bonuses (due) WHERE due <> '';
"""


@dataclass(frozen=True, slots=True)
class Due:
    """What has to be done about a bonus: reserve, post or void."""

    tenant: str
    id: str
    owner: str
    until_us: int
    due: str
    low_j: int
    evidence: str


def owe(tx: Tx, tenant: str, verification: proof_pb2.Verification) -> None:
    """Note what a verification's state makes due; once it was minted or given up nothing is due any more."""
    low_j = math.floor(verification.saving.creditable)
    if not verification.record_digest and not verification.disputes:
        due = "reserve"
    else:
        due = "post" if verification.state == "PROVEN" and low_j > 0 else "void"
    tx.conn.execute(
        "INSERT INTO bonuses VALUES (?,?,?,?,?,?,?) ON CONFLICT (tenant, id) DO UPDATE SET due = excluded.due,"
        " low_j = excluded.low_j, evidence = excluded.evidence"
        " WHERE excluded.due <> 'reserve' AND (bonuses.due <> '' OR bonuses.evidence = '')",
        (
            tenant,
            verification.verification_id,
            verification.asked_by,
            to_us(verification.reporting_end),
            due,
            max(low_j, 0),
            verification.record_digest if due == "post" else "",
        ),
    )


def due(conn: Connection, tenant: str = "", verification_id: str = "") -> list[Due]:
    """What is due: of one verification, or of all."""
    rows = conn.execute(
        "SELECT tenant, id, owner, until_us, due, low_j, evidence FROM bonuses WHERE due <> ''"
        " AND (? = '' OR (tenant = ? AND id = ?)) ORDER BY tenant, id LIMIT 100",
        (verification_id, tenant, verification_id),
    )
    return [Due(*row) for row in rows]


def done(tx: Tx, one: Due) -> None:
    """Note that something was done, unless something else is due by now."""
    tx.conn.execute(
        "UPDATE bonuses SET due = '' WHERE tenant = ? AND id = ? AND due = ?", (one.tenant, one.id, one.due)
    )


class Bonus:
    """Has the ledger do what is due."""

    def __init__(self, store: Store, economy: economy_pb2_grpc.EconomyServiceAsyncStub, clock: Clock) -> None:
        self._store, self._economy, self._clock = store, economy, clock

    async def settle(self, tenant: str = "", verification_id: str = "") -> None:
        """Do what is due of one verification, or of all; what the ledger cannot be reached for stays due."""
        for one in await self._store.read(lambda conn: due(conn, tenant, verification_id)):
            try:
                with acting_for("proof", one.tenant):
                    await self._do(one)
            except grpc.aio.AioRpcError as error:
                if error.code() not in REFUSED:
                    log.warning("bonus not settled yet", verification=one.id, code=error.code().name)
                    continue
                log.warning("bonus refused", verification=one.id, due=one.due, detail=error.details())
            await self._store.write(lambda tx, one=one: done(tx, one))

    async def run(self, every_s: float) -> None:
        """Do what is due, for ever."""
        while True:
            await asyncio.sleep(every_s)
            await self.settle()

    async def _do(self, one: Due) -> None:
        if one.due == "void":
            request = economy_pb2.VoidMintRequest(proof_id=one.id, reason="not proven, or disputed")
            await self._economy.VoidMint(request, timeout=DEADLINE_S)
            return
        ttl_s = min(max((one.until_us - self._clock.now_us()) / MICROSECONDS, 0.0) + GRACE_S, LONGEST_S)
        reserve = economy_pb2.ReserveMintRequest(proof_id=one.id, owner=one.owner, saving_j=MOST_J, ttl_s=ttl_s)
        try:
            await self._economy.ReserveMint(reserve, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:  # set aside before, with the time that was left then
                raise
        if one.due == "post":
            post = economy_pb2.PostMintRequest(proof_id=one.id, saving_low_j=one.low_j, evidence=one.evidence)
            await self._economy.PostMint(post, timeout=DEADLINE_S)
