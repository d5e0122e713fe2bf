"""The chart on a real API server, with real controllers and scheduler; nodes are simulated, so pods run nothing.

What is enforced is PodSecurity, quotas of GPUs, disruption budgets and Kubernetes' own validation; NetworkPolicies are stored only.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from eil_mesh.services import STATEFUL

from .helm import CHART, NAMESPACE, RELEASE, WITHOUT_OPERATORS, cluster_script, program, programs, text

PROGRAMS = ("helm", "etcd", "kwok", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
PORT = 16443
BEAT_S = 10.0
"""Time between signs of life of a node, of which one is lost after four [s]."""
# Nobody hands out addresses to load balancers here, which --wait would wait for.
VALUES = (*WITHOUT_OPERATORS, "--set", "door.type=ClusterIP")
MINE = f"app.kubernetes.io/instance={RELEASE}"
KINDS = "all,configmap,serviceaccount,networkpolicy,poddisruptionbudget,horizontalpodautoscaler"


@dataclass(frozen=True)
class Cluster:
    """A cluster with one namespace that enforces PodSecurity "restricted"."""

    kubeconfig: str

    def run(self, *command: str, given: str = "", refused: bool = False) -> str:
        """Output and messages of a command; fails the test unless it ends as expected."""
        done = subprocess.run(
            [program(command[0]), *command[1:], "--namespace", NAMESPACE],
            input=given,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            env={**os.environ, "KUBECONFIG": self.kubeconfig},
        )
        assert (done.returncode != 0) == refused, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def get(self, kind: str, *options: str) -> list[dict[str, Any]]:
        """Objects of a kind."""
        return json.loads(self.run("kubectl", "get", kind, "-o", "json", *options))["items"]

    def pods(self) -> dict[str, set[str]]:
        """Ids of the running pods, by service."""
        found: dict[str, set[str]] = {}
        for pod in self.get("pods", "-l", MINE):
            if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] == "Running":
                service = pod["metadata"]["labels"]["app.kubernetes.io/component"]
                found.setdefault(service, set()).add(pod["metadata"]["uid"])
        return found


def until(reached: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for what controllers do in their own time."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "not reached in time"
        time.sleep(0.25)


def taken() -> bool:
    """Whether somebody listens on the API server's port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


def stop(script: Path, folder: Path) -> None:
    """Stop a cluster and wait for its end: the next one wants the same ports."""
    running = [int(path.read_text()) for path in folder.glob("*.pid")]
    subprocess.run([str(script), "stop", str(folder)], timeout=60, check=False)
    end = time.monotonic() + 10
    while running and time.monotonic() < end:
        time.sleep(0.1)
        running = [pid for pid in running if Path(f"/proc/{pid}/exe").exists()]
    for pid in running:  # the API server may wait for etcd, which has gone at the same time
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def beating(cluster: Cluster) -> Iterator[None]:
    """Keep the simulated nodes ready: kwok does so from when a node was lost once, and pods that were on it stay lost."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT_S):
            moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": moment}
            patch = json.dumps({"status": {"conditions": [ready]}})
            for node in cluster.get("nodes"):
                name = node["metadata"]["name"]
                cluster.run("kubectl", "patch", "node", name, "--subresource=status", "-p", patch)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    script = cluster_script()
    for name in PROGRAMS:
        program(name)
    if taken():
        pytest.skip(f"port {PORT} is taken, by another such cluster perhaps: stop it with k8s.sh stop DIR")
    folder: Path = tmp_path_factory.mktemp("cluster")
    environment = {**os.environ, "PATH": programs()}
    try:
        started = subprocess.run(
            [str(script), "start", str(folder)], capture_output=True, text=True, timeout=300, env=environment
        )
        assert started.returncode == 0, started.stderr
        one = Cluster(started.stdout.split()[-1])
        one.run("kubectl", "create", "namespace", NAMESPACE)
        label = [f"pod-security.kubernetes.io/{what}=restricted" for what in ("enforce", "warn")]
        one.run("kubectl", "label", "namespace", NAMESPACE, *label)
        with beating(one):
            yield one
    finally:
        stop(script, folder)


def test_the_namespace_refuses_pods_that_are_not_restricted(cluster: Cluster):
    said = cluster.run("kubectl", "run", "root", "--image=root", refused=True)
    assert "violates PodSecurity" in said


def test_the_api_server_takes_every_manifest_without_a_warning(cluster: Cluster):
    given = text(*VALUES)
    said = cluster.run("kubectl", "apply", "--dry-run=server", "--validate=strict", "-f", "-", given=given)
    assert said.count("created (server dry run)") == given.count("\nkind: ")
    assert "Warning" not in said


def test_a_release_is_installed_changed_taken_back_and_removed(cluster: Cluster):
    wait = ("--wait", "--timeout", "180s")
    said = cluster.run("helm", "install", RELEASE, str(CHART), *VALUES, *wait)
    assert "The door: https://eil.example:443" in said
    expected = {**dict.fromkeys(STATEFUL, 1), "bridge": 2, "gateway": 3}
    # The scaler brings the bridge to its least number by itself: the Deployment names none.
    until(lambda: {name: len(ids) for name, ids in cluster.pods().items()} == expected)
    migrated = {one["involvedObject"]["name"] for one in cluster.get("events", "--field-selector=reason=Completed")}
    assert migrated == {f"eil-{name}-migrate" for name in STATEFUL}
    assert not cluster.get("jobs"), "hooks clear up behind themselves"
    gateways = [one["spec"]["nodeName"] for one in cluster.get("pods", "-l", "app.kubernetes.io/component=gateway")]
    assert len(set(gateways)) == 2, "spread over both nodes"
    until(
        lambda: (
            {one["metadata"]["name"]: one["status"]["disruptionsAllowed"] for one in cluster.get("pdb")}
            == {"eil-bridge": 1, "eil-gateway": 1}
        )
    )

    installed = cluster.pods()
    changed = ("--set", "services.regime.settings.window_s=30")
    cluster.run("helm", "upgrade", RELEASE, str(CHART), *VALUES, *changed, *wait)
    upgraded = cluster.pods()
    assert {name for name in expected if upgraded[name] != installed[name]} == {"regime"}
    (regime,) = cluster.get("configmap", "--field-selector", "metadata.name=eil-regime")
    assert regime["data"]["EIL_REGIME_WINDOW_S"] == "30"

    cluster.run("helm", "rollback", RELEASE, "1", *wait)
    back = cluster.pods()
    assert {name for name in expected if back[name] != upgraded[name]} == {"regime"}
    (regime,) = cluster.get("configmap", "--field-selector", "metadata.name=eil-regime")
    assert "EIL_REGIME_WINDOW_S" not in regime["data"]

    # Each service is scaled by itself: those with state by pods that stand by.
    scaled = ("--set", "services.regime.replicas=3,services.gateway.replicas=2")
    cluster.run("helm", "upgrade", RELEASE, str(CHART), *VALUES, *scaled, *wait)
    until(lambda: {name: len(ids) for name, ids in cluster.pods().items()} == {**expected, "regime": 3, "gateway": 2})
    more = cluster.pods()
    assert {name for name in expected if more[name] != back[name]} == {"regime", "gateway"}
    assert set(more["regime"]) > set(back["regime"]), "the one that writes stays"

    cluster.run("helm", "uninstall", RELEASE, *wait)
    until(lambda: not cluster.get(KINDS, "-l", MINE))
