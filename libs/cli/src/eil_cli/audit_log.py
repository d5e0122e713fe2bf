"""The audit log of a state folder: who asked for what, from every service's journal; and exports that others can verify.

An export is JSON, a line each: a header, the signed heads, then every entry of every journal. Payloads of the evidence are in it; of bulk,
such as telemetry, the salted digest alone, by which the chain holds all the same. Bytes are written in base64.
"""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eil.events.v1 import event_log_pb2
from eil_mesh.audit import TOPIC, key_of
from eil_mesh.database import Connection
from eil_mesh.journal import SCHEMA, Entry, entries

from eil_cli.audit import SHARD, Kept, anchored_heads, kept_in

FORMAT: Final = "eil-audit"
VERSION: Final = 1
BULK: Final = frozenset({"eil.sense.telemetry"})
"""Topics whose payloads an export leaves out."""
HEADS: Final = (
    'CREATE TABLE heads (journal TEXT NOT NULL, "offset" INTEGER NOT NULL, hash BLOB NOT NULL, public_key BLOB NOT NULL,'
    ' signature BLOB NOT NULL, PRIMARY KEY (journal, "offset"))'
)


class NotAnExport(Exception):
    """A file that cannot be read as an export; the message says why."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """An audit record and where it stands."""

    journal: str
    offset: int
    time_us: int
    tenant: str
    record: event_log_pb2.AuditRecord


def records(state: Path, *, tenant: str = "", subject: str = "") -> list[Recorded]:
    """Audit records, oldest first, of one tenant and subject where these are given. Those that were erased are left out.

    Raises:
        FileNotFoundError: there is no service's state.
        sqlite3.Error, psycopg.Error: a service's state cannot be read; `eil audit verify` says which.
    """
    found: list[Recorded] = []
    for place in kept_in(state):
        with place.opened() as conn:
            for entry in _entries(place, conn, tenant=tenant, topics=[TOPIC]):
                if entry.payload is not None and subject in ("", entry.key.removeprefix(key_of(""))):
                    record = event_log_pb2.AuditRecord.FromString(entry.payload)
                    found.append(
                        Recorded(f"{place.service}/{SHARD}", entry.offset, entry.time_us, entry.tenant, record)
                    )
    return sorted(found, key=lambda one: (one.time_us, one.journal, one.offset))


def export(state: Path, path: Path) -> int:
    """Write every journal and every signed head into a file, packed if its name ends in `.gz`; returns the number of entries.

    Raises:
        FileNotFoundError: there is no service's state.
        sqlite3.Error, psycopg.Error: a service's state cannot be read.
    """
    places, count = kept_in(state), 0
    heads, unreadable = anchored_heads(places)  # before the entries, so that each has its own
    if unreadable:
        raise sqlite3.DatabaseError(unreadable)
    with gzip.open(path, "wt") if path.suffix == ".gz" else path.open("w") as file:
        print(json.dumps({"format": FORMAT, "version": VERSION}), file=file)
        for journal, anchored in sorted(heads.items()):
            for head in anchored:
                row = [journal, head.offset, _text(head.hash), _text(head.public_key), _text(head.signature)]
                print(json.dumps({"head": row}), file=file)
        for place in places:
            with place.opened() as conn:
                for entry in _entries(place, conn):
                    count += 1
                    print(json.dumps({"journal": f"{place.service}/{SHARD}", **_as_json(entry)}), file=file)
    return count


def unpack(path: Path, folder: Path) -> None:
    """Write an export's journals and heads into an empty folder as services keep them, for `audit.verify_state`.

    Raises:
        NotAnExport: it is none, or is damaged.
        OSError: it cannot be read.
    """
    with ExitStack() as stack, gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        conns: dict[str, sqlite3.Connection] = {}

        def conn_of(service: str) -> sqlite3.Connection:
            if not service.isidentifier():
                raise ValueError(f"no service is called {service!r}")
            if service not in conns:
                conn = sqlite3.connect(folder / f"{service}.db", isolation_level=None)
                conns[service] = stack.enter_context(closing(conn))
                conn.executescript(SCHEMA + "BEGIN;")
            return conns[service]

        try:
            header = json.loads(file.readline())
            if header.get("format") != FORMAT or header.get("version") != VERSION:
                raise NotAnExport(f"{path} is no export of version {VERSION}; write one with `eil audit export`")
            conn_of("atlas").execute(HEADS)
            for line in file:
                _unpack_line(json.loads(line), conn_of)
            for conn in conns.values():
                conn.execute("COMMIT")
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, sqlite3.Error) as error:
            raise NotAnExport(f"{path} is damaged ({error}); write it anew with `eil audit export`") from None


def _unpack_line(line: dict[str, Any], conn_of: Callable[[str], sqlite3.Connection]) -> None:
    if "head" in line:
        journal, offset, *signed = line["head"]
        conn_of("atlas").execute("INSERT INTO heads VALUES (?,?,?,?,?)", (journal, offset, *map(_bytes, signed)))
        return
    row = (line["offset"], line["time_us"], line["tenant"], line["topic"], line["key"])
    payload = None if line["payload"] is None else _bytes(line["payload"])
    evidence = (payload, *(_bytes(line[name]) for name in ("salt", "digest", "hash")))
    service, _, _ = line["journal"].partition("/")
    conn_of(service).execute("INSERT INTO journal VALUES (?,?,?,?,?,?,?,?,?)", (*row, *evidence))


def _entries(place: Kept, conn: Connection, **wanted: Any) -> Iterator[Entry]:
    """A journal's entries, a page at a time."""
    offset = 1
    while place.has(conn, "journal") and (page := entries(conn, offset, traces=False, **wanted)):
        yield from page
        offset = page[-1].offset + 1


def _as_json(entry: Entry) -> dict[str, Any]:
    payload = None if entry.payload is None or entry.topic in BULK else _text(entry.payload)
    return {
        "offset": entry.offset,
        "time_us": entry.time_us,
        "tenant": entry.tenant,
        "topic": entry.topic,
        "key": entry.key,
        "payload": payload,
        "salt": "" if payload is None else _text(entry.salt),
        "digest": _text(entry.digest),
        "hash": _text(entry.hash),
    }


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
