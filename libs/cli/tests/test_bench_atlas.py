"""The benchmark of segments reads the suites as they lie and counts what it says."""

import math
from pathlib import Path

import numpy as np
import pytest
from eil_cli.bench.atlas import CSV, OURS, SNAPPY, Recording, altered, bench_atlas, fleet, measure, read_nab
from eil_cli.bench.atlas_graph import BARE, bench_graph
from eil_cli.main import build
from eil_cli.terminal import Failure
from typer.testing import CliRunner


@pytest.fixture
def data(tmp_path: Path) -> Path:
    nab, skab = tmp_path / "nab" / "realKnown", tmp_path / "regime" / "skab"
    nab.mkdir(parents=True)
    skab.mkdir(parents=True)
    lines = [f"2014-01-01 00:{i % 40:02}:00,{i / 10}" for i in range(60)]
    (nab / "a.csv").write_text("\n".join(["timestamp,value", *lines]) + "\n")
    (skab / "b.csv").write_text("x,y\n" + "1.5,\n2.5,7\n" * 20)
    return tmp_path


def test_a_series_that_falls_back_in_time_is_cut_there(data: Path):
    recordings = read_nab(data / "nab")
    assert [one.times_us.size for one in recordings] == [40, 20]
    assert recordings[0].times_us[1] - recordings[0].times_us[0] == 60_000_000


def test_the_report_has_every_figure_beside_its_baselines(data: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    report = bench_atlas(data, fleet_samples=800, repeats=1)
    assert report.measures["values_altered"].value == 0
    timed = {f"{name}_{what}_samples_per_s" for name in ("series", "fleet") for what in ("write", "read")}
    sized = {f"{name}_bytes_per_sample" for name in ("nab", "skab", "series", "fleet")}
    archive = {f"archive_folder_{what}_samples_per_s" for what in ("record", "cut", "read")}
    altered_samples = report.measures["archive_folder_altered_samples"]
    assert altered_samples.value == 0
    assert set(report.measures) == {"values_altered", "archive_folder_altered_samples"} | timed | sized | archive
    assert set(report.baselines) == {SNAPPY, CSV}
    assert all(set(values) == timed | sized for values in report.baselines.values())


def test_a_sample_is_a_value_that_is_not_missing():
    recording = Recording(np.arange(4), {"x": np.array([1.0, math.nan, 2.0, 3.0]), "y": np.full(4, math.nan)})
    assert recording.samples == 3
    assert measure([recording], OURS, 0) == {"bytes_per_sample": len(OURS.write(recording)) / 3}
    assert altered(recording) == 0


def test_the_fleet_is_rounded_and_its_times_rise():
    drawn = fleet(8000)
    assert (np.diff(drawn.times_us) > 0).all()
    assert 7900 < drawn.samples < 8000


def test_a_missing_suite_is_named(tmp_path: Path):
    with pytest.raises(Failure, match="nab holds no series"):
        bench_atlas(tmp_path)
    result = CliRunner().invoke(build(), ["bench", "atlas", "--data", str(tmp_path)])
    assert (result.exit_code, "nab holds no series" in result.output) == (1, True)


def test_the_graph_is_measured_beside_its_plainest_use():
    report = bench_graph("", states=200, sources=20)
    names = {"sqlite_states_per_s", "sqlite_state_at_p50", "sqlite_state_at_p99"}
    assert set(report.measures) == set(report.baselines[BARE]) == names
    assert all(measure.value > 0 for measure in report.measures.values())


def test_a_server_that_is_not_there_is_said():
    with pytest.raises(Failure, match="could not be asked"):
        bench_graph("bolt://127.0.0.1:1", states=20, neo4j_states=20, sources=2)
