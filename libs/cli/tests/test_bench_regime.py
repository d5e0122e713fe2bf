"""`eil bench regime`: from a folder of suites to a report."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from eil_cli.bench import regime_baselines, regime_class, regime_class_worker
from eil_cli.bench.regime import GATES, bench_regime, gate_of
from eil_cli.bench.regime_baselines import BASELINES, Baseline, Guess, causal, first_alarm, never, timer
from eil_cli.bench.regime_plots import POINTS, draw, thinned
from eil_cli.bench.regime_speed import measure_speed, stream_speed, telemetry
from eil_cli.bench.regime_wire import Wire
from eil_cli.main import build
from eil_cli.terminal import Failure
from eil_regime.domain.bank import Bank
from typer.testing import CliRunner

ROWS, CHANGE = 400, 200


@pytest.fixture(autouse=True)
def only_ours(monkeypatch):
    """Without the packages of the extra, installed or not."""
    monkeypatch.setattr(regime_baselines, "find_spec", lambda name: None)


@pytest.fixture
def suites(tmp_path) -> Path:
    """One suite with one series whose level rises half-way."""
    folder = tmp_path / "suites" / "synth"
    folder.mkdir(parents=True)
    values = np.random.default_rng(3).normal(size=ROWS)
    values[CHANGE:] += 6.0
    (folder / "step.csv").write_text("\n".join(["value", *(f"{value:.3f}" for value in values)]) + "\n")
    labels = {"n": ROWS, "annotators": [[CHANGE]], "states": [[0, CHANGE], [1, ROWS - CHANGE]]}
    (folder / "labels.json").write_text(json.dumps({"step": labels}))
    return folder.parent


def test_the_report(suites):
    report = bench_regime(suites, quick=True, streams=8)
    assert set(report.measures) == {
        *(f"synth_{name}" for name in ("f1", "covering", "ami", "lag_share", "ece", "brier_skill")),
        "samples_per_s",
        "bytes_per_stream",
        "bytes_per_further_channel",
    }
    assert report.measures["synth_f1"].value == 1.0
    assert report.measures["synth_covering"].value > 0.95
    assert (report.measures["synth_f1"].gate, report.measures["synth_f1"].better) == (0.75, "higher")
    assert (report.measures["synth_ece"].gate, report.measures["synth_ece"].better) == (0.05, "lower")
    assert report.measures["samples_per_s"].value > 0.0
    assert set(report.baselines) == {"never", "timer"}
    assert report.baselines["never"]["synth_f1"] == pytest.approx(2 / 3)
    assert report.baselines["never"]["synth_covering"] == 0.5
    assert any("adwin is left out, for river is not installed" in note for note in report.notes)


def test_plots_go_without_matplotlib(suites, tmp_path, monkeypatch):
    monkeypatch.setattr("eil_cli.bench.regime_plots.find_spec", lambda name: None)
    report = bench_regime(suites, plots=tmp_path / "plots", quick=True, streams=8)
    assert any("nothing is drawn, for matplotlib is not installed" in note for note in report.notes)
    assert not (tmp_path / "plots").exists()


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is of the extra bench")
def test_a_page_for_a_suite(suites, tmp_path):
    from eil_cli.bench.regime import read_suite

    page = draw("synth", read_suite(suites / "synth", lambda what, parts: lambda: None), tmp_path / "plots")
    assert page.read_bytes().startswith(b"\x89PNG")


def test_a_series_that_does_not_fit_its_label_is_refused(suites):
    path = suites / "synth" / "step.csv"
    path.write_text(path.read_text() + "1.0\n")
    with pytest.raises(Failure, match="401 rows, but its label is for 400"):
        bench_regime(suites, quick=True)
    path.unlink()
    with pytest.raises(Failure, match=r"step\.csv"):
        bench_regime(suites, quick=True)
    (suites / "synth" / "labels.json").write_text('{"step": {"n": 4}}')
    with pytest.raises(Failure, match="form of labels"):
        bench_regime(suites, quick=True)


def test_what_the_command_needs(tmp_path):
    def run(*arguments: str):
        return CliRunner().invoke(build(), ["bench", "regime", *arguments])

    assert run().exit_code == 2
    assert "--data" in run().stderr
    assert run("--data", str(tmp_path / "none")).exit_code == 2
    empty = run("--data", str(tmp_path))
    assert empty.exit_code == 1
    assert "holds no suite" in empty.stderr


def test_gates():
    assert gate_of("skab_brier_skill") == (0.10, 0.30)
    assert gate_of("tcpd_brier_skill") == (-0.02, 0.0)
    assert gate_of("utsa_ece") == (0.05, 0.03)
    assert gate_of("skab_f1") == (None, None)
    assert all(gate < goal for gate, goal in GATES.values())


def test_trivial_detectors():
    values = np.zeros((45, 2))
    assert never(values).shifts == []
    assert [onset for _, onset in timer(values).shifts] == list(range(4, 45, 4))
    assert np.unique(timer(values).regime).tolist() == list(range(10))
    assert causal([(2, 1), (4, 4)], 6).regime.tolist() == [0, 0, 1, 1, 2, 2]


class Alarm:
    """Alarms above one."""

    def __init__(self) -> None:
        self.drift_detected = False
        self.updates = 0

    def update(self, value: float) -> None:
        assert value == value, "a missing value reached the detector"
        self.updates += 1
        self.drift_detected = value > 1.0 and self.updates > 1


def test_any_channel_alarms_and_then_all_start_anew():
    values = np.zeros((6, 2))
    values[2, 1] = values[3, 0] = values[5, 0] = 2.0
    values[4] = np.nan
    # Row 3 is the first of new detectors and cannot alarm; row 4 is missing.
    assert first_alarm(values, Alarm).shifts == [(2, 2), (5, 5)]
    assert stream_speed(Alarm) > 0.0


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)
def test_published_detectors_find_a_large_step(baseline: Baseline):
    if baseline.package and find_spec(baseline.package) is None:
        pytest.skip(f"{baseline.package} is of the extra bench")
    values = np.random.default_rng(4).normal(size=(600, 2))
    values[300:, 1] += 40.0
    values[10, 0] = np.nan
    guess = baseline.guess(values)
    assert isinstance(guess, Guess)
    assert guess.regime.shape == (600,)
    assert all(0 <= onset <= row < 600 for row, onset in guess.shifts)
    if baseline.package:
        assert any(300 <= onset <= 340 for _, onset in guess.shifts)


def test_telemetry_differs_between_series_and_shifts():
    series = telemetry(100, 400, shift_every_rows=50)
    assert series.shape == (100, 400)
    assert len({*np.round(series[:, 0], 9)}) == 100
    # Levels of spread 3 make most of the variance; without shifts the noise alone would leave 1.
    assert series.var(axis=1).mean() > 5.0


def test_speed_is_measured_on_all_streams_and_state_is_weighed(monkeypatch):
    monkeypatch.setattr("eil_cli.bench.regime_speed.POOL", 8)
    seen = []
    advance = Bank.advance
    monkeypatch.setattr(
        Bank, "advance", lambda bank, rows, first=0: seen.append((first, len(rows))) or advance(bank, rows, first)
    )
    speed = measure_speed(streams=20)
    assert (seen[-3:], speed.streams) == ([(0, 8), (8, 8), (16, 4)], 20)
    assert speed.samples_per_s > 0.0
    assert speed.bytes_per_stream == Bank(1).bytes_per_stream
    assert speed.bytes_per_further_channel == Bank(1, 2).bytes_per_stream - Bank(1).bytes_per_stream


def test_through_grpc_the_mesh_is_measured_unless_time_is_short(suites, monkeypatch):
    monkeypatch.setattr(regime_class, "SUITES", ())
    monkeypatch.setattr("eil_cli.bench.regime.measure_wire", lambda: Wire({1: 4e5, 8: 9e5}, {1: 5e5, 8: 1e6}))
    report = bench_regime(suites, streams=8)
    measure = report.measures["grpc_samples_per_s"]
    assert (measure.value, measure.gate, measure.goal, measure.better) == (4e5, 3e5, 1e6, "higher")
    assert (report.measures["grpc_8_channels_samples_per_s"].value, measure.missed) == (9e5, False)
    assert any("socket, 500,000 1/s" in note for note in report.notes)


def worker(folder: Path, body: str, monkeypatch) -> None:
    """Another worker in the place of ClaSS, in this interpreter."""
    script = folder / "worker.py"
    script.write_text(f"import json, sys\n{body}\n")
    monkeypatch.setattr(regime_class_worker, "__file__", str(script))
    monkeypatch.setattr(regime_class, "interpreter", lambda: [sys.executable, "-I"])


def test_class_runs_elsewhere_and_its_reports_come_back(tmp_path, monkeypatch):
    body = """
