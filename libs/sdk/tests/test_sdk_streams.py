"""Streams of telemetry against a server that breaks off, refuses and keeps others waiting."""

import asyncio
import itertools
import sys
import threading
import time
import traceback

import grpc
import pytest
from eil.regime.v1 import regime_pb2 as pb
from eil_sdk import EIL, AsyncEIL, DeadlineExceeded, EilError, FailedPrecondition, InvalidArgument, PermissionDenied
from eil_sdk.streams import MOST_REFUSALS

PATIENCE_S = 30.0


class Regime:
    """Stores samples as the regime service does: by source and time, once.

    `breaks` are (message, when) for one connection after the other: it breaks at its message of that number, "before" it is stored or
    "behind" that, its acknowledgement lost.
    """

    def __init__(self, *breaks: tuple[int, str]) -> None:
        self.breaks = list(breaks)
        self.stored: dict[tuple[str, int], list[float]] = {}
        self.connections = 0
        self.go = threading.Event()
        self.go.set()

    def IngestStream(self, request_iterator, context):
        self.connections += 1
        at, when = self.breaks.pop(0) if self.breaks else (-1, "")
        for n, message in enumerate(request_iterator):
            self.go.wait(PATIENCE_S)
            answer = self._store(message) if (n, when) != (at, "before") else None
            if n == at:
                context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")
            yield answer

    def _store(self, message):
        answer = pb.IngestStreamResponse(sequences=[message.sequence])
        for batch in message.batches:
            for row, at in enumerate(batch.times_us):
                if batch.columns[0].values[row] < 0:
                    answer.rejected_count += 1
                    rejected = pb.RejectedRow(row=row, reason="PHYSICS_VIOLATED", message="below 0 W")
                    answer.rejected.add(sequence=message.sequence, source=batch.source, row=rejected)
                elif (batch.source, at) in self.stored:
                    answer.duplicates += 1
                else:
                    answer.accepted += 1
                    self.stored[batch.source, at] = [column.values[row] for column in batch.columns]
        return answer


def send(url, samples, token="secret", **how):
    """Send the samples by a synchronous client and close; the stream."""
    with EIL(url, token=token) as eil, eil.stream(**how) as stream:
        for n, (source, at, watts) in enumerate(samples):
            stream.send(source, at, {"power_draw": watts})
            if n % 300 == 299:
                time.sleep(0.01)  # lets them become several messages
    return stream


def send_on_a_loop(url, samples, token="secret", **how):
    async def run():
        async with AsyncEIL(url, token=token) as eil, eil.stream(**how) as stream:
            for n, (source, at, watts) in enumerate(samples):
                await stream.send(source, at, {"power_draw": watts})
                if n % 300 == 299:
                    await asyncio.sleep(0.01)
        return stream

    return asyncio.run(run())


@pytest.fixture(params=[send, send_on_a_loop], ids=["sync", "async"])
def sending(request):
    return request.param


