"""The view of a mesh: what is collected, how it is drawn, which lines it makes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from eil_cli.door import NOT_REACHED, DoorError
from eil_cli.feeds.times import rfc3339
from eil_cli.watch import follow
from eil_cli.watch_screen import events, joules, screen, sparkline, watts
from eil_cli.watch_state import Snapshot, Watcher
from rich.console import Console

NOW_S = 1_800_000_000.0


def pred(number: int) -> str:
    return f"pred_{number:024d}"


def status(
    name: str, *, power: float = 720.0, regime: str = "stable", clock_s: float = NOW_S, method: str = "SIMULATED"
):
    return {
        "source": name,
        "kind": "simulated",
        "samples": "12345",
        "shifts": "3",
        "energy_state": {
            "total_energy": 43210.5 if method else 0.0,
            "entropy": 146.2,
            "entropy_method": "ambient_ratio",
            "regime": regime,
            "regime_id": "r4",
            "window_s": 60.0,
            "power": power,
            "power_method": method,
            "time": rfc3339(clock_s),
        },
        "regime_prediction": {"current": regime, "next_likely": "drifting", "confidence": 0.94, "reason": "power rose"},
    }


def decision(number: int):
    return {
        "request": {"source": "datacenter-01", "current_state": {"active_servers": 12, "avg_utilization": 0.4}},
        "response": {
            "prediction_id": pred(number),
            "action": {"type": "scale_down", "target_servers": 10, "expected_energy_savings": 1234.5},
            "predicted_state": {"energy": 9876.5, "entropy": 33.0},
            "horizon_s": 15.0,
            "mode": "auto",
        },
        "committed": rfc3339(NOW_S - 100.0 + 15.0 * number),
        "window_end": rfc3339(NOW_S - 85.0 + 15.0 * number),
    }


def verdict(number: int, *, valid: bool = True, evidence: str = "measured"):
    return {
        "response": {
            "prediction_id": pred(number),
            "valid": valid,
            "energy_error": 0.84,
            "entropy_error": 0.9,
            "pft_minted": 12.5 if valid else 0.0,
            "evidence": evidence,
            "measured_energy": 9960.0,
            "reason": "it beat persistence",
        },
        "settled_by_mesh": False,
    }


class FakeTenant:
    """Answers GETs from a table."""

    def __init__(self, *sources, decisions=(), verdicts=(), balances=()):
        self.sources = list(sources)
        self.answers = {
            "/v1/decisions": {"decisions": list(decisions)},
            "/v1/proofs": {"verdicts": list(verdicts)},
            "/v1/economy/balances": {"balances": list(balances)},
            "/v1/regime/history": {"columns": [{"name": "power_draw", "values": [700.0, "NaN", 710.0, 705.0]}]},
            "/v1/health": {"status": "SERVING"},
        }
        self.down: set[str] = set()

    def call(self, method, path, body: Any = None, *, params: Any = None) -> Any:
        assert method == "GET"
        if path in self.down:
            raise DoorError(503, "UNAVAILABLE", "the service restarts")
        return {"sources": self.sources} if path == "/v1/regime/status" else self.answers[path]


def balance(owner: str, token: str, amount: float):
    return {"owner": owner, "token": token, "balance_u": str(round(amount * 1e6)), "reserved_u": "0", "balance": amount}


def demo() -> FakeTenant:
    return FakeTenant(
        status("datacenter-01"),
        decisions=[decision(6), decision(5), decision(4)],
        verdicts=[verdict(5), verdict(4, valid=False)],
        balances=[
            balance("@issuance", "PFT", -262.5),
            balance("fleet:datacenter-01", "PFT", 250.0),
            balance("treasury", "PFT", 12.5),
            balance("treasury", "CEU", 1000.0),
        ],
    )


def watcher_of(**tenants) -> Watcher:
    return Watcher("https://127.0.0.1:8443", tenants, now_s=lambda: NOW_S)


def text_of(snapshot: Snapshot, width: int, tmp_path: Path) -> str:
    with (tmp_path / "screen").open("w") as sink:
        console = Console(record=True, width=width, file=sink, force_terminal=True)
        console.print(screen(snapshot, width=width, token_command="eil token --role operator", footer="Ctrl-C stops"))
    return console.export_text()


def everything() -> Snapshot:
    host = FakeTenant(
        status("host-rack7", power=31.4, method="MODELLED", regime="transition"),
        status("replay/ec2_cpu_utilization-1a2b3c4d", method=""),
    )
    return watcher_of(default=host, demo=demo()).collect()


def test_a_snapshot_joins_actions_with_their_verdicts():
    snapshot = everything()
    assert [action.prediction_id for action in snapshot.actions] == [
        pred(6),
        pred(5),
        pred(4),
    ]
    newest, proven, refuted = snapshot.actions
    assert newest.verdict is None
    assert proven.verdict is not None
    assert proven.verdict.pft == 12.5
    assert refuted.verdict is not None
    assert not refuted.verdict.valid
    assert snapshot.proven == proven
    assert snapshot.healthy
    assert snapshot.trouble == ()


def test_balances_leave_out_where_tokens_come_from():
    assert everything().balances == {
        "default": {"CEU": 0.0, "PFT": 0.0, "MUNT": 0.0},
        "demo": {"CEU": 1000.0, "PFT": 262.5, "MUNT": 0.0},
    }


def test_the_trace_is_seeded_by_history_and_grows_with_the_clock():
    tenant = FakeTenant(status("a", power=1.0))
    watcher = watcher_of(demo=tenant)
    assert watcher.collect().sources[0].trace_w == (700.0, 710.0, 705.0)
    assert watcher.collect().sources[0].trace_w == (700.0, 710.0, 705.0)
    tenant.sources = [status("a", power=2.0, clock_s=NOW_S + 1.0)]
    assert watcher.collect().sources[0].trace_w == (700.0, 710.0, 705.0, 2.0)


def test_an_unreachable_service_keeps_its_last_answer_and_is_named():
    tenant = demo()
    watcher = watcher_of(demo=tenant)
    before = watcher.collect()
    tenant.down = {"/v1/regime/status", "/v1/health"}
    after = watcher.collect()
    assert after.sources == before.sources
    assert not after.healthy
    assert any("/v1/regime/status: UNAVAILABLE" in text for text in after.trouble)


def test_self_reported_verdicts_prove_nothing():
    tenant = demo()
    tenant.answers["/v1/proofs"] = {"verdicts": [verdict(5, evidence="self_reported")]}
    assert watcher_of(demo=tenant).collect().proven is None


@pytest.mark.parametrize("width", [80, 100, 120, 140, 160])
def test_the_screen_fits_and_tells_the_whole_loop(width, tmp_path):
    text = text_of(everything(), width, tmp_path)
    lines = text.splitlines()
    assert max(map(len, lines)) <= width
    for expected in ("https://127.0.0.1:8443", "eil token --role operator", "Ctrl-C stops", "● healthy"):
        assert expected in text
    if width >= 100:
        fleet = next(line for line in lines if "demo/datacenter-01" in line)
        for expected in ("720 W", "simulated", "43.2 kJ", "146.2 J/K", "stable r4", "drifting 94%"):
            assert expected in fleet
        host = next(line for line in lines if "default/host-rack7" in line)
        assert "estimated" in host
        assert "transition" in host
        recorded = next(line for line in lines if "default/replay" in line)
        assert "unknown" in recorded
        proven = next(line for line in lines if "valid" in line and "12.50" in line)
        for expected in ("scale down 12→10", "1.2 kJ", "9.9 kJ", "10.0 kJ", "0.8 %"):
            assert expected in proven
        assert any("not valid" in line for line in lines)
        assert any("measuring" in line for line in lines)
        assert "262.50 PFT" in text
    if width >= 140:
        assert pred(5) in text


def test_an_empty_mesh_says_what_to_do(tmp_path):
    text = text_of(watcher_of(demo=FakeTenant()).collect(), 100, tmp_path)
    assert "eil fleet" in text
    assert max(map(len, text.splitlines())) <= 100


def test_trouble_is_shown(tmp_path):
    snapshot = replace(everything(), healthy=False, trouble=("/v1/proofs: UNAVAILABLE: " + "x" * 200,))
    text = text_of(snapshot, 100, tmp_path)
    assert "● not healthy" in text
    assert "trouble  /v1/proofs" in text
    assert max(map(len, text.splitlines())) <= 100


def test_event_lines_tell_each_change_once():
    tenant = demo()
    watcher = watcher_of(demo=tenant)
    first = watcher.collect()
    lines = events(None, first)
    assert sum(line.startswith("action") for line in lines) == 3
    assert sum(line.startswith("proof") for line in lines) == 2
    assert lines.index(next(line for line in lines if pred(4) in line)) < lines.index(
        next(line for line in lines if pred(6) in line)
    )
    assert events(first, watcher.collect()) == []
    tenant.sources = [status("datacenter-01", regime="critical")]
    tenant.answers["/v1/proofs"] = {"verdicts": [verdict(6), verdict(5), verdict(4)]}
    lines = events(first, watcher.collect())
    assert len(lines) == 2
    assert "stable r4 → critical r4; power rose" in lines[0]
    assert "valid, measured 10.0 kJ, energy error 0.84 %, 12.5 PFT" in lines[1]
    tenant.down = {"/v1/health"}
    lines = events(first, watcher.collect())
    assert any("NOT healthy" in line for line in lines)


class FakeWatcher(Watcher):
    """Yields given snapshots, the last one for ever."""

    def __init__(self, *snapshots: Snapshot) -> None:
        self._left = list(snapshots)

    def collect(self) -> Snapshot:
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]


class FakeTime:
    now_s = 0.0

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def test_following_ends_with_the_first_new_proof():
    unproven, proven = Snapshot(NOW_S, "u"), everything()
    shown: list[Snapshot] = []
    time = FakeTime()
    watcher = FakeWatcher(unproven, unproven, proven)
    assert follow(watcher, shown.append, until_proven=True, clock_s=time.clock, sleep=time.sleep)
    assert len(shown) == 3
    old = follow(
        FakeWatcher(proven),
        shown.append,
        until_proven=True,
        timeout_s=5.0,
        since_s=NOW_S,
        clock_s=time.clock,
        sleep=time.sleep,
    )
    assert not old


def test_following_ends_at_the_timeout_and_at_ctrl_c():
    time = FakeTime()
    shown: list[Snapshot] = []
    assert not follow(
        FakeWatcher(Snapshot(0.0, "u")), shown.append, timeout_s=10.0, clock_s=time.clock, sleep=time.sleep
    )
    assert len(shown) == 11

    def interrupt(snapshot: Snapshot) -> None:
        raise KeyboardInterrupt

    assert not follow(FakeWatcher(Snapshot(0.0, "u")), interrupt)


def test_sparklines_show_shape_and_not_noise():
    assert sparkline([1.0, 2.0, 3.0, 8.0], 10) == "▁▂▃█"
    assert sparkline([100.0, 100.5, 99.8], 10) == "▄▄▄"
    assert sparkline([0.0, 0.0], 10) == "▄▄"
    assert sparkline(list(range(100)), 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([], 8) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0.0 J"), (-15.04, "-15.0 J"), (999.96, "1.0 kJ"), (43210.0, "43.2 kJ"), (3.6e9, "3.6 GJ")],
)
def test_energies_are_readable(value, text):
    assert joules(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (3.14159, "3.14 W"), (850.5, "850 W"), (12_345.0, "12.3 kW"), (1.2e6, "1,200.0 kW")],
)
def test_powers_are_readable(value, text):
    assert watts(value) == text


def test_a_mesh_that_is_not_there_is_trouble_not_an_exception():
    class Nobody:
        def call(self, method, path, body: Any = None, *, params: Any = None) -> Any:
            raise DoorError(NOT_REACHED, "UNREACHABLE", "nobody answers")

    snapshot = Watcher("https://127.0.0.1:1", {"demo": Nobody()}, now_s=lambda: NOW_S).collect()
    assert not snapshot.healthy
    assert snapshot.balances is None
    json.dumps(snapshot.trouble)
