"""Segments: what goes in comes out, bit for bit; reads touch what they need; what was altered or is of another version is refused."""

import base64
import hashlib
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from eil_atlas.domain import segment_forms, segments
from eil_atlas.domain.segment_forms import METADATA_KEY
from eil_atlas.domain.segments import SegmentDamaged, SegmentError, decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

SPECIAL = [
    math.nan,
    0.0,
    -0.0,
    math.inf,
    -math.inf,
    5e-324,
    -2.2e-308,
    1.7976931348623157e308,
    2.0**53,
    0.1 + 0.2,
    1e22,
]
ANY = st.floats(width=64, allow_nan=False) | st.sampled_from(SPECIAL)
DECIMAL = st.builds(lambda n, k: n / 10**k, st.integers(-(10**6), 10**6), st.integers(0, 4)) | st.just(math.nan)
CONSTANT = ANY.map(lambda value: [value])


@st.composite
def recordings(draw: st.DrawFn):
    rows = draw(st.integers(1, 60))
    first = draw(st.integers(-(2**62), 2**61))
    steps = draw(st.lists(st.integers(0, 2**55), min_size=rows - 1, max_size=rows - 1))
    columns = [st.lists(kind, min_size=rows, max_size=rows) for kind in (ANY, DECIMAL)]
    columns.append(CONSTANT.map(lambda one: one * rows))
    names = draw(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=1, max_size=4, unique=True))
    return np.cumsum([first, *steps]), {name: np.array(draw(st.one_of(columns))) for name in names}


def bits(values: np.ndarray) -> list[int]:
    return np.asarray(values, np.float64).view(np.int64).tolist()


def steady(rows: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    channels = {"power": np.round(rng.normal(300, 5, rows), 1), "noise": rng.normal(size=rows), "on": np.ones(rows)}
    return 1_000_000 * np.arange(rows), channels


@settings(max_examples=150, deadline=None)
@given(recordings())
def test_everything_comes_back_bit_for_bit(recording):
    times, channels = recording
    segment = encode(times, channels)
    back = decode(segment.content, sha256=segment.summary.sha256)
    assert back.times_us.tolist() == times.tolist()
    assert list(back.channels) == list(channels)
    for name, values in channels.items():
        assert bits(back.channels[name]) == bits(values)


@pytest.mark.parametrize("rare", SPECIAL)
def test_a_value_that_the_trial_does_not_see_comes_back(rare: float):
    times, channels = steady(20_000)
    for values in channels.values():
        values[700] = rare  # between the blocks of the trial
    back = decode(encode(times, channels).content)
    for name, values in channels.items():
        assert bits(back.channels[name]) == bits(values)


def test_any_nan_is_missing_and_comes_back_as_the_quiet_one():
    odd = np.array([0x7FF8000000000123, 0x7FF0000000000001], np.uint64).view(np.float64)
    segment = encode([1, 2, 3], {"x": np.append(odd, 1.5)})
    assert bits(decode(segment.content).channels["x"]) == bits(np.array([np.nan, np.nan, 1.5]))
    assert segment.summary.channels["x"].count == 1


def test_the_summary_is_what_an_index_needs():
    segment = encode([5, 5, 9], {"x": [2.0, math.nan, -1.0], "none": [math.nan] * 3})
    summary = segment.summary
    assert (summary.rows, summary.first_us, summary.last_us, summary.samples) == (3, 5, 9, 2)
    assert (summary.channels["x"].count, summary.channels["x"].least, summary.channels["x"].greatest) == (2, -1.0, 2.0)
    assert summary.channels["none"].count == 0
    assert math.isnan(summary.channels["none"].least)
    assert summary.sha256 == hashlib.sha256(segment.content).hexdigest()


def test_the_same_samples_make_the_same_bytes():
    assert encode(*steady(5000)) == encode(*steady(5000))


@pytest.mark.parametrize(
    ("values", "digits"),
    [(np.arange(500) * 0.1, 1), (np.arange(500.0), 0), (np.random.default_rng(2).normal(size=500), None)],
)
def test_decimals_are_kept_as_such_and_noise_is_not(values: np.ndarray, digits: int | None):
    with pq.ParquetFile(pa.BufferReader(encode(np.arange(500), {"x": values}).content)) as file:
        described = json.loads(file.metadata.metadata[METADATA_KEY.encode()])
    assert described["channels"][0].get("digits") == digits


def test_rounded_noise_costs_little_more_than_its_entropy():
    rng = np.random.default_rng(3)
    segment = encode(1_000_000 * np.arange(50_000), {"x": np.round(rng.normal(300, 2, 50_000), 1)})
    entropy_bytes = math.log2(20 * math.sqrt(2 * math.pi * math.e)) / 8
    assert len(segment.content) / 50_000 < 1.3 * entropy_bytes


@given(st.integers(-5, 105), st.integers(-5, 105))
@settings(max_examples=60, deadline=None)
def test_a_span_is_half_open(begin: int, end: int):
    times, channels = np.repeat(np.arange(50), 2) * 2, {"x": np.arange(100.0)}
    back = decode(encode(times, channels).content, begin_us=begin, end_us=end)
    inside = (times >= begin) & (times < end)
    assert back.times_us.tolist() == times[inside].tolist()
    assert back.channels["x"].tolist() == channels["x"][inside].tolist()


def test_a_read_touches_only_the_groups_and_channels_asked_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(segment_forms, "ROWS_PER_GROUP", 1000)
    times, channels = steady(10_000)
    content = encode(times, channels).content
    asked: list[tuple[list[int], set[str]]] = []
    whole = pq.ParquetFile.read_row_groups

    def spy(self, groups, columns, **options):
        asked.append((groups, set(columns)))
        return whole(self, groups, columns, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", spy)
    back = decode(content, ["power"], 3_500_000_000, 5_000_000_000)
    assert asked == [([3, 4], {"t", "c0"})]
    assert list(back.channels) == ["power"]
    assert back.channels["power"].tolist() == channels["power"][3500:5000].tolist()
    nothing = decode(content, begin_us=10_000_000_000)
    assert asked[-1][0] == []
    assert nothing.times_us.size == nothing.channels["noise"].size == 0


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_an_altered_byte_is_found(data: st.DataObject):
    segment = encode(*steady(300))
    content = bytearray(segment.content)
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SegmentDamaged, match="SHA-256"):
        decode(bytes(content), sha256=segment.summary.sha256)


def test_a_page_altered_or_a_file_cut_is_found_without_the_digest():
    content = encode(*steady(5000)).content
    middle = len(content) // 2
    with pytest.raises(SegmentDamaged):
        decode(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    with pytest.raises(SegmentDamaged):
        decode(content[:middle])


@pytest.mark.parametrize(
    ("times", "channels", "said"),
    [
        ([], {"x": []}, "at least one row"),
        ([[1, 2]], {"x": [1.0]}, "one dimension"),
        ([1, 2], {}, "at least one channel"),
        ([1, 3, 2], {"x": [1.0] * 3}, "fall at row 2: 2 µs after 3 µs"),
        ([1.0, 2.0], {"x": [1.0] * 2}, "float64"),
        ([1, 2], {"x": [1.0]}, r"'x' has shape \(1,\)"),
    ],
)
def test_what_makes_no_segment_is_refused(times, channels, said: str):
    with pytest.raises(SegmentError, match=said):
        encode(times, channels)


def test_a_channel_that_is_not_there_is_refused():
    with pytest.raises(SegmentError, match="no channel 'y'; it has 'x'"):
        decode(encode([1], {"x": [1.0]}).content, ["y"])


@pytest.mark.parametrize("version", [0, segments.VERSION + 1])
def test_another_version_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, version: int):
    monkeypatch.setattr(segments, "VERSION", version)
    content = encode([1], {"x": [1.0]}).content
    with pytest.raises(SegmentError, match=f"version {version}; this release reads 1"):
        decode(content)


def test_another_parquet_file_is_refused():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"t": [1]}), sink)
    with pytest.raises(SegmentError, match="no telemetry segment"):
        decode(sink.getvalue().to_pybytes())


