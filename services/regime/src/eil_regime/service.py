"""gRPC ⇄ domain of the regime service."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh import metrics
from eil_mesh.call import caller
from eil_mesh.clock import MICROSECONDS, from_us, to_us
from eil_mesh.costs import rows_of
from eil_mesh.errors import InvalidArgument, NotFound, OutOfRange
from eil_mesh.metering import CeuMeter
from eil_mesh.paging import newest_page_of, page_of
from eil_mesh.requests import remember, replayed
from eil_mesh.store import Connection, Store, Tx

from eil_regime import batch, deletion, samples, sources
from eil_regime.domain.measurement import DEFAULT_U, MEASURED, measure
from eil_regime.gather import Gather
from eil_regime.ingest import Ingest
from eil_regime.intervals import measured_intervals
from eil_regime.refusals import Refusal

MAX_WINDOW_S = 31 * 86400.0


class RegimeService(regime_pb2_grpc.RegimeServiceServicer):
    """See the contract for what each method promises."""

    def __init__(self, store: Store, ingest: Ingest, gather: Gather, meter: CeuMeter, lateness_s: float) -> None:
        self._store, self._ingest, self._gather, self._meter = store, ingest, gather, meter
        self._lateness_us = round(lateness_s * MICROSECONDS)
        self._windows_held, self._windows_judged = 0, 0

    async def Sense(
        self, request: regime_pb2.SenseRequest, context: grpc.aio.ServicerContext
    ) -> regime_pb2.SenseResponse:
        principal = caller()
        kind = request.context.get("power_kind", "instant")
        if kind not in ("instant", "mean"):
            raise InvalidArgument(
                f"context.power_kind is {kind!r}; it must be `instant` or `mean`",
                violations={"context[power_kind]": "must be `instant` or `mean`"},
            )
        row = batch.of_sample(request)

        def take(tx: Tx) -> regime_pb2.SenseResponse:
            if known := replayed(tx.conn, principal.tenant, request, regime_pb2.SenseResponse):
                return known
            outcome = self._ingest.take(tx, principal.tenant, request.source, row, kind, principal.subject)
            if outcome.refusals:
                raise _error(outcome.refusals[0])
            response = regime_pb2.SenseResponse(
                status="accepted" if outcome.accepted else "duplicate",
                energy_state=outcome.state,
                regime_prediction=outcome.prediction,
                conflicting=outcome.conflicts,
            )
            remember(tx, principal.tenant, request, response)
            return response

        return await self._store.write(take)

    async def Ingest(
        self, request: regime_pb2.IngestRequest, context: grpc.aio.ServicerContext
    ) -> regime_pb2.IngestResponse:
        principal, rows = caller(), batch.of_request(request)

        return await self._store.write(
            lambda tx: self._ingest.answer(tx, principal.tenant, request, rows, principal.subject)
        )

    async def IngestStream(
        self, request_iterator: AsyncIterator[regime_pb2.IngestStreamRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[regime_pb2.IngestStreamResponse]:
        principal = caller()
        with self._gather.open(principal.tenant, principal.subject) as stream:
            reading = asyncio.create_task(stream.read(self._paid(request_iterator)))
            try:
                async for answer in stream.answers():
                    yield answer
            finally:
                reading.cancel()

    async def _paid(
        self, requests: AsyncIterator[regime_pb2.IngestStreamRequest]
    ) -> AsyncIterator[regime_pb2.IngestStreamRequest]:
        """The messages of a stream, each once its samples are charged."""
        async for request in requests:
            await self._meter.charge(samples=sum(map(rows_of, request.batches)))
            yield request

    async def GetStatus(
        self, request: regime_pb2.GetStatusRequest, context: grpc.aio.ServicerContext
    ) -> regime_pb2.GetStatusResponse:
        tenant = caller().tenant
        if request.source:
            source = await self._source(tenant, request.source)
            return regime_pb2.GetStatusResponse(sources=[_status(source)])
        size, after = page_of(request)
        found = await self._store.read(lambda conn: sources.list_sources(conn, tenant, after, size))
        return regime_pb2.GetStatusResponse(
            sources=[_status(source) for source in found],
            next_page_token=found[-1].name if len(found) == size else "",
        )

    async def ListShifts(
        self, request: regime_pb2.ListShiftsRequest, context: grpc.aio.ServicerContext
    ) -> regime_pb2.ListShiftsResponse:
        tenant = caller().tenant
        size, before = newest_page_of(request)
        rows = await self._store.read(lambda conn: _shifts(conn, tenant, request.source, before, size))
        return regime_pb2.ListShiftsResponse(
            shifts=[regime_pb2.RegimeShift.FromString(row[1]) for row in rows],
            next_page_token=str(rows[-1][0]) if len(rows) == size else "",
        )

    async def Measure(
        self, request: regime_pb2.MeasureRequest, context: grpc.aio.ServicerContext
    ) -> regime_pb2.MeasureResponse:
        start_us, end_us = to_us(request.start), to_us(request.end)
        if not 0 < end_us - start_us <= MAX_WINDOW_S * MICROSECONDS:
            raise InvalidArgument(
                f"the window must end after it starts and last at most {MAX_WINDOW_S / 86400:.0f} days",
                violations={"end": "must be after start"},
            )
        after_us = to_us(request.received_after) if request.HasField("received_after") else 0
        source = await self._source(caller().tenant, request.source)
        response = await self._store.read(lambda conn: self._measured(conn, source, start_us, end_us, after_us))
        self._observe(response.checks)
        return response

    async def MeasureIntervals(
        self, request: regime_pb2.MeasureIntervalsRequest, context: grpc.aio.ServicerContext
    ) -> regime_pb2.MeasureIntervalsResponse:
        if request.interval_s * request.intervals > MAX_WINDOW_S:
            raise InvalidArgument(
                f"the intervals last more than {MAX_WINDOW_S / 86400:.0f} days together; ask for them in parts",
                violations={"intervals": f"must last at most {MAX_WINDOW_S / 86400:.0f} days together"},
            )
        start_us, interval_us = to_us(request.start), request.interval_s * MICROSECONDS
        after_us = to_us(request.received_after) if request.HasField("received_after") else 0
        source = await self._source(caller().tenant, request.source)
        response = await self._store.read(
            lambda conn: measured_intervals(
                conn, source, start_us, interval_us, request.intervals, request.channels, after_us
            )
        )
        clock_us = source.clock_us or 0
        response.clock.CopyFrom(from_us(clock_us))
        response.settled = clock_us >= start_us + interval_us * request.intervals + self._lateness_us
        return response

    async def GetHistory(
        self, request: regime_pb2.GetHistoryRequest, context: grpc.aio.ServicerContext
    ) -> regime_pb2.GetHistoryResponse:
        source = await self._source(caller().tenant, request.source)
        rows = request.rows or 512
        times_us, columns = await self._store.read(lambda conn: samples.newest_rows(conn, source, rows))
        return regime_pb2.GetHistoryResponse(
            times_us=times_us.tolist(),
            columns=[batch.column(name, values) for name, values in columns.items()],
            power_kind=source.power_kind,
            kind=source.kind,
            power_uncertainty=source.power_u or DEFAULT_U[source.kind],
            energy_state=regime_pb2.EnergyState.FromString(source.state or b""),
        )

    async def PutSource(
        self, request: regime_pb2.PutSourceRequest, context: grpc.aio.ServicerContext
    ) -> regime_pb2.PutSourceResponse:
        principal = caller()
        if request.kind == "metered" and not request.credential:
            raise InvalidArgument(
                "a metered source needs `credential`: the token subject that alone may send its samples",
                violations={"credential": "is required for kind `metered`"},
            )

        def put(tx: Tx) -> regime_pb2.PutSourceResponse:
            deletion.check_open(tx, principal.tenant, request.source)
            source = sources.open_source(tx.conn, principal.tenant, request.source)
            tx.conn.execute(
                "UPDATE sources SET kind=?, credential=?, nameplate_w=?, power_u=? WHERE id=?",
                (request.kind, request.credential, request.nameplate_w, request.power_uncertainty, source.id),
            )
            return regime_pb2.PutSourceResponse(source=request.source, kind=request.kind, credential=request.credential)

        return await self._store.write(put)

    async def DeleteSource(
        self, request: regime_pb2.DeleteSourceRequest, context: grpc.aio.ServicerContext
    ) -> regime_pb2.DeleteSourceResponse:
        tenant = caller().tenant
        return await self._store.write(lambda tx: deletion.delete(tx, tenant, request.source))

    async def _source(self, tenant: str, name: str) -> sources.Source:
        source = self._store.glance(lambda conn: sources.find_source(conn, tenant, name))
        if source is None or source.clock_us is None:
            raise NotFound(
                f"source {name!r} has never sent a sample; send one to /v1/sense first", reason="SOURCE_UNKNOWN"
            )
        return source

    def _measured(
        self, conn: Connection, source: sources.Source, start_us: int, end_us: int, after_us: int
    ) -> regime_pb2.MeasureResponse:
        window = samples.window(conn, source, MEASURED, start_us, end_us, received_after_us=after_us)
        clock_us = source.clock_us or 0
        response = regime_pb2.MeasureResponse(
            window_s=(end_us - start_us) / MICROSECONDS,
            complete=clock_us >= end_us,
            settled=clock_us >= end_us + self._lateness_us,
            kind=source.kind,
            clock=from_us(clock_us),
            checks=regime_pb2.PhysicsChecks(untested=["energy_conservation", "entropy_valid", "feasibility_check"]),
        )
        measured = measure(window.series, source.facts(), start_us / MICROSECONDS, end_us / MICROSECONDS)
        if measured is None:
            return response
        response.own_credential, response.largest_delay_s = window.provenance(measured.channel)
        response.energy, response.energy_uncertainty = measured.energy.energy_j, measured.energy.u_energy_j
        response.entropy, response.entropy_uncertainty = measured.entropy_j_per_k, measured.u_entropy_j_per_k
        response.entropy_method, response.power_method = measured.entropy_method, measured.power_method
        response.covered_s, response.samples = measured.energy.covered_s, measured.samples
        checks = response.checks
        del checks.untested[:]
        checks.untested.extend(measured.untested)
        law = measured.balance
        checks.energy_conservation = law is None or not law.contradicted
        if law is not None and law.residual is not None and law.u_residual is not None:
            checks.residual, checks.residual_uncertainty = law.residual, law.u_residual
        checks.entropy_valid = measured.entropy_valid
        checks.feasibility_check = measured.within_bounds
        return response

    def _observe(self, checks: regime_pb2.PhysicsChecks) -> None:
        if "energy_conservation" not in checks.untested:
            metrics.CONSERVATION_ERROR.observe(abs(checks.residual))
        if "entropy_valid" not in checks.untested:
            self._windows_judged += 1
            self._windows_held += checks.entropy_valid
            metrics.ENTROPY_COHERENCE.set(self._windows_held / self._windows_judged)


def _error(refusal: Refusal) -> InvalidArgument | OutOfRange:
    if refusal.out_of_range:
        return OutOfRange(refusal.message, reason=refusal.reason, violations={"timestamp": refusal.message})
    return InvalidArgument(refusal.message, reason=refusal.reason, violations=refusal.violations)


def _status(source: sources.Source) -> regime_pb2.SourceStatus:
    return regime_pb2.SourceStatus(
        source=source.name,
        energy_state=regime_pb2.EnergyState.FromString(source.state or b""),
        regime_prediction=regime_pb2.RegimePrediction.FromString(source.prediction or b""),
        kind=source.kind,
        samples=source.samples,
        shifts=source.shifts,
        conflicts=source.conflicts,
    )


def _shifts(conn: Connection, tenant: str, name: str, before: int, size: int) -> Sequence[Any]:
    return conn.execute(
        "SELECT shifts.id, body FROM shifts JOIN sources ON sources.id = source_id"
        " WHERE tenant = ? AND (? = '' OR name = ?) AND shifts.id < ? ORDER BY shifts.id DESC LIMIT ?",
        (tenant, name, name, before, size),
    ).fetchall()
