"""Records: what they hold, that they recompute to the bit, and that no alteration passes."""

import copy
import csv
import io
import json
import math

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eil_proof.domain.mv.intervals import Intervals
from eil_proof.domain.mv.record import (
    REGRESSION,
    SWITCHBACK,
    Exclusion,
    Plan,
    canonical,
    commit,
    conclude,
    data_of,
    digest,
    figure,
    intervals_of,
    verify,
)
from eil_proof.domain.mv.rows import to_csv
from eil_proof.signing import check, signed
from hypothesis import given, settings
from hypothesis import strategies as st

HOUR_US = 3_600_000_000
N, M = 30 * 24, 48
START_US = 1_767_571_200_000_000
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SOURCE = {"kind": "metered", "power_method": "METERED", "own_credential": True}
EVENT = Exclusion(START_US + N * HOUR_US, START_US + N * HOUR_US + 1, "outage", "log", "somebody", 1)


def plan(method=REGRESSION, **changes):
    fields = {
        "id": "ver_1",
        "tenant": "acme",
        "source": "rack",
        "boundary": "feeder µ7",
        "ipmvp_option": "B",
        "method": method,
        "model": "change_point",
        "driver": ("request_rate",),
        "interval_s": 3600,
        "baseline_start_us": START_US,
        "baseline_intervals": N,
        "reporting_start_us": START_US + N * HOUR_US,
        "reporting_intervals": M,
    }
    return Plan(**{**fields, **changes})


def made(method=REGRESSION, exclusions=(), seed=0, share=0.9, **changes):
    rng = np.random.default_rng(seed)
    load = 100 + 40 * np.sin(np.arange(N + M) / 4) + rng.normal(size=N + M)
    energy = 1e6 + 5e3 * load + 1e4 * rng.normal(size=N + M)
    energy[N:] *= share
    energy[5] = math.nan
    if method == SWITCHBACK:
        changes = {"model": "", "pairs": 6, "block_intervals": 4, "seed": "s", "baseline_intervals": 0} | changes
        baseline = None
    else:
        baseline = data_of(Intervals(START_US, 3600, energy[:N], load[:N]), SOURCE)
    committed = plan(method, **changes)
    commitment = commit(committed, START_US + N * HOUR_US, baseline, "test")
    reporting = data_of(Intervals(committed.reporting_start_us, 3600, energy[N:], load[N:]), SOURCE)
    return conclude(commitment, reporting, tuple(exclusions), START_US + 2 * N * HOUR_US)


@pytest.fixture(scope="module")
def record():
    return made(exclusions=[EVENT])


def leaves(tree, path=()):
    if isinstance(tree, dict | list):
        for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(inner, (*path, key))
    else:
        yield path


def put(tree, path, change):
    altered = copy.deepcopy(tree)
    node = altered
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = change(node[path[-1]])
    return altered


def other(value):
    if isinstance(value, bool) or value is None:
        return not value
    return (
        value + "x"
        if isinstance(value, str)
        else math.nextafter(value, math.inf)
        if isinstance(value, float)
        else value + 1
    )


@pytest.mark.parametrize("method", [REGRESSION, SWITCHBACK])
def test_a_record_recomputes_after_a_round_trip(method):
    one = made(method)
    assert one["state"] == one["result"]["state"] == ("PROVEN" if method == REGRESSION else "NOT_PROVEN")
    assert verify(json.loads(canonical(one))) == []
    assert canonical(json.loads(canonical(one))) == canonical(one)


def test_an_event_disputes(record):
    assert record["state"] == "DISPUTED"
    assert record["result"]["state"] == "PROVEN"
    assert record["result"]["counted"] == M - 1
    assert not verify(record)


def test_later_data_never_change_the_commitment():
    assert made(share=0.5)["commitment_sha256"] == made(share=2.0)["commitment_sha256"]
    assert made(share=0.5)["sha256"] != made(share=2.0)["sha256"]
    assert made(boundary="another")["commitment_sha256"] != made()["commitment_sha256"]


def test_every_field_is_held(record):
    """Each field of the record but the columns' values, changed by the least that can be."""
    columns = {"energy_j", "driver", "placebo_errors_j"}
    paths = [path for path in leaves(record) if not (columns & set(path) and path[-1] not in (0, 5, 20))]
    assert len(paths) > 80
    assert not [path for path in paths if not verify(put(record, path, other))]


@given(place=st.integers(0, 10**9), value=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_every_byte_is_held(record, place, value):
    file = signed(record, KEY).encode()
    at = place % len(file)
    altered = file[:at] + bytes([(file[at] + value) % 256]) + file[at + 1 :]
    assert check(altered).problems


def test_a_forger_needs_the_key(record):
    public = check(signed(record, KEY).encode()).public_key
    forged = put(record, ("commitment", "plan", "boundary"), lambda _: "the whole town")
    forged["commitment_sha256"] = digest(forged["commitment"])
    forged["sha256"] = digest({name: value for name, value in forged.items() if name != "sha256"})
    mine = signed(forged, Ed25519PrivateKey.generate()).encode()
    assert not check(mine).problems, "with the key that the file names it holds: that is why the key is named"
    assert "another key" in check(mine, public).problems[0]
    assert not check(signed(record, KEY).encode(), public.upper()).problems


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"record":{},"signature":{}}', b"[" * 5000])
def test_what_is_no_record_says_so(content):
    assert "no signed record" in check(content).problems[0]


def test_another_methods_figures_are_not_recomputed(record):
    assert "method" in verify(put(record, ("commitment", "method"), lambda _: 99))[0]
    assert "cannot be read" in verify({"commitment": {}, "reporting": {}})[0]


def test_canonical_form():
    assert canonical({"b": 1.0, "a": ["µ", None]}) == '{"a":["µ",null],"b":1.0}'.encode()
    with pytest.raises(ValueError, match=r"."):
        canonical(math.nan)
    assert figure(1 / 3) == 0.333333333
    assert figure(math.inf) is None


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False, width=64), min_size=1, max_size=20))
def test_data_keep_every_bit(values):
    energy = np.array(values)
    data = json.loads(canonical(data_of(Intervals(0, 60, energy, energy), {})))
    back = intervals_of(data)
    assert np.array_equal(back.energy_j, energy, equal_nan=True)
    assert data == data_of(back, {})


@pytest.mark.parametrize("method", [REGRESSION, SWITCHBACK])
def test_rows_for_a_spreadsheet(method):
    one = made(method, exclusions=[EVENT])
    rows = [*csv.DictReader(io.StringIO(to_csv(one)))]
    reporting = [row for row in rows if row["period"] == "reporting"]
    assert len(rows) == M + (N if method == REGRESSION else 0)
    assert reporting[0]["excluded"] == "yes"
    assert reporting[1]["excluded"] == ""
    assert reporting[0]["start"] == "2026-02-04T00:00:00Z"
    if method == REGRESSION:
        assert rows[5]["energy_j"] == ""
        saved = sum(float(row["predicted_j"]) - float(row["energy_j"]) for row in reporting if not row["excluded"])
        assert saved == pytest.approx(one["result"]["saving_j"], rel=1e-8)


def test_a_test_without_data_is_a_record_too():
    one = made(SWITCHBACK)
    nothing = np.full(M, math.nan)
    empty = data_of(Intervals(START_US + N * HOUR_US, 3600, nothing, nothing), SOURCE)
    lost = conclude(one["commitment"], empty, (), 1)
    assert (lost["state"], lost["result"]["saving_j"], lost["result"]["low_j"]) == ("INSUFFICIENT_DATA", None, None)
    assert not verify(json.loads(canonical(lost)))
