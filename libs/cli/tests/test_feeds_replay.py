"""Replays: names, times, batches, resumption and the report."""

import json
from typing import Any

import pytest
from eil_agent import read_recording
from eil_cli.door import DoorError
from eil_cli.feeds.replay import (
    CHANNEL,
    KEPT_S,
    MAX_BATCH_ROWS,
    Moves,
    Replayer,
    ReplayOptions,
    batches,
    channel_names,
    default_source,
    move_s,
)
from eil_cli.feeds.report import replay_report
from eil_cli.feeds.times import rfc3339, unix_s
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

NOW_S = 1_800_000_000.5


class FakeMesh:
    """Ingests like the regime service: in order of time, each moment once."""

    def __init__(self) -> None:
        self.clock_s: dict[str, float] = {}
        self.bodies: list[dict] = []
        self.errors: list[DoorError] = []
        self.cut_after: int | None = None

    def call(self, method, path, body: Any = None, *, params: Any = None) -> Any:
        if path == "/v1/regime/status":
            if params["source"] not in self.clock_s:
                raise DoorError(404, "SOURCE_UNKNOWN", "never sent a sample")
            return {"sources": [{"energy_state": {"time": rfc3339(self.clock_s[params["source"]])}}]}
        assert path == "/v1/ingest"
        if self.cut_after is not None and len(self.bodies) >= self.cut_after:
            raise DoorError(400, "BROKEN", "cut off")
        if self.errors:
            raise self.errors.pop(0)
        json.dumps(body, allow_nan=False)
        self.bodies.append(body)
        times = [unix_s(text) for text in body["timestamps"]]
        late = sum(time_s < self.clock_s.get(body["source"], 0.0) - 600.0 for time_s in times)
        self.clock_s[body["source"]] = max(times)
        shift = {
            "onset": body["timestamps"][0],
            "from_regime": "r1",
            "to_regime": "r2",
            "channels": ["cpu_usage"],
            "reason": "the mean moved by 3 sd",
        }
        return {
            "accepted": len(times) - late,
            "rejected_count": late,
            "rejected": [{"reason": "SAMPLE_TOO_LATE", "message": "older than the clock"}] if late else [],
            "energy_state": {"regime": "stable"},
            "shifts": [shift],
        }


def recording(tmp_path, rows=1200, *, start="2014-05-14T01:14:00", step_s=300, name="ec2 usage.csv"):
    start_s = unix_s(start + "+00:00")
    lines = ["timestamp,value,Volume Flow RateRMS"]
    for row in range(rows):
        value = "" if row % 7 == 0 else f"{0.5 + 0.01 * (row % 3)}"
        lines.append(f"{start_s + row * step_s},{value},{row % 5}")
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n")
    return path


def replayer(mesh, tmp_path, **options):
    naps: list[float] = []
    moves = Moves(tmp_path, "default")
    return Replayer(mesh, moves, ReplayOptions(**options), now_s=lambda: NOW_S, sleep=naps.append), naps


@given(st.lists(st.text(max_size=80), min_size=1, max_size=12, unique=True))
def test_any_columns_become_distinct_channels(columns):
    names = channel_names(columns)
    assert len(set(names)) == len(columns)
    for column, name in zip(columns, names, strict=True):
        assert CHANNEL.fullmatch(name)
        assert name == column or not CHANNEL.fullmatch(column)


def test_names_stay_recognisable():
    assert channel_names(["cpu_usage", "Volume Flow RateRMS", "3rd", "a b", "a_b"]) == [
        "cpu_usage",
        "Volume_Flow_RateRMS",
        "c_3rd",
        "a_b_2",
        "a_b",
    ]


def test_old_recordings_are_moved_to_end_now_and_recent_ones_stay(tmp_path):
    old = read_recording(recording(tmp_path))
    shift_s = move_s(old, NOW_S, keep_time=False)
    assert NOW_S - 1.0 < old.times_s[-1] + shift_s <= NOW_S
    assert shift_s == int(shift_s)  # whole seconds: the times of day keep their fractions
    assert move_s(old, NOW_S, keep_time=True) == 0.0
    recent = read_recording(recording(tmp_path, rows=10, start="2027-01-10T00:00:00"))
    assert NOW_S - KEPT_S < recent.times_s[0] < NOW_S
    assert move_s(recent, NOW_S, keep_time=False) == 0.0
    future = read_recording(recording(tmp_path, rows=10, start="2031-01-10T00:00:00"))
    assert move_s(future, NOW_S, keep_time=False) < 0.0


def test_a_recording_without_times_has_none_to_keep(tmp_path):
    path = tmp_path / "plain.csv"
    path.write_text("value\n1\n2\n3\n")
    plain = read_recording(path)
    assert move_s(plain, NOW_S, keep_time=False) > 0.0
    with pytest.raises(ValueError, match="no timestamps"):
        move_s(plain, NOW_S, keep_time=True)


