"""Batches over gRPC: both ways to give times, rows refused, sorted and repeated, and what is kept of them."""

from __future__ import annotations

import math

import grpc
import pytest
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.clock import MICROSECONDS, ManualClock, from_us
from eil_mesh.status import reason_of
from eil_mesh.testing import metadata, running, token
from eil_regime.main import build
from eil_regime.settings import RegimeSettings
from google.protobuf.timestamp_pb2 import Timestamp

pytestmark = pytest.mark.usefixtures("either_database")
NOW_US = 1_800_000_000 * MICROSECONDS
INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")


@pytest.fixture
async def regime(tmp_path):
    async with (
        running(tmp_path, RegimeSettings, build, clock=ManualClock(NOW_US)),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/regime.sock") as channel,
    ):
        yield Batches(channel, metadata(token(tmp_path, roles=["operator"])))


class Batches:
    """Sends batches to one source, with times in seconds from now."""

    def __init__(self, channel: grpc.aio.Channel, auth):
        self.stub: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(channel)
        self.auth = auth

    async def ingest(self, times_s, *, stamped=False, **columns):
        times_us = [NOW_US + round(t_s * MICROSECONDS) for t_s in times_s]
        request = regime_pb2.IngestRequest(
            source="plant",
            timestamps=[from_us(t) for t in times_us] if stamped else [],
            times_us=[] if stamped else times_us,
            columns=[regime_pb2.Column(name=name, values=values) for name, values in columns.items()],
        )
        return await self.send(request)

    async def send(self, request):
        return await self.stub.Ingest(request, metadata=self.auth)

    async def history(self, rows=100):
        request = regime_pb2.GetHistoryRequest(source="plant", rows=rows)
        answer = await self.stub.GetHistory(request, metadata=self.auth)
        times_s = [(t - NOW_US) / MICROSECONDS for t in answer.times_us]
        return times_s, {column.name: list(column.values) for column in answer.columns}


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), reason_of(error.value)


def counts(answer):
    return answer.accepted, answer.duplicates, answer.conflicting, answer.rejected_count


async def test_times_in_microseconds_and_timestamps_are_the_same_samples(regime):
    assert counts(await regime.ingest([-2, -1, 0], stamped=True, x=[1, 2, 3])) == (3, 0, 0, 0)
    assert counts(await regime.ingest([-2, -1, 0], x=[1, 2, 3])) == (0, 3, 0, 0)
    assert await regime.history() == ([-2, -1, 0], {"x": [1, 2, 3]})


@pytest.mark.parametrize("given", [{}, {"times_us": [NOW_US], "timestamps": [from_us(NOW_US)]}])
async def test_times_are_given_in_exactly_one_way(regime, given):
    column = regime_pb2.Column(name="x", values=[1.0])
    assert await refused(regime.send(regime_pb2.IngestRequest(source="plant", columns=[column], **given))) == INVALID
    assert (await refused(regime.history()))[0] == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("columns", [{"x": [1.0, 2.0]}, {"x": [1.0], "y": []}])
async def test_a_column_of_another_length_stores_nothing(regime, columns):
    assert await refused(regime.ingest([0], **columns)) == INVALID
    assert (await refused(regime.history()))[0] == grpc.StatusCode.NOT_FOUND


async def test_a_channel_given_twice_is_refused(regime):
    columns = [regime_pb2.Column(name="x", values=[value]) for value in (1.0, 2.0)]
    request = regime_pb2.IngestRequest(source="plant", times_us=[NOW_US], columns=columns)
    assert await refused(regime.send(request)) == INVALID


async def test_more_rows_than_allowed_are_refused(regime):
    assert await refused(regime.ingest(range(-10_001, 0), x=[0.0] * 10_001)) == INVALID


async def test_a_hundred_bad_rows_are_named_and_all_are_counted(regime):
    answer = await regime.ingest(range(-300, 0), power_draw=[-1.0 if i % 2 else 1.0 for i in range(300)])
    assert counts(answer) == (150, 0, 0, 150)
    assert [row.row for row in answer.rejected] == list(range(1, 200, 2))
    assert {row.reason for row in answer.rejected} == {"PHYSICS_VIOLATED"}


