"""Verification of a state folder's journals against themselves and against the signed heads that the Atlas keeps."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eil.atlas.v1 import atlas_pb2
from eil_mesh.anchor import check_head
from eil_mesh.database import Connection
from eil_mesh.journal import verify
from eil_mesh.postgres import reading

from eil_cli.databases import servers

SHARD = "0"
"""The embedded profile has one shard of each journal."""


class DamagedKey(Exception):
    """A service's signing key cannot be read; the message says which."""


@dataclass(frozen=True, slots=True)
class JournalReport:
    """What became of one journal; it holds if `problems` is empty."""

    journal: str
    entries: int
    """Offset of the newest entry."""
    heads: int
    """Signed heads anchored."""
    anchored: int
    """Offset of the newest anchored head."""
    problems: tuple[str, ...]

    @property
    def not_anchored(self) -> int:
        """Entries younger than the newest head: whoever holds the file could still rewrite them unseen."""
        return max(0, self.entries - self.anchored)


@dataclass(frozen=True, slots=True)
class AnchoredHead:
    """A signed head as the Atlas keeps it."""

    offset: int
    hash: bytes
    public_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """Where a service's state is kept: in a file of the state folder, or in a schema of a server."""

    service: str
    state: Path
    url: str

    @contextmanager
    def opened(self) -> Iterator[Connection]:
        """One snapshot, read-only. Raises sqlite3.Error, psycopg.Error."""
        if self.url:
            with reading(self.url, self.service) as session:
                yield session
            return
        path = self.state / f"{self.service}.db"
        file = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=10)
        with closing(file) as conn:
            conn.execute("BEGIN")
            yield conn

    def has(self, conn: Connection, table: str) -> bool:
        """Whether it has such a table."""
        found = (
            "SELECT to_regclass(?) IS NOT NULL"
            if self.url
            else "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?"
        )
        return bool(conn.execute(found, (table,)).fetchone()[0])


def kept_in(state: Path) -> list[Kept]:
    """Where the services of a state folder keep their state, by name.

    Raises:
        FileNotFoundError: there is no service's state.
    """
    on_servers = servers(state)
    places = [Kept(path.stem, state, "") for path in state.glob("*.db") if path.stem not in on_servers]
    places += [Kept(name, state, url) for name, url in on_servers.items()]
    if not places:
        raise FileNotFoundError(f"{state} holds no service's state (no *.db); name the state folder with --state")
    return sorted(places, key=lambda place: place.service)


def verify_state(state: Path) -> list[JournalReport]:
    """Walk every journal of a state folder, and those that its services keep on servers, read-only; the mesh may run meanwhile.

    Raises:
        FileNotFoundError: there is no service's state.
    """
    places = kept_in(state)
    # Heads before journals: an entry is always older than its head, so a head without its entry was tampered with.
    heads, unreadable = anchored_heads(places)
    reports = [
        report
        for place in places
        if (report := _report(place, f"{place.service}/{SHARD}", heads.pop(f"{place.service}/{SHARD}", [])))
    ]
    if unreadable:
        reports.append(JournalReport("heads of the atlas", 0, 0, 0, (unreadable,)))
    for journal, anchored in heads.items():
        newest = max(head.offset for head in anchored)
        gone = f"{len(anchored)} heads up to entry {newest} were anchored, but its file is gone"
        reports.append(JournalReport(journal, 0, len(anchored), newest, (gone,)))
    return reports


def anchored_heads(places: Sequence[Kept]) -> tuple[dict[str, list[AnchoredHead]], str]:
    """Heads by journal, and what is wrong with their table, if something is."""
    heads: dict[str, list[AnchoredHead]] = {}
    atlas = next((place for place in places if place.service == "atlas"), None)
    if atlas is None:
        return heads, ""
    try:
        with atlas.opened() as conn:
            if atlas.has(conn, "heads"):
                rows = conn.execute(
                    'SELECT journal, "offset", hash, public_key, signature FROM heads ORDER BY "offset"'
                )
                for journal, *head in rows:
                    heads.setdefault(journal, []).append(AnchoredHead(*head))
    except (sqlite3.Error, psycopg.Error) as error:
        return heads, f"the anchored heads cannot be read ({error}); restore the atlas's state from a backup"
    return heads, ""


def _report(place: Kept, journal: str, heads: Sequence[AnchoredHead]) -> JournalReport | None:
    """The report on one service's state; None if it has no journal and none was anchored."""
    newest = max((head.offset for head in heads), default=0)
    try:
        with place.opened() as conn:
            if not place.has(conn, "journal"):
                if not heads:
                    return None
                return JournalReport(journal, 0, len(heads), newest, ("its table is gone, but heads were anchored",))
            entries = conn.execute('SELECT coalesce(max("offset"), 0) FROM journal').fetchone()[0]
            own_key = _own_key(place.state, place.service)
            problems = (*verify(conn), *_contradictions(conn, journal, entries, heads, own_key))
    except (sqlite3.Error, psycopg.Error, DamagedKey) as error:
        problems = (f"it cannot be verified: {error}",)
        return JournalReport(journal, 0, len(heads), newest, problems)
    return JournalReport(journal, entries, len(heads), newest, problems)


def _contradictions(
    conn: Connection, journal: str, entries: int, heads: Sequence[AnchoredHead], own_key: bytes | None
) -> Iterator[str]:
    for head in heads:
        entry = conn.execute('SELECT hash FROM journal WHERE "offset" = ?', (head.offset,)).fetchone()
        try:
            check_head(
                atlas_pb2.JournalHead(
                    journal=journal,
                    offset=head.offset,
                    hash=head.hash,
                    public_key=head.public_key,
                    signature=head.signature,
                )
            )
        except (InvalidSignature, ValueError, TypeError):
            yield f"the signature of the head at entry {head.offset} is not valid"
            continue
        if own_key is not None and head.public_key != own_key:
            yield f"the head at entry {head.offset} was signed by another key than the service's"
        elif head.offset > entries:
            yield f"entry {head.offset} was anchored, but the journal ends at entry {entries}: entries were cut off"
        elif entry is None or entry[0] != head.hash:
            yield f"entry {head.offset} is not the one that was anchored: the journal was rewritten up to there"


def _own_key(state: Path, service: str) -> bytes | None:
    """The service's public key; None where its key is not kept here.

    Raises:
        DamagedKey: the file holds no key.
    """
    path = state / "keys" / f"{service}.ed25519"
    if not path.exists():
        return None
    try:
        private = Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except ValueError as error:
        raise DamagedKey(f"the signing key {path} is damaged ({error}); restore it from a backup") from None
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
