"""Recordings sent through the door: in batches, at their own times or moved so that they end now."""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eil_agent import Recording, read_recording

from eil_cli.door import DoorError
from eil_cli.feeds.contact import Caller, is_passing
from eil_cli.feeds.times import rfc3339, unix_s
from eil_cli.files import write_private

MAX_BATCH_ROWS = 500
BATCH_S = 0.5
"""At a given rate a batch holds what this many seconds bring, so that it flows instead of bursting."""
KEPT_S = 730 * 86400.0
"""The mesh refuses telemetry older than this, the time for which it keeps energy states."""
FUTURE_S = 300.0
"""The mesh refuses telemetry further ahead of its clock."""
MAX_TRIES = 6
CHANNEL = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")
MAX_CHANNEL = 64
MOVES_FILE = "replays.json"


@dataclass(frozen=True)
class FoundShift:
    """A regime shift that the mesh found in a recording."""

    time_s: float
    """Onset, on the recording's own clock."""
    from_regime: str
    to_regime: str
    channels: tuple[str, ...]
    reason: str


@dataclass
class Replayed:
    """What became of one file."""

    file: str
    source: str
    rows: int = 0
    """Rows with a value."""
    known_before: int = 0
    """Rows that an earlier replay of the same content had sent; they are not sent again."""
    sent: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    rejections: dict[str, str] = field(default_factory=dict)
    """Reason and the first message that gave it."""
    shifts: list[FoundShift] = field(default_factory=list)
    moved_s: float = 0.0
    """Added to the recording's times [s]."""
    synthetic_time: bool = False
    renamed: dict[str, str] = field(default_factory=dict)
    """Columns whose name is no channel's, and the channel they became."""
    skipped_columns: tuple[str, ...] = ()
    regime: str = ""
    """Regime after the last row."""


def channel_names(columns: Sequence[str]) -> list[str]:
    """A channel name for each column: what the contract allows stays, other characters become `_`, a name that does not begin with a
    letter gets `c_` before it, and what then repeats is numbered."""
    names: list[str] = []
    for column in columns:
        name = re.sub(r"[^A-Za-z0-9_.]+", "_", column).strip("_") or "column"
        name = (name if name[0].isalpha() and name[0].isascii() else f"c_{name}")[:MAX_CHANNEL]
        candidate, number = name, 2
        while candidate in names or (candidate != column and candidate in columns):
            suffix = f"_{number}"
            candidate, number = name[: MAX_CHANNEL - len(suffix)] + suffix, number + 1
        names.append(column if CHANNEL.fullmatch(column) else candidate)
    return names


def default_source(path: Path, mapping: Mapping[str, str]) -> str:
    """`replay/<file stem>-<digest>`: other content, or other channels, is another source, so that no clock runs backwards."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", path.stem)[:80] or "recording"
    digest = hashlib.sha256(path.read_bytes())
    if mapping:
        digest.update(json.dumps(mapping, sort_keys=True).encode())
    return f"replay/{stem}-{digest.hexdigest()[:8]}"


def move_s(recording: Recording, now_s: float, *, keep_time: bool) -> float:
    """Seconds to add to a recording's times. It is moved to end now if it has no times of its own, begins before what the mesh keeps,
    or ends in the future.

    Raises:
        ValueError: `keep_time` of a recording that has no times.
    """
    first_s, last_s = recording.times_s[0], recording.times_s[-1]
    if keep_time:
        if recording.synthetic_time:
            raise ValueError("it has no timestamps, so there is no time to keep; leave --keep-time out")
        return 0.0
    if recording.synthetic_time or first_s < now_s - KEPT_S or last_s > now_s + FUTURE_S:
        return float(int(now_s - last_s))
    return 0.0


class Moves:
    """How far each source's recording was moved, kept in the state folder: a replay that was cut short goes on where it stopped."""

    def __init__(self, state: Path, tenant: str) -> None:
        self._path, self._tenant = state / MOVES_FILE, tenant

    def of(self, source: str) -> float | None:
        """Seconds by which the source's recording was moved before."""
        return self._read().get(self._key(source))

    def keep(self, source: str, moved_s: float) -> None:
        """Remembers it."""
        write_private(self._path, json.dumps(self._read() | {self._key(source): moved_s}, indent=2) + "\n")

    def _key(self, source: str) -> str:
        return f"{self._tenant}/{source}"

    def _read(self) -> dict[str, float]:
        return json.loads(self._path.read_text()) if self._path.exists() else {}


def source_clock_s(door: Caller, source: str) -> float | None:
    """The newest time that the mesh holds of a source; None if it never sent."""
    try:
        answer = door.call("GET", "/v1/regime/status", params={"source": source})
    except DoorError as error:
        if error.status == 404:
            return None
        raise
    return unix_s(answer["sources"][0]["energy_state"]["time"])


