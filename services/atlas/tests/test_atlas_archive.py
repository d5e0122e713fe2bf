"""What arrives is kept, cut into segments and read: nothing is lost, nothing twice, whenever the process dies."""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_atlas import lifecycle, objects, recorder, segment_index
from eil_atlas.archive import Archive
from eil_atlas.bucket import Bucket
from eil_atlas.cutter import Cutter, Limits
from eil_atlas.domain.content import HOUR_US, Content
from eil_atlas.folder import Folder
from eil_atlas.main import SCHEMA
from eil_atlas.objects import Objects, name_of
from eil_atlas.recorder import Hour, content_of_records
from eil_mesh.clock import ManualClock
from eil_mesh.errors import DataLoss, Unavailable
from eil_mesh.store import Store
from support.places import Place

S = 1_000_000
CLOCK_US = 500_000 * HOUR_US
T0 = CLOCK_US - 10 * HOUR_US
LATENESS_S = 600.0
LIMITS = Limits(LATENESS_S, 4_000_000, 7200.0)


@dataclass
class Feed:
    """A regime service's journal: events one after the other, and the records that they carry."""

    events: list[event_log_pb2.Event] = field(default_factory=list)
    records: list[regime_pb2.TelemetryRecord] = field(default_factory=list)

    def sense(
        self, times_us, columns, *, source: str = "dc", tenant: str = "a", own: bool = False
    ) -> event_log_pb2.Event:
        record = regime_pb2.TelemetryRecord(source=source, times_us=times_us, own_credential=own)
        for name, values in columns.items():
            record.columns.add(name=name, values=values)
        event = event_log_pb2.Event(
            offset=len(self.events) + 1,
            tenant=tenant,
            topic=recorder.TELEMETRY_TOPIC,
            payload=record.SerializeToString(),
        )
        self.events.append(event)
        self.records.append(record)
        return event

    def minutes(self, first: int, last: int, **rest: Any) -> event_log_pb2.Event:
        """A sample a minute from T0 on, two channels, one of them sparse."""
        minutes = np.arange(first, last)
        power = 100.0 + 0.1 * (minutes % 7)
        sparse = np.where(minutes % 3 == 0, minutes / 10, np.nan)
        return self.sense((T0 + minutes * 60 * S).tolist(), {"power_draw": power, "temperature": sparse}, **rest)


