"""Batches of streams wait here for a moment, join source by source, and are stored and acknowledged together.

What a batch costs goes by the batch, hardly by its rows: the longer a source's batches gather, the less a row costs. So storing rests
after each round as long as the round took, and some times more: few sources are acknowledged at once, very many after seconds.
What waits is bounded; a stream whose share is full is not read on, which the client feels as flow control.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import structlog
from eil.regime.v1 import regime_pb2
from eil_mesh.costs import rows_of
from eil_mesh.errors import InvalidArgument, ResourceExhausted
from eil_mesh.follower import outlast
from eil_mesh.layers import validate
from eil_mesh.store import Store, Tx
from numpy.typing import NDArray

from eil_regime import batch
from eil_regime.ingest import Delivery, Ingest
from eil_regime.outcome import Outcome
from eil_regime.refusals import MAX_NAMED, Refusal

log = structlog.get_logger("eil.regime")
REST: Final = 3.0
"""Times as long as a round took that storing rests after it: at most a quarter of one core goes into streams."""
LONGEST_REST_S: Final = 10.0
MOST_BYTES: Final = 32 * 1024 * 1024
"""What may wait of all streams together, as it came on the wire: in memory it takes six times as much. From half on nobody rests."""
MOST_OF_STREAM: Final = 16 * 1024 * 1024
MOST_STREAMS: Final = 1024
"""Streams that may be open; more are refused with RESOURCE_EXHAUSTED."""
AT_ONCE: Final = 64
"""Sources of one transaction: other writers are not held up longer."""


class Key(NamedTuple):
    """What makes batches one delivery."""

    tenant: str
    sender: str
    power_kind: str
    source: str


class Fate(NamedTuple):
    """What became of the rows of a batch."""

    accepted: int
    duplicates: int
    refused: int
    first: Refusal | None
    """The first row refused."""


@dataclass(slots=True, eq=False)
class Message:
    """A message of a stream until its last batch is stored."""

    stream: "Stream"
    sequence: int
    nbytes: int
    waiting: int
    """Batches that are not stored yet."""
    accepted: int = 0
    duplicates: int = 0
    refused: int = 0
    rejected: list[regime_pb2.RejectedBatch] = field(default_factory=list)
    """The first batches with refused rows."""

    def count(self, source: str, fate: Fate) -> None:
        """Note what became of one of its batches."""
        self.accepted += fate.accepted
        self.duplicates += fate.duplicates
        self.refused += fate.refused
        if fate.first is not None and len(self.rejected) < MAX_NAMED:
            row = regime_pb2.RejectedRow(row=fate.first.row, reason=fate.first.reason, message=fate.first.message)
            self.rejected.append(regime_pb2.RejectedBatch(sequence=self.sequence, source=source, row=row))


@dataclass(frozen=True, slots=True)
class Part:
    """A batch that waits."""

    message: Message
    request: regime_pb2.IngestRequest


class Stream:
    """One client's stream."""

    def __init__(self, gather: "Gather", tenant: str, sender: str) -> None:
        self._gather, self.tenant, self.sender = gather, tenant, sender
        self._done: list[Message] = []
        self._news = asyncio.Event()
        self._failure: BaseException | None = None
        self._open, self._broken = True, False
        self.messages, self.nbytes = 0, 0
        """Messages that are not acknowledged yet; bytes of those that are not stored yet."""

    async def read(self, requests: AsyncIterator[regime_pb2.IngestStreamRequest]) -> None:
        """Take messages for as long as they come and have room."""
        try:
            async for request in requests:
                self._gather.take(self, request)
                await self._gather.room(self)
        except Exception as error:  # what was taken before is stored and acknowledged all the same
            self._failure = error
        self._open = False
        self._news.set()

    async def answers(self) -> AsyncIterator[regime_pb2.IngestStreamResponse]:
        """Acknowledgements, until every message of the ended stream has its own.

        Raises:
            Exception: what ended its reading, or why the store could not take what it sent.
        """
        while self._open or self.messages:
            await self._news.wait()
            self._news.clear()
            if self._broken:
                break
            done, self._done = self._done, []
            self.messages -= len(done)
            if done:
                yield _answer(done)
        if self._failure:
            raise self._failure

    def finish(self, message: Message) -> None:
        """The message is durable."""
        self.nbytes -= message.nbytes
        self._done.append(message)
        self._news.set()

    def fail(self, error: BaseException) -> None:
        """What it sent cannot be stored: it ends unacknowledged."""
        self._failure, self._broken = error, True
        self._news.set()


