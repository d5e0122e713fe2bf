"""A distributed mesh under load while the servers that it stands on go away and come back, and its services are killed.

In the ordinary run each server is away for seconds; `make soak` (EIL_SOAK=1) stops each for a minute and kills services for ten. After
each fault nothing that was acknowledged is missing or there twice, and every answer meanwhile was right, or a 503 that says when to come
again.
"""

import itertools
import json
import os
import random
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import boto3
import httpx
import pytest
from eil_mesh.services import SERVICES
from support.load import Load, audited
from support.mesh import RunningMesh, eil, running_mesh
from support.servers import NAMES, Server, tools

SOAK = os.environ.get("EIL_SOAK") == "1"
SEED = int(os.environ.get("EIL_FAULT_SEED", "20261129"))
AWAY_S = 60.0 if SOAK else 5.0
KILLING_S = 600.0 if SOAK else 25.0
PATIENCE_S = 120.0
REFRESH_S = 0.5
"""Between looks of a dashboard."""
READS = (
    "/v1/regime/status",
    "/v1/atlas/states",
    "/v1/energy/map",
    "/v1/economy/balances",
    "/v1/decisions",
    "/v1/proofs",
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory) -> Iterator[dict[str, Server]]:
    tools()
    base = tmp_path_factory.mktemp("servers")
    for folder in itertools.takewhile(lambda one: one != Path(tempfile.gettempdir()), (base, *base.parents)):
        folder.chmod(0o755)  # the database's own user must get to its data
    running = {name: Server(name, base / name) for name in NAMES}
    starting = [threading.Thread(target=server.start) for server in running.values()]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    try:
        yield running
    finally:
        for server in running.values():
            server.stop()


@pytest.fixture(scope="module")
def distributed(servers, tmp_path_factory) -> Iterator[RunningMesh]:
    state = tmp_path_factory.mktemp("distributed") / "state"
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testtest", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = {
        **keys,
        **{f"EIL_{name.upper()}_KAFKA": servers["kafka"].address for name in SERVICES},
        "EIL_REGIME_SENSE_INBOX": "demo",
        "EIL_ATLAS_NEO4J_URL": servers["neo4j"].address,
        "EIL_ATLAS_OBJECTS_URL": "s3://eil-faults",
        "EIL_ATLAS_S3_ENDPOINT_URL": servers["s3"].address,
    }
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patched:
            for name, value in environment.items():
                patched.setenv(name, value)
            boto3.client("s3", endpoint_url=servers["s3"].address).create_bucket(Bucket="eil-faults")
            mesh = stack.enter_context(running_mesh(state, "--postgres", servers["postgres"].address))
        yield mesh


class Reader:
    """Reads all the time, as a dashboard does, and keeps what it was answered."""

    def __init__(self, mesh: RunningMesh) -> None:
        self.answers: Counter[tuple[str, int, str]] = Counter()
        """(path, status, Retry-After)."""
        self._client = httpx.Client(
            base_url=mesh.endpoint.url,
            verify=ssl.create_default_context(cafile=mesh.endpoint.ca),
            headers={"authorization": f"Bearer {mesh.token('viewer', tenant='demo')}"},
            timeout=40.0,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            for path in READS:
                answer = self._client.get(path)
                self.answers[path, answer.status_code, answer.headers.get("retry-after", "")] += 1
            time.sleep(REFRESH_S)

    def check(self) -> None:
        """Only answers, and refusals that say when to come again."""
        wrong = {
            key: times for key, times in self.answers.items() if key[1] != 200 and not (key[1] in (429, 503) and key[2])
        }
        assert not wrong, wrong
        assert any(status == 200 for _, status, _ in self.answers)


@pytest.fixture
def load(distributed, stamp, request):
    running = Load(
        distributed, stamp, f"sufferer-{request.node.name.partition('[')[2].strip(']') or 'kills'}", PATIENCE_S
    )
    yield running
    running.door.close()


def consistent(mesh: RunningMesh, load: Load) -> None:
    """Everything acknowledged is there, once; log, graph and segments agree; the evidence holds."""
    load.check()
    token = mesh.token("operator", tenant="demo")
    deadline = time.monotonic() + 60
    while True:  # the graph follows within seconds
        verified = eil("atlas", "verify", "--json", "--state", str(mesh.state), "--token", token, check=False)
        if verified.returncode == 0 or time.monotonic() > deadline:
            break
        time.sleep(2)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert json.loads(verified.stdout)["samples"] >= load.samples
    audited(mesh)


@pytest.mark.parametrize("name", NAMES)
def test_a_server_goes_away_and_comes_back(servers, distributed, load, name):
    load.start()
    time.sleep(2.0)
    with Reader(distributed) as reader:
        servers[name].stop()
        time.sleep(AWAY_S)
        servers[name].start()
        time.sleep(2.0)
        done = len(load.verdicts)
        deadline = time.monotonic() + PATIENCE_S
        while len(load.verdicts) < done + 2 and time.monotonic() < deadline:
            time.sleep(0.2)
    load.stop()
    assert len(load.verdicts) >= done + 2, "the loop goes on"
    reader.check()
    consistent(distributed, load)


def test_services_are_killed_at_random(distributed, load):
    choice = random.Random(SEED)
    load.start()
    slowest_s, killed = 0.0, Counter()
    end = time.monotonic() + KILLING_S
    with Reader(distributed) as reader:
        while time.monotonic() < end:
            time.sleep(choice.uniform(0.2, 2.0))
            name = choice.choice(list(SERVICES))
            slowest_s = max(slowest_s, distributed.kill(name))
            killed[name] += 1
    load.stop()
    print(f"killed {dict(killed)}; started anew within {slowest_s:.1f} s")
    reader.check()
    consistent(distributed, load)
