"""HTTP/2 rapid reset, on loopback and bounded: requests that are taken back as soon as they are made."""

import ssl
from collections.abc import Sequence

import h2.config
import h2.connection
import h2.exceptions

MOST = 800


def cut_off(secure: ssl.SSLSocket, headers: Sequence[tuple[str, str]]) -> bool:
    """Whether a connection that asks with these headers and resets each request, `MOST` times, is ended for it."""
    wire = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    wire.initiate_connection()
    begun = 0
    while begun < MOST:
        try:
            for _ in range(50):
                stream = wire.get_next_available_stream_id()
                wire.send_headers(stream, headers, end_stream=True)
                wire.reset_stream(stream)
                begun += 1
            secure.settimeout(10)
            secure.sendall(wire.data_to_send())
            secure.settimeout(0.2)
            data = secure.recv(65536)
            if not data or any(type(event).__name__ == "ConnectionTerminated" for event in wire.receive_data(data)):
                return True
        except TimeoutError:
            continue
        except (OSError, h2.exceptions.ProtocolError):
            return True
    return False
