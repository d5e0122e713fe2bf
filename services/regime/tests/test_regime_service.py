"""The regime service over gRPC: what is stored, what is refused, what is measured."""

from __future__ import annotations

import math

import grpc
import pytest
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.clock import MICROSECONDS, ManualClock, from_us
from eil_mesh.status import reason_of
from eil_mesh.testing import metadata, running, token
from eil_regime.main import build
from eil_regime.settings import RegimeSettings

pytestmark = pytest.mark.usefixtures("either_database")
NOW_US = 1_800_000_000 * MICROSECONDS


@pytest.fixture
def clock():
    return ManualClock(NOW_US)


@pytest.fixture
async def regime(tmp_path, clock):
    async with (
        running(tmp_path, RegimeSettings, build, clock=clock),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/regime.sock") as channel,
    ):
        yield Client(channel, tmp_path)


class Client:
    """Calls with a token."""

    def __init__(self, channel: grpc.aio.Channel, tmp_path):
        self.stub: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(channel)
        self.log = event_log_pb2_grpc.EventLogServiceStub(channel)
        self.tmp_path = tmp_path

    def auth(self, tenant="default", subject="tester"):
        return metadata(token(self.tmp_path, roles=["operator"], tenant=tenant, subject=subject))

    async def sense(self, t_s, *, source="plant", tenant="default", subject="tester", context=None, **telemetry):
        request = regime_pb2.SenseRequest(source=source, telemetry=telemetry, context=context or {"power_kind": "mean"})
        request.timestamp.CopyFrom(from_us(NOW_US + round(t_s * MICROSECONDS)))
        return await self.stub.Sense(request, metadata=self.auth(tenant, subject))

    async def measure(self, start_s, end_s, *, source="plant", tenant="default", after_us=0):
        request = regime_pb2.MeasureRequest(source=source)
        request.start.CopyFrom(from_us(NOW_US + round(start_s * MICROSECONDS)))
        request.end.CopyFrom(from_us(NOW_US + round(end_s * MICROSECONDS)))
        if after_us:
            request.received_after.CopyFrom(from_us(after_us))
        return await self.stub.Measure(request, metadata=self.auth(tenant))


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), reason_of(error.value)


async def test_energy_of_a_minute_of_mean_power(regime):
    for t in range(-120, 1, 10):
        answer = await regime.sense(t, power_draw=500.0, ambient_temperature=21.85)
    state = answer.energy_state
    assert state.total_energy == pytest.approx(500.0 * 60)
    assert state.entropy == pytest.approx(500.0 * 60 / 295.0)
    assert state.covered_s == pytest.approx(60.0)
    assert (state.power_method, state.entropy_method) == ("REPORTED", "ambient_ratio")
    assert state.regime == answer.regime_prediction.current == "stable"
    assert 0 < answer.regime_prediction.confidence <= 1
    assert "power_draw" not in state.missing
    assert "cpu_usage" in state.missing


async def test_unknown_power_is_not_zero_power(regime):
    answer = await regime.sense(0, value=3.0)
    assert answer.energy_state.power_method == ""
    assert answer.energy_state.covered_s == 0.0
    assert "power_draw" in answer.energy_state.missing


async def test_a_duplicate_changes_nothing_and_a_conflict_is_counted(regime):
    await regime.sense(0, power_draw=500.0)
    assert (await regime.sense(0, power_draw=500.0)).status == "duplicate"
    answer = await regime.sense(0, power_draw=700.0)
    assert (answer.status, list(answer.conflicting)) == ("duplicate", ["power_draw"])
    status = await regime.stub.GetStatus(regime_pb2.GetStatusRequest(source="plant"), metadata=regime.auth())
    assert (status.sources[0].samples, status.sources[0].conflicts) == (1, 1)
    assert status.sources[0].energy_state.power == 500.0


async def test_channels_that_arrive_apart_are_one_sources(regime):
    await regime.sense(0, power_draw=500.0)
    assert (await regime.sense(0, temperature=30.0)).status == "accepted"
    history = await regime.stub.GetHistory(regime_pb2.GetHistoryRequest(source="plant"), metadata=regime.auth())
    assert len(history.times_us) == 1
    assert {column.name: column.values[0] for column in history.columns} == {"power_draw": 500.0, "temperature": 30.0}


