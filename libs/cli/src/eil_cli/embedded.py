"""The embedded profile: every service and the gateway as processes of this machine, supervised.

`python -m eil_cli.embedded --state DIR [--port P]` is the detached supervisor that `eil up --detach` starts.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from eil_gateway.envoy import envoy_command, write_config
from eil_gateway.keys import ensure_keys, issue_token
from eil_mesh.services import FRONTS, SERVICES

from eil_cli import databases, origins, tracing
from eil_cli.board import AlreadyRunning, end_stale, sole_supervisor
from eil_cli.endpoint import Endpoint, EndpointMissing
from eil_cli.health import gateway_serves, service_serves
from eil_cli.ports import HOST, HeldPort, PortBusy, hold_exactly, hold_first
from eil_cli.process import Spec
from eil_cli.supervisor import Supervisor

GATEWAY = "gateway"
DEFAULT_PORT = 8443
ADMIN_TTL_S = 365 * 86400.0
"""The token lies beside the key that signs tokens: a shorter life would protect nothing."""


class StateUnsafe(Exception):
    """The state folder cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will run, and where it will be found."""

    specs: tuple[Spec, ...]
    endpoint: Endpoint


def private_folder(state: Path) -> None:
    """Make the state folder, for its owner alone.

    Raises:
        StateUnsafe: others may enter a folder that holds something already, or it cannot be made.
    """
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        if state.stat().st_mode & 0o077:
            if any(state.iterdir()):
                raise StateUnsafe(
                    f"{state} can be entered by other users and is not empty; sockets and keys there would be theirs: "
                    f"run `chmod 700 {state}` if it is yours alone, or name another folder with --state"
                )
            state.chmod(0o700)
    except OSError as error:
        raise StateUnsafe(
            f"{state} cannot be used as state folder ({error.strerror}); name another with --state"
        ) from None


PROCESSES = (*SERVICES, *FRONTS)
"""Everything that runs but the gateway: the services, and fronts of some."""


def health_socket(process: str) -> str:
    """Unix socket, in the state folder, on which one of `PROCESSES` answers for its health."""
    return f"{process}.sock" if process in FRONTS or SERVICES[process].grpc else f"{process}-health.sock"


def plan(state: Path, port: int | None) -> Plan:
    """Make keys, gateway configuration and ports; earlier ports are kept where they are free.

    Args:
        state: the state folder, absolute.
        port: of the gateway; absent is the earlier one, else 8443, else any free one.

    Raises:
        PortBusy: `port` is taken.
    """
    earlier = _earlier(state)
    keys = ensure_keys(state)
    gate = hold_exactly(port) if port else hold_first(*_port(earlier.url if earlier else None), DEFAULT_PORT)
    pages = {name: hold_first(*_metrics_port_of(earlier, name)) for name in PROCESSES}
    figures = hold_first(*_metrics_port_of(earlier, GATEWAY))
    token = issue_token(state, subject="admin", roles=["admin"], ttl_s=ADMIN_TTL_S, now_s=time.time())
    endpoint = Endpoint(
        url=f"https://{HOST}:{gate.port}",
        grpc=f"{HOST}:{gate.port}",
        ca=str(keys.ca),
        admin_token=token,
        metrics={
            **{name: f"http://{HOST}:{page.port}/metrics" for name, page in pages.items()},
            GATEWAY: f"http://{HOST}:{figures.port}/stats/prometheus",
        },
        pid=os.getpid(),
    )
    config = write_config(
        state, port=gate.port, admin_port=figures.port, cors_origins=origins.allowed(state), **tracing.of_door()
    )

    def release_doors() -> None:
        gate.release()
        figures.release()

    kept = databases.servers(state)
    services = [_process(name, pages[name], kept.get(name, "")) for name in PROCESSES]
    gateway = Spec(
        name=GATEWAY,
        command=tuple(envoy_command(config)),
        probe=partial(gateway_serves, endpoint.url, keys.ca, token),
        after_others=True,
        before_start=release_doors,
    )
    return Plan((*services, gateway), endpoint)


ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Linear algebra on small matrices: more threads cost more than they give, tenfold where cores are shared."""


async def serve(state: Path, port: int | None, say: Callable[[str], None], ready: Callable[[Endpoint], None]) -> None:
    """Run the mesh until SIGTERM, SIGINT or SIGHUP; a second signal kills what has not stopped.

    The working directory becomes the state folder, so that socket names stay short.

    Raises:
        AlreadyRunning: another supervisor holds the folder.
        StateUnsafe, PortBusy: see `private_folder` and `plan`.
    """
    private_folder(state)
    with sole_supervisor(state):
        os.chdir(state)
        os.umask(0o077)
        for name in end_stale(state):
            say(f"{name} was left behind by a supervisor that was killed; it was ended")
        planned = plan(state, port)
        supervisor = Supervisor(state, planned.specs, say)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)

        def healthy() -> None:
            planned.endpoint.save(state)
            ready(planned.endpoint)

        await supervisor.run(healthy)


def _process(name: str, page: HeldPort, database_url: str) -> Spec:
    service = FRONTS.get(name, name)
    module = (f"eil_{service}",) if service == name else ("eil_mesh.front", service)
    database = {databases.variable(name): database_url} if database_url else {}
    return Spec(
        name=name,
        command=(sys.executable, "-P", "-m", *module),  # -P: the state folder holds no modules
        probe=partial(service_serves, health_socket(name)),
        env={f"EIL_{service.upper()}_METRICS_PORT": str(page.port), **database, **ONE_THREAD},
        before_start=page.release,
    )


def _earlier(state: Path) -> Endpoint | None:
    try:
        return Endpoint.load(state)
    except EndpointMissing:
        return None


def _metrics_port_of(earlier: Endpoint | None, name: str) -> tuple[int, ...]:
    return _port(earlier.metrics.get(name) if earlier else None)


def _port(url: str | None) -> tuple[int, ...]:
    port = urlsplit(url).port if url else None
    return (port,) if port else ()


def main() -> int:
    """The detached supervisor; what it says goes to its log."""
    parser = argparse.ArgumentParser(prog="python -m eil_cli.embedded")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()

    def say(sentence: str) -> None:
        with suppress(OSError):  # its log may be full
            print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), sentence, flush=True)

    try:
        asyncio.run(serve(given.state.resolve(), given.port, say, lambda endpoint: say(f"ready at {endpoint.url}")))
    except (AlreadyRunning, StateUnsafe, PortBusy) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
