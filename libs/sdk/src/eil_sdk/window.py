"""What a stream of telemetry holds: samples that are not acknowledged yet. No threads and no wires here.

Samples gather in an open message; closed ones are numbered, wait to be sent, and stay until the mesh acknowledges them. After a break all
of them are sent again: the mesh counts a sample once.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eil.regime.v1 import regime_pb2 as pb

from eil_sdk.errors import InvalidArgument
from eil_sdk.values import CHANNEL, SOURCE, Time, Times, Values, columns, named, time_us, times_us

IN_FLIGHT = 64
"""Unacknowledged messages up to which samples are sent as they come; beyond, they gather in fewer, larger ones."""
MESSAGE_ROWS, MESSAGE_VALUES = 5_000, 100_000
"""Where an open message is closed."""
BATCH_ROWS = 10_000
"""Rows that the contract allows in a batch."""
MOST_CHANNELS = 256
POWER_KINDS = ("", "instant", "mean")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Sample = tuple[int, dict[str, float]]
"""Microseconds since 1970, and values by channel."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Samples that the mesh did not take. Sending them again does not help."""

    source: str
    time: datetime
    """Of the first one refused of its batch."""
    reason: str
    """UPPER_SNAKE: docs/errors.md lists them."""
    message: str


@dataclass(slots=True)
class Tally:
    """What became of the samples that are acknowledged."""

    accepted: int = 0
    """Stored."""
    duplicates: int = 0
    """Known before, as of a message that was sent again after a break."""
    refused: int = 0


def sample(source: str, time: Time, values: Mapping[str, float]) -> Sample:
    """A sample as it is held, checked: one that breaks the contract is refused here, where its sender is.

    Raises:
        InvalidArgument: a name, the time or a value breaks the contract.
    """
    named(SOURCE, source, "source")
    if not 0 < len(values) <= MOST_CHANNELS:
        raise InvalidArgument(
            f"a sample has 1 to {MOST_CHANNELS} channels, not {len(values)}", violations={"values": "1 to 256"}
        )
    try:
        return time_us(time), {named(CHANNEL, name, "values"): float(value) for name, value in values.items()}
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"values must be numbers ({error})", violations={"values": str(error)}) from None


def batches(source: str, times: Times, channels: Mapping[str, Values], power_kind: str) -> Iterator[pb.IngestRequest]:
    """Columns of a source as batches that fit into messages.

    Raises:
        InvalidArgument: a name, a time or a value breaks the contract, or lengths differ.
    """
    named(SOURCE, source, "source")
    at, given = times_us(times), columns(channels)
    if not 0 < len(given) <= MOST_CHANNELS:
        raise InvalidArgument(
            f"give 1 to {MOST_CHANNELS} channels, not {len(given)}", violations={"channels": "1 to 256"}
        )
    for column in given:
        named(CHANNEL, column.name, "channels")
        if len(column.values) != len(at):
            raise InvalidArgument(
                f"{column.name} has {len(column.values)} values for {len(at)} times",
                violations={"channels": "must be as long as the times"},
            )
    rows = min(BATCH_ROWS, MESSAGE_ROWS, max(1, MESSAGE_VALUES // len(given)))
    for begin in range(0, len(at), rows):
        part = slice(begin, begin + rows)
        yield pb.IngestRequest(
            source=source,
            times_us=at[part],
            columns=[pb.Column(name=column.name, values=column.values[part]) for column in given],
            power_kind=power_kind,
        )


def checked_kind(power_kind: str) -> str:
    """The kind of power, if it is one.

    Raises:
        InvalidArgument: it is none.
    """
    if power_kind not in POWER_KINDS:
        raise InvalidArgument(
            f"power_kind is instant or mean, not {power_kind!r}", violations={"power_kind": "instant or mean"}
        )
    return power_kind


class Window:
    """Samples that are not acknowledged.

    Args:
        most_rows: samples that may be held.
    """

    def __init__(self, most_rows: int) -> None:
        self._most_rows = most_rows
        self._open: dict[tuple[str, str], list[Sample]] = {}
        self._open_rows = self._open_values = 0
        self._closed: dict[int, pb.IngestStreamRequest] = {}
        self._last = 0
        self.rows = 0
        """Samples held."""
        self.tally = Tally()

    def room(self, rows: int) -> bool:
        """Whether so many samples more may be held; any number, once nothing is."""
        return self.rows + rows <= self._most_rows or not self.rows

    def add(self, source: str, power_kind: str, taken: Sample) -> None:
        """Hold a sample."""
        self._open.setdefault((source, power_kind), []).append(taken)
        self.rows += 1
        self._open_rows += 1
        self._open_values += len(taken[1])
        if self._open_rows >= MESSAGE_ROWS or self._open_values >= MESSAGE_VALUES:
            self.close()

    def add_batch(self, batch: pb.IngestRequest) -> None:
        """Hold a batch, behind all that came before it."""
        self.close()
        self.rows += len(batch.times_us)
        self._number([batch])

    def close(self) -> int:
        """Close the open message; answers the number of the newest one."""
        if self._open:
            held, self._open = self._open, {}
            self._open_rows = self._open_values = 0
            self._number([_columnar(source, kind, rows) for (source, kind), rows in held.items()])
        return self._last

    def next(self, sent: int) -> pb.IngestStreamRequest | None:
        """The message to send after the one of number `sent`, if there is one to send now."""
        while sent < self._last:
            sent += 1
            if message := self._closed.get(sent):
                return message
        if self._open and len(self._closed) < IN_FLIGHT:
            return self._closed[self.close()]
        return None

    def acknowledge(self, answer: pb.IngestStreamResponse) -> list[Refusal]:
        """Let go of what is durable; answers what of it was refused."""
        refusals = [self._refusal(rejected) for rejected in answer.rejected]
        for sequence in answer.sequences:
            if message := self._closed.pop(sequence, None):
                self.rows -= sum(len(batch.times_us) for batch in message.batches)
        self.tally.accepted += answer.accepted
        self.tally.duplicates += answer.duplicates
        self.tally.refused += answer.rejected_count
        return refusals

    def acknowledged(self, number: int) -> bool:
        """Whether all messages up to this number are."""
        return next(iter(self._closed), number + 1) > number

    def _number(self, held: Sequence[pb.IngestRequest]) -> None:
        self._last += 1
        self._closed[self._last] = pb.IngestStreamRequest(sequence=self._last, batches=held)

    def _refusal(self, rejected: pb.RejectedBatch) -> Refusal:
        row, message = rejected.row.row, self._closed.get(rejected.sequence)
        of_source = [batch for batch in (message.batches if message else ()) if batch.source == rejected.source]
        at_us = next((batch.times_us[row] for batch in of_source if row < len(batch.times_us)), 0)
        return Refusal(
            rejected.source, _EPOCH + timedelta(microseconds=at_us), rejected.row.reason, rejected.row.message
        )


def _columnar(source: str, power_kind: str, rows: Sequence[Sample]) -> pb.IngestRequest:
    names = dict.fromkeys(name for _, values in rows for name in values)
    return pb.IngestRequest(
        source=source,
        times_us=[time for time, _ in rows],
        columns=[pb.Column(name=name, values=[values.get(name, math.nan) for _, values in rows]) for name in names],
        power_kind=power_kind,
    )
