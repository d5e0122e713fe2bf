"""Services of two releases in one mesh: this tree, and the one before it, as its commit stands in git.

The previous release is the newest tag `v*`; as long as there is none, the commit in `tests/compat/PREVIOUS`.
"""

import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import grpc
from eil.atlas.v1 import atlas_pb2, atlas_pb2_grpc
from eil.decision.v1 import decision_pb2, decision_pb2_grpc
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil.proof.v1 import proof_pb2, proof_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_cli.door import Door
from eil_gateway.keys import ensure_keys, issue_token
from eil_mesh.services import SERVICES
from google.protobuf.json_format import MessageToDict, ParseDict
from grpc_health.v1 import health_pb2, health_pb2_grpc

ROOT = Path(__file__).parents[2]
SPOKEN = [name for name, service in SERVICES.items() if service.grpc]
READY_S = 180.0
"""Time that services may take to start: the other tree compiles all of its kernels anew, and cores are shared [s]."""
CALLS = {
    ("PUT", "/v1/sources"): ("regime", regime_pb2_grpc.RegimeServiceStub, "PutSource", regime_pb2.PutSourceRequest),
    ("POST", "/v1/sense"): ("regime", regime_pb2_grpc.RegimeServiceStub, "Sense", regime_pb2.SenseRequest),
    ("GET", "/v1/regime/status"): (
        "regime",
        regime_pb2_grpc.RegimeServiceStub,
        "GetStatus",
        regime_pb2.GetStatusRequest,
    ),
    ("POST", "/v1/act"): ("decision", decision_pb2_grpc.DecisionServiceStub, "Act", decision_pb2.ActRequest),
    ("POST", "/v1/proof"): ("proof", proof_pb2_grpc.ProofServiceStub, "Prove", proof_pb2.ProveRequest),
    ("GET", "/v1/atlas/states"): ("atlas", atlas_pb2_grpc.AtlasServiceStub, "ListStates", atlas_pb2.ListStatesRequest),
    ("GET", "/v1/economy/balances"): (
        "economy",
        economy_pb2_grpc.EconomyServiceStub,
        "GetBalances",
        economy_pb2.GetBalancesRequest,
    ),
}
"""What the loop calls, as REST names it."""


def git(*arguments: str) -> bytes:
    """What git answers of this repository; empty if it refuses."""
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False).stdout


def previous_release() -> str:
    """Commit of the release before this one; empty if it is not in this clone."""
    tags = git("tag", "--list", "v*", "--sort=-version:refname", "--merged", "HEAD").decode().split()
    commit = tags[0] if tags else (ROOT / "tests/compat/PREVIOUS").read_text().strip()
    return git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").decode().strip()


def unpack(commit: str, to: Path) -> Path:
    """The tree of a commit, in a folder."""
    with tarfile.open(fileobj=BytesIO(git("archive", "--format=tar", commit))) as tree:
        tree.extractall(to, filter="data")
    return to


class MixedMesh(Door):
    """The services as processes of their own, some of this tree and some of another, in one state folder; no gateway. A door for plants.

    Args:
        state: the state folder.
        other: the other tree.
        from_other: names of the services that run from it.
    """

    def __init__(self, state: Path, other: Path, from_other: Iterable[str]) -> None:
        self._state, self._processes = state, []
        ensure_keys(state)
        places = [path for part in ("libs/*/src", "services/*/src", "gateway/src") for path in sorted(other.glob(part))]
        for name in SPOKEN:
            environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
            if name in from_other:
                environment["PYTHONPATH"] = os.pathsep.join(map(str, places))
            (state / "logs").mkdir(exist_ok=True)
            with (state / "logs" / f"{name}.log").open("ab") as log:
                command = [sys.executable, "-P", "-m", f"eil_{name}"]
                self._processes.append(
                    subprocess.Popen(command, cwd=state, env=environment, stdout=log, stderr=subprocess.STDOUT)
                )
        # A socket's path may have 107 letters at most: it is reached by way of this process's descriptor of its folder.
        self._folder = os.open(state, os.O_RDONLY)
        # A pool of its own: other meshes of this process have had sockets of the same name.
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 500)]
        self._channels = {
            name: grpc.insecure_channel(f"unix:/proc/self/fd/{self._folder}/{name}.sock", options) for name in SPOKEN
        }
        token = issue_token(state, subject="tester", roles=["admin"], tenant="demo", now_s=time.time())
        self._metadata = (("authorization", f"Bearer {token}"),)

    def __enter__(self) -> "MixedMesh":
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_S
        for name, channel in self._channels.items():
            stub: Any = health_pb2_grpc.HealthStub(channel)
            while True:
                try:
                    answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=2, wait_for_ready=True)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        break
                except grpc.RpcError as error:
                    if time.monotonic() > deadline:
                        raise AssertionError(f"{name} does not serve:\n{self.log(name)}") from error
                time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        for channel in self._channels.values():
            channel.close()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # a follower of 0.1 could miss that it was to end
                process.kill()
                process.wait(10)
        os.close(self._folder)

    def log(self, name: str) -> str:
        """The last lines that a service wrote."""
        return "\n".join((self._state / "logs" / f"{name}.log").read_text().splitlines()[-15:])

    def call(self, method: str, path: str, body: Any = None, *, params: Any = None) -> Any:
        """As `Door.call`, for what the loop needs, straight to the service."""
        given = {**(body or {}), **(params or {})}
        if path.startswith("/v1/sources/"):
            path, _, given["source"] = path.rpartition("/")
        name, stub, call, request = CALLS[method, path]
        answer = getattr(stub(self._channels[name]), call)(
            ParseDict(given, request()), timeout=30, metadata=self._metadata
        )
        return MessageToDict(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
