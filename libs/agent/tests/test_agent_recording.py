from pathlib import Path

import pytest
from eil_agent import Recording, RecordingError, read_recording


@pytest.fixture
def read(tmp_path: Path):
    def write_and_read(text: str, **options) -> Recording:
        path = tmp_path / "telemetry.csv"
        path.write_text(text, encoding="utf-8")
        return read_recording(path, **options)

    return write_and_read


def test_timestamp_and_value(read):
    recording = read("timestamp,value\n2014-02-14 14:30:00,0.132\n2014-02-14 14:35:00,0.134\n")
    assert recording.channels == ("value",)
    assert recording.times_s == (1392388200.0, 1392388500.0)
    assert recording.rows == ((0.132,), (0.134,))
    assert not recording.synthetic_time


def test_channels_without_timestamps_are_spaced_by_the_period(read):
    recording = read("Pressure,Temperature\n0.38,88.7\n-0.27,88.6\n0.05,88.5\n", period_s=1.0)
    assert recording.channels == ("Pressure", "Temperature")
    assert recording.times_s == (0.0, 1.0, 2.0)
    assert recording.synthetic_time
    assert read("a\n1\n2\n").times_s == (0.0, 60.0)


def test_a_row_without_values_keeps_its_place_in_synthetic_time(read):
    recording = read("a,b\n1,2\n,\n3,4\n", period_s=10.0)
    assert list(recording.samples()) == [(0.0, {"a": 1.0, "b": 2.0}), (20.0, {"a": 3.0, "b": 4.0})]


@pytest.mark.parametrize(
    ("cell", "time_s"),
    [
        ("2025-01-20T12:00:00Z", 1737374400.0),
        ("2025-01-20T13:00:00+01:00", 1737374400.0),
        ("2025-01-20 12:00:00", 1737374400.0),
        ("2025-01-20 12:00:00.250", 1737374400.25),
        ("2025-01-20", 1737331200.0),
        ("1737374400.5", 1737374400.5),
    ],
)
@pytest.mark.parametrize("name", ["timestamp", "Time", "DATE", "datetime"])
def test_forms_of_a_timestamp(read, name: str, cell: str, time_s: float):
    assert read(f"{name},x\n{cell},1\n").times_s == (time_s,)


def test_semicolons_and_a_byte_order_mark(read):
    recording = read("\ufeffdatetime;Current;Voltage\n2020-03-09 10:14:33;0.77;233.0\n")
    assert recording.channels == ("Current", "Voltage")
    assert recording.rows == ((0.77, 233.0),)


def test_a_timestamp_column_goes_before_a_column_called_time(read):
    recording = read("time,timestamp\n3.5,2025-01-20\n")
    assert recording.channels == ("time",)
    assert recording.times_s == (1737331200.0,)


def test_empty_cells_and_words_for_missing_are_missing(read):
    recording = read("timestamp,a,b\n0,1,\n1,NaN,2\n2,null,N/A\n3,4,5\n")
    assert recording.rows == ((1.0, None), (None, 2.0), (None, None), (4.0, 5.0))
    assert list(recording.samples()) == [(0.0, {"a": 1.0}), (1.0, {"b": 2.0}), (3.0, {"a": 4.0, "b": 5.0})]


def test_columns_without_numbers_are_skipped_and_reported(read):
    recording = read(',timestamp,host,empty,load\n0,0,srv-1,,0.5\n1,1,srv-2,,0.6\n2,2,"srv,3",,0.7\n')
    assert recording.channels == ("load",)
    assert recording.skipped_columns == ("(column 1)", "host", "empty")


def test_columns_are_renamed(read):
    recording = read("timestamp,value,fan\n0,0.5,3\n", mapping={"value": "cpu_usage"})
    assert recording.channels == ("cpu_usage", "fan")


def test_unsorted_lines_are_sorted(read):
    recording = read("timestamp,x\n30,3\n10,1\n20,2\n5,0\n")
    assert recording.times_s == (5.0, 10.0, 20.0, 30.0)
    assert recording.rows == ((0.0,), (1.0,), (2.0,), (3.0,))
    assert recording.unsorted_lines == 2
    assert recording.duplicate_lines == ()


def test_a_repeated_timestamp_keeps_the_first_value_and_is_reported(read):
    recording = read("timestamp,x,y\n10,1,\n20,5,6\n10,2,3\n20,5,6\n")
    assert recording.times_s == (10.0, 20.0)
    assert recording.rows == ((1.0, 3.0), (5.0, 6.0))
    assert recording.duplicate_lines == (4, 5)


def test_blank_lines_are_no_rows(read):
    assert read("a,b\n\n1,2\n\n3,4\n\n").rows == ((1.0, 2.0), (3.0, 4.0))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "header line and at least one line"),
        ("timestamp,x\n", 1, "header line and at least one line"),
        ("1,2\n3,4\n", 1, "column names"),
        ("timestamp,x\n0,1\n1,2,3\n", 3, "3 cells, but the header has 2"),
        ("timestamp,x\n0,1\n\n1\n", 4, "1 cells, but the header has 2"),
        ("timestamp,x\n0,1\n1,oops\n2,3\n", 3, "'oops' in column x is no finite number"),
        ("timestamp,x\n0,1\n1,inf\n", 3, "'inf' in column x"),
        ("timestamp,x\n0,1\n1,1_000\n2,3\n", 3, "'1_000' in column x"),
        ("timestamp,x\n0,1\nyesterday,2\n", 3, "'yesterday' is not ISO 8601"),
        ("timestamp,x\n0,1\n,2\n", 3, "'' is not ISO 8601"),
        ("timestamp,x\n1737374400000,1\n", 2, "no Unix time in seconds"),
        ("timestamp,x\n0,high\n", 1, "no column holds numbers"),
        ("timestamp;x\n0;0,5\n", 1, "not 0,5"),
        ("date,time,x\n2025-01-20,12:00,1\n", 1, "join them"),
        ("x,x\n1,2\n", 1, "more than one column is called ['x']"),
        ('timestamp,x\n0,"1"2\n', 2, "this is no CSV"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(read, text: str, line: int, message: str):
    with pytest.raises(RecordingError) as caught:
        read(text)
    assert message in str(caught.value)
    assert f"telemetry.csv, line {line}:" in str(caught.value)
    assert caught.value.line == line


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path):
    path = tmp_path / "latin.csv"
    path.write_bytes(b"timestamp,x\n0,1\n1,\xb0\n")
    with pytest.raises(RecordingError, match="line 3: this is no UTF-8"):
        read_recording(path)


def test_a_mapping_must_fit_the_file(read):
    with pytest.raises(RecordingError, match=r"mapping names \['load'\]"):
        read("timestamp,value\n0,1\n", mapping={"load": "cpu_usage"})
    with pytest.raises(RecordingError, match=r"mapped columns \['cpu_usage'\] do not hold"):
        read("timestamp,value,y\n0,high,1\n", mapping={"value": "cpu_usage"})
    with pytest.raises(RecordingError, match="more than one column"):
        read("timestamp,value,y\n0,2,1\n", mapping={"value": "y"})


@pytest.mark.parametrize("period_s", [0.0, -1.0, float("nan"), float("inf")])
def test_rows_need_a_positive_spacing(read, period_s: float):
    with pytest.raises(ValueError, match="period_s"):
        read("a\n1\n", period_s=period_s)
