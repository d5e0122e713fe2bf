"""`eil bench regime`: the detector on labelled suites, against simple and published detectors, and its speed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from eil_cli.bench import regime_class
from eil_cli.bench.progress import Begin, Step, progress
from eil_cli.bench.regime_baselines import BASELINES, Baseline, Guess
from eil_cli.bench.regime_plots import MatplotlibMissing, Panel, draw
from eil_cli.bench.regime_scores import LEAST_ROWS, Label, claims, mean_scores, score_series, trust_scores
from eil_cli.bench.regime_speed import STREAMS, measure_speed, stream_speed
from eil_cli.bench.regime_wire import EIGHT_CHANNELS, IN_FLIGHT, ONE_CHANNEL, measure_wire
from eil_cli.bench.report import Measure, Report
from eil_cli.regime.replay import detect
from eil_cli.regime.series import Series, read_series
from eil_cli.terminal import Failure

LABELS = "labels.json"
INSTALL = ".venv/bin/uv pip install --python .venv -c requirements.lock -e 'libs/cli[bench]'"
LAG = "lag_share"
SPEED = "samples_per_s"
SPEED_GATE, SPEED_GOAL = 1e6, 5e6
STREAM_GATE_BYTES, STREAM_GOAL_BYTES = 4096.0, 2048.0
CHANNEL_GATE_BYTES, CHANNEL_GOAL_BYTES = 2048.0, 1024.0
WIRE_GATE, WIRE_GOAL = 3e5, 1e6
GATES: Mapping[str, tuple[float, float]] = {
    "tcpd_f1": (0.76, 0.85),
    "tcpd_covering": (0.68, 0.78),
    "tssb_covering": (0.56, 0.82),
    "utsa_covering": (0.56, 0.82),
    "skab_covering": (0.60, 0.85),
    "skab_ami": (0.50, 0.75),
    "skab_brier_skill": (0.10, 0.30),
    "occupancy_ami": (0.55, 0.75),
    "synth_f1": (0.75, 0.90),
}
"""Gate and goal by measure; of calibration error and Brier skill every suite has one."""


@dataclass
class Findings:
    """What the benchmark gathers, suite by suite."""

    measures: dict[str, Measure] = field(default_factory=dict)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def score(self, suite: str, scores: Mapping[str, float]) -> None:
        """The detector's scores on a suite become measures."""
        for name, value in scores.items():
            measure = f"{suite}_{name}"
            gate, goal = gate_of(measure)
            self.measures[measure] = Measure(value, "", gate, goal, "lower" if name in ("ece", LAG) else "higher")

    def compare(self, baseline: str, suite: str, scores: Mapping[str, float]) -> None:
        """A baseline's scores on a suite."""
        self.baselines.setdefault(baseline, {}).update({f"{suite}_{name}": value for name, value in scores.items()})


def gate_of(measure: str) -> tuple[float | None, float | None]:
    """Gate and goal of a suite's measure; None where there is none."""
    if measure in GATES:
        return GATES[measure]
    if measure.endswith("_ece"):
        return 0.05, 0.03
    if measure.endswith("_brier_skill"):
        return -0.02, 0.0
    return None, None


def bench_regime(data: Path, *, plots: Path | None = None, quick: bool = False, streams: int = STREAMS) -> Report:
    """Scores the detector on every suite of a folder and measures its speed.

    Args:
        data: holds suites, each a folder with SERIES.csv and labels.json.
        plots: folder for a picture of each suite; None draws none.
        quick: leaves out the baselines that take minutes, and the mesh.
        streams: on so many speed is measured.

    Raises:
        Failure: there is no suite, or one is not in order; or the mesh did not start.
    """
    folders = sorted(path.parent for path in data.glob(f"*/{LABELS}"))
    if not folders:
        raise Failure(f"{data} holds no suite: a suite is a folder with {LABELS} and a file SERIES.csv for each series")
    found = Findings()
    baselines = _baselines(found, quick)
    with progress() as begin:
        for folder in folders:
            suite, panels = folder.name, read_suite(folder, begin)
            long = [panel for panel in panels if panel.label.rows > LEAST_ROWS]
            scores = mean_scores([panel.score for panel in panels])
            found.score(suite, scores | trust_scores([claims(panel.label, panel.reports) for panel in long]))
            for baseline in baselines:
                _compare(suite, panels, baseline, found, begin(f"{suite}: {baseline.name}", len(panels)))
            if not quick and suite in regime_class.SUITES:
                _compare_class(suite, panels, found, begin(f"{suite}: ClaSS", len(panels)))
            if plots:
                begin(f"{suite}: plot", 1)
                _draw(suite, panels, plots, found)
        begin("speed", 1)
        _measure_speed(baselines, found, streams)
        if not quick:
            begin("gRPC", 1)
            _measure_wire(found)
    return Report("regime", found.measures, found.baselines, tuple(found.notes))


