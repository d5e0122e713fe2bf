"""A session of PostgreSQL that looks like SQLite's connection to the work that runs on it, and waits as seldom as it can.

Every statement is prepared once and sent in libpq's pipeline mode: nothing leaves for the server until somebody fetches a result or the
transaction ends, so that a transaction waits once for each answer that its work needs to see, and once for its commit. (On a machine with
other work to do a wait costs more than the statement.) Psycopg connects and names the errors; its cursors wait at each statement.
"""

import itertools
import select
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.pq import ExecStatus, PipelineStatus

from eil_mesh.binary import DECODE, Encoder, Row, encoder, row_class

HARMLESS: Final = ("SELECT", "BEGIN", "COMMIT", "SAVEPOINT", "ROLLBACK", "RELEASE")
"""First words of statements that change nothing by themselves."""
PREPARED: Final = 1000
"""Statements that stay prepared; when there are more, all are forgotten."""


@dataclass(slots=True)
class _Prepared:
    """A statement that the server knows, for parameters of certain types."""

    name: bytes
    harmless: bool
    encoders: tuple[Encoder, ...]
    formats: list[int]
    columns: tuple[list[Any], type[Row]] | None = None
    """What decodes each column, and what a row becomes; None until the first answer."""


class Rows:
    """What a statement answers, once it is asked for."""

    def __init__(self, session: "Session", statement: _Prepared) -> None:
        self._session, self.statement = session, statement
        self.rows: list[Row] | None = None
        """None until the answer was read."""
        self.tag = ""
        """The server's word for what was done, such as COMMIT."""
        self.changed = -1
        self._next = 0

    @property
    def rowcount(self) -> int:
        """Rows that the statement changed. Raises as `fetchone` does."""
        self._all()
        return self.changed

    def fetchone(self) -> Row | None:
        """The next row, or None. Raises what the server said of this statement or of one before it: psycopg.Error."""
        rows = self._all()
        if self._next == len(rows):
            return None
        self._next += 1
        return rows[self._next - 1]

    def fetchall(self) -> list[Row]:
        """All rows that are left. Raises as `fetchone` does."""
        rest = self._all()[self._next :]
        self._next += len(rest)
        return rest

    def __iter__(self) -> Iterator[Row]:
        return iter(self.fetchall())

    def _all(self) -> list[Row]:
        if self.rows is None:
            self._session.wait_for(self)
            assert self.rows is not None, "waiting ends with the answer or an error"
        return self.rows


