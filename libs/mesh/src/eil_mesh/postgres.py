"""A service's state in PostgreSQL: the twin of `Store`, for the distributed profile, with the same methods and the same promises.

One schema and, as the server is set up, one role for each service. One session writes: it holds an advisory lock of the schema for as long
as it lives, and every transaction first reads, and locks, the epoch that this session wrote when it began. Whoever takes over writes a new
epoch, so that a writer which was thought dead can commit nothing any more.
"""

import asyncio
import contextvars
import queue
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import psycopg
import structlog
from psycopg import sql

from eil_mesh import metrics
from eil_mesh.clock import Clock
from eil_mesh.dialect import translated
from eil_mesh.errors import FailedPrecondition, Unavailable
from eil_mesh.journal import SCHEMA as JOURNAL_SCHEMA
from eil_mesh.journal import Journal
from eil_mesh.pipeline import Session
from eil_mesh.requests import SCHEMA as REQUESTS_SCHEMA
from eil_mesh.store import QUEUE, Store, Tx, committing

T = TypeVar("T")
log = structlog.get_logger("eil.postgres")
CONNECT_S: Final = 5
"""Time that connecting may take [s]."""
LOST_S: Final = 15
"""Time after which a server, or for it a client, that answers nothing is taken for lost [s]."""
SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
TAKE_OVER_S: Final = 1
"""Time that a new writer waits for the one before, whose end the server may just be noticing [s]."""
NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}")
"""What a schema may be called; it goes into statements by name."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS writer (one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one), epoch BIGINT NOT NULL);
ALTER TABLE writer ADD COLUMN IF NOT EXISTS address TEXT NOT NULL DEFAULT '';
INSERT INTO writer (epoch) VALUES (0) ON CONFLICT DO NOTHING;
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'restrict_violation'; END $$;
"""
"""What every schema of a service has beside its tables: who writes, and what guards call."""


def statements(schema: str) -> str:
    """All that makes a service's schema, in PostgreSQL's dialect. Raises ValueError as `dialect.translated` does."""
    return SCHEMA + translated(JOURNAL_SCHEMA + REQUESTS_SCHEMA + schema)


@contextmanager
def reading(url: str, name: str) -> Iterator[Session]:
    """One snapshot of a service's schema, read-only, whether the service runs or not.

    Raises:
        psycopg.Error: the server cannot be reached, or refuses.
    """
    with psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_S, options=f"-c search_path={name}") as raw:
        session = Session(raw)
        session.begin(SNAPSHOT)
        try:
            yield session
        finally:
            session.undo()


class _Redo(Exception):
    """A batch cannot go on: one of its writes raised, for its cause, after it had changed something."""


_Result = tuple[Any, Any, BaseException | None]


def connect(url: str, name: str, application: str = "") -> psycopg.Connection[Any]:
    """A session in a service's schema, which either side takes for lost after LOST_S.

    Args:
        application: what the server lists the session as; empty: `eil-<name>`.

    Raises:
        psycopg.Error: the server cannot be reached, or refuses.
    """
    probes = 3
    # The server lets go of a lost client's lock, and the client of a lost server, by the same measure.
    settings = {
        "search_path": name,
        "tcp_keepalives_idle": LOST_S // probes,
        "tcp_keepalives_interval": LOST_S // probes,
    }
    settings |= {"tcp_keepalives_count": probes - 1}
    return psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=None,
        cursor_factory=psycopg.RawCursor,
        connect_timeout=CONNECT_S,
        application_name=application or f"eil-{name}",
        tcp_user_timeout=LOST_S * 1000,
        keepalives_idle=LOST_S // probes,
        keepalives_interval=LOST_S // probes,
        keepalives_count=probes - 1,
        options=" ".join(f"-c {key}={value}" for key, value in settings.items()),
    )


def lock(raw: psycopg.Connection[Any], name: str, patience_s: float) -> bool:
    """Take the writer's lock of a schema for as long as the session lives; False if another holds it longer than `patience_s`.

    Raises:
        psycopg.Error: the session is lost.
    """
    raw.execute(f"SET lock_timeout = '{max(round(patience_s * 1000), 1)}ms'".encode())
    try:
        raw.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", (f"eil/{name}",))
    except psycopg.errors.LockNotAvailable:
        return False
    raw.execute("RESET lock_timeout")
    return True