def batches(
    source: str, names: Sequence[str], samples: Sequence[tuple[float, Sequence[float | None]]], size: int
) -> Iterator[dict[str, Any]]:
    """Bodies for /v1/ingest of at most `size` rows; a missing value is "NaN", columns without any value in a batch are left out."""
    for first in range(0, len(samples), size):
        part = samples[first : first + size]
        columns = [
            {"name": name, "values": ["NaN" if row[index] is None else row[index] for _, row in part]}
            for index, name in enumerate(names)
            if any(row[index] is not None for _, row in part)
        ]
        yield {"source": source, "timestamps": [rfc3339(time_s) for time_s, _ in part], "columns": columns}


@dataclass(frozen=True)
class ReplayOptions:
    """How recordings are sent."""

    source: str | None = None
    rate_per_s: float | None = None
    """Rows a second; None is as fast as the mesh takes them."""
    keep_time: bool = False
    mapping: Mapping[str, str] = field(default_factory=dict)
    """New names of columns."""


class Replayer:
    """Sends recordings.

    Args:
        door: to send through.
        moves: of earlier replays.
        options: how.
        now_s: the time of day.
        sleep: waits.
    """

    def __init__(
        self,
        door: Caller,
        moves: Moves,
        options: ReplayOptions,
        *,
        now_s: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._door, self._moves, self._options = door, moves, options
        self._now_s, self._sleep = now_s, sleep

    def replay(self, path: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Replayed:
        """Sends one file; `progress` is called with rows done and rows to send.

        Raises:
            RecordingError: it is no recording.
            OSError: it cannot be read.
            ValueError: --keep-time of a recording without times.
            DoorError: the mesh refused the request or did not answer in spite of several tries.
        """
        recording = read_recording(path, mapping=self._options.mapping)
        source = self._options.source or default_source(path, self._options.mapping)
        names = channel_names(recording.channels)
        result = Replayed(str(path), source, synthetic_time=recording.synthetic_time)
        result.renamed = {old: new for old, new in zip(recording.channels, names, strict=True) if old != new}
        result.skipped_columns = recording.skipped_columns
        clock_s = self._place(recording, source, result)
        samples = [
            (time_s + result.moved_s, row)
            for time_s, row in zip(recording.times_s, recording.rows, strict=True)
            if any(value is not None for value in row)
        ]
        result.rows = len(samples)
        if clock_s is not None:
            samples = [sample for sample in samples if sample[0] > clock_s]
            result.known_before = result.rows - len(samples)
        self._send(source, names, samples, result, progress)
        return result

    def _place(self, recording: Recording, source: str, result: Replayed) -> float | None:
        """Decides how far the recording is moved; returns the source's clock if an earlier replay of this content had begun."""
        result.moved_s = move_s(recording, self._now_s(), keep_time=self._options.keep_time)
        if self._options.source:  # the name says nothing about the content: the mesh judges each row
            return None
        clock_s = source_clock_s(self._door, source)
        before_s = self._moves.of(source)
        if clock_s is not None and before_s is not None and not self._options.keep_time:
            result.moved_s = before_s
        self._moves.keep(source, result.moved_s)
        return clock_s

    def _send(
        self,
        source: str,
        names: Sequence[str],
        samples: Sequence[tuple[float, Sequence[float | None]]],
        result: Replayed,
        progress: Callable[[int, int], None],
    ) -> None:
        rate = self._options.rate_per_s
        size = MAX_BATCH_ROWS if rate is None else min(MAX_BATCH_ROWS, max(1, int(rate * BATCH_S)))
        began_s = self._now_s()
        progress(0, len(samples))
        for body in batches(source, names, samples, size):
            if rate is not None:
                self._sleep(max(0.0, began_s + result.sent / rate - self._now_s()))
            self._count(self._post(body), result)
            result.sent += len(body["timestamps"])
            progress(result.sent, len(samples))

    def _post(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ingest is idempotent, so a batch that nobody answered is sent again."""
        for attempt in range(MAX_TRIES):
            try:
                return self._door.call("POST", "/v1/ingest", body)
            except DoorError as error:
                if not is_passing(error) or attempt == MAX_TRIES - 1:
                    raise
            self._sleep(0.5 * 2.0**attempt)
        raise AssertionError("the last try returns or raises")

    def _count(self, answer: Mapping[str, Any], result: Replayed) -> None:
        result.accepted += answer.get("accepted", 0)
        result.duplicates += answer.get("duplicates", 0)
        result.rejected += answer.get("rejected_count", 0)
        for row in answer.get("rejected") or ():
            result.rejections.setdefault(row["reason"], row["message"])
        result.regime = (answer.get("energy_state") or {}).get("regime") or result.regime
        result.shifts += [
            FoundShift(
                unix_s(shift["onset"]) - result.moved_s,
                shift.get("from_regime", ""),
                shift.get("to_regime", ""),
                tuple(shift.get("channels") or ()),
                shift.get("reason", ""),
            )
            for shift in answer.get("shifts") or ()
        ]
