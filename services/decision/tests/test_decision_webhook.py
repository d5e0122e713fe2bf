"""Emitted actions arrive at a real HTTP server: signed, in order, once at least, and not after their lease."""

import asyncio
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from eil_decision import webhook
from eil_mesh import metrics
from eil_mesh.errors import FailedPrecondition

SECRET = b"0123456789abcdef0123456789abcdef"


class Receiver:
    """An HTTP server that answers from a list of statuses, then 204, and notes what it got. `hold` keeps answers back."""

    def __init__(self):
        self.got, self.statuses, self.hold = [], [], threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                length = int(self.headers["content-length"])
                body = self.rfile.read(length)
                if len(body) < length:  # the service was stopped in the middle of it
                    return
                receiver.got.append((self.path, dict(self.headers), body))
                status = receiver.statuses.pop(0) if receiver.statuses else 204
                receiver.hold.wait(10)
                self.send_response(status)
                if status == 307:
                    self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def bodies(self):
        return [json.loads(body) for _, _, body in self.got]

    @property
    def ids(self):
        return [body["id"] for body in self.bodies]


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(webhook, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(webhook, "LONGEST_PAUSE_S", 0.05)


@pytest.fixture
def hooked(serve, receiver, tmp_path):
    """`async with hooked() as world`: the service with the receiver as its webhook."""
    secret = tmp_path / "webhook.secret"
    secret.write_bytes(SECRET + b"\n")
    return lambda **more: serve(webhook_url=receiver.url, webhook_secret_file=secret, **more)


async def until(holds, limit_s=10.0):
    async with asyncio.timeout(limit_s):
        while not holds():
            await asyncio.sleep(0.01)


class Outcomes:
    """How often each outcome was counted since."""

    def __init__(self):
        self._before = self._now()

    @staticmethod
    def _now():
        return {
            sample.labels["outcome"]: sample.value
            for sample in next(iter(metrics.WEBHOOK_DELIVERIES.collect())).samples
            if sample.name.endswith("_total")
        }

    def __call__(self):
        return {k: v - self._before.get(k, 0) for k, v in self._now().items() if v != self._before.get(k, 0)}


def verify(secret, headers, body):
    """What a receiver does."""
    sent = {name.lower(): value for name, value in headers.items()}
    expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(sent["x-eil-signature"], expected)


async def test_each_emitted_action_is_posted_and_its_body_is_signed(hooked, receiver):
    outcomes = Outcomes()
    async with hooked() as world:
        await world.act(12, 11)  # advised
        await world.mode("auto")
        first = await world.act(12, 10)
        await until(lambda: len(receiver.got) == 1)
        second = await world.act(10, 10)
        await until(lambda: outcomes() == {"delivered": 2})
    path, headers, body = receiver.got[0]
    told, sent = json.loads(body), {name.lower(): value for name, value in headers.items()}
    assert path == "/hook"
    assert verify(SECRET, headers, body)
    assert not verify(SECRET, headers, body.replace(b'"target_servers":10', b'"target_servers":1'))
    assert not verify(b"another", headers, body)
    assert told["id"] == sent["x-eil-id"] == first.prediction_id
    assert int(sent["x-eil-timestamp"]) == world.clock.now_us() // 10**6
    assert told["sent_at"] == "2027-01-15T08:00:00.000Z", "inside of what is signed, against replays"
    assert (told["tenant"], told["source"]) == ("default", "plant")
    assert told["action"]["target_servers"] == 10
    assert told["action"]["revert_to_servers"] == 12
    assert told["action"]["renewal"] is False
    assert (told["emitted"], told["lease_until"]) == ("2027-01-15T08:00:00.000Z", "2027-01-15T08:15:00.000Z")
    assert receiver.ids == [first.prediction_id, second.prediction_id]
    assert receiver.bodies[1]["action"]["renewal"] is True


async def test_an_approved_action_is_posted_when_it_is_approved(hooked, receiver):
    async with hooked() as world:
        await world.mode("approve")
        waiting = await world.act(12, 10)
        await asyncio.sleep(0.2)
        assert receiver.got == []
        await world.approve(waiting.prediction_id)
        await until(lambda: receiver.ids == [waiting.prediction_id])


async def test_what_may_succeed_is_tried_again_under_the_same_id(hooked, receiver):
    receiver.statuses = [503, 429, 500]
    outcomes = Outcomes()
    async with hooked() as world:
        await world.mode("auto")
        action = await world.act(12, 10)
        await until(lambda: outcomes() == {"delivered": 1})
    assert receiver.ids == [action.prediction_id] * 4
    assert all(verify(SECRET, headers, body) for _, headers, body in receiver.got)


@pytest.mark.parametrize("status", [400, 404, 410, 307])
async def test_what_is_refused_is_not_tried_again_and_no_redirect_is_followed(hooked, receiver, status):
    receiver.statuses = [status]
    outcomes = Outcomes()
    async with hooked() as world:
        await world.mode("auto")
        await world.act(12, 10)
        await until(lambda: outcomes() == {"refused": 1})
        await asyncio.sleep(0.2)
    assert [path for path, _, _ in receiver.got] == ["/hook"]


@pytest.mark.parametrize("how", ["lapse", "stop", "mode"])
async def test_it_is_not_tried_any_more_when_the_lease_has_ended(hooked, receiver, how):
    receiver.statuses = [503] * 10_000
    outcomes = Outcomes()
    async with hooked(lease_s=700.0) as world:
        await world.mode("auto")
        await world.act(12, 10)
        await until(lambda: len(receiver.got) > 3)
        assert outcomes() == {}
        if how == "lapse":
            world.clock.advance(700)
        elif how == "stop":
            await world.stop()
        else:
            await world.mode("observe")
        await until(lambda: outcomes() == {"ended": 1})
        tries = len(receiver.got)
        await asyncio.sleep(0.2)
        assert len(receiver.got) == tries


async def test_of_a_source_the_newest_action_alone_waits_and_they_arrive_in_order(hooked, receiver):
    receiver.hold.clear()
    outcomes = Outcomes()
    async with hooked() as world:
        await world.mode("auto")
        actions = [await world.act(12, 10)]
        await until(lambda: len(receiver.got) == 1)  # under way
        actions += [await world.act(12, target) for target in (11, 10, 9)]
        await asyncio.sleep(0.2)
        assert len(receiver.got) == 1, "one at a time"
        receiver.hold.set()
        await until(lambda: outcomes() == {"delivered": 2, "superseded": 2})
    assert receiver.ids == [actions[0].prediction_id, actions[-1].prediction_id]


async def test_a_failing_source_does_not_hold_another_up(hooked, receiver):
    receiver.hold.clear()
    async with hooked() as world:
        for source in ("plant", "other"):
            await world.mode("auto", source)
            await world.act(12, 10, source=source)
        await until(lambda: sorted(body["source"] for body in receiver.bodies) == ["other", "plant"])
        receiver.hold.set()


async def test_more_sources_than_may_wait_are_dropped_and_counted(hooked, receiver):
    receiver.hold.clear()
    outcomes = Outcomes()
    async with hooked(webhook_queue=1) as world:
        for source in ("plant", "other"):
            await world.mode("auto", source)
            await world.act(12, 10, source=source)
        await until(lambda: outcomes() == {"dropped": 1})
        receiver.hold.set()
        await until(lambda: outcomes() == {"dropped": 1, "delivered": 1})


async def test_what_was_not_delivered_before_a_restart_is_delivered_after_it(hooked, receiver):
    receiver.statuses = [503] * 10_000
    outcomes = Outcomes()
    async with hooked() as world:
        await world.mode("auto")
        delivered_later = await world.act(12, 10)
        await world.mode("auto", "other")
        await world.act(12, 10, source="other")
        await until(lambda: len(set(receiver.ids)) == 2)
        await world.stop("other")
    receiver.statuses, tried = [], len(receiver.got)
    async with hooked():
        await until(lambda: outcomes().get("delivered") == 1)
        await asyncio.sleep(0.1)
    assert receiver.ids[tried:] == [delivered_later.prediction_id], "what was stopped is not"
    async with hooked():
        await asyncio.sleep(0.2)
    assert len(receiver.got) == tried + 1, "what was delivered is not delivered again"


async def test_acts_do_not_wait_for_a_receiver_that_is_not_there(serve, tmp_path):
    secret = tmp_path / "s"
    secret.write_bytes(SECRET)
    async with serve(webhook_url="http://127.0.0.1:9/hook", webhook_secret_file=secret) as world:
        await world.mode("auto")
        assert (await asyncio.wait_for(world.act(12, 10), 2)).emitted


@pytest.mark.parametrize("content", [None, b"", b"short", b" \n" * 20])
async def test_without_a_secret_the_service_does_not_start(serve, tmp_path, content):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FailedPrecondition, match="secret"):
        async with serve(webhook_url="http://127.0.0.1:9/", webhook_secret_file=path):
            pass