def test_batches_are_bounded_and_missing_values_are_named():
    samples = [(float(row), (None if row % 2 else 1.0, None)) for row in range(1201)]
    made = list(batches("s", ["a", "b"], samples, MAX_BATCH_ROWS))
    assert [len(body["timestamps"]) for body in made] == [500, 500, 201]
    assert [column["name"] for column in made[0]["columns"]] == ["a"]
    assert made[0]["columns"][0]["values"][:3] == [1.0, "NaN", 1.0]
    assert all(len(column["values"]) == len(body["timestamps"]) for body in made for column in body["columns"])


def test_a_replay_sends_every_row_once_and_reports_shifts_by_the_recordings_clock(tmp_path):
    mesh = FakeMesh()
    path = recording(tmp_path)
    one, _ = replayer(mesh, tmp_path, mapping={"value": "cpu_usage"})
    result = one.replay(path)
    assert (result.rows, result.sent, result.accepted, result.rejected) == (1200, 1200, 1200, 0)
    assert result.source.startswith("replay/ec2_usage-")
    assert result.renamed == {"Volume Flow RateRMS": "Volume_Flow_RateRMS"}
    assert {column["name"] for column in mesh.bodies[0]["columns"]} == {"cpu_usage", "Volume_Flow_RateRMS"}
    sent = [unix_s(text) for body in mesh.bodies for text in body["timestamps"]]
    assert sent == sorted(sent)
    assert NOW_S - 1.0 < sent[-1] <= NOW_S
    assert result.shifts[0].time_s == pytest.approx(unix_s("2014-05-14T01:14:00Z"))


def test_a_replay_that_was_cut_short_goes_on_where_it_stopped(tmp_path):
    mesh = FakeMesh()
    path = recording(tmp_path)
    mesh.cut_after = 1
    first, _ = replayer(mesh, tmp_path)
    with pytest.raises(DoorError, match="cut off"):
        first.replay(path)
    mesh.cut_after = None
    later = Replayer(mesh, Moves(tmp_path, "default"), ReplayOptions(), now_s=lambda: NOW_S + 86400.0)
    result = later.replay(path)
    assert (result.known_before, result.sent, result.accepted) == (500, 700, 700)
    sent = [unix_s(text) for body in mesh.bodies for text in body["timestamps"]]
    assert sent == sorted(set(sent))
    assert later.replay(path).known_before == 1200


def test_content_and_channels_name_the_source(tmp_path):
    path = recording(tmp_path)
    name = default_source(path, {})
    assert default_source(path, {}) == name
    assert default_source(path, {"value": "cpu_usage"}) != name
    path.write_text(path.read_text() + "1.5e9,1,1\n")
    assert default_source(path, {}) != name


def test_a_named_source_is_judged_by_the_mesh_row_by_row(tmp_path):
    mesh = FakeMesh()
    path = recording(tmp_path, rows=10)
    one, _ = replayer(mesh, tmp_path, source="meter-7")
    one.replay(path)
    result = one.replay(path)
    assert result.sent == 10
    assert result.rejected > 0
    assert "SAMPLE_TOO_LATE" in result.rejections


def test_the_rate_is_kept(tmp_path):
    mesh = FakeMesh()
    path = recording(tmp_path, rows=100)
    now = [NOW_S]

    def nap(seconds):
        now[0] += seconds

    Replayer(mesh, Moves(tmp_path, "t"), ReplayOptions(rate_per_s=20.0), now_s=lambda: now[0], sleep=nap).replay(path)
    assert {len(body["timestamps"]) for body in mesh.bodies} == {10}
    assert now[0] - NOW_S == pytest.approx(4.5)


def test_a_busy_mesh_gets_the_same_batch_again(tmp_path):
    mesh = FakeMesh()
    mesh.errors = [DoorError(429, "RESOURCE_EXHAUSTED", "full"), DoorError(503, "UNAVAILABLE", "restarting")]
    one, naps = replayer(mesh, tmp_path)
    result = one.replay(recording(tmp_path, rows=20))
    assert result.accepted == 20
    assert naps == [0.5, 1.0]


@pytest.mark.parametrize("width", [100, 160])
def test_the_report_says_what_happened(tmp_path, width):
    mesh = FakeMesh()
    one, _ = replayer(mesh, tmp_path, mapping={"value": "cpu_usage"})
    console = Console(record=True, width=width, file=(tmp_path / "out").open("w"))
    console.print(replay_report([one.replay(recording(tmp_path))]))
    text = console.export_text()
    assert "1,200" in text
    assert "2014-05-14 01:14:00" in text
    assert "r1 → r2" in text
    assert "--keep-time" in text
    assert "Volume Flow RateRMS → Volume_Flow_RateRMS" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= width