async def test_every_reason_is_told_apart(regime):
    await regime.ingest([0], power_draw=[1.0])
    answer = await regime.ingest(
        [301, -731 * 86400, -601, 1, 2, 3, 4],
        power_draw=[1.0, 1.0, 1.0, math.inf, -math.inf, math.nan, 5.0],
        cpu_usage=[0.5, 0.5, 0.5, 0.5, 0.5, math.nan, 1.5],
    )
    assert [row.reason for row in answer.rejected] == [
        "TIMESTAMP_IN_FUTURE",
        "TIMESTAMP_TOO_OLD",
        "SAMPLE_TOO_LATE",
        "PHYSICS_VIOLATED",
        "PHYSICS_VIOLATED",
        "NO_VALUES",
        "PHYSICS_VIOLATED",
    ]
    assert "not a finite number" in answer.rejected[3].message
    assert "cpu_usage" in answer.rejected[6].message
    assert counts(answer) == (0, 0, 0, 7)


@pytest.mark.parametrize(
    ("times", "reason"),
    [
        ({"times_us": [2**63 - 1]}, "TIMESTAMP_IN_FUTURE"),
        ({"times_us": [-(2**63)]}, "TIMESTAMP_TOO_OLD"),
        ({"timestamps": [Timestamp(seconds=2**62)]}, "TIMESTAMP_IN_FUTURE"),
        ({"timestamps": [Timestamp(seconds=-(2**62), nanos=999_999_999)]}, "TIMESTAMP_TOO_OLD"),
    ],
)
async def test_times_beyond_the_calendar_are_refused_as_any_other(regime, times, reason):
    column = regime_pb2.Column(name="x", values=[1.0])
    answer = await regime.send(regime_pb2.IngestRequest(source="plant", columns=[column], **times))
    assert [row.reason for row in answer.rejected] == [reason]


async def test_channels_beyond_the_limit_are_refused_row_by_row(regime):
    await regime.ingest([0], **{f"c{i}": [1.0] for i in range(255)})
    nan = math.nan
    answer = await regime.ingest([1, 2, 3], a=[1.0, nan, 2.0], b=[nan, 1.0, nan], c0=[nan, nan, 3.0])
    assert [(row.row, row.reason) for row in answer.rejected] == [(1, "TOO_MANY_CHANNELS")]
    times_s, columns = await regime.history()
    assert times_s == [0, 1, 3]
    assert (len(columns), columns["a"][1:], columns["c0"][2]) == (256, [1.0, 2.0], 3.0)


async def test_rows_are_stored_in_order_of_time_and_the_first_of_a_time_stands(regime):
    nan = math.nan
    answer = await regime.ingest([3, 1, 1, 2, 3, 1], x=[30.0, 10.0, 10.0, 20.0, 31.0, nan], y=[nan] * 5 + [5.0])
    assert counts(answer) == (4, 2, 1, 0), "row 2 repeats, row 4 differs, row 5 adds y to a known time"
    times_s, columns = await regime.history()
    assert times_s == [1, 2, 3]
    assert columns["x"] == [10.0, 20.0, 30.0]
    assert columns["y"][0] == 5.0


async def test_a_batch_that_overlaps_stores_only_what_is_new(regime):
    await regime.ingest(range(10), x=[float(i) for i in range(10)])
    answer = await regime.ingest(range(5, 15), x=[5.0, 6.0, 7.5, *[float(i) for i in range(8, 15)]])
    assert counts(answer) == (5, 5, 1, 0)
    assert await regime.history() == ([*range(15)], {"x": [float(i) for i in range(15)]})


async def test_a_row_as_late_as_is_allowed_is_stored(regime):
    await regime.ingest([0], x=[1.0])
    assert counts(await regime.ingest([-600, -600.000001], x=[1.0, 1.0])) == (1, 0, 0, 1)


async def test_a_request_id_replays_the_answer_of_a_batch(regime):
    request = regime_pb2.IngestRequest(
        source="plant",
        times_us=[NOW_US],
        columns=[regime_pb2.Column(name="x", values=[1.0])],
        request_id="once",
    )
    first = await regime.send(request)
    assert await regime.send(request) == first
    request.columns[0].values[0] = 2.0
    assert (await refused(regime.send(request)))[0] == grpc.StatusCode.ALREADY_EXISTS