VERSION_1 = (
    "P(e~L6#y030u?|N?S-z>3LF&%6$%vw6$Ts_2!Mnh0000002l~BLJt4{0000M04NB6gdP9@0000O2tYy)0000001*)Y001bpFa02_y#N4!fC2;q"
    "fQfnl6aWAKKtc}y0RS=-SOOIQ6)Y7#6}pYSf(;xM1{D$&1{DSz7zmn~nVFfvazGde000000001h76K>;nwgoInZa^E7zh9W000000Dut@0000e"
    "wJ-f37O?;T0ssI20|lA@nE;spnE;sp!2ogqK!6nh6)+Vt6{FAZt_K_y1{D$&1{DSz7zkBWRaI40<v$n*G&3_ZGc(ga762#+RaI40RaNCb7zi{o"
    "Gcz+Y(?1ar0000ewJ-f37=-`;P&8FlGt<@OKR-VK0LqRC6$BYfH2@d}b7N>_ZDAD#02Kr!02l#u02K-)0vG~gFaQ+_B>)%#V=(|01{oX~JSG4f"
    "6$BY21_~J%0dy4%76umN0~X8yCI~zj2!Mnh0000002l~BLJt4{0000M04NB6gdP9@0000O2tYy)0000001*)Y85|V=6$%vs0000c02~zx86^f1"
    "85ja%Fcl0I1{Ssf7RUi6)B!vg2%4FhnVG?IKo|%B00000004j%0w@TYnVFfH!E!(t2mk;800000fDsV@85|V=6%rK!06ZxM872Y*0000c02~zx"
    "86^f185ja%F%=9J1{S&j7Q6u_oC7=<2vt>8RaI5xKNtu!Gcz+YGt)m704NAmRaI40Rpmbz2sAS@Gcz;OKM@fC85|V=6%rK!0000M)CLv?CI}YL"
    "1OOQv7z<@-Y%X(UXKiI}bQnQ<B6ekRb7^mGB04cFB4cP_Zf<34b0Ruhdm?UOZDk@lB5-eaWpZC+a$$EOeJpz-ZeeX@B03^&Z)tO7B7I$b02m-}"
    "VRCVGWppiLaBwYQa&m8XAa-SPb7^mGATl;CFfK6}JRAT38~^|u0002L0RR9{K~ga"
)
"""A segment as the first release wrote it, in base 85."""


def test_a_segment_of_the_first_release_is_read():
    back = decode(base64.b85decode(VERSION_1))
    assert back.times_us.tolist() == [1_000_000, 2_000_000, 2_000_000]
    assert list(back.channels) == ["power_draw", "noise"]
    assert bits(back.channels["power_draw"]) == bits(np.array([300.1, math.nan, -0.0]))
    assert bits(back.channels["noise"]) == bits(np.array([0.1 + 0.2, 1 / 3, 2 / 3]))