class Gather:
    """What waits of all streams, and the round that stores it."""

    def __init__(self, store: Store, ingest: Ingest) -> None:
        self._store, self._ingest = store, ingest
        self._waiting: dict[Key, list[Part]] = {}
        self._nbytes, self._streams = 0, 0
        self._some, self._freed, self._full = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @contextlib.contextmanager
    def open(self, tenant: str, sender: str) -> Iterator[Stream]:
        """A stream.

        Raises:
            ResourceExhausted: too many are open.
        """
        if self._streams >= MOST_STREAMS:
            raise ResourceExhausted(
                f"{MOST_STREAMS} streams are open; send many sources over one stream, or try again later",
                reason="TOO_MANY_STREAMS",
                retry_after_s=5.0,
            )
        self._streams += 1
        try:
            yield Stream(self, tenant, sender)
        finally:
            self._streams -= 1

    def take(self, stream: Stream, request: regime_pb2.IngestStreamRequest) -> None:
        """Let a message's batches wait. One that breaks the contract's rules is refused, the others are taken.

        Raises:
            InvalidArgument: the message itself breaks them; nothing is taken.
        """
        message = Message(stream, request.sequence, request.ByteSize(), 0)
        sound = _sound(message, request)
        stream.messages += 1
        stream.nbytes += message.nbytes
        self._nbytes += message.nbytes
        for part in sound:
            key = Key(stream.tenant, stream.sender, part.power_kind or "instant", part.source)
            self._waiting.setdefault(key, []).append(Part(message, part))
            message.waiting += 1
        if not message.waiting:
            self._finish(message)
        self._some.set()
        if self._nbytes >= MOST_BYTES / 2:
            self._full.set()

    async def room(self, stream: Stream) -> None:
        """Wait until the stream may send more."""
        while self._nbytes >= MOST_BYTES or stream.nbytes >= MOST_OF_STREAM:
            self._full.set()
            self._freed.clear()
            await self._freed.wait()

    async def run(self) -> None:
        """Store what waits, for ever."""
        while True:
            await self._some.wait()
            self._some.clear()
            self._full.clear()
            begun_s = time.monotonic()
            waiting, self._waiting = self._waiting, {}
            left = iter(waiting.items())
            while chunk := list(islice(left, AT_ONCE)):
                await self._keep(chunk)
            rest_s = min(REST * (time.monotonic() - begun_s), LONGEST_REST_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), rest_s)

    async def _keep(self, chunk: Sequence[tuple[Key, list[Part]]]) -> None:
        """Store some sources' batches in one transaction and acknowledge the messages that are whole with them."""
        messages = {id(part.message): part.message for _, parts in chunk for part in parts}
        try:
            fates = await outlast(
                lambda: self._store.write(lambda tx: [self._stored(tx, key, parts) for key, parts in chunk]),
                "streams wait for the store",
            )
        except Exception as error:  # of one source's batches nobody knows which: all are sent again, on new streams
            log.error("batches of streams could not be stored", exc_info=error)
            for message in messages.values():
                message.stream.fail(error)
        else:
            for (key, parts), of_source in zip(chunk, fates, strict=True):
                for part, fate in zip(parts, of_source, strict=True):
                    part.message.count(key.source, fate)
        for _, parts in chunk:
            for part in parts:
                part.message.waiting -= 1
        for message in messages.values():
            if not message.waiting:
                self._finish(message)
        self._freed.set()

    def _finish(self, message: Message) -> None:
        self._nbytes -= message.nbytes
        message.stream.finish(message)

    def _stored(self, tx: Tx, key: Key, parts: Sequence[Part]) -> list[Fate]:
        """Store one source's batches; what became of each."""
        rows, sizes, flaws = _joined([part.request for part in parts])
        outcome = Outcome()
        if rows is not None:
            [outcome] = self._ingest.take_many(tx, key.tenant, [Delivery(key.source, rows, key.power_kind)], key.sender)
        if outcome.accepted == sum(sizes) and not any(flaws):
            return [Fate(size, 0, 0, None) for size in sizes]
        ends = np.cumsum(sizes)
        accepted, refused = _shares(outcome.accepted_rows, ends), _shares(outcome.refused_rows, ends)
        first: dict[int, Refusal] = {}
        for refusal in outcome.refusals:
            place = int(ends.searchsorted(refusal.row, side="right"))
            first.setdefault(place, replace(refusal, row=refusal.row - int(ends[place]) + sizes[place]))
        return [
            Fate(accepted[place], size - accepted[place] - refused[place], refused[place], first.get(place))
            if (flaw := flaws[place]) is None
            else Fate(0, 0, flaw[0], Refusal(0, flaw[1].reason, flaw[1].message, False))
            for place, size in enumerate(sizes)
        ]


