"""Windows of samples from a running Atlas: what they hold, in which order, and where they go on."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import grpc
import numpy as np
import pytest
from eil.regime.v1 import regime_pb2
from eil_atlas.main import build
from eil_atlas.settings import AtlasSettings
from eil_cli.atlas.client import Archive
from eil_cli.atlas.loader import HOUR_US, Windows, torch_dataset
from eil_cli.terminal import Failure
from eil_mesh.clock import ManualClock
from eil_mesh.server import Mesh
from eil_mesh.settings import MeshSettings
from eil_mesh.testing import running, token

T = TypeVar("T")
CLOCK = ManualClock()
S = 1_000_000
T0 = CLOCK.now_us() - CLOCK.now_us() % (24 * HOUR_US) - 48 * HOUR_US
HOURS = 6
END = T0 + HOURS * HOUR_US
MINUTES = np.arange(HOURS * 60)
TIMES = T0 + MINUTES * 60 * S
POWER = 100.0 + 10.0 * np.sin(MINUTES / 10)
LOAD = np.where(MINUTES % 5 == 0, np.nan, MINUTES / 7.0)


class FakeRegimeSettings(MeshSettings):
    service: ClassVar[str] = "regime"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What is due is cut at once."""
    monkeypatch.setattr("eil_atlas.cutter.LOOK_EVERY_S", 0.05)


async def on_archive(tmp_path: Path, work: Callable[[Callable[[], Archive]], T]) -> T:
    """What `work` answers, in a thread, beside an Atlas that has cut six hours of a source and an hour of another."""

    async def feed(mesh: Mesh[FakeRegimeSettings]) -> None:
        store = mesh.store("")
        for source, rows in (("dc", HOURS * 60), ("rack", 60)):
            for chosen in (slice(0, rows), slice(rows - 1, rows)):
                after_us = 0 if chosen.start == 0 else 2 * HOUR_US  # the last one settles the others
                record = regime_pb2.TelemetryRecord(source=source, times_us=(TIMES[chosen] + after_us).tolist())
                record.columns.add(name="power_draw", values=POWER[chosen])
                record.columns.add(name="load", values=LOAD[chosen])
                await store.write(
                    lambda tx, r=record: tx.journal.append(tx.now_us, "default", "eil.sense.telemetry", "dc", r)
                )

    async with (
        running(tmp_path, FakeRegimeSettings, feed, clock=CLOCK),
        running(tmp_path, AtlasSettings, build, clock=CLOCK),
    ):
        auth = token(tmp_path)

        def opened() -> Archive:
            options = [("grpc.default_authority", "localhost")]
            return Archive(grpc.insecure_channel("unix:atlas.sock", options=options), auth)

        def ready() -> T:
            with opened() as archive:
                for _ in range(400):
                    if len(list(archive.segments("", T0, END))) == HOURS + 1:
                        return work(opened)
                    time.sleep(0.05)
            raise AssertionError("the hours were not cut")

        return await asyncio.to_thread(ready)


def windows(opened: Callable[[], Archive], **rest: Any) -> Windows:
    how = {"length": 16, "stride": 8, "block_hours": 2, "seed": 7, **rest}
    return Windows(opened, how.pop("sources", ["dc"]), T0, END, ["load", "power_draw"], **how)


def starts(found: list[Any]) -> list[int]:
    return [int(window.times_us[0]) for window in found]


