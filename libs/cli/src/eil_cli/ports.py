"""Free ports of the loopback interface, held until their user starts."""

import socket
from contextlib import suppress
from types import TracebackType

HOST = "127.0.0.1"


class PortBusy(Exception):
    """The port that was asked for is taken; the message says what to do."""


class HeldPort:
    """A port that nobody else gets: it listens until `release()`, since a socket that only binds can be bound over."""

    def __init__(self, port: int = 0) -> None:
        """Hold a port; 0 is any free one.

        Raises:
            OSError: it is taken.
        """
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((HOST, port))
            self._socket.listen(1)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]

    def release(self) -> None:
        """Let go, just before the port's user starts."""
        self._socket.close()

    def __enter__(self) -> "HeldPort":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def hold_first(*preferred: int) -> HeldPort:
    """The first of these that is free, else any free port."""
    for port in preferred:
        with suppress(OSError):
            return HeldPort(port)
    return HeldPort()


def hold_exactly(port: int) -> HeldPort:
    """This very port.

    Raises:
        PortBusy: it is taken, or may not be used.
    """
    try:
        return HeldPort(port)
    except (OSError, OverflowError) as error:
        raise PortBusy(
            f"port {port} cannot be had ({error}); name another with --port, or leave it out to get a free one"
        ) from None