def _shares(chosen: NDArray[np.bool_] | None, ends: NDArray[np.intp]) -> list[int]:
    """How many rows are chosen of each part, which end at `ends`."""
    if chosen is None:
        return [0] * ends.size
    return np.diff(np.append(0, np.cumsum(chosen))[np.append(0, ends)]).tolist()


def _joined(
    requests: Sequence[regime_pb2.IngestRequest],
) -> tuple[batch.Batch | None, list[int], list[tuple[int, InvalidArgument] | None]]:
    """Rows of a source's requests, how many each has, and the flaws of those that have none for it, with the rows that were meant."""
    try:
        rows, sizes = batch.of_requests(requests)
        return rows, sizes, [None] * len(sizes)
    except InvalidArgument:
        pass  # one of them is flawed: each is read by itself, so that the others are stored
    sound: list[batch.Batch] = []
    sizes: list[int] = []
    flaws: list[tuple[int, InvalidArgument] | None] = []
    for request in requests:
        try:
            sound.append(batch.of_request(request))
            sizes.append(sound[-1].times_us.size)
            flaws.append(None)
        except InvalidArgument as error:
            sizes.append(0)
            flaws.append((_meant(request), error))
    return batch.joined(sound) if sound else None, sizes, flaws


def _meant(request: regime_pb2.IngestRequest) -> int:
    """Rows of a request that does not say clearly how many it has."""
    return max(rows_of(request), 1)


def _sound(message: Message, request: regime_pb2.IngestStreamRequest) -> Sequence[regime_pb2.IngestRequest]:
    """The batches that keep the contract's rules; the others are refused.

    Raises:
        InvalidArgument: the message itself breaks them.
    """
    try:
        validate(request)
        return request.batches
    except InvalidArgument as error:
        sound: list[regime_pb2.IngestRequest] = []
        for part in request.batches:
            try:
                validate(part)
                sound.append(part)
            except InvalidArgument as flaw:
                message.count(part.source, Fate(0, 0, _meant(part), Refusal(0, flaw.reason, flaw.message, False)))
        if len(sound) == len(request.batches):
            raise error
        return sound


def _answer(done: Sequence[Message]) -> regime_pb2.IngestStreamResponse:
    return regime_pb2.IngestStreamResponse(
        sequences=[message.sequence for message in done],
        accepted=sum(message.accepted for message in done),
        duplicates=sum(message.duplicates for message in done),
        rejected_count=sum(message.refused for message in done),
        rejected=[named for message in done for named in message.rejected][:MAX_NAMED],
    )
