"""Verifies savings: commits baselines, evaluates them once on what regime measured, keeps records."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import grpc
import structlog
from eil.atlas.v1 import archive_pb2_grpc
from eil.proof.v1 import proof_pb2
from eil.regime.v1 import regime_pb2_grpc
from eil_mesh import metrics
from eil_mesh.call import acting_for
from eil_mesh.clock import MICROSECONDS, Clock, from_us, iso, to_us
from eil_mesh.errors import FailedPrecondition, NotFound, as_invalid_argument
from eil_mesh.requests import remember, replayed
from eil_mesh.store import Store, Tx

from eil_proof import verifications
from eil_proof.bonus import Bonus
from eil_proof.domain.mv.record import (
    DISPUTED,
    SWITCHBACK,
    Plan,
    canonical,
    commit,
    conclude,
    data_of,
    digest,
)
from eil_proof.domain.mv.savings import INSUFFICIENT_DATA
from eil_proof.telemetry import Reading, read_intervals
from eil_proof.verification_form import channels_of, committed, concluded, exclusions_of, loaded, refuse, windows

log = structlog.get_logger("eil.proof")
CODE = f"eil-proof {version('eil-proof')}"
SEED_BYTES = 16


class Verifier:
    """Verifications of whatever tenant the current call stands for."""

    def __init__(
        self,
        store: Store,
        regime: regime_pb2_grpc.RegimeServiceAsyncStub,
        archive: archive_pb2_grpc.ArchiveServiceAsyncStub,
        bonus: Bonus,
        clock: Clock,
        every_s: float,
    ) -> None:
        self._store, self._regime, self._archive, self._bonus = store, regime, archive, bonus
        self._clock, self._every_s = clock, every_s

    async def begin(
        self, tenant: str, asked_by: str, request: proof_pb2.BeginVerificationRequest
    ) -> proof_pb2.BeginVerificationResponse:
        """Commit a verification; see the contract."""
        known = await self._store.read(
            lambda conn: replayed(conn, tenant, request, proof_pb2.BeginVerificationResponse)
        )
        if known is not None:
            return known
        plan, baseline = await self._plan(tenant, request)
        commitment = await self._commit(plan, baseline)
        content = canonical(commitment)
        verification = committed(commitment, plan, digest(commitment), asked_by)
        can_decide = verification.state != INSUFFICIENT_DATA

        def store(tx: Tx) -> tuple[proof_pb2.BeginVerificationResponse, bool]:
            if stored := replayed(tx.conn, tenant, request, proof_pb2.BeginVerificationResponse):
                return stored, False
            if can_decide:
                _refuse_overlap(tx, tenant, verification)
            verifications.begin(tx, tenant, verification, content, can_decide=can_decide)
            response = proof_pb2.BeginVerificationResponse(verification=verification)
            remember(tx, tenant, request, response)
            return response, True

        response, new = await self._store.write(store)
        if new:
            metrics.VERIFICATIONS.labels(verification.state).inc()
        if new and can_decide:
            await self._bonus.settle(tenant, verification.verification_id)
        return response

    async def evaluate(self, tenant: str, verification_id: str) -> tuple[proof_pb2.Verification, bool]:
        """Evaluate a verification, and whether that was done before.

        Raises:
            NotFound: there is none.
            FailedPrecondition: NOT_YET_MEASURED; nothing is stored.
        """
        while True:
            stored = await self.stored(tenant, verification_id)
            found = stored.verification
            if stored.record is not None or found.state == INSUFFICIENT_DATA:
                return found, True
            await self._require_final(tenant, found)
            reading = await self._reporting(found)
            record = await asyncio.to_thread(
                conclude,
                loaded(stored.commitment),
                data_of(reading.intervals, reading.provenance),
                exclusions_of(found),
                self._clock.now_us(),
            )
            result = await self._store.write(
                lambda tx, found=found, record=record: _conclude(tx, tenant, found, record)
            )
            if result is not None:
                evaluated, new = result
                if new:
                    metrics.VERIFICATIONS.labels(evaluated.state).inc()
                    await self._bonus.settle(tenant, verification_id)
                return evaluated, not new

    async def dispute(
        self, tenant: str, declared_by: str, request: proof_pb2.DisputeVerificationRequest
    ) -> proof_pb2.DisputeVerificationResponse:
        """Declare a non-routine event; see the contract."""
        if to_us(request.end) <= to_us(request.start):
            raise refuse("end", "must lie after start")
        await self.stored(tenant, request.verification_id)

        def declare(tx: Tx) -> proof_pb2.DisputeVerificationResponse:
            if known := replayed(tx.conn, tenant, request, proof_pb2.DisputeVerificationResponse):
                return known
            stored = verifications.find(tx.conn, tenant, request.verification_id)
            assert stored is not None, "verifications are never deleted"
            found, record = stored.verification, stored.record
            found.disputes.add(
                reason=request.reason,
                evidence=request.evidence,
                start=request.start,
                end=request.end,
                declared_by=declared_by,
                declared=from_us(tx.now_us),
            )
            found.state, found.reason = DISPUTED, request.reason
            if record is not None:
                before = loaded(record)
                again = conclude(
                    before["commitment"], before["reporting"], exclusions_of(found), before["evaluated_us"]
                )
                found, record = concluded(found, again), canonical(again)
            verifications.update(tx, tenant, found, record)
            response = proof_pb2.DisputeVerificationResponse(verification=found)
            remember(tx, tenant, request, response)
            return response

        response = await self._store.write(declare)
        metrics.VERIFICATIONS.labels(DISPUTED).inc()
        await self._bonus.settle(tenant, request.verification_id)
        return response

    async def stored(self, tenant: str, verification_id: str) -> verifications.Stored:
        """A verification of the tenant.

        Raises:
            NotFound: there is none.
        """
        found = await self._store.read(lambda conn: verifications.find(conn, tenant, verification_id))
        if found is None:
            raise NotFound(
                f"there is no verification {verification_id!r}; begin one with POST /v1/verifications",
                reason="VERIFICATION_UNKNOWN",
            )
        return found

    async def run(self) -> None:
        """Evaluate what is final and what nobody asks for, for ever: leaving out bad ones hides nothing."""
        while True:
            await asyncio.sleep(self._every_s)
            for tenant, verification_id in await self._store.read(verifications.open_ones):
                try:
                    with acting_for("proof", tenant):
                        await self.evaluate(tenant, verification_id)
                except FailedPrecondition:
                    continue
                except grpc.aio.AioRpcError as error:
                    log.warning("not evaluated yet", verification=verification_id, code=error.code().name)

    async def _plan(
        self, tenant: str, request: proof_pb2.BeginVerificationRequest
    ) -> tuple[Plan, dict[str, Any] | None]:
        """The plan of a request, and the data of its baseline."""
        interval_s, baseline_count, reporting_count = windows(request)
        channels, step_us = channels_of(request.driver), interval_s * MICROSECONDS
        start_us = to_us(request.baseline_start) if baseline_count else 0
        end_us = start_us + baseline_count * step_us
        reading = await read_intervals(
            self._regime,
            request.source,
            start_us,
            interval_s,
            max(baseline_count, 1),
            channels,
            archive=self._archive if baseline_count else None,
        )
        if end_us > reading.clock_us:
            raise _not_yet("the baseline", end_us, reading.clock_us)
        earliest_us = max(end_us, reading.clock_us)
        reporting_us = start_us - (start_us - earliest_us) // step_us * step_us
        if request.HasField("reporting_start"):
            reporting_us = to_us(request.reporting_start)
            if reporting_us < earliest_us:
                raise refuse(
                    "reporting_start",
                    f"must not lie before {iso(earliest_us)}: the baseline's end and the source's clock",
                )
        switching = request.method == SWITCHBACK
        plan = Plan(
            id=f"ver_{secrets.token_hex(10)}",
            tenant=tenant,
            source=request.source,
            boundary=request.boundary,
            ipmvp_option=request.ipmvp_option,
            method=request.method,
            model=request.model,
            driver=channels,
            interval_s=interval_s,
            baseline_start_us=start_us,
            baseline_intervals=baseline_count,
            reporting_start_us=reporting_us,
            reporting_intervals=reporting_count,
            pairs=request.pairs,
            block_intervals=request.block_intervals,
            washout_intervals=request.washout_intervals,
            seed=secrets.token_hex(SEED_BYTES) if switching else "",
        )
        if switching:
            with as_invalid_argument("pairs"):
                plan.switching  # noqa: B018 - refuses what makes no test
            return plan, None
        return plan, data_of(reading.intervals, reading.provenance)

    async def _commit(self, plan: Plan, baseline: dict[str, Any] | None) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(commit, plan, self._clock.now_us(), baseline, CODE)
        except ValueError as error:
            raise FailedPrecondition(
                f"there is no baseline to commit: {error}; nothing was stored", reason="BASELINE_UNMEASURED"
            ) from error

    async def _require_final(self, tenant: str, found: proof_pb2.Verification) -> None:
        """Raise unless the reporting period is final; note when it has begun."""
        end_us, step_us = to_us(found.reporting_end), found.interval_s * MICROSECONDS
        last = await read_intervals(self._regime, found.source, end_us - step_us, found.interval_s, 1, ())
        if last.settled:
            return
        if found.state == "BASELINE_FITTED" and last.clock_us >= to_us(found.reporting_start):
            await self._store.write(lambda tx: _measuring(tx, tenant, found.verification_id))
        raise _not_yet("the reporting period", end_us, last.clock_us)

    async def _reporting(self, found: proof_pb2.Verification) -> Reading:
        start_us = to_us(found.reporting_start)
        count = (to_us(found.reporting_end) - start_us) // (found.interval_s * MICROSECONDS)
        return await read_intervals(
            self._regime,
            found.source,
            start_us,
            found.interval_s,
            count,
            channels_of(found.driver),
            received_after_us=to_us(found.frozen),
        )


def _refuse_overlap(tx: Tx, tenant: str, verification: proof_pb2.Verification) -> None:
    """One verification may have a stretch of a source's time: else the luckiest of many would be shown."""
    start_us, end_us = to_us(verification.reporting_start), to_us(verification.reporting_end)
    other = verifications.overlapping(tx.conn, tenant, verification.source, start_us, end_us)
    if other:
        raise FailedPrecondition(
            f"verification {other} has part of the reporting period {iso(start_us)} to {iso(end_us)}; begin after it. Nothing was stored",
            reason="VERIFICATION_OVERLAPS",
        )