class Session:
    """A connection with `execute`, `executemany` and `in_transaction` as SQLite has them; see `database.Connection` for parameters."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        self._raw, self._pg = raw, raw.pgconn
        self._prepared: dict[tuple[str, tuple[type, ...]], _Prepared] = {}
        """By text and types of parameters."""
        self._fresh: dict[int, tuple[str, tuple[type, ...]]] = {}
        """Statements whose preparation was sent and not yet confirmed, by the identity of the rows that will confirm it."""
        self._names = itertools.count(1)
        self._waiting: deque[Rows] = deque()
        self._poll = select.poll()
        self.in_transaction = False
        self.memory: Any = None
        """What work remembers of the state from one transaction to the next; forgotten whenever anything is undone."""
        self.careful = True
        """Whether work must look rather than remember: set for whoever is not the only writer, and for what is done again."""
        self.total_changes = 0
        """Statements sent so far that may change something."""

    @property
    def closed(self) -> bool:
        """Whether the connection is gone."""
        return self._raw.closed

    def close(self) -> None:
        """End the session; what was not committed is undone."""
        self._raw.close()

    def begin(self, how: str = "BEGIN") -> None:
        """Open a transaction, with the first statement that is waited for."""
        if len(self._prepared) > PREPARED:
            self._raw.execute("DEALLOCATE ALL", prepare=False)
            self._prepared.clear()
        self._pg.nonblocking = 1
        self._poll.register(self._pg.socket, select.POLLIN)
        self._pg.enter_pipeline_mode()
        self.in_transaction = True
        self.execute(how)

    def end(self, how: str) -> str:
        """End the transaction and read every answer; returns the server's word for what became of it.

        Raises:
            psycopg.Error: the first error of a statement that nobody asked about; the transaction is undone then.
        """
        done = self.execute(how)
        try:
            self._sync()
        finally:
            self.in_transaction = False
            if not self.closed:
                self._pg.exit_pipeline_mode()
                self._pg.nonblocking = 0
        return done.tag

    def undo(self) -> None:
        """After an error: take back everything since `begin`. A connection on which even that fails is closed."""
        try:
            if not self.closed and self._pg.pipeline_status != PipelineStatus.OFF:
                self._sync(quiet=True)
                self._pg.exit_pipeline_mode()
                self._pg.nonblocking = 0
            self._raw.execute("ROLLBACK", prepare=False)
        except Exception:  # whatever it was, nothing can be known of this connection any more
            self.close()
        self._waiting.clear()
        for statement in self._fresh.values():  # after an error the server skips what was sent
            self._prepared.pop(statement, None)
        self._fresh.clear()
        self.memory = None
        self.in_transaction = False

    def execute(self, statement: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Send a statement, between `begin` and `end`. An error of it comes with the next answer that is fetched, or at the end."""
        assert self.in_transaction, "begin first"
        key = (statement, tuple(map(type, parameters)))
        known = self._prepared.get(key) or self._prepare(*key)
        self.total_changes += not known.harmless
        values = [encode(value) for encode, value in zip(known.encoders, parameters, strict=True)]
        self._pg.send_query_prepared(known.name, values, known.formats, 1)
        rows = Rows(self, known)
        self._waiting.append(rows)
        return rows

    def executemany(self, statement: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Send a statement once for each row of parameters; nothing is waited for."""
        for row in parameters:
            self.execute(statement, row)

    def wait_for(self, rows: Rows) -> None:
        """Read answers up to these rows. Raises psycopg.Error."""
        self._pg.send_flush_request()
        self._flush()
        while rows.rows is None:
            self._read(self._waiting.popleft())

    def _prepare(self, statement: str, kinds: tuple[type, ...]) -> _Prepared:
        first, *rest = statement.split("?")
        numbered = first + "".join(f"${place}{part}" for place, part in enumerate(rest, 1))
        name = f"s{next(self._names)}".encode()
        encodings = [encoder(kind) for kind in kinds]
        harmless = statement.lstrip().split(" ", 1)[0] in HARMLESS
        known = _Prepared(name, harmless, tuple(encode for _, encode in encodings), [1] * len(kinds))
        self._pg.send_prepare(name, numbered.encode(), [oid for oid, _ in encodings])
        confirmation = Rows(self, known)
        self._waiting.append(confirmation)
        self._fresh[id(confirmation)] = (statement, kinds)
        self._prepared[statement, kinds] = known
        return known

    def _read(self, rows: Rows) -> None:
        result = self._result()
        while (following := self._result()) is not None:
            result = following
        assert result is not None, "every statement has an answer"
        if result.status == ExecStatus.PIPELINE_ABORTED:
            raise errors.InFailedSqlTransaction("a statement before this one failed")
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            raise errors.error_from_result(result, "utf-8")
        rows.rows = _decoded(result, rows.statement) if result.ntuples else []
        self._fresh.pop(id(rows), None)
        rows.tag = (result.command_status or b"").decode()
        if result.command_tuples is not None:
            rows.changed = result.command_tuples

    def _sync(self, *, quiet: bool = False) -> None:
        self._pg.pipeline_sync()
        self._flush()
        first: psycopg.Error | None = None
        while self._waiting:
            try:
                self._read(self._waiting.popleft())
            except psycopg.Error as error:
                if self.closed:
                    raise
                first = first or error  # those that follow say only that one failed before them
        mark = self._result()
        assert mark is not None, "the answers end with the mark that was sent"
        assert mark.status == ExecStatus.PIPELINE_SYNC, f"{mark.status} is no such mark"
        if first is not None and not quiet:
            raise first

    def _flush(self) -> None:
        while self._pg.flush():
            for _, happened in self._poll_for(select.POLLIN | select.POLLOUT):
                if happened & select.POLLIN:
                    self._pg.consume_input()

    def _result(self) -> Any:
        while self._pg.is_busy():
            self._poll_for(select.POLLIN)
            self._pg.consume_input()
        return self._pg.get_result()

    def _poll_for(self, events: int) -> list[tuple[int, int]]:
        self._poll.modify(self._pg.socket, events)
        return self._poll.poll()


def _decoded(result: Any, statement: _Prepared) -> list[Row]:
    if statement.columns is None:
        columns = range(result.nfields)
        names = [result.fname(column).decode() for column in columns]
        statement.columns = ([DECODE[result.ftype(column)] for column in columns], row_class(names))
    decode, row = statement.columns
    value = result.get_value
    return [
        row([None if (raw := value(at, column)) is None else of(raw) for column, of in enumerate(decode)])
        for at in range(result.ntuples)
    ]
