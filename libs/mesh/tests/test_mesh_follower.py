"""A follower's progress and its dead letters on either database, fed from a list."""

import asyncio
from contextlib import suppress

import pytest
from eil.events.v1 import event_log_pb2
from eil_mesh import dead_letters
from eil_mesh.clock import SystemClock
from eil_mesh.event_log import SCHEMA
from eil_mesh.feed import JOURNAL, Arrival, FeedLost, Lag, Reached
from eil_mesh.follower import Follower
from eil_mesh.journal import backlog, newest

HEARD = "CREATE TABLE IF NOT EXISTS heard (name TEXT NOT NULL);"


class Listed:
    """Pages out of a list; remembers from where it was read."""

    def __init__(self, *pages):
        self._pages, self.reached = pages, {}

    async def pages(self, reached):
        self.reached = reached
        for page in self._pages:
            yield page
        await asyncio.Event().wait()

    async def lag(self, reached):
        if not reached:
            raise FeedLost("nothing was read yet")
        return Lag(sum(at.position for at in reached.values()), 100, 7, 1_000_000)


def arrival(stream, position, offset, name="fact", topic="topic"):
    event = event_log_pb2.Event(offset=offset, tenant="acme", topic=topic, key="key", payload=name.encode())
    return Arrival(stream, position, event, event, known_by=offset)


def hear(tx, event):
    tx.conn.execute("INSERT INTO heard VALUES (?)", (event.payload.decode(),))
    if event.payload == b"bad":
        raise ValueError("no")
    return "half of it" if event.payload == b"half" else None


@pytest.fixture
def store(open_either):
    opened = open_either(SCHEMA + HEARD, SystemClock())
    yield opened
    opened.close()


def heard(store):
    return store.read(lambda conn: sorted(row[0] for row in conn.execute("SELECT name FROM heard").fetchall()))


async def follow(store, feed, count, letters=0):
    """Until so much is heard and put aside."""
    follower = Follower(store, "regime", feed, hear)
    task = asyncio.create_task(follower.run())
    end_s = asyncio.get_running_loop().time() + 20
    while (
        len(await heard(store)) < count
        or await store.read(lambda conn: dead_letters.count(conn, "regime", "")) < letters
    ):
        assert not task.done(), task
        assert asyncio.get_running_loop().time() < end_s, "it did not come about"
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return follower


async def test_positions_and_repetitions(store):
    first = [arrival("topic/0", 3, 1, "a"), arrival("topic/1", 8, 2, "b"), Arrival("topic/2", 5)]
    again = [arrival("topic/0", 4, 1, "a"), arrival("topic/0", 5, 4, "c"), arrival("topic/1", 9, 2, "b")]
    feed = Listed(first, again)
    await follow(store, feed, 3)
    assert await heard(store) == ["a", "b", "c"]
    later = Listed([arrival("topic/0", 6, 4, "c"), arrival("topic/0", 7, 9, "d")])
    await follow(store, later, 4)
    assert later.reached == {"topic/0": Reached(5, 4), "topic/1": Reached(9, 2), "topic/2": Reached(5, 0)}
    assert await heard(store) == ["a", "b", "c", "d"]


async def test_what_came_over_kafka_is_known_when_it_comes_from_the_journal(store):
    await follow(store, Listed([arrival("topic/0", 3, 5, "a")]), 1)
    await follow(store, Listed([arrival(JOURNAL, 5, 5, "a"), arrival(JOURNAL, 6, 6, "b")]), 2)
    assert await heard(store) == ["a", "b"]
    await follow(store, Listed([arrival("topic/0", 4, 6, "b"), arrival("topic/0", 5, 7, "c")]), 3)
    assert await heard(store) == ["a", "b", "c"]


async def test_dead_letters_are_kept_listed_and_replayed_once(store):
    page = [arrival("topic/0", 1, 1, "a"), arrival("topic/0", 2, 2, "bad"), arrival("topic/0", 3, 3, "half")]
    flawed = Arrival("topic/0", 4, event_log_pb2.Event(offset=4, tenant="globex"), flaw="cannot be read")
    follower = await follow(store, Listed([*page, flawed, arrival("topic/0", 5, 5, "b")]), 3, letters=3)
    assert await heard(store) == ["a", "b", "half"]
    found = await store.read(lambda conn: dead_letters.waiting(conn, "", 2**62, 10))
    assert [stored.letter.reason for stored in found] == ["cannot be read", "half of it", "ValueError: no"]
    assert [stored.letter.offset for stored in found] == [4, 3, 2]
    own = await store.read(lambda conn: dead_letters.waiting(conn, "acme", found[1].id, 10))
    assert [stored.id for stored in own] == [found[2].id]
    assert await follower.replay(found[2].id, found[2].letter) == "ValueError: no"
    assert await follower.replay(found[1].id, found[1].letter) == "half of it"
    mended = event_log_pb2.DeadLetter(service="regime", payload=b"mended")
    assert await follower.replay(found[2].id, mended) == ""
    assert await follower.replay(found[2].id, mended) == ""
    assert await heard(store) == ["a", "b", "half", "mended"]
    known = await store.read(lambda conn: dead_letters.find(conn, "acme", [stored.id for stored in found]))
    assert {number: letter.replayed for number, letter in known.items()} == {found[1].id: False, found[2].id: True}
    assert await store.read(lambda conn: dead_letters.count(conn, "regime", "acme")) == 1
    assert await store.read(newest) == 3
    count, oldest_us = await store.read(lambda conn: backlog(conn, 2, topics=[dead_letters.TOPIC]))
    assert (count, bool(oldest_us)) == (2, True)
    assert await store.read(lambda conn: backlog(conn, 4, tenant="acme")) == (0, None)


async def test_how_far_it_is_is_said_or_why_not(store):
    follower = Follower(store, "regime", Listed(), hear)
    assert (await follower.standing("")).problem == "nothing was read yet"
    follower = await follow(store, Listed([arrival("topic/0", 3, 1, "a")]), 1)
    now = await follower.standing("")
    assert (now.position, now.head, now.entries, now.oldest.seconds, now.problem) == (3, 100, 7, 1, "")
