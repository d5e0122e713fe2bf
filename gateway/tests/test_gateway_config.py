"""The configuration: Envoy takes it, and it says of every method exactly what the protos say."""

import json
import subprocess
from pathlib import Path
from typing import Any

import grpc_tools.protoc
from eil_gateway.clusters import NOWHERE
from eil_gateway.contract import all_methods, descriptor_set, interfaces, own_methods
from eil_gateway.envoy import bootstrap, envoy_command, write_config
from eil_gateway.errors import REPLIES
from eil_gateway.keys import ensure_keys
from eil_gateway.options import Options, Upstreams
from eil_gateway.policy import all_issuers, grants, policies
from eil_gateway.routes import route_config
from eil_mesh.access import FOREIGN
from eil_mesh.services import FRONTS, SERVICES
from google.protobuf import descriptor_pool

REPOSITORY = Path(__file__).parents[2]
BRIDGE = {"/v1/health", "/v1/token", "/v1/openapi.json", "/docs", "/v1/stream", "/mcp"}


def parsed_protos(folder: Path) -> dict[str, Any]:
    """The methods of the .proto files themselves, read by protoc, by gRPC path."""
    out = folder / "all.binpb"
    files = sorted(str(path) for path in (REPOSITORY / "protos/eil").rglob("*.proto"))
    imports = [REPOSITORY / "protos", REPOSITORY / ".venv/protos", Path(grpc_tools.__file__).with_name("_proto")]
    arguments = ["protoc", *(f"-I{folder}" for folder in imports), f"--descriptor_set_out={out}", *files]
    assert grpc_tools.protoc.main(arguments) == 0
    parsed = type(descriptor_set()).FromString(out.read_bytes())
    return {
        f"/{file.package}.{service.name}/{method.name}": method
        for file in parsed.file
        for service in file.service
        for method in service.method
    }


def routes() -> list[dict[str, Any]]:
    return route_config(Options(port=8443))["virtual_hosts"][0]["routes"]


def routed(path: str) -> dict[str, Any]:
    return next(route for route in routes() if route["match"].get("path") == path)


