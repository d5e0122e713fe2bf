"""The client of loads: one request at a time on each connection, refusals as the door's, broken connections opened anew."""

import asyncio
import ssl

import pytest
from eil_cli.bench.rest import RestPool
from eil_cli.door import NOT_REACHED, DoorError
from eil_gateway.keys import ensure_keys


class Server:
    """Answers each POST with what `answers` holds next; None hangs up."""

    def __init__(self) -> None:
        self.answers: list[bytes | None] = []
        self.seen: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                self.seen.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0) if self.answers else _answer(200, b"{}")
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


def _answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


@pytest.fixture
async def served(tmp_path):
    keys, server = ensure_keys(tmp_path), Server()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(tmp_path / "keys" / "tls.crt", tmp_path / "keys" / "tls.key")
    async with await asyncio.start_server(server, "127.0.0.1", 0, ssl=tls) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with RestPool(f"https://127.0.0.1:{port}", str(keys.ca), "TOKEN", 2) as pool:
            yield server, pool


async def test_connections_are_kept_and_no_more_than_allowed(served):
    server, pool = served
    server.answers = [_answer(200, b'{"n": 1}')]
    assert await pool.post("/v1/act", {"a": 1}) == {"n": 1}
    await asyncio.gather(*(pool.post("/v1/act", {}) for _ in range(20)))
    assert server.connections == 2
    assert len(server.seen) == 21
    assert server.seen[0].startswith(b"POST /v1/act HTTP/1.1\r\n")
    assert b"Authorization: Bearer TOKEN\r\n" in server.seen[0]
    assert server.seen[0].endswith(b'\r\n\r\n{"a":1}')


async def test_a_refusal_is_the_doors(served):
    server, pool = served
    server.answers = [_answer(429, b'{"code": 8, "message": "slow down"}')]
    with pytest.raises(DoorError, match="slow down") as told:
        await pool.post("/v1/act", {})
    assert told.value.status == 429


@pytest.mark.parametrize("broken", [None, b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"])
async def test_a_broken_connection_is_said_and_opened_anew(served, broken):
    server, pool = served
    server.answers = [broken]
    with pytest.raises(DoorError) as told:
        await pool.post("/v1/act", {})
    assert told.value.status == NOT_REACHED
    assert await pool.post("/v1/act", {}) == {}
    assert server.connections == 2
