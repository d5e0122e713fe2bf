"""Streams over gRPC: everything is acknowledged once it is durable, whatever is refused is named, and what waits is bounded."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.clock import MICROSECONDS, ManualClock, from_us
from eil_mesh.status import reason_of
from eil_mesh.testing import metadata, running, token
from eil_regime import gather
from eil_regime.main import build
from eil_regime.settings import RegimeSettings

pytestmark = pytest.mark.usefixtures("either_database")
NOW_US = 1_800_000_000 * MICROSECONDS


@pytest.fixture
async def regime(tmp_path):
    async with (
        running(tmp_path, RegimeSettings, build, clock=ManualClock(NOW_US)),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/regime.sock") as channel,
    ):
        yield Streams(tmp_path, channel)


class Streams:
    """Sends streams, and asks what is stored."""

    def __init__(self, folder, channel: grpc.aio.Channel):
        self.stub: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(channel)
        self.folder, self.auth = folder, metadata(token(folder, roles=["operator", "admin"]))

    async def stream(self, *requests, auth=None):
        """All answers in one, with the sequences sorted."""
        whole = regime_pb2.IngestStreamResponse()
        async for answer in self.stub.IngestStream(iter(requests), metadata=auth or self.auth):
            whole.MergeFrom(answer)
            for count in ("accepted", "duplicates", "rejected_count"):
                self.__dict__[count] = self.__dict__.get(count, 0) + getattr(answer, count)
        counts = tuple(self.__dict__.pop(count, 0) for count in ("accepted", "duplicates", "rejected_count"))
        return sorted(whole.sequences), counts, list(whole.rejected)

    async def samples(self) -> dict[str, int]:
        answer = await self.stub.GetStatus(regime_pb2.GetStatusRequest(page_size=1000), metadata=self.auth)
        return {source.source: source.samples for source in answer.sources}

    async def history(self, source: str):
        answer = await self.stub.GetHistory(regime_pb2.GetHistoryRequest(source=source), metadata=self.auth)
        times_s = [(t - NOW_US) / MICROSECONDS for t in answer.times_us]
        return times_s, {column.name: list(column.values) for column in answer.columns}


def part(source: str, times_s, **columns) -> regime_pb2.IngestRequest:
    return regime_pb2.IngestRequest(
        source=source,
        times_us=[NOW_US + round(t_s * MICROSECONDS) for t_s in times_s],
        columns=[regime_pb2.Column(name=name, values=values) for name, values in columns.items()],
    )


def message(sequence: int, *parts) -> regime_pb2.IngestStreamRequest:
    return regime_pb2.IngestStreamRequest(sequence=sequence, batches=parts)


async def test_every_message_is_acknowledged_and_sent_again_counts_once(regime):
    messages = [message(t, *(part(f"s{i}", [t], x=[float(t)]) for i in range(100))) for t in range(5)]
    assert await regime.stream(*messages) == ([0, 1, 2, 3, 4], (500, 0, 0), [])
    assert await regime.samples() == {f"s{i}": 5 for i in range(100)}
    assert await regime.stream(*messages) == ([0, 1, 2, 3, 4], (0, 500, 0), [])
    assert await regime.history("s7") == ([0, 1, 2, 3, 4], {"x": [0.0, 1.0, 2.0, 3.0, 4.0]})


async def test_channels_that_come_apart_are_one_row(regime):
    answer = await regime.stream(
        message(1, part("a", [1, 2], x=[1, 2]), part("a", [1, 2], y=[3, 4])), message(2, part("a", [2], z=[5]))
    )
    assert answer[:2] == ([1, 2], (5, 0, 0))
    times_s, columns = await regime.history("a")
    assert (times_s, columns["x"], columns["y"], columns["z"][1]) == ([1, 2], [1, 2], [3, 4], 5)
    assert (await regime.samples())["a"] >= 2


async def test_a_refused_row_is_named_as_it_was_sent_and_the_others_are_stored(regime):
    sequences, counts, rejected = await regime.stream(
        message(8, part("c", [1], power_draw=[5.0])),
        message(
            9,
            part("a", [1], power_draw=[5.0]),
            part("a", [2, 3, 4], power_draw=[5.0, 5.0, -1.0]),
            part("b", [9000, 1], power_draw=[1.0, 2.0]),
        ),
    )
    assert (sequences, counts) == ([8, 9], (5, 0, 2))
    assert {(r.sequence, r.source, r.row.row) for r in rejected} == {(9, "a", 2), (9, "b", 0)}
    assert {r.row.reason for r in rejected} >= {"TIMESTAMP_IN_FUTURE"}
    assert await regime.samples() == {"a": 3, "b": 1, "c": 1}


async def test_a_batch_that_is_none_is_refused_alone(regime):
    crooked = part("a", [2, 3], x=[1.0])
    sequences, counts, rejected = await regime.stream(
        message(1, part("a", [1], x=[1.0]), crooked, part("a", [4], x=[4.0]))
    )
    assert (sequences, counts) == ([1], (2, 0, 2))
    assert [(r.source, r.row.reason) for r in rejected] == [("a", "INVALID_ARGUMENT")]
    assert (await regime.history("a"))[0] == [1, 4]


async def test_batches_of_one_moment_and_of_stamps_are_the_same(regime):
    stamped = regime_pb2.IngestRequest(
        source="a", timestamps=[from_us(NOW_US)], columns=[regime_pb2.Column(name="x", values=[1.0])]
    )
    assert (await regime.stream(message(1, stamped, part("a", [0], x=[1.0]))))[1] == (1, 1, 0)


async def test_a_deleted_name_is_refused_whole(regime):
    await regime.stream(message(1, part("a", [1], x=[1.0])))
    await regime.stub.DeleteSource(regime_pb2.DeleteSourceRequest(source="a"), metadata=regime.auth)
    _, counts, rejected = await regime.stream(message(2, part("a", [2, 3], x=[1.0, 2.0]), part("b", [2], x=[1.0])))
    assert counts == (1, 0, 2)
    assert [(r.source, r.row.reason) for r in rejected] == [("a", "SOURCE_DELETED")]


async def test_samples_of_another_credential_do_not_count_as_a_metered_sources_own(regime):
    put = regime_pb2.PutSourceRequest(source="a", kind="metered", credential="meter-a")
    await regime.stub.PutSource(put, metadata=regime.auth)
    meter = metadata(token(regime.folder, subject="meter-a", roles=["agent"]))
    measure = regime_pb2.MeasureRequest(source="a", start=from_us(NOW_US), end=from_us(NOW_US + 5 * MICROSECONDS))
    await regime.stream(message(1, part("a", range(6), power_draw=[9.0] * 6)), auth=meter)
    assert (await regime.stub.Measure(measure, metadata=regime.auth)).own_credential
    await regime.stream(message(1, part("a", [2.5], power_draw=[9.0])))
    assert not (await regime.stub.Measure(measure, metadata=regime.auth)).own_credential


async def test_a_stream_is_read_no_faster_than_what_waits_is_stored(regime, monkeypatch):
    monkeypatch.setattr(gather, "MOST_BYTES", 400)
    held = []
    take = gather.Gather.take

    def noting(self, stream, request):
        take(self, stream, request)
        held.append(self._nbytes)

    monkeypatch.setattr(gather.Gather, "take", noting)
    sequences, counts, _ = await regime.stream(*(message(t, part("a", [t], x=[1.0])) for t in range(100)))
    assert (sequences, counts) == ([*range(100)], (100, 0, 0))
    assert max(held) < 400 + 100, "one message beyond the limit at most"


async def test_the_last_acknowledgements_come_even_if_the_stream_ends_while_earlier_ones_are_sent():
    stream = _alone()
    first, last = (gather.Message(stream, sequence, 0, 0) for sequence in (1, 2))
    stream.messages = 2
    stream.finish(first)
    answers = stream.answers()
    sent = list((await anext(answers)).sequences)
    stream.finish(last)
    await stream.read(_nothing_more())
    assert sent + [sequence async for answer in answers for sequence in answer.sequences] == [1, 2]


async def test_a_stream_whose_reading_breaks_ends_with_that_error():
    stream = _alone()
    await stream.read(_nothing_more(ZeroDivisionError("broken")))
    with pytest.raises(ZeroDivisionError, match="broken"):
        await anext(stream.answers())


async def test_a_message_that_is_none_ends_its_stream_and_takes_no_room(regime, monkeypatch):
    monkeypatch.setattr(gather, "MOST_BYTES", 400)
    good = part("a", [1], x=[1.0])
    for nothing in (message(2), message(2, *[good] * 10_001)):
        responses = regime.stub.IngestStream(iter([message(1, good), nothing]), metadata=regime.auth)
        assert list((await responses.read()).sequences) == [1]
        with pytest.raises(grpc.aio.AioRpcError, match="batches") as error:
            await responses.read()
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert (await regime.stream(message(1, part("a", [2], x=[1.0]))))[1] == (1, 0, 0)


def _alone() -> gather.Stream:
    """A stream that nothing reads for."""
    return gather.Stream(gather.Gather(None, None), "acme", "meter")  # pyright: ignore[reportArgumentType]


async def _nothing_more(error: Exception | None = None):
    if error:
        raise error
    return
    yield


async def test_more_streams_than_allowed_are_refused(regime, monkeypatch):
    monkeypatch.setattr(gather, "MOST_STREAMS", 1)
    waiting = asyncio.Event()

    async def open_for_long():
        yield message(1, part("a", [1], x=[1.0]))
        await waiting.wait()

    first = regime.stub.IngestStream(open_for_long(), metadata=regime.auth)
    assert list((await first.read()).sequences) == [1], "acknowledged while the stream stays open"
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await regime.stream(message(1, part("b", [1], x=[1.0])))
    assert (error.value.code(), reason_of(error.value)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
    waiting.set()
    assert await first.read() is grpc.aio.EOF
    assert (await regime.stream(message(1, part("b", [1], x=[1.0]))))[1] == (1, 0, 0)


async def test_a_viewer_may_send_nothing(regime):
    auth, told = metadata(token(regime.folder, roles=["viewer"])), "Internal error from Core"
    while told == "Internal error from Core":  # grpc.aio's word for its own write that came after the refusal
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await regime.stream(message(1), auth=auth)
        told = error.value.details()
    assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED
