"""Load from the field's own generators: wrk for REST, ghz for gRPC. Each request is a new sample, so that none is a mere duplicate."""

import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.resources import as_file, files
from io import BytesIO
from pathlib import Path

from eil.regime.v1 import regime_pb2
from eil_gateway.contract import descriptor_set
from eil_gateway.keys import issue_token
from google.protobuf import descriptor_pb2
from google.protobuf.proto import serialize_length_prefixed

from eil_cli.endpoint import Endpoint
from eil_cli.terminal import Failure

CONNECTIONS = 32
TENANT = "bench"
SOURCES = 50
MOST_PER_S = 3000
"""Samples that are made for ghz [1/s]. It holds them all from the beginning, so its garbage is collected less often than is usual."""
MISSING = {
    "wrk": "install it with `apt-get install wrk`",
    "ghz": "install it with `go install github.com/bojand/ghz/cmd/ghz@latest`, and see that it is on the PATH",
}


@dataclass(frozen=True)
class Load:
    """What a generator saw. `p50_ms` and `p99_ms` are of answers that succeeded or not; `refused` counts those that did not."""

    per_s: float
    p50_ms: float
    p99_ms: float
    requests: int
    refused: int


def tool(name: str) -> str:
    """Path of a generator.

    Raises:
        Failure: it is not installed; the message says how to.
    """
    found = shutil.which(name)
    if found is None:
        raise Failure(f"{name} makes this load and is not installed: {MISSING[name]}", exit_code=2)
    return found


def bench_token(state: Path, subject: str) -> str:
    """A token of a mesh that was started to be measured."""
    return issue_token(state, subject=subject, roles=["agent"], tenant=TENANT, ttl_s=6 * 3600.0, now_s=time.time())


def rest_load(endpoint: Endpoint, token: str, seconds: float, *, prefix: str) -> Load:
    """POST /v1/sense over kept-alive connections, one request at a time on each, as fast as it is answered.

    Args:
        endpoint: of the mesh.
        token: bearer token.
        seconds: how long [s].
        prefix: begins the names of the sources, which must be new.

    Raises:
        Failure: wrk is missing, or did not end well.
    """
    with as_file(files("eil_cli.bench") / "sense.lua") as script:
        command = [tool("wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", "-s", str(script), endpoint.url]
        # wrk does not check certificates; the token is in the environment, which other users cannot read.
        said = _run(command, {"EIL_TOKEN": token, "EIL_PREFIX": prefix, "EIL_SOURCES": str(SOURCES)})
    found = re.search(r"^result (\S+) (\S+) (\S+) (\d+) (\d+)$", said, re.MULTILINE)
    if found is None:
        raise Failure(f"wrk said nothing of its result:\n{said}")
    per_s, p50_ms, p99_ms = map(float, found.groups()[:3])
    return Load(per_s, p50_ms, p99_ms, int(found[4]), int(found[5]))


def grpc_load(endpoint: Endpoint, token: str, seconds: float, *, prefix: str) -> Load:
    """RegimeService/Sense over a few HTTP/2 connections with `CONNECTIONS` calls under way. Arguments and errors as for `rest_load`."""
    config = {
        "call": "eil.regime.v1.RegimeService.Sense",
        "host": endpoint.grpc,
        "cacert": endpoint.ca,
        "concurrency": CONNECTIONS,
        "connections": 4,
        "disable-template-data": True,  # otherwise ghz makes a template of 200 functions for each call, and uses none
        "duration": f"{seconds:g}s",
        "duration-stop": "wait",
        "format": "json",
        "metadata": {"authorization": f"Bearer {token}"},
    }
    with tempfile.TemporaryDirectory(prefix="eil-bench-") as folder:
        protoset = Path(folder) / "contract.pb"
        protoset.write_bytes(_sense_alone().SerializeToString())
        samples = Path(folder) / "samples.bin"
        samples.write_bytes(_samples(prefix, math.ceil(MOST_PER_S * seconds)))
        file = Path(folder) / "ghz.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps({**config, "protoset": str(protoset), "binary-file": str(samples)}))
        result = json.loads(_run([tool("ghz"), f"--config={file}"], {"GOGC": "400"}))
    if result["count"] > MOST_PER_S * seconds:
        raise Failure(f"ghz sent more than {MOST_PER_S} samples a second and so repeated some: raise MOST_PER_S")
    by_share = {one["percentage"]: one["latency"] / 1e6 for one in result["latencyDistribution"] or ()}
    refused = sum(count for code, count in result["statusCodeDistribution"].items() if code != "OK")
    return Load(result["rps"], by_share.get(50, 0.0), by_share.get(99, 0.0), result["count"], refused)


def _samples(prefix: str, count: int) -> bytes:
    """The samples of sense.lua, as many, each behind its length: for ghz it is dearer to make one than to send it."""
    begin_s, written = int(time.time()) - 86_400, BytesIO()
    sample = regime_pb2.SenseRequest(
        telemetry={"cpu_usage": 0.75, "power_draw": 850.5, "temperature": 72.3, "network_throughput": 1_250_000},
        context={"workload_type": "ml_training", "priority": "high"},
    )
    for number in range(count):
        sample.source = f"{prefix}-{number % SOURCES}"
        sample.timestamp.seconds = begin_s + number // SOURCES
        serialize_length_prefixed(sample, written)
    return written.getvalue()


def _sense_alone() -> descriptor_pb2.FileDescriptorSet:
    """The contract of Sense by itself: Go refuses two fields of another message, whose names differ by an underscore alone."""
    wanted = {"SenseRequest", "SenseResponse", "EnergyState", "RegimePrediction", "PhysicsEvidence"}
    whole = descriptor_set()
    for file in whole.file:
        if file.name == "eil/regime/v1/regime.proto":
            kept = [message for message in file.message_type if message.name in wanted]
            del file.message_type[:]
            file.message_type.extend(kept)
            (service,) = file.service
            sense = [method for method in service.method if method.name == "Sense"]
            del service.method[:]
            service.method.extend(sense)
    return whole


def _run(command: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failure(f"{Path(command[0]).name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout
