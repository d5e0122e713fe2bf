"""The commands as a person or a script meets them."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import typer
from eil_cli import audit_command, levers, lifecycle, loop, tokens, verification
from eil_cli.board import AlreadyRunning, sole_supervisor
from eil_cli.endpoint import Endpoint
from eil_cli.lifecycle import _duration
from eil_cli.main import build
from eil_cli.terminal import Failure
from eil_cli.tokens import duration_s
from eil_gateway.keys import ensure_keys
from eil_mesh.clock import ManualClock
from eil_mesh.identity import TokenVerifier
from eil_mesh.store import Store
from typer.testing import CliRunner, Result

Answers = dict[tuple[str, str], tuple[int, dict[str, Any]]]

PREDICTED = {"energy": 3200.125, "entropy": 10.5, "energy_low": 3000.0, "energy_high": 3400.0}
DECISION = {
    "request": {"source": "dc/01"},
    "response": {"predicted_state": PREDICTED},
    "window_start": "2026-01-01T00:00:00Z",
    "window_end": "2026-01-01T00:05:00Z",
}
VERDICT = {
    "valid": True,
    "energy_error": 0.04,
    "entropy_error": 0.27,
    "pft_minted": 12.5,
    "confidence_score": 0.96,
    "evidence": "measured",
    "checks": {"energy": True, "entropy": False, "feasibility": False, "untested": ["feasibility"]},
    "measured_energy": 3198.7,
}


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    app = typer.Typer()
    modules = (lifecycle, tokens, loop, levers, verification, audit_command)
    for register in (module.register for module in modules):
        register(app)
    return app


@pytest.fixture
def eil(app: typer.Typer, tmp_path: Path) -> Callable[..., Result]:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env={"EIL_STATE": str(tmp_path), "COLUMNS": "200"})

    return run


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[tuple[Answers, list[tuple[str, str, Any]]]]:
    """A gateway that gives fixed answers and remembers what it was asked."""
    answers: Answers = {}
    asked: list[tuple[str, str, Any]] = []

    class Gateway(BaseHTTPRequestHandler):
        def answer(self) -> None:
            url = urlsplit(self.path)
            length = int(self.headers.get("content-length", 0))
            given = json.loads(self.rfile.read(length)) if length else parse_qs(url.query)
            asked.append((self.command, url.path, given))
            status, body = answers[self.command, url.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: object) -> None:
            return

        do_GET = do_POST = do_PUT = answer  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    Endpoint(url=url, grpc="", ca="", admin_token="t", metrics={}, pid=1).save(tmp_path)
    yield answers, asked
    server.shutdown()
    server.server_close()


Mesh = tuple[Answers, list[tuple[str, str, Any]]]


def test_sense_sends_numbers_labels_and_the_time(eil: Callable[..., Result], mesh: Mesh) -> None:
    answers, asked = mesh
    answers["POST", "/v1/sense"] = (200, {"status": "accepted", "energy_state": {"total_energy": 51030.0}})
    before = datetime.now(UTC).replace(microsecond=0)

    result = eil("sense", "dc-01", "power_draw=850.5", "cpu_usage=0.75", "--context", "power_kind=mean")

    assert result.exit_code == 0
    assert "accepted" in result.stdout
    assert "51,030.0" in result.stdout
    body = asked[0][2]
    assert body["telemetry"] == {"power_draw": 850.5, "cpu_usage": 0.75}
    assert body["context"] == {"power_kind": "mean"}
    assert before <= datetime.fromisoformat(body["timestamp"]) <= datetime.now(UTC)


def test_json_is_the_answer_alone(eil: Callable[..., Result], mesh: Mesh) -> None:
    answers, _ = mesh
    answers["POST", "/v1/sense"] = (200, {"status": "duplicate"})

    result = eil("sense", "dc-01", "power_draw=1", "--json")

    assert json.loads(result.stdout) == {"status": "duplicate"}


@pytest.mark.parametrize("channel", ["power_draw", "power_draw=", "=3", "power_draw=much"])
def test_a_malformed_channel_is_refused_before_anything_is_sent(
    eil: Callable[..., Result], mesh: Mesh, channel: str
) -> None:
    result = eil("sense", "dc-01", channel)

    assert result.exit_code == 1
    assert "error:" in result.stderr
    assert mesh[1] == []


def test_a_channel_given_twice_is_refused(eil: Callable[..., Result], mesh: Mesh) -> None:
    assert "given twice" in eil("sense", "dc-01", "a=1", "a=2").stderr


def test_act_asks_with_the_public_names(eil: Callable[..., Result], mesh: Mesh) -> None:
    answers, asked = mesh
    crac = {"lever": "crac", "value": 24.0, "change": 1.0}
    action = {"type": "scale_down", "target_servers": 10, "expected_energy_savings": 234.5, "settings": [crac]}
    alternative = {"target_servers": 12, "energy": 3300.0, "reason": "costs more", "settings": {"crac": 23.0}}
    answers["POST", "/v1/act"] = (
        200,
        {"action": action, "prediction_id": "pred_1", "predicted_state": PREDICTED, "alternatives": [alternative]},
    )

    result = eil(
        "act",
        "--source",
        "dc-01",
        "--servers",
        "12",
        "--utilization",
        "0.68",
        "--max-latency-ms",
        "100",
        "--horizon-s",
        "60",
        "--set",
        "crac=23",
        "--price",
        "0.3",
        "--price",
        "0.1",
    )

    assert result.exit_code == 0
    body = asked[0][2]
    state = {"active_servers": 12, "avg_utilization": 0.68, "settings": {"crac": 23.0}}
    assert body["current_state"] == state
    assert body["price_per_kwh"] == [0.3, 0.1]
    limits = {"max_latency_ms": 100.0, "min_throughput": 0.0, "max_power_w": 0.0, "max_temperature_c": 0.0}
    assert body["constraints"] == limits
    assert (body["goal"], body["source"], body["horizon_s"]) == ("minimize_energy", "dc-01", 60.0)
    for part in (
        "scale_down to 10 servers",
        "3,200.1",
        "eil proof pred_1",
        "costs more",
        "24 (+1)",
        "12 servers, crac 23",
    ):
        assert part in result.stdout


def test_levers_are_declared_from_a_file_and_shown(eil: Callable[..., Result], mesh: Mesh, tmp_path: Path) -> None:
    answers, asked = mesh
    crac = {"name": "crac", "kind": "cooling", "low": 18.0, "high": 27.0, "step": 0.5}
    answers["PUT", "/v1/levers/dc-01"] = (200, {"source": "dc-01", "levers": [crac]})
    answers["GET", "/v1/levers/dc-01"] = (200, {"source": "dc-01", "levers": []})
    file = tmp_path / "levers.json"
    file.write_text(json.dumps([crac]))

    declared = eil("levers", "dc-01", "--declare", str(file))

    assert asked[0][2] == {"levers": [crac]}
    assert "cooling" in declared.stdout
    assert "declares no lever" in eil("levers", "dc-01").stdout
    file.write_text("nonsense")
    wrong = eil("levers", "dc-01", "--declare", str(file))
    assert wrong.exit_code == 1
    assert "no JSON list of levers" in wrong.stderr


def test_proof_echoes_the_committed_state_and_takes_the_measured_one(eil: Callable[..., Result], mesh: Mesh) -> None:
    answers, asked = mesh
    answers["GET", "/v1/decisions/pred_1"] = (200, {"decision": DECISION})
    answers["GET", "/v1/regime/measure"] = (200, {"energy": 3198.7, "entropy": 10.4})
    answers["POST", "/v1/proof"] = (200, VERDICT)

    result = eil("proof", "pred_1")

    assert result.exit_code == 0
    window = {"source": ["dc/01"], "start": ["2026-01-01T00:00:00Z"], "end": ["2026-01-01T00:05:00Z"]}
    assert asked[1][2] == window
    assert asked[2][2]["predicted_state"] == {"energy": 3200.125, "entropy": 10.5}
    assert asked[2][2]["actual_state"] == {"energy": 3198.7, "entropy": 10.4}
    for part in ("valid", "12.5 PFT", "energy ✓", "entropy ✗", "feasibility untested"):
        assert part in result.stdout


def test_proof_takes_the_callers_own_meter(eil: Callable[..., Result], mesh: Mesh) -> None:
    answers, asked = mesh
    answers["GET", "/v1/decisions/pred_1"] = (200, {"decision": {**DECISION, "request": {}}})
    answers["POST", "/v1/proof"] = (200, VERDICT)

    assert "--energy and --entropy" in eil("proof", "pred_1", "--energy", "3000").stderr
    assert eil("proof", "pred_1", "--energy", "3000", "--entropy", "9").exit_code == 0

    assert asked[-1][2]["actual_state"] == {"energy": 3000.0, "entropy": 9.0}


def test_a_refusal_is_printed_with_its_reason_and_exits_with_1(eil: Callable[..., Result], mesh: Mesh) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "PREDICTION_UNKNOWN"}
    mesh[0]["GET", "/v1/decisions/pred_9"] = (404, {"code": 5, "message": "no such prediction", "details": [info]})

    result = eil("proof", "pred_9", "--json")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "no such prediction [PREDICTION_UNKNOWN]" in result.stderr


def test_without_a_mesh_the_exit_code_is_3(eil: Callable[..., Result]) -> None:
    result = eil("sense", "dc-01", "power_draw=1")

    assert result.exit_code == 3
    assert "eil up --detach" in result.stderr


def test_a_token_is_all_of_stdout_and_is_accepted_by_services(eil: Callable[..., Result], tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path)

    result = eil("token", "-r", "viewer", "-r", "agent", "--tenant", "demo", "--subject", "meter-7", "--ttl", "15m")

    assert result.exit_code == 0
    principal = TokenVerifier(keys.jwks, "eil", "eil", now_s=time.time).verify(result.stdout.strip())
    assert (principal.subject, principal.tenant, principal.roles) == ("meter-7", "demo", {"viewer", "agent"})


@pytest.mark.parametrize("arguments", [("-r", "emperor"), ("-r", "viewer", "--ttl", "soon"), ("-r", "viewer")])
def test_a_token_that_cannot_be_made_says_why(
    eil: Callable[..., Result], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    if arguments != ("-r", "viewer"):
        ensure_keys(tmp_path)

    result = eil("token", *arguments)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "error:" in result.stderr


def test_durations_have_units() -> None:
    assert [duration_s(text) for text in ("90s", "1.5m", "12h", "30d")] == [90.0, 90.0, 43200.0, 2592000.0]
    for text in ("12", "-1h", "0s", "1w", ""):
        with pytest.raises(Failure, match="duration"):
            duration_s(text)
    assert [_duration(seconds) for seconds in (59.9, 61.0, 3661.0)] == ["59 s", "1 min 01 s", "1 h 01 min"]


def test_status_and_down_without_a_mesh(eil: Callable[..., Result]) -> None:
    assert eil("status").exit_code == 3
    as_json = eil("status", "--json")
    assert as_json.exit_code == 3
    assert json.loads(as_json.stdout)["running"] is False
    assert eil("down").exit_code == 0


def test_audit_verify_exits_with_1_when_something_does_not_hold(eil: Callable[..., Result], tmp_path: Path) -> None:
    assert eil("audit", "verify").exit_code == 1
    Store(tmp_path / "regime.db", "", ManualClock(), durable=False).close()

    assert eil("audit", "verify").exit_code == 0
    assert json.loads(eil("audit", "verify", "--json").stdout)["holds"] is True
    (tmp_path / "atlas.db").write_bytes(b"nothing of a database" * 400)
    broken = eil("audit", "verify")
    assert broken.exit_code == 1
    assert "atlas/0" in broken.stdout
    assert json.loads(eil("audit", "verify", "--json").stdout)["holds"] is False


def test_up_refuses_a_folder_that_others_may_enter(eil: Callable[..., Result], tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    (open_to_all / "thesis.txt").write_text("mine")
    open_to_all.chmod(0o755)

    result = eil("up", "--detach", "--state", str(open_to_all))

    assert result.exit_code == 1
    assert "chmod 700" in result.stderr
    assert open_to_all.stat().st_mode & 0o777 == 0o755


def test_a_second_supervisor_is_refused_by_the_lock_alone(eil: Callable[..., Result], tmp_path: Path) -> None:
    """Before the first has written its board."""
    tmp_path.chmod(0o700)
    with sole_supervisor(tmp_path):
        with pytest.raises(AlreadyRunning), sole_supervisor(tmp_path):
            pass
        result = eil("up")

    assert result.exit_code == 3
    assert "runs already" in result.stderr


def test_the_whole_command_teaches() -> None:
    def run(*arguments: str) -> Result:
        return CliRunner().invoke(build(), list(arguments), env={"COLUMNS": "120"})

    helped = run("--help")
    assert helped.exit_code == 0
    for part in ("First steps", "eil up --detach", "eil audit verify", "sense", "proof", "status"):
        assert part in helped.stdout
    assert run("--version").stdout.startswith("eil ")
    assert run("nonsense").exit_code == 2
    assert run("act", "--servers", "0").exit_code == 2


def test_an_expected_error_of_any_command_is_no_traceback(tmp_path: Path) -> None:
    code = (
        "import eil_cli.main as m\nfrom eil_cli.door import DoorError\nimport typer\n"
        "app = typer.Typer()\n"
        "def broken(): raise DoorError(0, 'UNREACHABLE', 'nobody answers')\n"
        "app.command()(broken)\nm.build = lambda: app\nm.main()"
    )

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)

    assert ended.returncode == 3
    assert ended.stderr == "error: nobody answers [UNREACHABLE]\n"


def test_help_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom eil_cli.main import build\nbuild()\n"
        "print([name for name in ('grpc', 'httpx', 'numpy', 'torch', 'cryptography', 'pydantic') if name in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)

    assert loaded.stdout.strip() == "[]"
