"""Where a simulated ledger stands, and how it dies: whatever was not committed is gone, and the book is opened anew."""

import sqlite3
from pathlib import Path
from typing import Protocol

import psycopg
from eil_mesh.pipeline import Session
from eil_mesh.postgres import statements

from eil_economy.domain import schema
from eil_economy.domain.database import Database


class Backend(Protocol):
    """A database in which one transaction at a time is written."""

    def begin(self) -> Database:
        """Open a transaction."""
        ...

    def commit(self) -> None:
        """Make it stand."""
        ...

    def crash(self) -> None:
        """Die within it, and open the book anew."""
        ...

    def close(self) -> None:
        """Leave it."""
        ...


class SqliteBackend:
    """A file. It is not flushed to the disk at each commit: a simulated crash is the process's, and a million of them shall end today."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()
        self._conn.executescript(schema.SCHEMA + schema.REPLACE_GUARD)

    def _open(self) -> None:
        self._conn = sqlite3.connect(self._path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=OFF", "foreign_keys=ON"):
            self._conn.execute(f"PRAGMA {pragma}")

    def begin(self) -> Database:
        """Open a transaction."""
        self._conn.execute("BEGIN IMMEDIATE")
        return self._conn

    def commit(self) -> None:
        """Make it stand."""
        self._conn.execute("COMMIT")

    def crash(self) -> None:
        """Close the file within the transaction, and open it anew."""
        self._conn.close()
        self._open()

    def close(self) -> None:
        """Close the file."""
        self._conn.close()


class PostgresBackend:
    """A schema of a server, which is made; a crash is the session's end."""

    def __init__(self, url: str, name: str) -> None:
        self._url, self._name = url, name
        raw = self._open()
        raw.execute(f'CREATE SCHEMA "{name}"'.encode())
        raw.execute(statements(schema.SCHEMA).encode())

    def _open(self) -> "psycopg.Connection":
        raw = psycopg.connect(self._url, autocommit=True, options=f"-c search_path={self._name}")
        self._session = Session(raw)
        return raw

    def begin(self) -> Database:
        """Open a transaction."""
        self._session.begin()
        return self._session

    def commit(self) -> None:
        """Make it stand."""
        self._session.end("COMMIT")

    def crash(self) -> None:
        """End the session within the transaction, and begin another."""
        self._session.close()
        self._open()

    def close(self) -> None:
        """End the session."""
        self._session.close()