def _make_schema(raw: psycopg.Connection[Any], name: str) -> None:
    if not raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = $1", (name,)).fetchone():
        raw.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))


def prepare(url: str, name: str, schema: str) -> None:
    """Make a service's tables before it starts, beside a release that still writes there: what a schema says only ever adds.

    Args: as `PostgresStore`'s.

    Raises:
        psycopg.Error: the server cannot be reached, or the role may not.
        ValueError: the schema is none that `dialect` knows.
    """
    with psycopg.connect(
        url,
        autocommit=True,
        cursor_factory=psycopg.RawCursor,
        connect_timeout=CONNECT_S,
        options=f"-c search_path={name}",
    ) as raw:
        _make_schema(raw, name)
        with raw.transaction():
            raw.execute(statements(schema).encode())


class PostgresStore(Store):
    """A store in one schema of a PostgreSQL database (14 or newer). One session at a time writes.

    Args:
        url: where the server is; passwords belong into a password file (`?passfile=…`), since settings are printed.
        name: the schema; it is made if the role may and it does not exist.
        schema: statements that make the service's tables if they do not exist, as SQLite takes them and `dialect` knows them.
        clock: stamps transactions and journal entries.
        durable: True waits for the server's disk at each commit; False may lose the last second to power loss.
        address: where the service's other processes reach this one; see `standby`.
        locked: a session that holds the writer's lock already, from `lock`; None: it is taken here.
        superseded: called, in another thread, when the session was lost and another process writes now.

    Raises:
        FailedPrecondition: another session writes there, or the server cannot be reached.
        ValueError: the schema, or its name, is none that this class knows.
    """

    def __init__(
        self,
        url: str,
        name: str,
        schema: str,
        clock: Clock,
        *,
        durable: bool = True,
        address: str = "",
        locked: psycopg.Connection[Any] | None = None,
        superseded: Callable[[], object] = lambda: None,
    ) -> None:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a schema: use a-z, 0-9 and _, a letter first")
        self._url, self._name, self._clock, self._durable = url, name, clock, durable
        self._address, self._locked, self._superseded = address, locked, superseded
        self._schema = statements(schema)
        self._queue = queue.Queue(QUEUE)
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="store-read")
        self._local = threading.local()
        self._sessions: list[Session] = []
        self._watchers = set()
        self._opened = queue.Queue(1)
        self._closed, self.released = False, False
        self._epoch = 0
        self._writer = threading.Thread(target=self._run, name="store-write", daemon=True)
        self._writer.start()
        if error := self._opened.get():
            self._readers.shutdown()
            raise error

    async def read(self, work: Callable[[Any], T]) -> T:
        """Run `work` on one snapshot, read-only, beside the writer.

        Raises:
            Unavailable: the server cannot be reached.
        """
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        return await loop.run_in_executor(self._readers, lambda: context.run(self._snapshot, work))

    def glance(self, work: Callable[[Any], T]) -> T:
        """As `read`, in the calling thread, which waits for the server meanwhile."""
        return self._snapshot(work)

    def close(self) -> None:
        """Finish what waits, then close the sessions; the next writer may begin."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._writer.join()
            self._readers.shutdown()
            for session in self._sessions:
                session.close()

    def _snapshot(self, work: Callable[[Any], T]) -> T:
        try:
            session = self._reader()
            session.begin(SNAPSHOT)
            try:
                value = work(session)
                session.end("COMMIT")
                return value
            except BaseException:
                session.undo()
                raise
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise _unreachable(error) from error

    def _reader(self) -> Any:
        session: Session | None = getattr(self._local, "session", None)
        if session is None or session.closed:
            session = self._local.session = Session(connect(self._url, self._name))
            self._sessions = [known for known in self._sessions if not known.closed] + [session]
        return session

    def _open(self) -> tuple[Session, Journal]:
        """A session that alone may write, and the journal as it stands.

        Raises:
            FailedPrecondition: another session writes there.
            psycopg.Error: the server cannot be reached, or it refuses.
        """
        locked, self._locked = self._locked, None
        raw = locked or connect(self._url, self._name)
        try:
            if not locked and not lock(raw, self._name, TAKE_OVER_S):
                raise FailedPrecondition(
                    f"schema {self._name!r} is in use by another process, and two writers would break its journal; stop that "
                    "process, give this one another database, or let it wait for its turn (the setting `advertise`)",
                    reason="STATE_IN_USE",
                )
            raw.execute(f"SET synchronous_commit = {'on' if self._durable else 'off'}".encode())
            _make_schema(raw, self._name)
            with raw.transaction():
                raw.execute(self._schema.encode())
                epoch = "UPDATE writer SET epoch = epoch + 1, address = $1 RETURNING epoch"
                taken = raw.execute(epoch, (self._address,)).fetchone()
            assert taken is not None, "the statements before put this row there"
            self._epoch = taken[0]
            session = Session(raw)
            session.begin()
            journal = Journal(session)
            session.end("COMMIT")
            return session, journal
        except BaseException:
            raw.close()
            raise

    def _run(self) -> None:
        try:
            session, journal = self._open()
        except FailedPrecondition as error:
            self._opened.put(error)
            return
        except psycopg.Error as error:
            refused = FailedPrecondition(f"the state's database refuses: {error}; see the setting database_url")
            self._opened.put(refused)
            return
        self._opened.put(None)
        while batch := self._take():
            if session.closed:
                try:
                    session, journal = self._open()
                except (psycopg.Error, FailedPrecondition) as error:
                    log.error("state not reachable", schema=self._name, exc_info=error)
                    if isinstance(error, FailedPrecondition):
                        self._superseded()
                    self._answer([(write, None, _unreachable(error)) for write in batch], wrote=False)
                    continue
            with committing(batch):
                self._commit(session, journal, batch)
        session.close()

    def _commit(self, conn: Session, journal: Journal, batch: Sequence[Any]) -> None:
        """All in one transaction; if that fails each by itself, without what was remembered."""
        if not self._attempt(conn, journal, batch, careful=False):
            for write in batch:
                self._attempt(conn, journal, [write], careful=True)

    def _attempt(self, conn: Session, journal: Journal, batch: Sequence[Any], *, careful: bool) -> bool:
        """Whether the batch was answered. What was attempted carefully, or on a connection that is lost, is answered anyhow."""
        before, conn.careful = journal.head, careful
        try:
            results = self._transaction(conn, journal, batch)
        except Exception as error:  # whatever it was, this thread serves on
            conn.undo()
            journal.head = before
            if not careful and not conn.closed:
                return False
            failure = _failure(error)
            metrics.STORE_FAILURES.inc()
            results = [(write, None, failure) for write in batch]
        self._answer(results, wrote=journal.head != before)
        return True

    def _transaction(self, conn: Session, journal: Journal, batch: Sequence[Any]) -> list[_Result]:
        """The batch in one transaction, which stands when this returns. Raises _Redo, psycopg.Error."""
        conn.begin()
        fence = conn.execute("SELECT 1 FROM writer WHERE epoch = ? FOR SHARE", (self._epoch,))
        results = [self._perform(conn, journal, write) for write in batch]
        if fence.fetchone() is None:
            conn.close()
            raise psycopg.OperationalError("another writer took over")
        done = conn.end("COMMIT")
        if done != "COMMIT":
            raise psycopg.OperationalError(f"the transaction ended with {done}")
        return results

    def _perform(self, conn: Session, journal: Journal, write: Any) -> _Result:
        """One write: its value, or its error if it had changed nothing yet. Raises _Redo if it had, psycopg.Error."""
        changes = conn.total_changes
        try:
            return write, write.context.run(write.work, Tx(conn, journal, self._clock.now_us())), None
        except psycopg.Error:
            raise
        except BaseException as error:  # the caller gets it: this thread serves everybody else on
            if conn.total_changes != changes:
                raise _Redo from error
            return write, None, error


def _failure(error: Exception) -> BaseException:
    """What the caller of a write that was tried by itself is told."""
    if isinstance(error, _Redo) and error.__cause__ is not None:
        return error.__cause__
    log.error("commit failed", exc_info=error)
    return _unreachable(error) if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else error


def _unreachable(error: BaseException) -> Unavailable:
    return Unavailable(
        f"the state could not be written or read ({type(error).__name__}); send it again with the same id, so that it counts once",
        reason="STORE_FAILED",
        retry_after_s=1.0,
    )
