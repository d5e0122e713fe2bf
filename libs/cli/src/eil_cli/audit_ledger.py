"""The recount of the whole ledger, offline: of a state folder's file, or of a server's schema."""

import sqlite3
from contextlib import closing
from pathlib import Path

from eil_economy.domain.audit import AuditReport, snapshot_audit


def recount(state: Path) -> AuditReport:
    """Reads the economy's book of a state folder from its first line on; the mesh may run meanwhile.

    Raises:
        FileNotFoundError: the folder holds no ledger.
        sqlite3.Error: the file cannot be read as one.
    """
    path = state / "economy.db"
    if not path.exists():
        raise FileNotFoundError(f"{state} holds no ledger (economy.db); name the state folder with --state")
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)) as conn:
        return snapshot_audit(conn)


def recount_postgres(url: str) -> AuditReport:
    """Reads the book in schema `economy` of a PostgreSQL server, in one snapshot.

    Raises:
        psycopg.Error: the server cannot be reached, or holds no such book.
    """
    from eil_mesh.postgres import reading

    with reading(url, "economy") as book:
        return snapshot_audit(book)