async def test_windows_hold_standardised_rows_that_follow_each_other(tmp_path: Path):
    made = await on_archive(tmp_path, lambda opened: list(windows(opened)))
    assert len(made) == 3 * 14  # 3 blocks of 120 rows
    assert len(set(starts(made))) == len(made)
    assert starts(made) != sorted(starts(made))
    for window in made:
        first = int((window.times_us[0] - T0) // (60 * S))
        rows = slice(first, first + 16)
        assert (window.times_us == TIMES[rows]).all()
        load = (LOAD[rows] - np.nanmean(LOAD)) / np.nanstd(LOAD)
        power = (POWER[rows] - POWER.mean()) / POWER.std()
        np.testing.assert_allclose(window.values, np.column_stack([load, power]), rtol=1e-5, atol=1e-6)


async def test_epochs_differ_and_the_seed_alone_decides(tmp_path: Path):
    def work(opened: Callable[[], Archive]) -> None:
        one, same, other = windows(opened), windows(opened), windows(opened, seed=8)
        epochs = [starts(list(one)), starts(list(one))]
        assert epochs[0] != epochs[1]
        assert sorted(epochs[0]) == sorted(epochs[1])
        assert [starts(list(same)), starts(list(same))] == epochs
        assert starts(list(other)) not in epochs

    await on_archive(tmp_path, work)


@pytest.mark.parametrize("taken", [0, 1, 13, 14, 15, 41, 42, 50])
async def test_windows_go_on_exactly_where_they_were_left(tmp_path: Path, taken: int):
    def work(opened: Callable[[], Archive]) -> None:
        whole, left, resumed = windows(opened), windows(opened), windows(opened)
        expected = starts([*whole, *whole])
        found: list[Any] = []
        while len(found) < taken:
            for window in left:
                found.append(window)
                if len(found) == taken:
                    break
        resumed.load_state_dict(json.loads(json.dumps(left.state_dict())))
        rest = starts(list(resumed))
        assert starts(found) + rest == expected[: taken + len(rest)]
        assert starts(found) + rest + starts(list(resumed))[: len(expected) - taken - len(rest)] == expected

    await on_archive(tmp_path, work)


async def test_shards_have_every_window_once(tmp_path: Path):
    def work(opened: Callable[[], Archive]) -> None:
        shards = [starts(list(windows(opened, block_hours=1, shard=(place, 3)))) for place in range(3)]
        assert sorted(itertools.chain.from_iterable(shards)) == sorted(starts(list(windows(opened, block_hours=1))))
        assert all(shards)

    await on_archive(tmp_path, work)


async def test_other_windows_and_gaps_and_missing_channels(tmp_path: Path):
    def work(opened: Callable[[], Archive]) -> None:
        assert {window.source for window in windows(opened, sources=["dc", "rack"])} == {"dc", "rack"}
        assert list(windows(opened, longest_gap_s=59.0)) == []
        assert len(list(windows(opened, longest_gap_s=60.0))) == 42
        with pytest.raises(ValueError, match="other windows"):
            windows(opened, seed=8).load_state_dict(windows(opened).state_dict())
        with pytest.raises(ValueError, match="'unheard' has no samples"):
            Windows(opened, ["dc"], T0, END, ["unheard"], length=4)
        with pytest.raises(Failure, match="INVALID_ARGUMENT"), opened() as archive:
            list(archive.samples("dc", T0, T0))

    await on_archive(tmp_path, work)


async def test_torch_takes_them(tmp_path: Path):
    torch = pytest.importorskip("torch")

    def work(opened: Callable[[], Archive]) -> None:
        loader = torch.utils.data.DataLoader(torch_dataset(windows(opened)), batch_size=6)
        batches = list(loader)
        assert [tuple(batch.shape) for batch in batches] == [(6, 16, 2)] * 7
        expected = np.stack([window.values for window in windows(opened)])
        np.testing.assert_array_equal(torch.cat(batches).numpy(), expected)

    await on_archive(tmp_path, work)


async def test_a_file_goes_and_comes(tmp_path: Path):
    content = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "weights").write_bytes(content)

    def work(opened: Callable[[], Archive]) -> None:
        with opened() as archive:
            digest = archive.put(tmp_path / "weights", "text/plain").digest
            assert archive.get(digest, tmp_path / "back") == len(content)
            with pytest.raises(Failure, match="OBJECT_NOT_FOUND"):
                archive.get("0" * 64, tmp_path / "nothing")
            with pytest.raises(Failure, match="cannot be read"):
                archive.put(tmp_path / "missing", "")

    await on_archive(tmp_path, work)
    assert (tmp_path / "back").read_bytes() == content
    assert not list(tmp_path.glob(".*"))
    assert not (tmp_path / "nothing").exists()
