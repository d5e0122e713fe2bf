"""`eil proof verify` on files, and `eil verification` through a door that answers."""

import json

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eil_cli import verification
from eil_cli.bench.proof_alterations import honest_record
from eil_proof.signing import check, signed
from typer.testing import CliRunner

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
FOUND = {
    "verification_id": "ver_1",
    "source": "rack",
    "state": "PROVEN",
    "reason": "above zero",
    "saving": {"saving": 1e6, "saving_low": 5e5, "saving_high": 1.5e6},
    "on_first": [True, False],
}


@pytest.fixture(scope="module")
def app():
    app = typer.Typer()
    verification.register(app)
    return app


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("record") / "record.json"
    path.write_text(signed(honest_record(), KEY), encoding="utf-8")
    return path


@pytest.fixture
def asked(monkeypatch):
    """What was asked of the mesh."""
    calls = []

    def call(state, token, method, path, body=None, *, params=None):
        calls.append((method, path, body, params))
        if path.endswith(":export"):
            return {"record": "{}", "csv": "a,b\n"}
        return {"verifications": [FOUND]} if method == "GET" else {"verification": FOUND}

    monkeypatch.setattr(verification, "call", call)
    return calls


def test_a_record_that_holds(app, file):
    done = CliRunner().invoke(app, ["proof", "verify", str(file)])
    assert done.exit_code == 0, done.output
    assert "holds" in done.output
    assert "names" in done.output, "the key is the file's own word"
    public = check(file.read_bytes()).public_key
    again = CliRunner().invoke(app, ["proof", "verify", str(file), "--public-key", public])
    assert again.exit_code == 0
    assert "names" not in again.output


def test_a_record_that_does_not_hold_says_where(app, file, tmp_path):
    envelope = json.loads(file.read_text())
    envelope["record"]["result"]["saving_j"] *= 2
    altered = tmp_path / "altered.json"
    altered.write_text(json.dumps(envelope))
    done = CliRunner().invoke(app, ["proof", "verify", str(altered)])
    assert done.exit_code == 1
    assert "result.saving_j" in done.output
    as_json = CliRunner().invoke(app, ["proof", "verify", str(altered), "--json", "--public-key", "00" * 32])
    assert as_json.exit_code == 1
    found = json.loads(as_json.output)
    assert not found["holds"]
    assert any("another key" in problem for problem in found["problems"])


def test_a_prediction_is_the_default(app, monkeypatch):
    done = CliRunner().invoke(app, ["proof", "pred_1", "--state", "/nowhere"])
    assert done.exit_code == 3, "it looks for a mesh"
    assert "endpoint.json" in done.output


def test_begin_sends_what_it_was_given(app, asked):
    arguments = ["--boundary", "feeder", "--driver", "request_rate", "--intervals", "168"]
    window = ["--baseline-start", "2026-01-01T00:00:00Z", "--baseline-end", "2026-03-01T00:00:00+01:00"]
    done = CliRunner().invoke(app, ["verification", "begin", "rack", *arguments, *window])
    assert done.exit_code == 0, done.output
    method, path, body, _ = asked[0]
    assert (method, path) == ("POST", "/v1/verifications")
    assert (body["model"], body["reporting_intervals"], body["ipmvp_option"]) == ("change_point", 168, "B")
    assert "ver_1" in done.output
    assert "PROVEN" in done.output


def test_begin_of_a_switchback(app, asked):
    done = CliRunner().invoke(app, ["verification", "begin", "rack", "--boundary", "f", "--switchback", "7,24,1"])
    assert done.exit_code == 0, done.output
    body = asked[0][2]
    assert (body["pairs"], body["block_intervals"], body["washout_intervals"]) == (7, 24, 1)
    assert "model" not in body


@pytest.mark.parametrize(
    "arguments",
    [
        ["--switchback", "7,24"],
        ["--baseline-start", "yesterday"],
        ["--baseline-start", "2026-01-01T00:00:00", "--baseline-end", "2026-01-01T00:00:00Z"],
    ],
)
def test_what_cannot_be_read_is_not_sent(app, asked, arguments):
    done = CliRunner().invoke(app, ["verification", "begin", "rack", "--boundary", "f", *arguments])
    assert done.exit_code == 1
    assert not asked


def test_evaluate_export_and_list(app, asked, tmp_path):
    assert "1e+06" in CliRunner().invoke(app, ["verification", "evaluate", "ver/1"]).output
    assert asked[-1][1] == "/v1/verifications/ver%2F1:evaluate"
    record, csv = tmp_path / "r.json", tmp_path / "r.csv"
    done = CliRunner().invoke(app, ["verification", "export", "ver_1", str(record), "--csv", str(csv)])
    assert done.exit_code == 0, done.output
    assert (record.read_text(), csv.read_text()) == ("{}", "a,b\n")
    listed = CliRunner().invoke(app, ["verification", "list", "--source", "rack"])
    assert "ver_1" in listed.output
    assert asked[-1][3] == {"source": "rack"}
    failed = CliRunner().invoke(app, ["verification", "export", "ver_1", str(tmp_path / "no" / "r.json")])
    assert failed.exit_code == 1