SAMPLES: list[tuple[str, float, float]] = [(f"rack-{n % 7}", 1000.0 + n // 7, float(n)) for n in range(3000)]


def test_closing_waits_until_everything_is_stored(serve, sending):
    regime = Regime()
    stream = sending(serve(regime).url, SAMPLES)
    assert regime.stored == {(source, int(at * 1e6)): [watts] for source, at, watts in SAMPLES}
    assert (stream.tally.accepted, stream.tally.duplicates, stream.tally.refused) == (3000, 0, 0)
    assert stream.waiting == 0
    assert regime.connections == 1


@pytest.mark.parametrize(
    "breaks",
    [
        [(0, "before"), (0, "before")],
        [(1, "before"), (1, "behind"), (0, "before")],
        [(0, "behind"), (0, "behind")],
    ],
    ids=["before anything", "in between", "behind what was stored"],
)
def test_over_breaks_nothing_is_lost_and_nothing_counts_twice(serve, sending, breaks):
    regime = Regime(*breaks)
    stream = sending(serve(regime).url, SAMPLES)
    assert len(regime.stored) == 3000
    assert regime.connections == len(breaks) + 1
    assert stream.waiting == 0
    assert stream.tally.accepted + stream.tally.duplicates == 3000
    assert (stream.tally.duplicates > 0) == any(when == "behind" for _, when in breaks)


def test_a_mesh_that_comes_late_gets_everything(serve, sending):
    regime = Regime()
    server = serve(regime)
    server.stop()
    later = threading.Timer(0.5, server.start)
    later.start()
    sending(server.url, SAMPLES)
    later.join()
    assert len(regime.stored) == 3000


def test_what_is_refused_is_named_and_stops_nothing(serve, sending):
    regime, heard = Regime(), []
    samples = [("rack", 1000.0, 5.0), ("rack", 1001.0, -5.0), ("rack", 1002.0, 5.0)]
    stream = sending(serve(regime).url, samples, on_refusal=heard.append)
    assert [(r.source, r.time.timestamp(), r.reason, r.message) for r in heard] == [
        ("rack", 1001.0, "PHYSICS_VIOLATED", "below 0 W")
    ]
    assert (len(regime.stored), stream.tally.refused, list(stream.refusals)) == (2, 1, [])
    stream = sending(serve(Regime()).url, samples)
    assert [refusal.reason for refusal in stream.refusals] == ["PHYSICS_VIOLATED"]
    assert stream.refusals.maxlen == MOST_REFUSALS


class Closed:
    def __init__(self, code):
        self.code, self.tokens = code, []

    def IngestStream(self, request_iterator, context):
        self.tokens.append(dict(context.invocation_metadata())["authorization"])
        context.abort(self.code, "no")


def test_what_another_connection_would_end_with_as_well_ends_the_stream(serve, sending):
    closed = Closed(grpc.StatusCode.PERMISSION_DENIED)
    with pytest.raises(PermissionDenied):
        sending(serve(closed).url, SAMPLES[:1])
    assert len(closed.tokens) <= 2, "gRPC may hide the status behind a write that failed; then it is asked once more"


def test_a_refused_token_is_replaced_once(serve, sending):
    tokens = (
        f"token-{n}" for n in itertools.count()
    )  # gRPC may hide the status behind a write that failed, any number of times
    closed = Closed(grpc.StatusCode.UNAUTHENTICATED)
    with pytest.raises(EilError) as caught:
        sending(serve(closed).url, SAMPLES[:1], token=lambda: next(tokens))
    assert caught.value.code == "UNAUTHENTICATED"
    assert closed.tokens[:2] == ["Bearer token-0", "Bearer token-1"]


def test_a_bad_sample_is_refused_where_it_is_sent_and_the_others_go(serve):
    regime = Regime()
    with EIL(serve(regime).url, token="secret") as eil, eil.stream() as stream:
        stream.send("rack", 1000.0, {"power_draw": 5.0})
        with pytest.raises(InvalidArgument):
            stream.send("no name!", 1000.0, {"power_draw": 5.0})
        with pytest.raises(InvalidArgument):
            stream.send("rack", 1001.0, {"power_draw": 5.0}, power_kind="median")
        stream.send_columns("rack", [1001.0, 1002.0], {"power_draw": [1.0, 2.0]}, power_kind="mean")
    assert list(regime.stored.values()) == [[5.0], [1.0], [2.0]]


def test_flushing_waits_for_what_was_sent_and_the_stream_goes_on(serve):
    regime = Regime()
    with EIL(serve(regime).url, token="secret") as eil, eil.stream() as stream:
        stream.flush()
        stream.send("rack", 1000.0, {"power_draw": 5.0})
        stream.flush(PATIENCE_S)
        assert len(regime.stored) == 1
        regime.go.clear()
        stream.send("rack", 1001.0, {"power_draw": 5.0})
        with pytest.raises(DeadlineExceeded, match="1 samples are not acknowledged"):
            stream.flush(0.1)
        regime.go.set()
    assert len(regime.stored) == 2
    with pytest.raises(FailedPrecondition):
        stream.send("rack", 1002.0, {"power_draw": 5.0})


async def test_flushing_on_a_loop_waits_as_well(serve):
    regime = Regime()
    async with AsyncEIL(serve(regime).url, token="secret") as eil, eil.stream() as stream:
        await stream.send_columns("rack", [1000.0, 1001.0], {"power_draw": [1.0, 2.0]})
        await stream.flush(PATIENCE_S)
        assert len(regime.stored) == 2
        regime.go.clear()
        await stream.send("rack", 1002.0, {"power_draw": 5.0})
        with pytest.raises(DeadlineExceeded):
            await stream.flush(0.1)
        regime.go.set()
    assert len(regime.stored) == 3
    with pytest.raises(FailedPrecondition):
        await stream.send("rack", 1003.0, {"power_draw": 5.0})


def test_closing_gives_up_after_its_time_and_says_so(serve):
    regime = Regime()
    with EIL(serve(regime).url, token="secret") as eil:
        regime.go.clear()
        stream = eil.stream()
        stream.send("rack", 1000.0, {"power_draw": 5.0})
        with pytest.raises(DeadlineExceeded):
            stream.close(0.1)
        assert not stream._worker.is_alive()
        regime.go.set()


async def test_closing_on_a_loop_gives_up_as_well(serve):
    regime = Regime()
    async with AsyncEIL(serve(regime).url, token="secret") as eil:
        regime.go.clear()
        stream = eil.stream()
        await stream.send("rack", 1000.0, {"power_draw": 5.0})
        with pytest.raises(DeadlineExceeded):
            await stream.close(0.1)
        assert stream._worker.done()
        regime.go.set()


def test_sending_waits_while_too_much_is_not_acknowledged(serve):
    regime = Regime()
    regime.go.clear()
    with EIL(serve(regime).url, token="secret") as eil, eil.stream(most_rows=10) as stream:
        for n in range(10):
            stream.send("rack", 1000.0 + n, {"power_draw": 5.0})
        last = threading.Thread(target=stream.send, args=("rack", 2000.0, {"power_draw": 5.0}))
        last.start()
        last.join(0.3)
        assert last.is_alive()
        assert stream.waiting == 10
        regime.go.set()
        last.join(PATIENCE_S)
        assert not last.is_alive()
    assert len(regime.stored) == 11


class Breaking(Regime):
    """Breaks behind every acknowledgement."""

    def IngestStream(self, request_iterator, context):
        self.connections += 1
        yield self._store(next(request_iterator))
        context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")


def test_a_stream_calls_when_it_has_something_to_send_and_leaves_no_thread_behind(serve):
    regime = Breaking()
    with EIL(serve(regime).url, token="secret") as eil, eil.stream() as stream:
        for n in range(1, 6):
            stream.send("rack", 1000.0 + n, {"power_draw": 5.0})
            stream.flush(PATIENCE_S)
            time.sleep(0.3)
            assert regime.connections == n, "each one broke, and then there was nothing to send"
        stacks = [traceback.extract_stack(frame) for frame in sys._current_frames().values()]
        assert sum(any(call.name == "_requests" for call in stack) for stack in stacks) == 0


async def test_a_stream_on_a_loop_calls_when_it_has_something_to_send_and_leaves_no_task_behind(serve):
    regime = Breaking()
    async with AsyncEIL(serve(regime).url, token="secret") as eil, eil.stream() as stream:
        before = len(asyncio.all_tasks())
        for n in range(1, 6):
            await stream.send("rack", 1000.0 + n, {"power_draw": 5.0})
            await stream.flush(PATIENCE_S)
            await asyncio.sleep(0.3)
            assert regime.connections == n
        assert len(asyncio.all_tasks()) <= before + 1


def test_nobody_sends_while_a_stream_is_being_closed(serve):
    regime = Regime()
    with EIL(serve(regime).url, token="secret") as eil:
        regime.go.clear()
        stream = eil.stream()
        stream.send("rack", 1000.0, {"power_draw": 5.0})
        closing = threading.Thread(target=stream.close)
        closing.start()
        while not stream._closing:
            time.sleep(0.01)
        with pytest.raises(FailedPrecondition):
            stream.send("rack", 1001.0, {"power_draw": 5.0})
        regime.go.set()
        closing.join(PATIENCE_S)
    assert len(regime.stored) == 1


def test_a_function_that_fails_fails_the_stream(serve, monkeypatch):
    def fail(refusal):
        raise RuntimeError("full disk")

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with EIL(serve(Regime()).url, token="secret") as eil:
        stream = eil.stream(on_refusal=fail)
        stream.send("rack", 1000.0, {"power_draw": -5.0})
        stream._worker.join(PATIENCE_S)
        with pytest.raises(EilError, match="full disk"):
            stream.send("rack", 1001.0, {"power_draw": 5.0})
        with pytest.raises(EilError, match="full disk"):
            stream.close()
