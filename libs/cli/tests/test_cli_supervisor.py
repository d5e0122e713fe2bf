"""A whole set of processes: order, board, failure, and a supervisor that is killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from eil_cli.board import AlreadyRunning, Board, ChildRecord, end_stale, running, sole_supervisor
from eil_cli.launch import StartFailed, launch, stop
from eil_cli.process import Spec
from eil_cli.supervisor import Supervisor

NOTE_ENDS = """
import os, signal, sys, time
def end(number, frame):
    with open('ends', 'a') as file: file.write(sys.argv[1] + ' ')
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
with open('starts', 'a') as file: file.write(sys.argv[1] + ' ')
open(sys.argv[1] + '.up', 'w').close()
time.sleep(600)
"""

SUPERVISOR = '''
"""A supervisor of fake processes: python THIS STATE NAME=CODE …; a process is healthy once NAME.up exists."""
import asyncio, os, signal, sys
from pathlib import Path
from eil_cli.board import end_stale, sole_supervisor
from eil_cli.process import Backoff, Spec
from eil_cli.supervisor import Supervisor

state = Path(sys.argv[1])

def spec(text):
    name, _, code = text.partition("=")
    async def probe():
        return (state / f"{name}.up").exists()
    return Spec(name, (sys.executable, "-c", code, name), probe)

async def main():
    with sole_supervisor(state):
        end_stale(state, 0.3)
        supervisor = Supervisor(state, [spec(text) for text in sys.argv[2:]], print, backoff=lambda: Backoff(0.01))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
        await supervisor.run(lambda: None)

asyncio.run(main())
'''


def spec(state: Path, name: str, *, after_others: bool = False) -> Spec:
    async def probe() -> bool:
        return (state / f"{name}.up").exists()

    return Spec(name, (sys.executable, "-c", NOTE_ENDS, name), probe, after_others=after_others)


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


@pytest.fixture
def fake(tmp_path: Path) -> Callable[..., list[str]]:
    script = tmp_path / "supervisor.py"
    script.write_text(SUPERVISOR)

    def command(state: Path, **codes: str) -> list[str]:
        return [sys.executable, str(script), str(state), *(f"{name}={code}" for name, code in codes.items())]

    return command


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


async def test_start_health_board_and_reverse_end(state: Path) -> None:
    specs = [spec(state, "regime"), spec(state, "atlas"), spec(state, "gateway", after_others=True)]
    supervisor = Supervisor(state, specs, lambda _line: None)
    calls: list[Board | None] = []

    def ready() -> None:
        calls.append(running(state))
        supervisor.stop()

    await supervisor.run(ready)

    assert len(calls) == 1
    assert calls[0]
    assert calls[0].pid == os.getpid()
    assert all(record.healthy and record.restarts == 0 for record in calls[0].children.values())
    assert (state / "starts").read_text().split()[-1] == "gateway"
    assert (state / "ends").read_text().split() == ["gateway", "atlas", "regime"]
    board = Board.load(state)
    assert board
    assert board.phase == "stopping"
    assert [record.pid for record in board.children.values()] == [None, None, None]


async def test_an_end_asked_for_before_health_is_an_end(state: Path) -> None:
    async def never() -> bool:
        return False

    specs = [Spec("slow", (sys.executable, "-c", NOTE_ENDS, "slow"), never)]
    supervisor = Supervisor(state, specs, lambda _line: None)
    running_ = asyncio.create_task(supervisor.run(lambda: pytest.fail("it never was ready")))
    await asyncio.to_thread(until, (state / "slow.up").exists)

    supervisor.stop()
    await running_

    assert (state / "ends").read_text().split() == ["slow"]


async def test_a_failure_when_ready_stops_everything(state: Path) -> None:
    def ready() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await Supervisor(state, [spec(state, "regime")], lambda _line: None).run(ready)

    assert (state / "ends").read_text().split() == ["regime"]


async def test_a_failing_probe_is_not_mistaken_for_ill_health(state: Path) -> None:
    async def broken() -> bool:
        raise ValueError("a bug")

    specs = [Spec("regime", (sys.executable, "-c", NOTE_ENDS, "regime"), broken)]

    with pytest.raises(ValueError, match="a bug"):
        await Supervisor(state, specs, lambda _line: None).run(lambda: None)


def test_one_supervisor_a_folder(state: Path) -> None:
    with sole_supervisor(state), pytest.raises(AlreadyRunning, match="eil down"), sole_supervisor(state):
        pass
    with sole_supervisor(state):
        pass


def test_launch_returns_when_all_are_healthy_and_stop_is_idempotent(
    state: Path, fake: Callable[..., list[str]]
) -> None:
    told: list[str] = []

    launch(state, fake(state, a=NOTE_ENDS, b=NOTE_ENDS), 20.0, lambda name, _record: told.append(name))
    board = running(state)

    assert board
    assert board.phase == "ready"
    assert sorted(told) == ["a", "b"]
    assert os.getsid(board.pid) == board.pid
    assert stop(state)
    assert not stop(state)
    assert running(state) is None
    assert (state / "ends").read_text().split() == ["b", "a"]


def test_a_start_that_fails_shows_the_log_and_leaves_nothing(state: Path, fake: Callable[..., list[str]]) -> None:
    command = fake(state, a=NOTE_ENDS, b="print('no key'); raise SystemExit(2)")

    with pytest.raises(StartFailed, match="b ended with exit code 2") as caught:
        launch(state, command, 20.0, lambda _name, _record: None)

    assert caught.value.logs[state / "logs" / "b.log"][-1] == "no key"
    assert (state / "ends").read_text().split() == ["a"]
    assert running(state) is None


def test_a_start_that_takes_too_long_names_what_was_not_healthy(state: Path, fake: Callable[..., list[str]]) -> None:
    with pytest.raises(StartFailed, match="did not become healthy in 1 s"):
        launch(state, fake(state, a="import time; time.sleep(600)"), 1.0, lambda _name, _record: None)
    assert running(state) is None


def test_a_supervisor_that_cannot_start_shows_its_log(state: Path) -> None:
    with pytest.raises(StartFailed, match="the supervisor ended with exit code 1") as caught:
        launch(state, [sys.executable, "-c", "raise SystemExit('no keys')"], 20.0, lambda _name, _record: None)

    assert caught.value.logs[state / "logs" / "supervisor.log"] == ["no keys"]


def test_children_end_with_a_killed_supervisor(state: Path, fake: Callable[..., list[str]]) -> None:
    launch(state, fake(state, a=NOTE_ENDS), 20.0, lambda _name, _record: None)
    board = running(state)
    assert board
    pid = board.children["a"].pid
    assert pid

    os.kill(board.pid, signal.SIGKILL)

    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert (state / "ends").read_text().split() == ["a"], "it drained, by SIGTERM"
    assert running(state) is None


def test_what_outlives_a_killed_supervisor_is_ended_by_the_next(state: Path, fake: Callable[..., list[str]]) -> None:
    stubborn = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); open('a.up', 'w'); time.sleep(600)"
    launch(state, fake(state, a=stubborn), 20.0, lambda _name, _record: None)
    board = running(state)
    assert board
    first = board.children["a"].pid
    assert first
    os.kill(board.pid, signal.SIGKILL)
    until(lambda: running(state) is None)
    assert psutil.Process(first).status() != psutil.STATUS_ZOMBIE

    (state / "a.up").unlink()
    launch(state, fake(state, a=NOTE_ENDS), 20.0, lambda _name, _record: None)

    assert not psutil.pid_exists(first) or psutil.Process(first).status() == psutil.STATUS_ZOMBIE
    assert stop(state)


@pytest.mark.parametrize(("own_folder", "own_command", "ended"), [(1, 1, True), (0, 1, False), (1, 0, False)])
def test_only_a_process_of_that_command_and_folder_is_ended(
    state: Path, tmp_path: Path, own_folder: int, own_command: int, ended: bool
) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    other = (sys.executable, "-c", "import time; time.sleep(601)")
    process = subprocess.Popen(command, cwd=state if own_folder else tmp_path)
    try:
        until(lambda: psutil.Process(process.pid).cmdline()[1:] == list(command[1:]))
        record = ChildRecord(
            pid=process.pid,
            command=command if own_command else other,
            started_s=0.0,
            restarts=0,
            healthy=True,
            healthy_after_s=1.0,
            last_exit=None,
        )
        Board(pid=2**22, command=("gone",), phase="ready", started_s=0.0, children={"a": record}).save(state)

        assert end_stale(state, 5.0) == (["a"] if ended else [])
        assert (process.poll() == -signal.SIGTERM) is ended
    finally:
        process.kill()
        process.wait()


def test_a_recycled_process_id_is_no_supervisor(state: Path) -> None:
    Board(pid=os.getpid(), command=("python", "-m", "eil_cli.embedded"), phase="ready", started_s=0.0).save(state)

    assert running(state) is None
    (state / "pids.json").write_text("{")
    assert running(state) is None
    assert end_stale(state) == []
