"""`serve()`: what every service's main calls. Settings, logs, metrics, interceptors, health, reflection, journal, drain."""

import argparse
import asyncio
import contextlib
import functools
import gc
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import grpc
import structlog
import uvloop
from eil.events.v1 import event_log_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from eil_mesh import event_log, metrics, self_energy, telemetry
from eil_mesh.access import interface_of
from eil_mesh.anchor import anchor, signing_key
from eil_mesh.client import KEEPALIVE_MS, Peers
from eil_mesh.clock import Clock, SystemClock
from eil_mesh.erasure import erase_payloads
from eil_mesh.errors import Unavailable
from eil_mesh.feed import Feed, JournalFeed
from eil_mesh.follower import Follower, Handle, HandlePage
from eil_mesh.identity import TokenVerifier
from eil_mesh.layers import Guard, Layers
from eil_mesh.metering import CeuMeter
from eil_mesh.settings import MeshSettings, load_settings
from eil_mesh.store import Store
from eil_mesh.tls import server_credentials
from eil_mesh.version import VERSION

if TYPE_CHECKING:
    import psycopg

    from eil_mesh.standby import Standby

log = structlog.get_logger("eil.server")
S = TypeVar("S", bound=MeshSettings)
MAX_MESSAGE = 64 * 1024 * 1024
LOOK_S = 0.2
"""Seconds between looks whether keys or issuers changed."""
LEAVE_S = 0.25
"""Time in which peers that are told that this process goes cease to call it [s]."""
GARBAGE = 10_000
"""New objects after which the youngest are searched for garbage."""


