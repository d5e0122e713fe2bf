"""Emitted actions, POSTed to a URL with a signed body.

Of each source only the newest action waits, for what it supersedes is of no use to anybody, and one is under way at a time, so that they
arrive in order. Delivery is tried with back-off until the lease ends, and again after a restart: at least once, with the same `id` always.
"""

import asyncio
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Coroutine
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import structlog
from eil.decision.v1 import decision_pb2
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS, Clock, iso, to_us
from eil_mesh.errors import EilError, FailedPrecondition, Unavailable
from eil_mesh.event_log import tail
from eil_mesh.store import Connection, Store
from google.protobuf.json_format import MessageToDict

from eil_decision import decisions, emissions

log = structlog.get_logger("eil.webhook")
REQUESTS = 8
"""Requests under way at once."""
TIMEOUT_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
TRY_AGAIN = frozenset({408, 425, 429})
"""Statuses below 500 that another try may change."""
SECRET_BYTES = 16
Key = tuple[str, str]
"""Tenant and source."""


def read_secret(path: Path | None) -> bytes:
    """The secret that signs.

    Raises:
        FailedPrecondition: there is none, or it is too short to be one.
    """
    try:
        secret = path.read_bytes().strip() if path else b""
    except OSError as error:
        raise FailedPrecondition(f"the webhook's secret cannot be read: {error}", reason="WEBHOOK_SECRET") from None
    if len(secret) < SECRET_BYTES:
        raise FailedPrecondition(
            f"a webhook needs a secret of {SECRET_BYTES} bytes at least: write one to a file (`openssl rand -hex 32`) and name it in "
            "EIL_DECISION_WEBHOOK_SECRET_FILE",
            reason="WEBHOOK_SECRET",
        )
    return secret


def body_of(tenant: str, decision: decision_pb2.Decision, sent_us: int) -> bytes:
    """What is POSTed. `id` and `sent_at` stand inside of what is signed, against replays."""
    action, emitted_us = decision.response.action, to_us(decision.emitted)
    content = {
        "id": decision.response.prediction_id,
        "sent_at": iso(sent_us),
        "tenant": tenant,
        "source": decision.request.source,
        "prediction_id": decision.response.prediction_id,
        "action": MessageToDict(action, preserving_proto_field_name=True, always_print_fields_with_no_presence=True),
        "emitted": iso(emitted_us),
        "lease_until": iso(emitted_us + round(action.lease_s * MICROSECONDS)),
        "reason": decision.response.reason,
    }
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def signature(secret: bytes, body: bytes) -> str:
    """Value of X-EIL-Signature."""
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"


@dataclass(slots=True)
class _Line:
    """The newest action of a source that waits, and the bell that rings when another takes its place."""

    decision: decision_pb2.Decision | None
    bell: asyncio.Event = field(default_factory=asyncio.Event)