for file in sys.argv[1:]:
    print(json.dumps({"file": file, "shifts": [[30, 20]], "seconds": 0.5}), flush=True)
"""
    worker(tmp_path, body, monkeypatch)
    steps = []
    said = regime_class.segment({"a": np.zeros((40, 1)), "b": np.ones((50, 1))}, lambda: steps.append(1))
    assert [(name, guess.shifts, guess.regime.size) for name, guess in said.guesses.items()] == [
        ("a", [(30, 20)], 40),
        ("b", [(30, 20)], 50),
    ]
    assert said.seconds == 1.0
    assert len(steps) == 2


@pytest.mark.parametrize("body", ["sys.exit('no such wheel')", "print('no such wheel', file=sys.stderr)"])
def test_class_that_does_not_run_is_said(tmp_path, monkeypatch, body):
    worker(tmp_path, body, monkeypatch)
    with pytest.raises(regime_class.ClassMissing, match="no such wheel"):
        regime_class.segment({"a": np.zeros((40, 1))}, lambda: None)


def test_class_needs_uv(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(regime_class.ClassMissing, match="no uv"):
        regime_class.segment({"a": np.zeros((40, 1))}, lambda: None)


def test_lines_keep_their_spikes():
    values = np.zeros(20 * POINTS)
    values[777] = 5.0
    values[9999] = -3.0
    x, y = thinned(values)
    assert x.size == y.size == 2 * POINTS
    assert (y.max(), y.min()) == (5.0, -3.0)
    assert thinned(values[:POINTS])[1].size == POINTS