class Mesh(Generic[S]):
    """What a service's `build` gets: settings, clock, peers, and where to add servicers and background work."""

    def __init__(self, settings: S, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.peers = Peers(settings)
        self.verifier = TokenVerifier(
            settings.state / settings.jwks,
            settings.jwt_issuer,
            settings.jwt_audience,
            now_s=lambda: clock.now_us() / 1e6,
            look_s=LOOK_S,
        )
        self.meter = CeuMeter(self.peers, settings, clock)
        guard = Guard(self.verifier, settings.tls_dir is not None, settings.deadline_s, self.meter, settings.service)
        self._layers = Layers(guard)
        self.server = grpc.aio.server(
            interceptors=[self._layers],
            options=[
                ("grpc.max_receive_message_length", MAX_MESSAGE),
                ("grpc.so_reuseport", 1),
                ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
            ],
            maximum_concurrent_rpcs=4096,
        )
        self._stores: list[Store] = []
        self._logs: dict[Store, event_log.EventLog] = {}
        self._interfaces = [health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
        self._background: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._last: list[Callable[[], Coroutine[Any, Any, None]]] = [self.meter.close]
        self._health = HealthServicer()
        self._probed: grpc.aio.Server | None = None
        self._listens = False
        self._standby: Standby | None = None
        self._locked: psycopg.Connection[Any] | None = None
        self._superseded: Callable[[], object] = lambda: None

    def add(self, interface: str, register: Callable[[Any, grpc.aio.Server], None], servicer: Any) -> None:
        """Serve an interface: `add("eil.regime.v1.RegimeService", add_RegimeServiceServicer_to_server, RegimeService(…))`."""
        register(servicer, self.server)
        self._interfaces.append(interface)

    def store(self, schema: str, *, sqlite: str = "", durable: bool = True) -> Store:
        """Open the service's state where the settings say, serve its journal, anchor its heads, and relay it where Kafka is set.

        Args:
            schema: statements that make the service's tables, as SQLite takes them and `dialect` knows them.
            sqlite: more of them, against what only SQLite does.
            durable: whether what was acknowledged survives power loss.

        Raises:
            FailedPrecondition: another process has it open, or the database that is set cannot be used.
        """
        settings = self.settings
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        schema = event_log.SCHEMA + schema
        if settings.database_url:
            from eil_mesh.postgres import PostgresStore  # its driver is loaded where it is used

            store = PostgresStore(
                settings.database_url,
                settings.service,
                schema,
                self.clock,
                durable=durable,
                address=settings.advertised(),
                locked=self._locked,
                superseded=self._superseded,
            )
            self._locked = None
        else:
            path = settings.state / f"{settings.service}.db"
            store = Store(path, schema + sqlite, self.clock, durable=durable)
        served = self._logs[store] = event_log.EventLog(store)
        self.add("eil.events.v1.EventLogService", event_log_pb2_grpc.add_EventLogServiceServicer_to_server, served)
        self._stores.append(store)
        if settings.kafka:
            from eil_mesh.broker import Broker  # Kafka's client is loaded where it is used
            from eil_mesh.relay import Relay

            relay = Relay(store, settings.service, Broker(settings), settings.relay_backlog)
            store.admit = relay.admit
            self.background(relay.run)
        key = signing_key(settings.signing_key())
        self.background(lambda: anchor(store, self.peers, self.clock, settings.service, key, settings.anchor_s))
        self.background(lambda: erase_payloads(store))
        return store

    def follow(
        self,
        store: Store,
        service: str,
        topics: Sequence[str],
        handle: Handle,
        *,
        handle_page: HandlePage | None = None,
        gather_s: float = 0.0,
    ) -> Follower:
        """Handle every event of another service's topics, once, in a transaction of `store`: over Kafka where it is set, else from the
        service's journal.

        Over Kafka events of one topic and key come in their order; others may come in another order than they were written in. Of a
        journal, events that follow each other quickly may wait `gather_s` for each other [s].
        Returns the follower, which knows how far it has come.
        """
        feed: Feed
        if self.settings.kafka:
            from eil_mesh.broker import Broker
            from eil_mesh.kafka_feed import KafkaFeed, journal_records

            feed = KafkaFeed(Broker(self.settings), topics, journal_records(service))
        else:
            feed = JournalFeed(self.peers, self.settings.service, service, topics, gather_s)
        follower = Follower(store, service, feed, handle, handle_page=handle_page)
        self.run_follower(store, follower)
        return follower

    def run_follower(self, store: Store, follower: Follower) -> None:
        """Run a follower whose feed is its own from start to drain; the store's event log speaks for it."""
        self._logs[store].speak_for(follower)
        self.background(follower.run)
        self.background(lambda: follower.watch(self.clock))

    def background(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()` from start to drain, or until it is done; if it fails the process ends, to be started anew.

        While the state cannot be reached it waits, and begins anew.
        """
        self._background.append(work)

    def on_drain(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work()` at the end, when the state is closed and peers can still be reached. It must end by itself."""
        self._last.append(work)

    async def stand_by(self, stop: asyncio.Event) -> bool:
        """Wait until this process may write; meanwhile it serves by handing calls on to the one that does. False: `stop` was set.

        Raises:
            FailedPrecondition: the database cannot be reached.
        """
        from eil_mesh.standby import Standby  # PostgreSQL's driver is loaded where it is used

        self._standby = Standby(self.settings)
        # Whoever lost its turn ends, to begin anew as one that stands by.
        self._superseded = functools.partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)
        self._locked = await self._standby.first()
        if self._locked is None:
            self._layers.elsewhere = self._standby.handler
            await self._listen()
            await self._serving("", interface_of(self.settings.service))
            log.info("standing by", service=self.settings.service, address=self.settings.advertised())
            self._locked = await self._standby.next(stop)
        return self._locked is not None

    async def start(self) -> None:
        """Serve. Health turns SERVING last."""
        reflection.enable_server_reflection([*self._interfaces, reflection.SERVICE_NAME], self.server)
        if not self._listens:
            await self._listen()
        self._layers.elsewhere = None
        self._tasks = [asyncio.create_task(self._outlasting(work)) for work in self._background]
        await self._serving("", interface_of(self.settings.service), *self._interfaces)

    async def _serving(self, *names: str) -> None:
        for name in names:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def _listen(self) -> None:
        self._listens = True
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.server)
        address = self.settings.address()
        if self.settings.tls_dir is None:
            self.server.add_insecure_port(address)
        else:
            self.server.add_secure_port(address, server_credentials(self.settings.tls_dir))
        await self.server.start()
        if self.settings.health_port:
            self._probed = grpc.aio.server()
            health_pb2_grpc.add_HealthServicer_to_server(self._health, self._probed)
            self._probed.add_insecure_port(f"[::]:{self.settings.health_port}")
            await self._probed.start()

    async def _outlasting(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Work that outlasts a time in which the state's database is away, or taken over by its standby."""
        while True:
            try:
                return await work()
            except Unavailable as error:
                if error.reason != "STORE_FAILED":
                    raise
                log.warning("the state cannot be reached", error=error.message)
                await asyncio.sleep(error.retry_after_s or 1.0)

    async def run(self, stop: asyncio.Event) -> None:
        """Wait until `stop` is set or background work fails; then drain.

        Raises:
            Exception: what the background work raised.
        """
        waiting = asyncio.create_task(stop.wait())
        pending, failed = {waiting, *self._tasks}, []
        while not (waiting.done() or failed):
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            failed = [task for task in done - {waiting} if task.cancelled() or task.exception()]
        waiting.cancel()
        await self.drain()
        for task in failed:
            task.result()

    async def drain(self) -> None:
        """Go in the right order: tell load balancers, wait, refuse calls, end background work, flush the state, settle.

        Where another process stands by the state goes first, and calls go on to that one until nobody sends any more. Its peers are told
        last: they do not ask where else it is until they are.
        """
        if self._standby is None:
            await self._health.enter_graceful_shutdown()
        else:
            await self._health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            if self._standby is not None and self._stores and await self._standby.follows():
                log.info("handing over", service=self.settings.service)
                self._layers.elsewhere = self._standby.handler
                self._release()
                await self._layers.under_way.end(self.settings.grace_s)
                await self._settle()
            await asyncio.sleep(self.settings.drain_s)
            if self._standby is not None:
                await self._health.enter_graceful_shutdown()
                await asyncio.sleep(LEAVE_S)
            self._release()
            await self.server.stop(self.settings.grace_s)
            if self._probed is not None:
                await self._probed.stop(None)
            await self._settle()
        finally:
            if self._standby is not None:
                await self._standby.close()
            self.verifier.close()
            await self.peers.close()

    def _release(self) -> None:
        for store in self._stores:
            store.release()

    async def _settle(self) -> None:
        """End the background work, close the state and do what is to be done at the end; the second time there is nothing left."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(error, Exception):
                log.error("background work failed", exc_info=error)
        stores, self._stores = self._stores, []
        for store in stores:
            store.close()
        last, self._last = self._last, []
        for work in last:
            await work()


async def _main(settings: S, build: Callable[[Mesh[S]], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    mesh = Mesh(settings, SystemClock())
    if settings.advertise and not await mesh.stand_by(stop):
        await mesh.drain()
        return
    await build(mesh)
    await mesh.start()
    # What was made so far stays: collections that walk over it would only stop every call under way, and so do frequent ones.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)
    log.info("serving", service=settings.service, address=settings.address(), pid=os.getpid())
    await mesh.run(stop)
    log.info("stopped", service=settings.service)


class _Prepared(Exception):
    """The tables are there."""


class _Preparing(Mesh[S]):
    """Makes a service's tables where it would open its state, and goes no further."""

    def store(self, schema: str, *, sqlite: str = "", durable: bool = True) -> Store:
        from eil_mesh.postgres import prepare

        prepare(self.settings.database_url, self.settings.service, event_log.SCHEMA + schema)
        raise _Prepared


async def _migrate(settings: S, build: Callable[[Mesh[S]], Awaitable[None]]) -> None:
    if not settings.database_url:
        log.info("nothing to prepare: the state is in no database", service=settings.service)
        return
    with contextlib.suppress(_Prepared):
        await build(_Preparing(settings, SystemClock()))
    log.info("tables are there", service=settings.service)


def serve(
    kind: type[S], build: Callable[[Mesh[S]], Awaitable[None]], load: Callable[[S], None] = lambda settings: None
) -> None:
    """Run a service until SIGTERM.

    Args:
        kind: the service's settings class; see it for the variables.
        build: makes the domain objects and adds the servicers.
        load: what takes long and needs no state; done before the process is ready, be it to write or to stand by.
    """
    parser = argparse.ArgumentParser(
        prog=f"eil-{kind.service}",
        description=f"The {kind.service} service of EIL. Settings are environment variables EIL_{kind.service.upper()}_*.",
    )
    parser.add_argument("--print-config", action="store_true", help="print the settings in force as JSON and exit")
    parser.add_argument("--migrate", action="store_true", help="make this release's tables in the database and exit")
    arguments = parser.parse_args()
    settings = load_settings(kind)
    if arguments.print_config:
        print(settings.model_dump_json(indent=2))
        return
    flush = telemetry.start(settings)
    if arguments.migrate:
        asyncio.run(_migrate(settings, build))
        return
    if settings.metrics_port:
        metrics.BUILD_INFO.labels(settings.service, VERSION).set(1)
        self_energy.watch(settings.service, settings.core_w)
        start_http_server(settings.metrics_port, settings.metrics_host)
    load(settings)
    try:
        uvloop.run(_main(settings, build))
    finally:
        flush()