@pytest.mark.parametrize(
    ("t_s", "telemetry", "code", "reason"),
    [
        (301, {"power_draw": 1.0}, grpc.StatusCode.OUT_OF_RANGE, "TIMESTAMP_IN_FUTURE"),
        (-731 * 86400, {"power_draw": 1.0}, grpc.StatusCode.OUT_OF_RANGE, "TIMESTAMP_TOO_OLD"),
        (0, {"power_draw": -1.0}, grpc.StatusCode.INVALID_ARGUMENT, "PHYSICS_VIOLATED"),
        (0, {"temperature": -274.0}, grpc.StatusCode.INVALID_ARGUMENT, "PHYSICS_VIOLATED"),
        (0, {"cpu_usage": 75.0}, grpc.StatusCode.INVALID_ARGUMENT, "PHYSICS_VIOLATED"),
        (0, {"power_draw": math.nan}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (0, {"power_draw": math.inf}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        (0, {}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT"),
    ],
)
async def test_what_is_refused_stores_nothing(regime, t_s, telemetry, code, reason):
    assert await refused(regime.sense(t_s, **telemetry)) == (code, reason)
    status = regime_pb2.GetStatusRequest(source="plant")
    assert (await refused(regime.stub.GetStatus(status, metadata=regime.auth())))[0] == grpc.StatusCode.NOT_FOUND


async def test_lateness_is_measured_on_the_sources_clock(regime):
    await regime.sense(0, power_draw=500.0)
    assert (await regime.sense(-599, power_draw=500.0)).status == "accepted"
    assert await refused(regime.sense(-601, power_draw=500.0)) == (grpc.StatusCode.OUT_OF_RANGE, "SAMPLE_TOO_LATE")


async def test_a_measurement_counts_only_what_was_received_after_the_commitment(regime, clock):
    for t in range(-60, 1, 10):
        await regime.sense(t, power_draw=400.0)
    committed_us = clock.now_us()
    clock.advance(60)
    for t in range(10, 61, 10):
        await regime.sense(t, power_draw=600.0)
    whole = await regime.measure(0, 60, after_us=committed_us)
    assert whole.energy == pytest.approx(600.0 * 60)
    assert whole.complete
    assert not whole.settled
    assert whole.samples == 6
    before = await regime.measure(-50, 0, after_us=committed_us)
    assert before.covered_s == 0.0, "these samples were there before the commitment"


async def test_gaps_are_reported_never_bridged(regime):
    for t in [*range(-120, -60, 10), *range(0, 60, 10)]:
        await regime.sense(t, power_draw=500.0)
    measured = await regime.measure(-120, 50)
    assert measured.window_s == 170
    assert measured.covered_s == pytest.approx(110.0)
    assert measured.energy == pytest.approx(500.0 * 110)


async def test_samples_of_a_metered_source_from_another_credential_are_marked(regime):
    enrol = regime_pb2.PutSourceRequest(source="plant", kind="metered", credential="meter-1")
    await regime.stub.PutSource(enrol, metadata=regime.auth())
    for t in range(-60, 1, 10):
        await regime.sense(t, subject="meter-1", power_draw=500.0)
    assert (await regime.measure(-50, 0)).own_credential
    await regime.sense(10, subject="somebody", power_draw=500.0)
    assert not (await regime.measure(-50, 10)).own_credential


async def test_a_batch_names_its_bad_rows_and_keeps_the_good(regime):
    request = regime_pb2.IngestRequest(
        source="plant",
        columns=[
            regime_pb2.Column(name="power_draw", values=[500.0, -5.0, 510.0, 505.0]),
            regime_pb2.Column(name="temperature", values=[30.0, 30.0, math.nan, 31.0]),
        ],
        timestamps=[from_us(NOW_US + t * MICROSECONDS) for t in (0, 10, 20, 900)],
    )
    answer = await regime.stub.Ingest(request, metadata=regime.auth())
    assert answer.accepted == 2
    assert [(row.row, row.reason) for row in answer.rejected] == [
        (1, "PHYSICS_VIOLATED"),
        (3, "TIMESTAMP_IN_FUTURE"),
    ]
    again = await regime.stub.Ingest(request, metadata=regime.auth())
    assert (again.accepted, again.duplicates) == (0, 2)


async def test_a_level_shift_is_reported_once_and_lands_in_the_journal(regime):
    rows = 400
    values = [10.0 + 0.1 * ((i * 7919) % 13 - 6) + (8.0 if i >= 250 else 0.0) for i in range(rows)]
    request = regime_pb2.IngestRequest(
        source="plant",
        columns=[regime_pb2.Column(name="value", values=values)],
        timestamps=[from_us(NOW_US + (i - rows) * 60 * MICROSECONDS) for i in range(rows)],
    )
    answer = await regime.stub.Ingest(request, metadata=regime.auth())
    assert len(answer.shifts) == 1
    onset_row = (answer.shifts[0].onset.seconds - NOW_US // MICROSECONDS) // 60 + rows
    assert abs(onset_row - 250) <= 3
    shifts = await regime.stub.ListShifts(regime_pb2.ListShiftsRequest(), metadata=regime.auth())
    assert [shift.id for shift in shifts.shifts] == [answer.shifts[0].id]
    stream = regime.log.Subscribe(event_log_pb2.SubscribeRequest(from_offset=1), metadata=regime.auth())
    topics = [(await stream.read()).event.topic for _ in range(2)]
    stream.cancel()
    assert sorted(topics) == ["eil.regime.shifts", "eil.sense.telemetry"]


async def test_tenants_do_not_see_each_other(regime):
    await regime.sense(0, tenant="acme", power_draw=500.0)
    assert (await refused(regime.measure(-60, 0, tenant="other"))) == (grpc.StatusCode.NOT_FOUND, "SOURCE_UNKNOWN")
    everything = await regime.stub.GetStatus(regime_pb2.GetStatusRequest(), metadata=regime.auth("other"))
    assert not everything.sources


async def test_state_survives_a_restart(tmp_path, clock):
    verdicts = []
    for part in range(2):
        async with (
            running(tmp_path, RegimeSettings, build, clock=clock),
            grpc.aio.insecure_channel(f"unix:{tmp_path}/regime.sock") as channel,
        ):
            client = Client(channel, tmp_path)
            for t in range(part * 50, part * 50 + 50):
                verdicts.append(await client.sense(t, power_draw=500.0 + t % 7))
    status = verdicts[-1]
    assert status.energy_state.covered_s == pytest.approx(60.0), "the window spans the restart"
    assert status.regime_prediction.regime_id == verdicts[0].regime_prediction.regime_id


async def test_intervals_add_up_to_the_window_and_name_what_is_missing(regime, clock):
    for t in range(-120, 1, 10):
        await regime.sense(t, power_draw=500.0 + t, request_rate=200.0 + t)
    request = regime_pb2.MeasureIntervalsRequest(
        source="plant", interval_s=30, intervals=5, channels=["request_rate", "absent"]
    )
    request.start.CopyFrom(from_us(NOW_US - 120 * MICROSECONDS))
    answer = await regime.stub.MeasureIntervals(request, metadata=regime.auth())
    assert list(answer.covered_s) == pytest.approx([30, 30, 30, 30, 0])
    assert sum(answer.energy[:4]) == pytest.approx((await regime.measure(-120, 0)).energy)
    assert math.isnan(answer.energy[4]), "what is unknown is not zero"
    means = {column.name: list(column.values) for column in answer.columns}
    assert means["request_rate"][:4] == [100.0, 130.0, 160.0, 190.0]
    assert all(math.isnan(value) for value in [means["request_rate"][4], *means["absent"]])
    assert (answer.kind, answer.power_method, answer.settled) == ("unenrolled", "REPORTED", False)
    request.received_after.CopyFrom(from_us(clock.now_us()))
    assert not any((await regime.stub.MeasureIntervals(request, metadata=regime.auth())).covered_s)
    request.interval_s, request.intervals = 86_400, 32
    assert await refused(regime.stub.MeasureIntervals(request, metadata=regime.auth())) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_ARGUMENT",
    )


def delete(regime, source="plant", tenant="default"):
    as_admin = metadata(token(regime.tmp_path, roles=["admin"], tenant=tenant))
    return regime.stub.DeleteSource(regime_pb2.DeleteSourceRequest(source=source), metadata=as_admin)


async def test_a_deleted_source_is_gone_and_its_name_stays_closed_for_a_day(regime, clock):
    for source in ("plant", "other"):
        for t in range(-60, 1, 10):
            await regime.sense(t, source=source, power_draw=500.0)
    assert await refused(delete(regime, tenant="foreign")) == (grpc.StatusCode.NOT_FOUND, "SOURCE_UNKNOWN")
    closed = (await delete(regime)).closed_until
    assert closed == from_us(NOW_US + 86_400 * MICROSECONDS)
    assert await refused(regime.measure(-60, 0)) == (grpc.StatusCode.NOT_FOUND, "SOURCE_UNKNOWN")
    assert (await regime.measure(-60, 0, source="other")).samples > 0
    assert await refused(regime.sense(1, power_draw=500.0)) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "SOURCE_DELETED",
    )
    clock.advance(3600)
    assert (await delete(regime)).closed_until == closed, "said again, nothing moves"
    clock.advance(82_801)
    assert (await regime.sense(86_400, power_draw=500.0)).status == "accepted"
    assert (await regime.measure(86_300, 86_400)).samples == 1, "it begins anew"