def test_envoy_accepts_it(tmp_path: Path) -> None:
    ensure_keys(tmp_path)
    config = write_config(tmp_path, port=8443, admin_port=9901)
    checked = subprocess.run(
        [*envoy_command(config), "--mode", "validate"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "warning" not in checked.stderr, "nothing deprecated"


def test_it_covers_exactly_the_methods_of_the_protos(tmp_path: Path) -> None:
    written = {path for path in parsed_protos(tmp_path) if not path.startswith(("/eil.events.", "/eil.common."))}
    assert {method.path for method in own_methods()} == written
    assert {method.path for method in all_methods()} == {*written, *FOREIGN}
    assert set(interfaces()) == {path.split("/")[1] for path in written}
    assert {method.service for method in all_methods()} == {s.name for s in SERVICES.values() if s.grpc}


def test_roles_are_those_of_the_protos() -> None:
    allowed = grants()
    assert allowed["/eil.regime.v1.RegimeService/Sense"] == {"agent", "operator", "admin"}
    assert allowed["/eil.decision.v1.DecisionService/ApproveDecision"] == {"operator", "admin"}
    for method in all_methods():
        assert allowed.get(method.path, frozenset()) == (
            method.access.roles | {"admin"} if method.access.roles else set()
        )
    assert "/eil.economy.v1.EconomyService/Mint" not in allowed, "for services alone"


def test_nothing_is_open_but_health_tokens_and_the_description(tmp_path: Path) -> None:
    by_name = policies(all_issuers(tmp_path))
    permitted = [next(iter(p["url_path"]["path"].values())) for p in by_name.pop("everybody")["permissions"]]
    paths = [next(iter(path.values())) if isinstance(path, dict) else path for path in permitted]
    open_paths = [
        "/v1/health",
        "/v1/token",
        "/v1/openapi.json",
        "/docs",
        "/docs/[A-Za-z0-9._-]+",
        "/grpc.health.v1.Health/",
    ]
    assert paths == open_paths
    named = [p["url_path"]["path"]["exact"] for policy in by_name.values() for p in policy["permissions"]]
    assert sorted(named) == sorted(grants()), "each path in one policy, by its exact name"
    assert not any("any" in principal for policy in by_name.values() for principal in policy["principals"])


def test_only_what_a_role_may_call_has_a_way_to_a_service() -> None:
    reachable = {
        route["match"].get("path")
        for route in routes()
        if route.get("route", {"cluster": NOWHERE})["cluster"] != NOWHERE
    }
    assert reachable == {*grants(), *BRIDGE, "/grpc.health.v1.Health/Check", None}, "None: the pattern of /docs"


def test_no_route_switches_the_policy_off() -> None:
    for route in routes():
        overridden = set(route.get("typed_per_filter_config", {}))
        assert not overridden & {"envoy.filters.http.jwt_authn", "envoy.filters.http.rbac"}


def test_what_may_have_been_done_is_repeated_for_idempotent_methods_alone() -> None:
    for method in all_methods():
        if method.access.roles:
            policy = routed(method.path)["route"].get("retry_policy")
            assert (policy is None) == method.streaming, method.path
            assert ("unavailable" in policy["retry_on"] if policy else False) == (
                method.access.idempotent and not method.streaming
            ), method.path
    never_sent = "connect-failure,reset-before-request,refused-stream"
    assert routed("/eil.decision.v1.DecisionService/Act")["route"]["retry_policy"]["retry_on"] == never_sent


def test_streams_have_no_deadline_and_calls_have_one() -> None:
    streams = {method.path for method in all_methods() if method.streaming}
    assert streams == {
        "/eil.atlas.v1.ArchiveService/GetObjectStream",
        "/eil.atlas.v1.ArchiveService/PutObjectStream",
        "/eil.atlas.v1.ArchiveService/ReadSamples",
        "/eil.atlas.v1.ConsistencyService/Verify",
        "/eil.decision.v1.DecisionService/StreamActions",
        "/eil.diffusion.v1.DiffusionService/StreamOptimize",
        "/eil.diffusion.v1.DiffusionService/StreamSample",
        "/eil.nvp.v1.NvpService/WatchPredictions",
        "/eil.regime.v1.RegimeService/IngestStream",
    }
    for method in all_methods():
        if method.access.roles:
            assert routed(method.path)["route"]["timeout"] == ("0s" if method.streaming else "31s")


def test_the_descriptor_set_stands_alone() -> None:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_set().file:  # fails if an import is missing or comes later
        pool.Add(file)  # pyright: ignore[reportAttributeAccessIssue] - the types lack it
    assert pool.FindMessageTypeByName("google.rpc.BadRequest")
    assert [pool.FindServiceByName(name).full_name for name in interfaces()] == interfaces()


def test_what_a_front_takes_goes_there_on_one_machine_alone() -> None:
    (sense,) = SERVICES["regime"].fronted
    assert routed(sense)["route"]["cluster"] == "regime-front"
    assert routed("/eil.regime.v1.RegimeService/Ingest")["route"]["cluster"] == "regime"
    distributed = route_config(Options(port=8443, upstreams=Upstreams(tls=Path("keys"))))["virtual_hosts"][0]["routes"]
    assert {route["route"]["cluster"] for route in distributed if route["match"].get("path") == sense} == {"regime"}


def test_sockets_lie_in_the_state_folder(tmp_path: Path) -> None:
    text = json.dumps(bootstrap(Options(port=8443), admin_port=None))
    assert str(tmp_path) not in text
    clusters = {c["name"]: c["load_assignment"] for c in json.loads(text)["static_resources"]["clusters"]}
    assert set(clusters) == {*SERVICES, *FRONTS, "bridge-health", "admin", NOWHERE}
    assert '"path": "regime.sock"' in json.dumps(clusters["regime"])
    assert len(json.loads(text)["static_resources"]["listeners"]) == 1, "no figures without a port"


def test_refusals_say_what_to_do() -> None:
    assert len({(reply.http, reply.detail) for reply in REPLIES}) == len(REPLIES)
    assert all(";" in reply.message or ":" in reply.message for reply in REPLIES)
