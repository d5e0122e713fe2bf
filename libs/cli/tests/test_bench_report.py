"""Reports of benchmarks: gates, order, form."""

import json
import math
from pathlib import Path

import pytest
from eil_cli.bench.report import Measure, Report, figure, machine, write
from eil_cli.bench.statistics import percentile
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console


def report() -> Report:
    return Report(
        "loop",
        {
            "fine_ms": Measure(30.0, "ms", gate=250.0, goal=40.0),
            "close_ms": Measure(48.0, "ms", gate=50.0, goal=15.0),
            "broken_ms": Measure(300.0, "ms", gate=250.0),
            "rate": Measure(5.0, "1/s", gate=4.0, better="higher"),
            "free": Measure(7.0, "s"),
        },
        {"median": {"fine_ms": 12.5, "close_ms": 9.0}},
    )


def text_of(shown: Report, width: int, tmp_path: Path) -> str:
    with (tmp_path / "screen").open("w") as sink:
        console = Console(record=True, width=width, file=sink)
        console.print(shown.table())
    return console.export_text()


@pytest.mark.parametrize(
    ("measure", "missed", "reached"),
    [
        (Measure(250.0, "ms", gate=250.0, goal=40.0), False, False),
        (Measure(250.1, "ms", gate=250.0), True, False),
        (Measure(40.0, "ms", gate=250.0, goal=40.0), False, True),
        (Measure(4.0, "1/s", gate=4.0, goal=8.0, better="higher"), False, False),
        (Measure(3.9, "1/s", gate=4.0, better="higher"), True, False),
        (Measure(9.0, "1/s", gate=4.0, goal=8.0, better="higher"), False, True),
        (Measure(0.0, "calls", gate=0.0), False, False),
        (Measure(1.0, "calls", gate=0.0), True, False),
        (Measure(0.0, "1/s", gate=4.0, better="higher"), True, False),
        (Measure(math.nan, "ms", gate=50.0, goal=40.0), True, False),
        (Measure(1e9, "s"), False, False),
    ],
)
def test_gates_and_goals(measure, missed, reached):
    assert measure.missed is missed
    assert measure.reached is reached


@given(st.lists(st.floats(0.0, 1e6), min_size=1, max_size=400), st.floats(0.01, 1.0))
def test_a_percentile_is_a_measured_value_that_the_share_does_not_exceed(values, share):
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
    assert sum(value < found for value in values) < share * len(values) + 1e-6


def test_percentiles_of_a_hundred():
    values = [float(value) for value in range(100, 0, -1)]
    assert percentile(values, 0.99) == 99.0
    assert percentile(values, 0.5) == 50.0
    assert percentile(values, 1.0) == 100.0
    assert math.isnan(percentile([], 0.99))
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, 0.0)


@pytest.mark.parametrize("width", [100, 160])
def test_the_table_lists_the_worst_first(width, tmp_path):
    text = text_of(report(), width, tmp_path)
    order = [line.split()[0] for line in text.splitlines()[2:]]
    assert order == ["broken_ms", "close_ms", "rate", "fine_ms", "free"]
    assert max(map(len, text.splitlines())) <= width
    lines = {line.split()[0]: line for line in text.splitlines()[2:]}
    assert "MISSED" in lines["broken_ms"]
    assert "passed" in lines["close_ms"]
    assert "goal reached" in lines["fine_ms"]
    assert "12.50 ms" in lines["fine_ms"]
    assert not report().passed


def test_the_file_has_the_form_that_every_benchmark_writes(tmp_path):
    path = tmp_path / "deep" / "loop.json"
    write(report(), path)
    content = json.loads(path.read_text())
    assert set(content) == {"bench", "commit", "machine", "date", "measures", "baselines"}
    assert content["bench"] == "loop"
    assert content["measures"]["fine_ms"] == {
        "value": 30.0,
        "unit": "ms",
        "gate": 250.0,
        "goal": 40.0,
        "better": "lower",
    }
    assert content["baselines"] == {"median": {"fine_ms": 12.5, "close_ms": 9.0}}
    assert content["machine"] == machine()
    assert content["date"].endswith("Z")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.1234, "0.123 ms"),
        (12.345, "12.35 ms"),
        (123.45, "123.5 ms"),
        (2048.0, "2,048 ms"),
        (math.nan, "nan ms"),
    ],
)
def test_figures(value, text):
    assert figure(value, "ms") == text
