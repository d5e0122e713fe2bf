"""Services as Kubernetes runs them, in processes of this machine: PostgreSQL, mutual TLS, several replicas behind one name, a real door.

Each replica has a loopback address of its own; a name server answers with those of a service that are ready, as a headless Service's does.
"""

import os
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
from eil_cli.door import Door
from eil_cli.endpoint import Endpoint
from eil_gateway.keys import Keys, ensure_keys, issue_token, service_certificates
from eil_gateway.options import Upstreams
from eil_mesh.services import SERVICES
from eil_mesh.tls import channel_credentials
from gateway_door import envoy, free_port
from grpc_health.v1 import health_pb2, health_pb2_grpc

READY_S = 240.0
SERVING = health_pb2.HealthCheckResponse.SERVING
A_RECORD, INTERNET = 1, 1
SLOTS = 2
"""Replicas of a service at a time: one, and during an upgrade the next."""


class _Query(socketserver.BaseRequestHandler):
    """One question of DNS (RFC 1035) over UDP."""

    server: "Names"

    def handle(self) -> None:
        asked, answer_to = self.request
        labels, at = [], 12
        while length := asked[at]:
            labels.append(asked[at + 1 : at + 1 + length].decode().lower())
            at += 1 + length
        question, (kind,) = asked[12 : at + 5], struct.unpack_from("!H", asked, at + 1)
        known = self.server.addresses.get(".".join(labels))
        found = [socket.inet_aton(address) for address in known or ()] if kind == A_RECORD else []
        flags = 0x8580 if known is not None else 0x8583  # authoritative; a name that is not known does not exist
        answer = asked[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + question
        for address in found:
            answer += struct.pack("!HHHIH", 0xC00C, A_RECORD, INTERNET, 1, 4) + address
        answer_to.sendto(answer, self.client_address)


class Names(socketserver.ThreadingUDPServer):
    """A name server; `addresses` may change at any time."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Query)
        self.addresses: dict[str, list[str]] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]


class Replica:
    """A process of a service."""

    def __init__(self, service: str, address: str, process: subprocess.Popen[bytes], log: Path, tls: Path) -> None:
        self.service, self.address, self._process, self._log, self._tls = service, address, process, log, tls

    def wait(self) -> None:
        """Until it is ready, as a probe sees it."""
        deadline = time.monotonic() + READY_S
        with grpc.secure_channel(
            self.address, channel_credentials(self._tls), [("grpc.ssl_target_name_override", f"eil-{self.service}")]
        ) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            while True:
                with suppress(grpc.RpcError):
                    if stub.Check(health_pb2.HealthCheckRequest(), timeout=2).status == SERVING:
                        return
                assert time.monotonic() < deadline, f"{self.service} does not serve:\n{self.log()}"
                assert self._process.poll() is None, f"{self.service} ended:\n{self.log()}"
                time.sleep(0.05)

    def terminate(self) -> None:
        """SIGTERM, as Kubernetes begins with."""
        self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def ended(self) -> int:
        """Exit status, once it has ended."""
        return self._process.wait(60)

    def log(self) -> str:
        """The last lines that it wrote."""
        return "\n".join(self._log.read_text().splitlines()[-20:])


class Fleet:
    """Replicas of some services, and a door before them.

    Args:
        state: a folder.
        database_url: of an empty PostgreSQL database.
        services: which; the others do not exist.
        drain_s: how long a replica lingers.
    """

    def __init__(self, state: Path, database_url: str, services: Sequence[str], drain_s: float) -> None:
        self._state, self._url, self._services, self._drain_s = state, database_url, services, drain_s
        self._network = 10 + os.getpid() % 200  # of this process's own: tests run beside each other
        self._port, self._names = free_port(), Names()
        self.keys: Keys = ensure_keys(state)
        service_certificates(self.keys.folder, ["gateway", *services])
        self.replicas: dict[str, Replica] = {}
        """Of each service the one that stays."""
        self._started: list[Replica] = []

    def __enter__(self) -> "Fleet":
        with ExitStack() as stack:
            stack.callback(self._stop)
            started = [self.start(service) for service in self._services]
            for replica in started:
                replica.wait()
                self.publish(replica.service, replica)
            nowhere = {name: ["127.0.0.1:1"] for name in SERVICES}
            at = {name: [f"{self._host(name, slot)}:{self._port}" for slot in range(SLOTS)] for name in self._services}
            upstreams = Upstreams(tls=self.keys.folder / "gateway", grpc=nowhere | at, bridge=["127.0.0.1:1"])
            port = free_port()
            stack.enter_context(envoy(self._state, port=port, admin_port=None, upstreams=upstreams))
            token = issue_token(self._state, subject="tester", roles=["admin"], tenant="demo", now_s=time.time())
            url = f"https://127.0.0.1:{port}"
            self._endpoint = Endpoint(url, f"127.0.0.1:{port}", str(self.keys.folder / "ca.crt"), token, {}, 0)
            self._end = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def door(self) -> Door:
        """A client of the door, which tries nothing twice."""
        return Door(self._endpoint)

    def start(self, service: str) -> Replica:
        """Begin a replica of a service, which is not ready yet and has no name."""
        present = self.replicas.get(service)
        slot = int(present is not None and present.address == self._at(service, 0))
        own = self._state / f"{service}-{len(self._started)}"
        own.mkdir()
        tls = self.keys.folder / service
        settings = {
            "state": own,
            "database_url": self._url,
            "listen": self._at(service, slot),
            "advertise": self._host(service, slot),
            "peers": f"dns://127.0.0.1:{self._names.port}/eil-{{service}}:{self._port}",
            "tls_dir": tls,
            "jwks": self.keys.jwks.absolute(),
            "drain_s": self._drain_s,
            "grace_s": 1.0,
        }
        environment = {f"EIL_{service.upper()}_{name.upper()}": str(value) for name, value in settings.items()}
        log = own.with_suffix(".log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"eil_{service}"],
                cwd=own,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started.append(Replica(service, self._at(service, slot), process, log, tls))
        return self._started[-1]

    def publish(self, service: str, *replicas: Replica) -> None:
        """Let the service's name stand for these; the last is the one that stays."""
        self.replicas[service] = replicas[-1]
        self._names.addresses[f"eil-{service}"] = [replica.address.rpartition(":")[0] for replica in replicas]

    def upgrade(self, service: str) -> Replica:
        """Replace the replica as a rolling update does: the next becomes ready, then the old one is told to end. Returns the old one."""
        old, new = self.replicas[service], self.start(service)
        new.wait()
        self.publish(service, old, new)
        old.terminate()
        self.publish(service, new)
        return old

    def _host(self, service: str, slot: int) -> str:
        return f"127.{self._network}.{1 + [*SERVICES].index(service)}.{1 + slot}"

    def _at(self, service: str, slot: int) -> str:
        return f"{self._host(service, slot)}:{self._port}"

    def _stop(self) -> None:
        for replica in self._started:
            replica.kill()
        self._names.shutdown()
        self._names.server_close()
