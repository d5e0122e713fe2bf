"""The client as people get it: built, installed where nothing else is, and used as its documentation says; and over a mesh that dies."""

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from itertools import islice
from pathlib import Path

import pytest
from eil.regime.v1 import regime_pb2
from eil_sdk import EIL, AsyncEIL, ClientCredentials, NotFound, PermissionDenied
from support.mesh import eil

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
QUICK_STARTS = re.findall(r"^```python\n(.*?)^```", (ROOT / "libs/sdk/README.md").read_text(), re.MULTILINE | re.DOTALL)
[LOOP] = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/sdk.md").read_text(), re.MULTILINE | re.DOTALL)
TYPED = """
from collections.abc import AsyncIterator, Iterator
from typing import assert_type

from eil.decision.v1.decision_pb2 import ActResponse, DecisionNode
from eil.economy.v1.economy_pb2 import TransferRequest, TransferResponse
from eil.regime.v1.regime_pb2 import RegimeShift, SenseResponse
from eil_sdk import EIL, AsyncEIL, ClientCredentials

with EIL("https://localhost:8443", token=ClientCredentials("id", "secret"), ca="ca.crt") as eil:
    assert_type(eil.sense("rack", {"power_draw": 1.0}), SenseResponse)
    assert_type(eil.within(2.0).act(active_servers=1, avg_utilization=0.5), ActResponse)
    assert_type(eil.explain("pred"), DecisionNode)
    assert_type(eil.shifts("rack"), Iterator[RegimeShift])
    assert_type(eil.services.economy.Transfer(TransferRequest()), TransferResponse)


async def main() -> None:
    async with AsyncEIL("https://localhost:8443", token="token") as eil:
        assert_type(await eil.sense("rack", {"power_draw": 1.0}), SenseResponse)
        assert_type(eil.shifts("rack"), AsyncIterator[RegimeShift])
        assert_type(await eil.services.economy.Transfer(TransferRequest()), TransferResponse)
"""
MISTAKES = """
from eil_sdk import EIL, AsyncEIL

with EIL("https://localhost:8443", token="token") as eil:
    eil.sense("rack", {"power_draw": "much"})
    eil.act(active_servers=1)
    eil.status("rack").energy_sate


async def main(eil: AsyncEIL) -> None:
    eil.status("rack").energy_state
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Python of a new environment that has the wheels and what they ask for."""
    folder = tmp_path_factory.mktemp("sdk")
    for package in ("eil-api", "eil-sdk"):
        run(BIN / "uv", "build", "--quiet", "--wheel", "--package", package, "--out-dir", folder, cwd=ROOT)
    run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder / "venv")
    python = folder / "venv/bin/python"
    locked = ("--constraint", ROOT / "requirements.lock")
    run(BIN / "uv", "pip", "install", "--quiet", "--python", python, *locked, *sorted(folder.glob("*.whl")))
    return python


@pytest.fixture
def beside(mesh, tmp_path) -> Path:
    """A folder in which the mesh runs as by `make run`."""
    (tmp_path / ".eil").symlink_to(mesh.state)
    return tmp_path


@pytest.fixture
def connect(mesh):
    """Makes synchronous clients of a role and a tenant; closes them."""
    made: list[EIL] = []

    def client(*roles: str, tenant: str = "sdk") -> EIL:
        made.append(EIL(mesh.endpoint.url, token=mesh.token(*roles, tenant=tenant), ca=mesh.endpoint.ca))
        return made[-1]

    yield client
    for each in made:
        each.close()


def run(*command: object, cwd: Path | None = None, check: bool = True) -> str:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("quick_start", QUICK_STARTS, ids=["sync", "async"])
def test_the_quick_starts_run_as_they_are_written(installed, beside, quick_start):
    (beside / "start.py").write_text(quick_start)
    said = run(installed, "start.py", cwd=beside)
    assert "640.0" in said if "async" in quick_start else "servers" in said


def test_the_whole_loop_runs_as_it_is_written(installed, beside):
    (beside / "loop.py").write_text(LOOP)
    said = run(installed, "loop.py", cwd=beside)
    assert said.startswith("scale_down 10 ->")
    assert "\nvalid" in said