def _conclude(
    tx: Tx, tenant: str, read: proof_pb2.Verification, record: Mapping[str, Any]
) -> tuple[proof_pb2.Verification, bool] | None:
    """Store a record unless one stands; None if something was declared meanwhile, which the record must heed."""
    stored = verifications.find(tx.conn, tenant, read.verification_id)
    assert stored is not None, "verifications are never deleted"
    if stored.record is not None:
        return stored.verification, False
    if len(stored.verification.disputes) != len(read.disputes):
        return None
    evaluated = concluded(stored.verification, record)
    verifications.update(tx, tenant, evaluated, canonical(record))
    return evaluated, True


def _measuring(tx: Tx, tenant: str, verification_id: str) -> None:
    stored = verifications.find(tx.conn, tenant, verification_id)
    if stored is not None and stored.verification.state == "BASELINE_FITTED":
        stored.verification.state, stored.verification.reason = "MEASURING", "the reporting period runs"
        verifications.update(tx, tenant, stored.verification, None)


def _not_yet(what: str, end_us: int, clock_us: int) -> FailedPrecondition:
    return FailedPrecondition(
        f"{what} ends at {iso(end_us)} and is final 10 minutes later, but the source's clock stands at {iso(clock_us)}; nothing was stored",
        reason="NOT_YET_MEASURED",
        retry_after_s=max((end_us - clock_us) / MICROSECONDS, 1.0),
    )