@dataclass
class Kept:
    """A store, its objects and what works on them."""

    store: Store
    contents: Objects
    clock: ManualClock
    limits: Limits = LIMITS

    @property
    def archive(self) -> Archive:
        return Archive(self.store, self.contents)

    @property
    def cutter(self) -> Cutter:
        return Cutter(self.store, self.contents, self.archive, self.clock, self.limits)

    async def record(self, *events: event_log_pb2.Event) -> None:
        await self.store.write(lambda tx: [recorder.record(tx, event) for event in events])

    async def count(self, table: str) -> int:
        return await self.store.read(lambda conn: conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    async def entries(self, hour_us: int = T0) -> list[segment_index.Entry]:
        return await self.store.read(lambda conn: segment_index.of_hour(conn, "a", "dc", hour_us))

    async def read(self, **rest: Any) -> dict[tuple[str, int], float]:
        """Every sample of the source."""
        found: dict[tuple[str, int], float] = {}
        async for hour in self.archive.hours("a", "dc", 0, 2**62):
            samples = (await self.archive.read(hour, **rest)).samples
            assert (np.diff(samples.times_us) > 0).all()
            for name, values in samples.channels.items():
                for time_us, value in zip(samples.times_us.tolist(), values.tolist(), strict=True):
                    if not np.isnan(value):
                        assert (name, time_us) not in found
                        found[name, time_us] = value
        return found

    async def digest(self) -> dict[int, Content]:
        return await self.archive.digest("a", "dc", 0, 2**62)


@asynccontextmanager
async def opened(path: Path, contents: Objects, limits: Limits = LIMITS) -> AsyncIterator[Kept]:
    clock = ManualClock(CLOCK_US)
    store = Store(path / "atlas.db", objects.SCHEMA + SCHEMA, clock)
    try:
        yield Kept(store, contents, clock, limits)
    finally:
        store.close()


@pytest.fixture
async def kept(place: Place, tmp_path: Path) -> AsyncIterator[Kept]:
    async with opened(tmp_path, place.objects) as made:
        yield made


@pytest.fixture
async def on_disk(folder: Place, tmp_path: Path) -> AsyncIterator[Kept]:
    async with opened(tmp_path, folder.objects) as made:
        yield made


def samples_of(feed: Feed) -> dict[tuple[str, int], float]:
    kept: dict[tuple[str, int], float] = {}
    for record in feed.records:
        for column in record.columns:
            for time_us, value in zip(record.times_us, column.values, strict=True):
                if not np.isnan(value):
                    kept.setdefault((column.name, time_us), value)
    return kept


async def test_settled_hours_become_segments_and_read_as_they_came(kept: Kept):
    feed = Feed()
    await kept.record(*(feed.minutes(10 * i, 10 * i + 10) for i in range(20)))  # 3 h 20 min: the third ends 20 min ago
    assert await kept.read() == samples_of(feed)
    assert await kept.cutter.cut_due() == 3
    assert await kept.cutter.cut_due() == 0
    assert (await kept.count("segments"), await kept.count("open_hours"), await kept.count("arrivals")) == (3, 1, 2)
    assert await kept.read() == samples_of(feed)
    only = {key: value for key, value in samples_of(feed).items() if key[0] == "temperature"}
    assert await kept.read(channels=["temperature", "unheard-of"]) == only
    assert await kept.digest() == content_of_records(feed.records)


async def test_the_index_says_what_a_segment_holds(on_disk: Kept):
    feed = Feed()
    await on_disk.record(feed.minutes(0, 60), feed.minutes(60, 71))
    await on_disk.cutter.cut_due()
    (entry,) = await on_disk.entries()
    about = entry.message()
    assert (about.rows, about.samples, about.version) == (60, 80, 1)
    assert (about.first.ToMicroseconds(), about.last.ToMicroseconds()) == (T0, T0 + 59 * 60 * S)
    power, sparse = about.channels
    values = 100.0 + 0.1 * (np.arange(60) % 7)
    assert (power.name, power.count, power.least, power.greatest) == ("power_draw", 60, values.min(), values.max())
    assert (power.mean, power.deviation) == (pytest.approx(values.mean()), pytest.approx(values.std()))
    assert (sparse.name, sparse.count) == ("temperature", 20)
    content = on_disk.contents.get("a", about.digest)
    assert about.size == len(content)
    row = await on_disk.store.read(lambda conn: objects.find(conn, "a", about.digest))
    assert (row.media_type, row.size) == (segment_index.MEDIA_TYPE, len(content))


async def test_an_hour_is_not_cut_before_the_sources_clock_has_passed_it_by_the_lateness(on_disk: Kept):
    feed = Feed()
    last = HOUR_US + round(LATENESS_S * S)
    await on_disk.record(feed.sense([T0], {"a": [1.0]}), feed.sense([T0 + last - 1], {"a": [2.0]}))
    assert await on_disk.cutter.cut_due() == 0
    await on_disk.record(feed.sense([T0 + last], {"a": [3.0]}))
    assert await on_disk.cutter.cut_due() == 1


async def test_a_silent_sources_samples_are_cut_when_they_have_waited_long_enough(on_disk: Kept):
    feed = Feed()
    await on_disk.record(feed.minutes(0, 5))
    on_disk.clock.advance(LIMITS.uncut_s - 1)
    assert await on_disk.cutter.cut_due() == 0
    on_disk.clock.advance(1)
    assert await on_disk.cutter.cut_due() == 1
    assert await on_disk.count("arrivals") == 0
    assert await on_disk.read() == samples_of(feed)


async def test_an_hour_that_grows_too_large_is_cut_in_parts(folder: Place, tmp_path: Path):
    feed = Feed()
    async with opened(tmp_path, folder.objects, Limits(LATENESS_S, 40, 7200.0)) as kept:
        await kept.record(*(feed.minutes(10 * i, 10 * i + 10) for i in range(5)))  # 20 cells each
        while await kept.cutter.cut_due():
            pass
        assert [entry.through for entry in await kept.entries()] == [2, 4]
        assert await kept.count("arrivals") == 1
        assert await kept.read() == samples_of(feed)
        assert await kept.digest() == content_of_records(feed.records)


async def test_late_samples_make_a_further_segment_without_what_is_known(on_disk: Kept):
    feed = Feed()
    await on_disk.record(feed.minutes(0, 60), feed.minutes(60, 71))
    await on_disk.cutter.cut_due()
    times = [T0, T0 + 1, T0 + 2]
    await on_disk.record(feed.sense(times, {"power_draw": [1.0, 2.0, 3.0], "late": [4.0, np.nan, 5.0]}))
    before = await on_disk.digest()
    assert await on_disk.read() == samples_of(feed)
    assert await on_disk.cutter.cut_due() == 1
    _, late = await on_disk.entries()
    assert (late.rows, late.samples) == (3, 4)  # the first power stands as it was
    assert await on_disk.read() == samples_of(feed)
    assert before == await on_disk.digest() == content_of_records(feed.records)


async def test_what_comes_again_changes_nothing(on_disk: Kept):
    feed = Feed()
    await on_disk.record(feed.minutes(0, 60), feed.minutes(60, 71))
    await on_disk.record(*feed.events)
    assert await on_disk.count("arrivals") == 2
    await on_disk.cutter.cut_due()
    await on_disk.record(*feed.events)  # the first of them was cut
    assert await on_disk.count("arrivals") == 1
    await on_disk.record(feed.sense(*_repeated(feed)))  # the same samples in another record
    await on_disk.cutter.cut_due()
    assert (await on_disk.count("segments"), await on_disk.count("arrivals")) == (1, 1)
    assert await on_disk.digest() == content_of_records(feed.records)


def _repeated(feed: Feed):
    first = feed.records[0]
    return list(first.times_us), {column.name: list(column.values) for column in first.columns}


async def test_a_record_over_several_hours_is_divided(on_disk: Kept):
    feed = Feed()
    await on_disk.record(feed.minutes(50, 200))
    assert await on_disk.count("arrivals") == 4
    assert await on_disk.read() == samples_of(feed)
    assert await on_disk.digest() == content_of_records(feed.records)


async def test_an_hour_is_the_credentials_own_if_all_of_its_samples_are(on_disk: Kept):
    feed, first, second = Feed(), Hour("a", "dc", T0), Hour("a", "dc", T0 + HOUR_US)
    await on_disk.record(feed.minutes(0, 80, own=True))
    assert (await on_disk.archive.read(first)).own_credential
    await on_disk.cutter.cut_due()
    assert [entry.message().own_credential for entry in await on_disk.entries()] == [True]
    await on_disk.record(feed.sense([T0 + 1], {"power_draw": [1.0]}))
    for _ in range(2):
        assert not (await on_disk.archive.read(first)).own_credential
        assert (await on_disk.archive.read(second)).own_credential
        await on_disk.cutter.cut_due()


async def test_sources_and_tenants_are_apart(on_disk: Kept):
    feed = Feed()
    await on_disk.record(feed.minutes(0, 71, tenant="b"), feed.minutes(0, 71, source="other"))
    await on_disk.cutter.cut_due()
    assert await on_disk.count("segments") == 2
    assert await on_disk.read() == {}
    assert await on_disk.digest() == {}


async def test_what_is_not_telemetry_is_passed_over(on_disk: Kept):
    odd = regime_pb2.TelemetryRecord(source="dc", times_us=[T0, T0 + 1])
    odd.columns.add(name="a", values=[1.0])
    for payload in (b"\xff", b"", odd.SerializeToString()):
        await on_disk.record(event_log_pb2.Event(offset=1, tenant="a", topic=recorder.TELEMETRY_TOPIC, payload=payload))
    await on_disk.record(event_log_pb2.Event(offset=1, tenant="a", topic="eil.regime.shifts", payload=b"\xff"))
    assert await on_disk.count("arrivals") == 0


@pytest.mark.parametrize("damage", ["truncated", "altered", "gone"])
async def test_a_damaged_segment_is_data_loss_and_never_an_answer(kept: Kept, place: Place, damage: str):
    feed = Feed()
    await kept.record(feed.minutes(0, 60), feed.minutes(60, 191))
    await kept.cutter.cut_due()
    (entry,) = await kept.entries()
    name, content = name_of("a", entry.digest), kept.contents.get("a", entry.digest)
    if damage == "gone":
        place.behind.remove(name)
    else:
        place.behind.alter(name, content[:-8] if damage == "truncated" else content[:-1] + b"\0")
    with pytest.raises(DataLoss, match=r"samples of dc between .* are lost") as caught:
        await kept.archive.read(Hour("a", "dc", T0))
    assert caught.value.reason == "SEGMENT_LOST"
    sound = await kept.archive.read(Hour("a", "dc", T0 + HOUR_US))
    assert sound.samples.times_us.size == 60
    await kept.record(feed.sense([T0 + 1], {"late": [1.0]}))  # what comes for the hour is kept all the same
    await kept.cutter.cut_due()
    assert len(await kept.entries()) == 2
    kept.contents.put("a", content)
    assert await kept.read() == samples_of(feed)


async def test_where_objects_cannot_be_put_what_arrived_waits(folder: Place, tmp_path: Path, credentials, nowhere: str):
    feed = Feed()
    async with opened(tmp_path, Bucket("s3://bucket", nowhere, "us-east-1")) as kept:
        await kept.record(feed.minutes(0, 71))
        with pytest.raises(Unavailable):
            await kept.cutter.cut_due()
        assert await kept.read() == samples_of(feed)
    async with opened(tmp_path, folder.objects) as kept:
        assert await kept.cutter.cut_due() == 1
        assert await kept.read() == samples_of(feed)
    async with opened(tmp_path, Bucket("s3://bucket", nowhere, "us-east-1")) as kept:
        with pytest.raises(Unavailable) as caught:
            await kept.read()
        assert caught.value.retry_after_s


def _die(*_arguments: Any, **_rest: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(step: Callable[..., Any]) -> Callable[..., Any]:
    return _die


def _after(step: Callable[..., Any]) -> Callable[..., Any]:
    def stepped(*arguments: Any, **rest: Any) -> Any:
        step(*arguments, **rest)
        _die()

    return stepped


STEPS = {
    "before the segment is made": ("eil_atlas.cutter.encode", _before),
    "before its file is put": ("eil_atlas.folder.Folder.put", _before),
    "while its file is put": ("eil_atlas.folder.Folder._name", _before),
    "before it is indexed": ("eil_atlas.cutter._index", _before),
    "before arrivals are dropped": ("eil_atlas.recorder.forget", _before),
    "before the commit": ("eil_atlas.recorder.forget", _after),
}


def _cut_and_die(path: Path, step: str) -> None:
    """In a process of its own: cut until the step, there be killed."""
    target, when = STEPS[step]
    with pytest.MonkeyPatch.context() as patch:
        owner, _, name = target.rpartition(".")
        module, _, kind = owner.rpartition(".")
        holder = getattr(__import__(module, fromlist=[kind]), kind)
        patch.setattr(holder, name, when(getattr(holder, name)))

        async def cut() -> None:
            async with opened(path, Folder(path / "objects")) as kept:
                await kept.cutter.cut_due()

        asyncio.run(cut())


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_between_any_two_steps_loses_nothing_and_doubles_nothing(tmp_path: Path, step: str):
    feed = Feed()
    events = [feed.minutes(0, 60), feed.minutes(60, 71)]
    (tmp_path / "objects").mkdir()

    async def begin() -> None:
        async with opened(tmp_path, Folder(tmp_path / "objects")) as kept:
            kept.contents.clean()
            await kept.record(*events)

    async def go_on() -> None:
        async with opened(tmp_path, Folder(tmp_path / "objects")) as kept:
            kept.contents.clean()
            assert await kept.read() == samples_of(feed)
            late = feed.sense([T0 + 7], {"a": [1.0]})  # so that the segment will be another
            await kept.record(late)
            await kept.cutter.cut_due()
            assert await kept.count("segments") == 1
            assert await kept.read() == samples_of(feed)
            assert await kept.digest() == content_of_records(feed.records)
            await lifecycle.sweep(kept.store, kept.contents, -1.0)
            assert len(list(kept.contents.older(-1.0))) == 1
            assert await kept.read() == samples_of(feed)

    asyncio.run(begin())
    died = get_context("spawn").Process(target=_cut_and_die, args=(tmp_path, step))
    died.start()
    died.join(60)
    assert died.exitcode == -signal.SIGKILL
    asyncio.run(go_on())


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_comes_in_whatever_order_all_of_it_is_read(folder: Place, tmp_path: Path, seed: int):
    rng, feed = random.Random(seed), Feed()
    async with opened(tmp_path, folder.objects, Limits(LATENESS_S, 30, 7200.0)) as kept:
        for _ in range(60):
            rows = rng.randint(1, 8)
            times = sorted(T0 + rng.randrange(4 * 60) * 60 * S for _ in range(rows))
            columns = {
                name: [rng.choice([np.nan, rng.random()]) for _ in times]
                for name in rng.sample("abcd", rng.randint(1, 4))
            }
            await kept.record(feed.sense(times, columns))
            if rng.random() < 0.3:
                await kept.cutter.cut_due()
        assert await kept.count("segments") > 4
        assert await kept.read() == samples_of(feed)
        assert {h: c for h, c in (await kept.digest()).items() if c.samples} == content_of_records(feed.records)


async def test_old_segments_go_and_their_files_with_them(kept: Kept, place: Place):
    feed = Feed()
    await kept.record(feed.minutes(0, 60), feed.minutes(60, 191))
    await kept.cutter.cut_due()
    before_us = T0 + HOUR_US
    assert await kept.store.write(lambda tx: lifecycle.expire_segments(tx, before_us)) == 1
    assert await kept.store.write(lambda tx: lifecycle.expire_segments(tx, before_us)) == 0
    assert await lifecycle.sweep(kept.store, kept.contents) == 0  # it is not a day old
    assert await lifecycle.sweep(kept.store, kept.contents, -5.0) == 1
    assert len(place.behind.names()) == 2
    assert await kept.read() == {key: v for key, v in samples_of(feed).items() if key[1] >= before_us}


async def test_objects_of_a_type_expire_unless_something_names_them(kept: Kept, place: Place):
    feed = Feed()
    await kept.record(feed.minutes(0, 71))
    await kept.cutter.cut_due()
    for content, media_type in ((b"map", "image/png"), (b"kept", "text/plain")):
        digest = kept.contents.put("a", content)
        await kept.store.write(lambda tx, d=digest, t=media_type: objects.register(tx, "a", d, t, 4))
    later_us = CLOCK_US + 1
    for media_type, expired in (("image/png", 1), (segment_index.MEDIA_TYPE, 0)):
        assert await kept.store.write(lambda tx, t=media_type: lifecycle.expire_objects(tx, t, later_us)) == expired
    assert await lifecycle.sweep(kept.store, kept.contents, -5.0) == 1
    assert await kept.count("objects") == len(place.behind.names()) == 2
    assert await kept.read() == samples_of(feed)
