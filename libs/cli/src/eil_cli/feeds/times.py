"""Times as the contract writes them."""

from datetime import UTC, datetime


def rfc3339(unix_s: float) -> str:
    """A Unix time [s] as RFC 3339 in UTC, to the microsecond."""
    return datetime.fromtimestamp(round(unix_s, 6), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def unix_s(text: str) -> float:
    """The Unix time [s] of an RFC 3339 timestamp; digits finer than microseconds are cut.

    Raises:
        ValueError: it is none.
    """
    return datetime.fromisoformat(text).timestamp()


def clock_text(time_s: float) -> str:
    """The local time of day, for lines that people read."""
    return datetime.fromtimestamp(time_s).strftime("%H:%M:%S")
