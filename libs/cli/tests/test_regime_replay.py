"""`eil regime replay`: what it reads, what it writes, and what it says when something is wrong."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from eil_cli.main import build
from eil_cli.regime.replay import BLOCK_ROWS, detect
from eil_cli.regime.reports import Reports
from eil_cli.regime.series import Series, SeriesError, read_series
from typer.testing import CliRunner, Result

SHIFT_AT = 200


def step(rows: int = 400, seed: int = 0) -> np.ndarray:
    """Unit noise whose level rises by five."""
    noise = np.random.default_rng(seed).normal(size=rows)
    noise[SHIFT_AT:] += 5.0
    return noise


def write(path: Path, values: np.ndarray, name: str = "value") -> None:
    path.write_text("\n".join([name, *(f"{value:.4f}" for value in values)]) + "\n")


def replay(suite: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(build(), ["regime", "replay", "--suite", str(suite), "--out", str(out), *more])


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_report_for_every_row_in_the_form_of_the_contract(tmp_path):
    write(tmp_path / "step.csv", step())
    (tmp_path / "labels.json").write_text("{}")
    result = replay(tmp_path, tmp_path / "out" / "deep")
    assert result.exit_code == 0, result.output
    reports = rows_of(tmp_path / "out" / "deep" / "step.jsonl")
    assert [report["row"] for report in reports] == list(range(400))
    for report in reports:
        assert set(report) - {"shift_at"} == {"row", "regime_id", "next_likely", "confidence"}
        assert re.fullmatch(r"r\d+", report["regime_id"])
        assert re.fullmatch(r"r\d+", report["next_likely"])
        assert 0.0 <= report["confidence"] <= 1.0
    shifts = [(report["row"], report["shift_at"]) for report in reports if "shift_at" in report]
    assert shifts
    assert all(0 <= onset <= row for row, onset in shifts)
    assert any(abs(onset - SHIFT_AT) <= 5 for _, onset in shifts)


def test_reports_do_not_depend_on_later_rows_or_on_other_series(tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    whole.mkdir()
    part.mkdir()
    write(whole / "a.csv", step(seed=1))
    write(whole / "b.csv", step(seed=2))
    write(part / "b.csv", step(seed=2)[:250])
    assert replay(whole, tmp_path / "whole_out").exit_code == 0
    assert replay(part, tmp_path / "part_out").exit_code == 0
    assert rows_of(tmp_path / "part_out" / "b.jsonl") == rows_of(tmp_path / "whole_out" / "b.jsonl")[:250]


def test_the_summary_for_scripts(tmp_path):
    write(tmp_path / "a.csv", step())
    write(tmp_path / "b.csv", step()[:100])
    summary = json.loads(replay(tmp_path, tmp_path / "out", "--json").stdout)
    assert (summary["series"], summary["rows"], summary["failed"]) == (2, 500, {})
    assert summary["shifts"] == sum(one["shifts"] for one in summary["replayed"]) >= 1
    assert summary["rows_per_s"] > 0.0
    assert [(one["series"], one["rows"], one["columns"]) for one in summary["replayed"]] == [
        ("a", 400, 1),
        ("b", 100, 1),
    ]


def test_people_see_the_totals(tmp_path):
    write(tmp_path / "a.csv", step())
    text = replay(tmp_path, tmp_path / "out").stdout
    assert "1 series, 400 rows" in text
    assert str(tmp_path / "out") in text.replace("\n", "")


def test_one_bad_file_does_not_stop_the_others(tmp_path):
    write(tmp_path / "a.csv", step()[:50])
    (tmp_path / "b.csv").write_text("x,y\n1,2\n3,high\n")
    write(tmp_path / "c.csv", step()[:50])
    result = replay(tmp_path, tmp_path / "out", "--json")
    assert result.exit_code == 1
    assert "b.csv, row 1 (line 3), column 'y': 'high' is no number" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jsonl", "c.jsonl"]
    assert list(json.loads(result.stdout)["failed"]) == [str(tmp_path / "b.csv")]


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path):
    result = replay(tmp_path / "none", tmp_path / "out")
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_folder_without_series_is_an_error(tmp_path):
    result = replay(tmp_path, tmp_path / "out")
    assert result.exit_code == 1
    assert "no file *.csv" in result.stderr


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("x,y\n1,\nNaN,4\n,inf\n", {"x": [1, math.nan, math.nan], "y": [math.nan, 4, math.nan]}),
        ("x,y\r\n1, 2 \r\n,nan\r\n\r\n", {"x": [1, math.nan], "y": [2, math.nan]}),
        ("x\n1\n\n3\n\n", {"x": [1, math.nan, 3, math.nan]}),
        ('x\n1\n""\n3', {"x": [1, math.nan, 3]}),
        ("\ufeffx,\n1,2\n", {"x": [1], "column 2": [2]}),
        ("x,y\n", {"x": [], "y": []}),
    ],
)
def test_missing_values(tmp_path, text, columns):
    path = tmp_path / "s.csv"
    path.write_text(text, encoding="utf-8", newline="")
    series = read_series(path)
    assert list(series.columns) == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(series.columns[name], np.array(values, float))
    assert series.values.shape == (series.rows, len(columns))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no header"),
        (b"x,x\n1,2\n", "two columns 'x'"),
        (b"x,y\n1,2\n3\n", r"row 1 \(line 3\): 1 cells where the header names 2"),
        (b"x,y\n1,2\n\n3,4\n", r"row 1 \(line 3\): 0 cells"),
        (b"x\n1\n1,5\n", r"row 1 \(line 3\): 2 cells"),
        (b"x\n1.5\nn/a\n", r"row 1 \(line 3\), column 'x': 'n/a' is no number"),
        (b"\xff\xfe\x00", "no CSV file in UTF-8"),
    ],
)
def test_what_is_no_series_is_refused_with_its_place(tmp_path, content, says):
    path = tmp_path / "s.csv"
    path.write_bytes(content)
    with pytest.raises(SeriesError, match=says) as refused:
        read_series(path)
    assert str(path) in str(refused.value)


def test_lines_are_the_json_of_the_reports():
    reports = Reports(
        np.array([1, 1, 2], np.int32), np.array([1, 2, 2], np.int32), np.array([0.5, 1e-06, 1.0]), ((2, 1),)
    )
    assert [json.loads(line) for line in reports.lines()] == [
        {"row": 0, "regime_id": "r1", "next_likely": "r1", "confidence": 0.5},
        {"row": 1, "regime_id": "r1", "next_likely": "r2", "confidence": 1e-06},
        {"row": 2, "regime_id": "r2", "next_likely": "r2", "confidence": 1.0, "shift_at": 1},
    ]


def test_blocks_and_progress_change_nothing(monkeypatch):
    series = Series("s", {"value": step(), "other": step(seed=5)})
    whole = detect(series)
    seen = []
    monkeypatch.setattr("eil_cli.regime.replay.BLOCK_ROWS", 64)
    blocks = detect(series, lambda done, total: seen.append((done, total)))
    assert series.rows < BLOCK_ROWS
    assert seen == [(done, 400) for done in (0, 64, 128, 192, 256, 320, 384, 400)]
    assert blocks.lines() == whole.lines()
    assert whole.shifts


def test_an_empty_series_gets_an_empty_report(tmp_path):
    (tmp_path / "s.csv").write_text("x\n")
    assert replay(tmp_path, tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "s.jsonl").read_text() == ""
