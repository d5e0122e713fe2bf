"""Methods about telemetry and what is measured."""

import time
from collections.abc import Mapping

from eil.regime.v1 import regime_pb2 as pb

from eil_sdk.calls import paged, unary
from eil_sdk.values import Time, Times, Values, columns, numbers, times_us, timestamp


class Telemetry:
    """What the regime service does."""

    @unary(lambda to: to.regime.Sense)
    def sense(
        self,
        source: str,
        telemetry: Mapping[str, float],
        *,
        timestamp: Time | None = None,
        context: Mapping[str, str] | None = None,
    ) -> pb.SenseRequest:
        """Send one sample; it is on disk before the answer comes. The same sample again is a `duplicate` and counts once.

        Args:
            source: its name, unique in the tenant.
            telemetry: channels by name: power_draw [W], temperature and ambient_temperature [°C], network_throughput [byte/s], cpu_usage
                [0–1], request_rate [1/s], latency_ms, active_servers, or any others.
            timestamp: when it was taken; absent is now.
            context: labels; `power_kind` is "instant" (default) or "mean" (over the time since the sample before).

        Raises:
            InvalidArgument: a number breaks physics, or a name the contract.
            OutOfRange: the timestamp is in the future, or too late.
        """
        return pb.SenseRequest(
            source=source,
            timestamp=_stamp(time.time() if timestamp is None else timestamp, "timestamp"),
            telemetry=dict(zip(telemetry, numbers(telemetry.values(), "telemetry"), strict=True)),
            context=context,
        )

    @unary(lambda to: to.regime.Ingest)
    def ingest(
        self, source: str, times: Times, channels: Mapping[str, Values], *, power_kind: str = ""
    ) -> pb.IngestRequest:
        """Send up to 10,000 samples of a source at once. Bad rows are counted and named in the answer, good ones are stored.

        Args:
            source: its name.
            times: a moment for each row, (n,).
            channels: values of each channel, (n,), NaN where one is missing.
            power_kind: "instant" (default) or "mean".

        Raises:
            InvalidArgument: lengths differ, or a name breaks the contract.
        """
        return pb.IngestRequest(
            source=source, times_us=times_us(times), columns=columns(channels), power_kind=power_kind
        )

    @unary(lambda to: to.regime.GetStatus, lambda answer: answer.sources[0])
    def status(self, source: str) -> pb.GetStatusRequest:
        """A source's energy state, its regime, and how many samples it has.

        Raises:
            NotFound: it never sent a sample.
        """
        return pb.GetStatusRequest(source=source)

    @paged(lambda to: to.regime.GetStatus, lambda page: page.sources)
    def sources(self, *, page_size: int = 100) -> pb.GetStatusRequest:
        """The status of every source of the tenant, by name."""
        return pb.GetStatusRequest(page_size=page_size)

    @unary(lambda to: to.regime.Measure)
    def measure(self, source: str, start: Time, end: Time, *, received_after: Time | None = None) -> pb.MeasureRequest:
        """What was measured in a window: energy [J] and entropy [J/K] of its covered part, their uncertainty, the checks of physics.

        Args:
            source: its name.
            start: begin, included.
            end: end, excluded.
            received_after: only samples that came after this moment count.

        Raises:
            NotFound: the source never sent a sample.
        """
        return pb.MeasureRequest(
            source=source,
            start=_stamp(start, "start"),
            end=_stamp(end, "end"),
            received_after=_stamp(received_after, "received_after"),
        )

    @unary(lambda to: to.regime.GetHistory)
    def history(self, source: str, *, rows: int = 512) -> pb.GetHistoryRequest:
        """The newest samples of a source, up to 10,000, as columns, oldest first; NaN where a channel has no value.

        Raises:
            NotFound: the source never sent a sample.
        """
        return pb.GetHistoryRequest(source=source, rows=rows)

    @paged(lambda to: to.regime.ListShifts, lambda page: page.shifts)
    def shifts(self, source: str = "", *, page_size: int = 100) -> pb.ListShiftsRequest:
        """Regime shifts of a source, or of all, newest first."""
        return pb.ListShiftsRequest(source=source, page_size=page_size)


_stamp = timestamp  # `timestamp` is an argument's name above