def read_suite(folder: Path, begin: Begin) -> list[Panel]:
    """Every labelled series of a suite with the detector's reports and their score.

    Raises:
        Failure: a file is missing or not in order.
    """
    try:
        labels = {name: Label.read(given) for name, given in json.loads((folder / LABELS).read_text()).items()}
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{folder / LABELS} does not have the form of labels: {error!r}") from None
    if not labels:
        raise Failure(f"{folder / LABELS} labels no series")
    step = begin(f"{folder.name}: detector", len(labels))
    panels = []
    for name, label in sorted(labels.items()):
        series = _read(folder / f"{name}.csv", label)
        reports = detect(series)
        panels.append(Panel(series, label, reports, score_series(folder.name, label, reports.shifts, reports.regime)))
        step()
    return panels


def _read(path: Path, label: Label) -> Series:
    try:
        series = read_series(path)
    except (ValueError, OSError) as error:
        raise Failure(str(error)) from None
    if series.rows != label.rows:
        raise Failure(f"{path} has {series.rows} rows, but its label is for {label.rows}: they do not belong together")
    return series


def _baselines(found: Findings, quick: bool) -> list[Baseline]:
    """Those that can be run; the notes say how each is set up, and which cannot be run."""
    usable = []
    for baseline in BASELINES:
        if quick and baseline.slow:
            continue
        if baseline.missing:
            found.notes.append(f"{baseline.name} is left out, for {baseline.package} is not installed: {INSTALL}")
            continue
        usable.append(baseline)
        found.notes.append(f"{baseline.name}: {baseline.configuration}")
    if quick:
        found.notes.append("--quick: without PELT, ClaSS and gRPC")
    return usable


def _compare(suite: str, panels: list[Panel], baseline: Baseline, found: Findings, step: Step) -> None:
    scores = []
    for panel in panels:
        guess = baseline.guess(panel.series.values)
        scores.append(score_series(suite, panel.label, guess.shifts, guess.regime))
        step()
    means = mean_scores(scores)
    means.pop(LAG, None)  # these place a shift where they report it
    found.compare(baseline.name, suite, means)


def _compare_class(suite: str, panels: list[Panel], found: Findings, step: Step) -> None:
    values = {panel.series.name: panel.series.values for panel in panels}
    try:
        said = regime_class.segment(values, step)
    except regime_class.ClassMissing as error:
        found.notes.append(f"{suite}: {regime_class.NAME} is left out: {error}")
        return
    guesses: Mapping[str, Guess] = said.guesses
    scores = [
        score_series(suite, panel.label, guess.shifts, guess.regime)
        for panel, guess in ((panel, guesses[panel.series.name]) for panel in panels)
    ]
    found.compare(regime_class.NAME, suite, mean_scores(scores))
    rows = sum(panel.series.rows for panel in panels)
    found.baselines[regime_class.NAME][SPEED] = rows / said.seconds
    found.notes.append(
        f"{suite}: {regime_class.NAME} ran at {rows / said.seconds:,.0f} samples/s: {regime_class.CONFIGURATION}"
    )


def _draw(suite: str, panels: list[Panel], plots: Path, found: Findings) -> None:
    try:
        found.notes.append(f"drawn: {draw(suite, panels, plots)}")
    except MatplotlibMissing:
        note = f"nothing is drawn, for matplotlib is not installed: {INSTALL}"
        found.notes += [] if note in found.notes else [note]


def _measure_speed(baselines: list[Baseline], found: Findings, streams: int) -> None:
    speed = measure_speed(streams)
    found.measures[SPEED] = Measure(speed.samples_per_s, "1/s", SPEED_GATE, SPEED_GOAL, "higher")
    found.measures["bytes_per_stream"] = Measure(speed.bytes_per_stream, "B", STREAM_GATE_BYTES, STREAM_GOAL_BYTES)
    found.measures["bytes_per_further_channel"] = Measure(
        speed.bytes_per_further_channel, "B", CHANNEL_GATE_BYTES, CHANNEL_GOAL_BYTES
    )
    for baseline in baselines:
        if baseline.stream is not None:
            found.baselines[baseline.name][SPEED] = stream_speed(baseline.stream)
    found.notes.append(
        f"{SPEED}: one core; univariate with every output, {speed.streams:,} streams; "
        "of others one stream, a sample at a time"
    )


def _measure_wire(found: Findings) -> None:
    wire = measure_wire()
    one, eight = ONE_CHANNEL.channels, EIGHT_CHANNELS.channels
    found.measures["grpc_samples_per_s"] = Measure(wire.door[one], "1/s", WIRE_GATE, WIRE_GOAL, "higher")
    found.measures["grpc_8_channels_samples_per_s"] = Measure(wire.door[eight], "1/s", better="higher")
    found.notes.append(
        f"grpc_samples_per_s: client and mesh on two cores, through the door; {ONE_CHANNEL.sources} sources, batches of "
        f"{ONE_CHANNEL.rows:,} rows, {IN_FLIGHT} in flight; past the door, on the service's socket, "
        f"{wire.socket[one]:,.0f} 1/s, with 8 channels {wire.socket[eight]:,.0f} 1/s"
    )
