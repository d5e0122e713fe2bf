"""Traces are carried through bundles and events where they are recorded, and cost nothing where they are not."""

import contextlib
import sqlite3
from types import SimpleNamespace
from typing import Any

import pytest
from eil.events.v1 import event_log_pb2
from eil_mesh import tracing
from eil_mesh.broker import event_of, record_of
from eil_mesh.clock import ManualClock
from eil_mesh.journal import TRACED, Journal, entries, verify
from eil_mesh.store import Store
from opentelemetry import trace

RECORDED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
UNRECORDED = RECORDED[:-2] + "00"
FACT = event_log_pb2.Followed(service="x")


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "regime.db", "", ManualClock(), durable=False)
    yield opened
    opened.close()


@pytest.mark.parametrize(("traceparent", "recorded"), [(RECORDED, True), (UNRECORDED, False), ("", False)])
def test_only_a_recorded_trace_goes_on(traceparent, recorded):
    assert tracing.is_recorded(traceparent) is recorded
    with tracing.served("/a/b", traceparent):
        assert bool(tracing.carried()) is recorded
        assert trace.get_current_span().get_span_context().is_valid is recorded
    assert not tracing.carried()


async def append(store: Store) -> None:
    await store.write(lambda tx: tx.journal.append(tx.now_us, "a", "topic", "key", FACT))


async def test_an_entry_knows_the_trace_that_it_was_written_in(store):
    with tracing.served("/a/b", RECORDED):
        await append(store)
    with tracing.served("/a/b", UNRECORDED):
        await append(store)
    first, second = await store.read(lambda conn: entries(conn, 1))
    assert tracing.trace_id_of(first.traceparent) == tracing.trace_id_of(RECORDED)
    assert second.traceparent == ""
    assert await store.read(lambda conn: list(verify(conn))) == []


async def test_over_kafka_it_knows_it_still(store):
    with tracing.served("/a/b", RECORDED):
        await append(store)
    (entry,) = await store.read(lambda conn: entries(conn, 1))
    record = record_of("regime", entry)
    _, event = event_of("topic", SimpleNamespace(headers=record["headers"], value=record["value"]))
    assert event.traceparent == entry.traceparent


async def test_traces_of_old_entries_are_forgotten(store):
    def far(tx: Any) -> None:
        tx.conn.execute("INSERT INTO traced VALUES (?,?)", (1 - TRACED, RECORDED))
        tx.journal.append(tx.now_us, "a", "topic", "key", FACT)

    with tracing.served("/a/b", RECORDED):
        await store.write(far)
    assert await store.read(lambda conn: [row[0] for row in conn.execute("SELECT entry FROM traced")]) == [1]


def test_a_journal_of_an_earlier_release_is_verified(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as conn:
        conn.executescript(
            "CREATE TABLE journal (offset INTEGER PRIMARY KEY, time_us, tenant, topic, key, payload, salt, digest, hash)"
        )
        Journal(conn).append(1, "a", "topic", "key", FACT)
        assert list(verify(conn)) == []


def test_what_is_handled_together_is_linked():
    other = RECORDED.replace("4bf9", "5bf9")
    with tracing.followed("page", [UNRECORDED, RECORDED, other, RECORDED]):
        assert tracing.trace_id_of(tracing.carried()) == tracing.trace_id_of(RECORDED)
    with tracing.followed("page", [UNRECORDED, ""]):
        assert not tracing.carried()