class Webhook:
    """Delivers what is emitted. `run()` is background work.

    Args:
        store: of the decisions.
        clock: on which leases run.
        url: where to POST.
        secret: signs the body.
        sources: whose newest actions may wait at once.
        jitter: a random number from 0 to 1, for the back-off.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        url: str,
        secret: bytes,
        sources: int,
        jitter: Callable[[], float] = lambda: secrets.randbelow(1000) / 1000,
    ) -> None:
        self._store, self._clock, self._url, self._secret, self._jitter = store, clock, url, secret, jitter
        self._most, self._lines = sources, dict[Key, _Line]()
        self._requests = asyncio.Semaphore(REQUESTS)

    async def run(self) -> None:
        """Deliver from now on, and first what an earlier process left undelivered; until the store is released."""
        client = httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        async with client, asyncio.TaskGroup() as group:
            serving: set[asyncio.Task[None]] = set()
            with suppress(Unavailable):
                await self._receive(lambda key: _start(group, serving, self._serve(client, key)))
            for task in serving:
                task.cancel()

    async def _receive(self, serve: Callable[[Key], None]) -> None:
        begin = await self._store.read(_next_offset)  # before what is left over is read: nothing falls between
        left = await self._store.read(lambda conn: emissions.undelivered(conn, self._clock.now_us()))
        for tenant, prediction_id in left:
            found = await self._store.read(lambda conn, t=tenant, p=prediction_id: decisions.find(conn, t, p))
            if found is not None:
                self._put(tenant, found, serve)
        async with aclosing(tail(self._store, begin, tenant="", topics=[decisions.ACTIONS_TOPIC])) as journal:
            async for entry in journal:
                decision = decision_pb2.Decision.FromString(entry.payload or b"")
                if decision.response.emitted and (entry.tenant, decision.response.prediction_id) not in left:
                    self._put(entry.tenant, decision, serve)

    def _put(self, tenant: str, decision: decision_pb2.Decision, serve: Callable[[Key], None]) -> None:
        key = (tenant, decision.request.source)
        if line := self._lines.get(key):
            if line.decision is not None:
                metrics.WEBHOOK_DELIVERIES.labels("superseded").inc()
            line.decision = decision
            line.bell.set()
        elif len(self._lines) < self._most:
            self._lines[key] = _Line(decision)
            serve(key)
        else:
            metrics.WEBHOOK_DELIVERIES.labels("dropped").inc()
            log.error("the webhook is too slow: an action is dropped", prediction_id=decision.response.prediction_id)

    async def _serve(self, client: httpx.AsyncClient, key: Key) -> None:
        """Deliver a source's actions, one after the other, until none waits."""
        line = self._lines[key]
        while (decision := line.decision) is not None:
            line.decision = None
            line.bell.clear()
            outcome = await self._deliver(client, key, decision, line.bell)
            metrics.WEBHOOK_DELIVERIES.labels(outcome).inc()
            if outcome != "delivered":
                log.warning("an action was not delivered", tenant=key[0], source=key[1], outcome=outcome)
        del self._lines[key]

    async def _deliver(
        self, client: httpx.AsyncClient, key: Key, decision: decision_pb2.Decision, bell: asyncio.Event
    ) -> str:
        """Try until it is taken, refused or of no use any more; what became of it."""
        tenant, source = key
        prediction_id, pause_s = decision.response.prediction_id, FIRST_PAUSE_S
        while True:
            newest = await self._store.read(lambda conn: emissions.newest(conn, tenant, source))
            now_us = self._clock.now_us()
            if newest is None or newest.prediction_id != prediction_id:
                return "superseded"
            if now_us >= newest.lease_until_us:
                return "ended"
            async with self._requests:
                status = await self._post(client, body_of(tenant, decision, now_us), prediction_id, now_us)
            if 200 <= status < 300:
                with suppress(EilError):  # then it is delivered once more after a restart
                    await self._store.write(lambda tx: emissions.mark_delivered(tx, tenant, prediction_id))
                return "delivered"
            if 300 <= status < 500 and status not in TRY_AGAIN:
                return "refused"
            with suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), pause_s * (0.5 + 0.5 * self._jitter()))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _post(self, client: httpx.AsyncClient, body: bytes, prediction_id: str, now_us: int) -> int:
        """The HTTP status, 0 if there was no answer."""
        headers = {
            "content-type": "application/json",
            "x-eil-id": prediction_id,
            "x-eil-timestamp": str(now_us // MICROSECONDS),
            "x-eil-signature": signature(self._secret, body),
        }
        try:
            return (await client.post(self._url, content=body, headers=headers)).status_code
        except httpx.HTTPError as error:
            log.info("the webhook did not answer", error=repr(error))
            return 0


def _start(group: asyncio.TaskGroup, serving: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    task = group.create_task(work)
    serving.add(task)
    task.add_done_callback(serving.discard)


def _next_offset(conn: Connection) -> int:
    return conn.execute('SELECT coalesce(max("offset"), 0) + 1 FROM journal').fetchone()[0]
