"""Streams of telemetry: samples go out as they come, and are kept until the mesh has them on disk."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Self, cast

from eil.regime.v1 import regime_pb2 as pb

from eil_sdk import window
from eil_sdk.errors import DeadlineExceeded, EilError, FailedPrecondition, Unavailable
from eil_sdk.retries import pause_s
from eil_sdk.services import Services
from eil_sdk.values import Time, Times, Values
from eil_sdk.window import Refusal, Tally, Window
from eil_sdk.wire import Responses

FINAL = ("UNAUTHENTICATED", "PERMISSION_DENIED", "INVALID_ARGUMENT", "UNIMPLEMENTED")
"""Codes that another connection would end with as well."""
MOST_ROWS = 100_000
MOST_REFUSALS = 1_000
CLOSE_S, END_S = 30.0, 5.0
"""How long closing waits for acknowledgements, and then for the mesh to end the stream [s]."""
OnRefusal = Callable[[Refusal], None]


class Sending:
    """What both streams know: the window, what was refused, and whether it goes on."""

    def __init__(self, on_refusal: OnRefusal | None, most_rows: int) -> None:
        self.refusals: deque[Refusal] = deque(maxlen=MOST_REFUSALS)
        """The newest refusals, where no function was given for them."""
        self._on_refusal: OnRefusal = on_refusal or self.refusals.append
        self._window = Window(most_rows)
        self._failure: EilError | None = None
        self._closing = self._abandoned = False
        self._tried, self._refused = 0, False

    @property
    def tally(self) -> Tally:
        """What became of the samples that are acknowledged."""
        return self._window.tally

    @property
    def waiting(self) -> int:
        """Samples that are not acknowledged yet."""
        return self._window.rows

    def _free(self, rows: int) -> bool:
        """Whether so many samples may be sent now.

        Raises:
            EilError: never more: the stream failed, or is closed.
        """
        if self._failure:
            raise self._failure
        if self._closing:
            raise FailedPrecondition("the stream is closed; open another with eil.stream()")
        return self._window.room(rows)

    def _through(self, number: int) -> bool:
        """Whether all messages up to this number are acknowledged.

        Raises:
            EilError: the stream failed.
        """
        if self._failure:
            raise self._failure
        return self._window.acknowledged(number)

    def _finished(self) -> bool:
        return self._abandoned or (self._closing and not self._window.rows)

    def _idle(self) -> bool:
        return not self._window.rows and not self._closing

    def _broke(self, error: EilError) -> float:
        """Note that a connection ended; answers how long to wait before the next [s], or raises what ends the stream."""
        renew = error.code == "UNAUTHENTICATED" and not self._refused  # the token may have been replaced meanwhile
        if error.code in FINAL and not renew:
            raise error
        self._tried, self._refused = self._tried + 1, self._refused or renew
        return pause_s(self._tried) if error.retry_after_s is None else error.retry_after_s

    def _acknowledge(self, answer: pb.IngestStreamResponse) -> list[Refusal]:
        self._tried, self._refused = 0, False
        return self._window.acknowledge(answer)

    def _late(self, timeout_s: float | None) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{self._window.rows} samples are not acknowledged after {timeout_s} s; they are sent again for as long as the stream is open"
        )


class IngestStream(Sending):
    """A stream of telemetry of any sources; threads may share it. Leave it by `with` or `close()`: both wait until all is on disk.

    What is acknowledged is on disk. What is not is kept here and sent again after a break, and counts once. What was sent and not
    acknowledged when this process dies is for its sender to send again.
    """

    def __init__(self, services: Services, on_refusal: OnRefusal | None = None, *, most_rows: int = MOST_ROWS) -> None:
        super().__init__(on_refusal, most_rows)
        self._services, self._changed = services, threading.Condition()
        self._answers: Responses | None = None
        self._connection: object = None
        self._worker = threading.Thread(target=self._run, name="eil-stream", daemon=True)
        self._worker.start()

    def send(self, source: str, time: Time, values: Mapping[str, float], *, power_kind: str = "") -> None:
        """Send a sample; waits while too many are not acknowledged.

        Raises:
            InvalidArgument: a name, the time or a value breaks the contract: this sample is not sent.
            EilError: the stream has failed, or is closed.
        """
        kind, taken = window.checked_kind(power_kind), window.sample(source, time, values)
        with self._changed:
            self._changed.wait_for(lambda: self._free(1))
            self._window.add(source, kind, taken)
            self._changed.notify_all()

    def send_columns(self, source: str, times: Times, channels: Mapping[str, Values], *, power_kind: str = "") -> None:
        """Send any number of samples of a source as columns; waits while too many are not acknowledged.

        Raises:
            InvalidArgument: a name, a time or a value breaks the contract, or lengths differ.
            EilError: the stream has failed, or is closed.
        """
        for batch in window.batches(source, times, channels, window.checked_kind(power_kind)):
            with self._changed:
                self._changed.wait_for(partial(self._free, len(batch.times_us)))
                self._window.add_batch(batch)
                self._changed.notify_all()

    def flush(self, timeout_s: float | None = None) -> None:
        """Wait until everything sent so far is on disk.

        Raises:
            DeadlineExceeded: it took longer than timeout_s; nothing is lost by that.
            EilError: the stream has failed.
        """
        with self._changed:
            last = self._window.close()
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._through(last), timeout_s):
                raise self._late(timeout_s)

    def close(self, timeout_s: float | None = CLOSE_S) -> None:
        """Wait until everything is on disk, and end the stream.

        Raises:
            DeadlineExceeded: it took longer than timeout_s; what is not acknowledged by then is given up.
            EilError: the stream has failed.
        """
        with self._changed:
            self._closing = True  # from here on nobody sends
        try:
            self.flush(timeout_s)
        finally:
            with self._changed:
                self._abandoned = self._window.rows > 0
                self._changed.notify_all()
            self._worker.join(0.0 if self._abandoned else END_S)
            if self._answers:
                self._answers.close()
            self._worker.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: not self._idle())
                    if self._finished():
                        return
                error = self._connect()
                with self._changed:
                    self._connection = None
                    self._changed.notify_all()  # its sender ends
                    self._changed.wait_for(self._finished, self._broke(error))
        except EilError as error:
            self._fail(error)
        except BaseException as error:  # whoever waits must hear of it
            self._fail(EilError(f"the stream ended by an unexpected error: {error!r}"))
            raise

    def _connect(self) -> EilError:
        """Send, and take acknowledgements, until the connection ends; answers why it did."""
        self._connection = mine = object()
        try:
            self._answers = cast(Responses, self._services.regime.IngestStream(self._requests(mine)))
            for answer in self._answers:
                with self._changed:
                    refusals = self._acknowledge(answer)
                    self._changed.notify_all()
                for refusal in refusals:
                    self._on_refusal(refusal)
            return Unavailable("the mesh ended the stream")
        except EilError as error:
            return error

    def _requests(self, connection: object) -> Iterator[pb.IngestStreamRequest]:
        sent = 0
        while True:
            with self._changed:
                message = None
                while connection is self._connection and not self._finished():
                    if message := self._window.next(sent):
                        break
                    self._changed.wait()
            if message is None:
                return
            sent = message.sequence
            yield message

    def _fail(self, error: EilError) -> None:
        with self._changed:
            self._failure = error
            self._changed.notify_all()
