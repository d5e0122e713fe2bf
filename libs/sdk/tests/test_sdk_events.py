"""Events followed over a stream that breaks, ends and refuses; by both clients."""

import asyncio
import json
from datetime import UTC, datetime
from itertools import islice
from urllib.parse import parse_qs, urlsplit

import pytest
from eil_sdk import EIL, AsyncEIL, InvalidArgument, Unauthenticated, Unimplemented, events


def entry(n, **more):
    tree = {"id": f"r{n}", "topic": "eil.regime.shifts", "service": "regime", "offset": n}
    return tree | {"time": "2025-01-20T12:00:00Z", "key": "rack", "payload": {"id": str(n)}} | more


def status(code, reason, message="no"):
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "eil.energy"}
    return {"code": code, "message": message, "details": [info]}


def said(*entries):
    return "".join(f"id: {each['id']}\ndata: {json.dumps(each, ensure_ascii=False)}\n\n" for each in entries)


def ended(code, reason):
    return f"event: end\ndata: {json.dumps({'reason': reason, 'error': status(code, reason)})}\n\n"


class Stream:
    """GET /v1/stream: connection by connection the next text, or (HTTP status, body) to refuse with."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, request):
        url = urlsplit(request.path)
        self.asked.append((parse_qs(url.query), dict(request.headers)))
        answer = self.answers.pop(0) if self.answers else (400, status(3, "TEST_OVER"))
        code, text = answer if isinstance(answer, tuple) else (200, answer)
        request.send_response(code)
        request.send_header("content-type", "text/event-stream" if code == 200 else "application/json")
        request.end_headers()
        request.wfile.write((text if isinstance(text, str) else json.dumps(text)).encode())


def follow(url, count, token="secret", **how):
    with EIL(url, token=token) as eil:
        return list(islice(eil.events(**how), count))


def follow_on_a_loop(url, count, token="secret", **how):
    async def run():
        heard = []
        async with AsyncEIL(url, token=token) as eil:
            async for event in eil.events(**how):
                heard.append(event)
                if len(heard) == count:
                    break
        return heard

    return asyncio.run(run())


@pytest.fixture(params=[follow, follow_on_a_loop], ids=["sync", "async"])
def following(request, monkeypatch):
    monkeypatch.setattr(events, "pause_s", lambda tried: 0.01 * tried)
    return request.param


def test_an_event_is_an_entry_of_a_journal(http, following):
    stream = Stream(":\nid: r1\n\n" + said(entry(2, payload=None, omitted="too large")))
    [event] = following(http(stream), 1, topics=["eil.regime.shifts", "eil.act.actions"], source="rack")
    assert event == events.Event(
        id="r2",
        topic="eil.regime.shifts",
        service="regime",
        offset=2,
        time=datetime(2025, 1, 20, 12, tzinfo=UTC),
        key="rack",
        payload=None,
        omitted="too large",
    )
    query, headers = stream.asked[0]
    assert query == {"topics": ["eil.regime.shifts", "eil.act.actions"], "source": ["rack"]}
    assert headers["authorization"] == "Bearer secret"
    assert "last-event-id" not in headers


@pytest.mark.parametrize("end", ["", 'id: r3\ndata: {"id":', ended(14, "STOPPING"), ended(8, "TOO_SLOW")])
def test_a_stream_that_ends_is_gone_on_with_behind_the_last_event(http, following, end):
    stream = Stream(said(entry(1), entry(2)) + end, (503, status(14, "UNAVAILABLE")), ":\nid: r7\n\n", said(entry(8)))
    heard = following(http(stream), 3, last_id="r0")
    assert [event.offset for event in heard] == [1, 2, 8]
    assert [headers["last-event-id"] for _, headers in stream.asked] == ["r0", "r2", "r2", "r7"]


def test_text_from_telemetry_breaks_no_line(http, following):
    [event] = following(http(Stream(said(entry(1, key="a\u2028b\u0085c\x0bd")))), 1)
    assert event.key == "a\u2028b\u0085c\x0bd"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, status(3, "INVALID_ARGUMENT", "there is no topic")), InvalidArgument),
        ((401, status(16, "TOKEN_INVALID")), Unauthenticated),
        ((426, status(12, "UPGRADE_REQUIRED")), Unimplemented),
        (ended(3, "INVALID_ARGUMENT"), InvalidArgument),
    ],
)
def test_what_another_connection_would_end_with_as_well_is_raised(http, following, answer, error):
    stream = Stream(answer)
    with pytest.raises(error):
        following(http(stream), 1)
    assert len(stream.asked) == 1


def test_a_token_that_ended_is_replaced(http, following):
    tokens = iter(["old", "new"])
    stream = Stream(said(entry(1)) + ended(16, "TOKEN_EXPIRED"), said(entry(2)))
    assert len(following(http(stream), 2, token=lambda: next(tokens))) == 2
    assert [headers["authorization"] for _, headers in stream.asked] == ["Bearer old", "Bearer new"]


def test_what_is_no_event_is_no_silence(http, following):
    with pytest.raises(Unimplemented, match="does not understand"):
        following(http(Stream("data: {}\n\n")), 1)
