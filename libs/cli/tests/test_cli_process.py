"""Back-off, restarts, logs and the end of one process."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from eil_cli import process
from eil_cli.process import Backoff, Child, Spec, tail

SLEEP = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('up', 'w'); {SLEEP}"


def spec(code: str, healthy: Callable[[], bool] = lambda: True, **more: object) -> Spec:
    async def probe() -> bool:
        return healthy()

    return Spec("fake", (sys.executable, "-c", code), probe, **more)  # pyright: ignore[reportArgumentType]


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


class Said:
    """Sentences, and a way to wait for one."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._new = asyncio.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._new.set()

    async def wait_for(self, part: str, times: int = 1) -> None:
        async with asyncio.timeout(60):
            while sum(part in line for line in self.lines) < times:
                self._new.clear()
                await self._new.wait()


def test_waits_double_up_to_the_most_and_begin_anew_after_a_long_life() -> None:
    backoff = Backoff(0.2, 10.0, 30.0)

    assert [backoff.wait_s(1.0) for _ in range(8)] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0])
    assert backoff.wait_s(30.0) == pytest.approx(0.2)
    assert backoff.wait_s(29.9) == pytest.approx(0.4)


async def test_a_process_that_dies_is_started_again_with_growing_waits(tmp_path: Path) -> None:
    said = Said()
    child = Child(spec("import sys; print('broken'); sys.exit(7)"), tmp_path, Backoff(0.01, 0.1), said, lambda: None)

    keeping = asyncio.create_task(child.keep())
    await said.wait_for("ended with exit code 7", times=5)
    await child.stop(5.0, asyncio.Event())
    await keeping

    waits = [line.partition("again in ")[2].split()[0] for line in said.lines if "exit code 7" in line]
    assert waits[:5] == ["0.0", "0.0", "0.0", "0.1", "0.1"]
    assert child.restarts >= 4
    assert child.last_exit == 7
    assert child.pid is None
    assert tail(child.log)[0] == "broken"


async def test_health_belongs_to_one_life(tmp_path: Path) -> None:
    said, healthy = Said(), True
    child = Child(spec(SLEEP, lambda: healthy), tmp_path, Backoff(0.01), said, lambda: None)
    keeping = asyncio.create_task(child.keep())
    await said.wait_for("healthy")
    first = child.pid
    assert first
    assert child.healthy

    healthy = False
    os.kill(first, signal.SIGKILL)
    await said.wait_for("was ended by SIGKILL")
    assert not child.healthy
    healthy = True
    await said.wait_for("is healthy", times=2)
    assert child.pid not in (None, first)
    assert child.restarts == 1

    await child.stop(5.0, asyncio.Event())
    await keeping
    assert not psutil.pid_exists(first)


async def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    said = Said()
    child = Child(spec(STUBBORN, (tmp_path / "up").exists), tmp_path, Backoff(), said, lambda: None)
    keeping = asyncio.create_task(child.keep())
    await said.wait_for("healthy")
    hurry = asyncio.Event()
    stopping = asyncio.create_task(child.stop(600.0, hurry))
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(stopping), 0.2)
    assert not stopping.done()

    hurry.set()
    await stopping
    await keeping

    assert child.last_exit == -signal.SIGKILL


async def test_a_command_that_does_not_exist_says_so_in_its_log(tmp_path: Path) -> None:
    said = Said()
    nothing = Spec("fake", ("/no/such/command",), spec("").probe)
    child = Child(nothing, tmp_path, Backoff(60.0), said, lambda: None)
    keeping = asyncio.create_task(child.keep())
    await said.wait_for("ended with exit code 127")
    await child.stop(5.0, asyncio.Event())
    await keeping

    assert "cannot execute /no/such/command" in tail(child.log)[-1]


async def test_a_long_log_is_set_aside_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LOG_BYTES", 10)
    log = tmp_path / "logs" / "fake.log"
    for text in ("short", "now it is long"):
        handle = process.open_log(log)
        os.write(handle, text.encode())
        os.close(handle)

    os.close(process.open_log(log))

    assert (tmp_path / "logs" / "fake.log.1").read_text() == "shortnow it is long"
    assert log.read_text() == ""
    assert log.stat().st_mode & 0o777 == 0o600


async def test_before_start_and_environment_reach_the_process(tmp_path: Path) -> None:
    said, released = Said(), []
    code = f"import os; print(os.environ['EIL_FAKE'], os.getcwd(), flush=True); {SLEEP}"
    child = Child(
        spec(code, env={"EIL_FAKE": "yes"}, before_start=lambda: released.append(True)),
        tmp_path,
        Backoff(),
        said,
        lambda: None,
    )
    keeping = asyncio.create_task(child.keep())
    await asyncio.to_thread(until, lambda: tail(child.log))
    await child.stop(5.0, asyncio.Event())
    await keeping

    assert released == [True]
    assert tail(child.log) == [f"yes {tmp_path}"]