def test_an_installed_client_is_typed(installed, tmp_path):
    (tmp_path / "typed.py").write_text(TYPED)
    (tmp_path / "mistakes.py").write_text(MISTAKES)
    pyright = (BIN / "pyright", "--pythonpath", installed, "--outputjson")
    assert json.loads(run(*pyright, "typed.py", cwd=tmp_path, check=False))["generalDiagnostics"] == []
    found = json.loads(run(*pyright, "mistakes.py", cwd=tmp_path, check=False))["generalDiagnostics"]
    assert [(each["range"]["start"]["line"], each["severity"]) for each in found] == [
        (4, "error"),
        (5, "error"),
        (6, "error"),
        (10, "error"),
    ]


def test_over_a_service_that_dies_nothing_is_lost_and_nothing_counts_twice(mesh, connect):
    client, begin, rows = connect("agent"), time.time() - 3000.0, 40_000
    with client.stream() as stream:
        for n in range(rows):
            stream.send(f"dying-{n % 10}", begin + n // 10 * 0.5, {"power_draw": 100.0 + n % 7})
            if n % 100 == 0:
                time.sleep(0.005)  # so that it lasts
            if n == rows // 3:
                killer = threading.Thread(target=mesh.kill, args=("regime",))
                killer.start()
    killer.join()
    assert stream.waiting == 0
    assert stream.tally.accepted + stream.tally.duplicates >= rows
    assert not stream.refusals
    assert {source.source: source.samples for source in client.sources()}.items() >= {
        f"dying-{n}": rows // 10 for n in range(10)
    }.items()


async def test_a_stream_on_a_loop_and_a_stream_of_events_meet(mesh):
    async with AsyncEIL(mesh.endpoint.url, token=mesh.token(tenant="sdk-events"), ca=mesh.endpoint.ca) as client:
        heard: list[str] = []

        async def hear(count: int, last_id: str) -> str:
            async for event in client.events("eil.sense.telemetry", source=["meter"], last_id=last_id):
                assert (event.topic, event.key) == ("eil.sense.telemetry", "meter")
                heard.extend((event.payload or {})["times_us"])
                if len(heard) >= count:
                    break
            return event.id

        begin = int(time.time()) - 100.0
        listening = asyncio.create_task(hear(1, ""))
        while not listening.done():  # events are those from when it listens
            await client.sense("meter", {"power_draw": 5.0}, timestamp=begin)
            begin += 1.0
            await asyncio.sleep(0.1)
        last_id, known = await listening, len(heard)
        async with client.stream() as stream:
            await stream.send_columns("meter", [begin + 10.0, begin + 11.0], {"power_draw": [1.0, 2.0]})
            await stream.send("other", begin, {"power_draw": 1.0})
        expected = [str(int((begin + n) * 1e6)) for n in (10.0, 11.0)]
        while heard[-2:] != expected:
            last_id = await asyncio.wait_for(hear(len(heard) + 1, last_id), 30)
        assert len(heard) == len(set(heard))
        assert heard.index(expected[0]) >= known


def test_an_account_fetches_its_tokens_by_itself(mesh):
    name = "sdk-account"
    account = json.loads(eil("account", "add", name, "--role", "agent", "--json", "--state", str(mesh.state)).stdout)
    credentials = ClientCredentials(account["client_id"], account["client_secret"])
    with EIL(mesh.endpoint.url, token=credentials, ca=mesh.endpoint.ca) as client:
        client.sense("of-an-account", {"power_draw": 5.0})
        assert client.status("of-an-account").samples == 1
        with pytest.raises(PermissionDenied):
            client.services.regime.DeleteSource(regime_pb2.DeleteSourceRequest(source="of-an-account"))


def test_what_a_call_is_for_stands_in_the_journal(connect):
    client = connect("operator")
    with client.purpose(goal="idle less", energy_budget_j=50):
        asked = client.act(active_servers=12, avg_utilization=0.5)
    assert client.decision(asked.prediction_id).purpose == {"eil.goal": "idle less", "eil.energy_budget_j": "50"}


def test_errors_say_what_the_mesh_says(connect):
    with pytest.raises(NotFound) as caught:
        connect("viewer").status("never-seen")
    assert (caught.value.reason, caught.value.retry_after_s) == ("SOURCE_UNKNOWN", None)
    assert caught.value.request_id
    with pytest.raises(PermissionDenied) as denied:
        connect("viewer").sense("rack", {"power_draw": 1.0})
    assert denied.value.reason == "ROLE_NOT_ALLOWED"


def test_other_tenants_see_nothing(connect):
    connect("agent", tenant="sdk-a").sense("mine", {"power_draw": 1.0})
    assert [source.source for source in connect("viewer", tenant="sdk-a").sources()] == ["mine"]
    assert list(islice(connect("viewer", tenant="sdk-b").sources(), 1)) == []
