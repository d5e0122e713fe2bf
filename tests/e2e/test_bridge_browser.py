"""What a page in a browser gets through the door: gRPC-Web, server-sent events, and the page to try the API."""

import asyncio
import functools
import http.server
import shutil
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from eil.regime.v1 import regime_pb2
from support.mesh import RunningMesh, temporary_mesh

playwright = pytest.importorskip("playwright.async_api", reason="no playwright: `uv pip install playwright`")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: install it and put it on the PATH")

UNARY = """async ([url, token, message]) => {
  const frame = new Uint8Array(5 + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, 5);
  const answer = await fetch(url, {method: "POST", body: frame, headers: {
    "content-type": "application/grpc-web+proto", "x-grpc-web": "1", "authorization": `Bearer ${token}`}});
  return {status: answer.status, kind: answer.headers.get("content-type"), body: [...new Uint8Array(await answer.arrayBuffer())]};
}"""
LISTEN = """async ([url, wanted]) => new Promise((done) => {
  const seen = [], source = new EventSource(url);
  source.onopen = () => document.title = "open";
  source.onmessage = (event) => {
    seen.push({id: event.lastEventId, ...JSON.parse(event.data)});
    if (seen.length == wanted) { source.close(); done(seen); }
  };
  source.onerror = () => { if (source.readyState == EventSource.CLOSED) done("refused"); };
})"""


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    """A port of this machine on which an empty page is served: an origin of its own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "index.html").write_text("<!doctype html><title>page</title>")
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield port
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def open_mesh(site: int) -> Iterator[RunningMesh]:
    """A mesh whose door lets that page in."""
    with temporary_mesh("--cors-origin", f"http://localhost:{site}") as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    async with playwright.async_playwright() as started:
        launched = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = await launched.new_context(ignore_https_errors=True)  # the development CA is not the browser's
        yield context
        await launched.close()


def sense(mesh: RunningMesh, stamp: Any, seconds: float, power_w: float) -> None:
    body = {"source": "page/1", "timestamp": stamp(seconds), "telemetry": {"power_draw": power_w}}
    mesh.door("operator").call("POST", "/v1/sense", body)


def frames(body: bytes) -> list[tuple[int, bytes]]:
    """Frames of a gRPC-Web answer: flags (0x80: trailers) and content."""
    found = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        found.append((body[0], body[5 : 5 + size]))
        body = body[5 + size :]
    return found


async def test_a_page_calls_a_service_over_grpc_web(open_mesh: RunningMesh, site: int, browser: Any, stamp: Any):
    sense(open_mesh, stamp, 0, 321.0)
    page = await browser.new_page()
    await page.goto(f"http://localhost:{site}/")
    url = f"{open_mesh.endpoint.url}/eil.regime.v1.RegimeService/GetStatus"
    request = list(regime_pb2.GetStatusRequest(source="page/1").SerializeToString())
    answer = await page.evaluate(UNARY, [url, open_mesh.token("viewer"), request])
    assert answer["status"] == 200
    assert answer["kind"].startswith("application/grpc-web+proto")
    (kind, message), (trailing, trailers) = frames(bytes(answer["body"]))
    assert (kind, trailing) == (0, 0x80)
    assert b"grpc-status:0" in trailers.replace(b" ", b"")
    found = regime_pb2.GetStatusResponse.FromString(message)
    assert [source.source for source in found.sources] == ["page/1"]

    forged = await page.evaluate(UNARY, [url, "a.b.c", request])
    assert forged["status"] == 401


async def test_a_page_listens_to_events(open_mesh: RunningMesh, site: int, browser: Any, stamp: Any):
    page = await browser.new_page()
    await page.goto(f"http://localhost:{site}/")
    url = f"{open_mesh.endpoint.url}/v1/stream?topics=eil.sense.telemetry&source=page/1&access_token={open_mesh.token('viewer')}"
    listening = asyncio.create_task(page.evaluate(LISTEN, [url, 3]))
    await page.wait_for_function("document.title == 'open'")
    for number in range(1, 4):
        await asyncio.to_thread(sense, open_mesh, stamp, number, 300.0 + number)
    seen = await listening
    assert [event["payload"]["columns"][0]["values"] for event in seen] == [[301.0], [302.0], [303.0]]
    resumed = await page.evaluate(LISTEN, [f"{url}&last_id={seen[0]['id']}", 2])
    assert [event["offset"] for event in resumed] == [event["offset"] for event in seen[1:]]


async def test_a_page_of_another_origin_gets_nothing(open_mesh: RunningMesh, site: int, browser: Any):
    page = await browser.new_page()
    await page.goto(f"http://127.0.0.1:{site}/")  # the same page under a name that the door was not told
    url = f"{open_mesh.endpoint.url}/eil.regime.v1.RegimeService/GetStatus"
    with pytest.raises(playwright.Error, match="Failed to fetch"):
        await page.evaluate(UNARY, [url, open_mesh.token("viewer"), []])
    stream = f"{open_mesh.endpoint.url}/v1/stream?access_token={open_mesh.token('viewer')}"
    assert await page.evaluate(LISTEN, [stream, 1]) == "refused"


async def test_the_page_to_try_the_api_works_and_asks_nobody_else(open_mesh: RunningMesh, browser: Any):
    page, asked, said = await browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    await page.goto(f"{open_mesh.endpoint.url}/docs")
    await page.click("#operations-tag-Bridge")
    await page.click("#operations-Bridge-Bridge_GetHealth .opblock-summary-control")
    await page.click("#operations-Bridge-Bridge_GetHealth .try-out__btn")
    await page.click("#operations-Bridge-Bridge_GetHealth .execute")
    answer = page.locator("#operations-Bridge-Bridge_GetHealth .live-responses-table .response-col_status").first
    await answer.wait_for()
    assert "200" in await page.locator("#operations-Bridge-Bridge_GetHealth .live-responses-table").inner_text()
    assert [url for url in asked if not url.startswith((open_mesh.endpoint.url, "data:"))] == []
    assert said == [], "the policy of the page lets everything through that it needs"
