"""NetworkPolicies allow the calls of the service table, what flows against them, and nothing else."""

import re
from typing import Any

from eil_mesh.services import SERVICES, STATEFUL

from .helm import FULL, ROOT, TRIAL, manifests, mesh, named, text

COMPONENT = "app.kubernetes.io/component"
FOLLOWS = re.compile(r"mesh\.follow\(\s*\w+,\s*\"(\w+)\"")
HANDED_ON = {(name, name) for name in STATEFUL}
"""With a database pods of one service reach the one that writes."""
GRPC, HTTP, DOOR, FIGURES = 7000, 7080, 8443, 9090


def followed(service: str) -> set[str]:
    """Whose journals a service's code follows."""
    source = ROOT / "services" / service / "src"
    return {name for path in source.rglob("*.py") for name in FOLLOWS.findall(path.read_text())}


def expected() -> set[tuple[str, str]]:
    """Who dials whom on the port of gRPC."""
    calls = {(name, other) for name, service in SERVICES.items() for other in service.calls}
    follows = {(name, other) for name in SERVICES for other in followed(name)}
    heads = {(name, "atlas") for name in STATEFUL if name != "atlas"}
    return calls | follows | heads | {("gateway", name) for name in SERVICES}


def rules(policy: dict[str, Any], direction: str, port: int) -> list[dict[str, Any]]:
    """Rules of a policy for a port, in both directions."""
    return [rule for rule in policy["spec"].get(direction, []) if port in [one["port"] for one in rule["ports"]]]


def components(peers: list[dict[str, Any]]) -> set[str]:
    """Parts of the mesh that peers name."""
    found: set[str] = set()
    for peer in peers:
        selector = peer.get("podSelector", {})
        found |= {selector["matchLabels"][COMPONENT]} if COMPONENT in selector.get("matchLabels", {}) else set()
        found |= {name for one in selector.get("matchExpressions", []) for name in one["values"]}
    return found


def edges(values: tuple[str, ...], direction: str, port: int) -> set[tuple[str, str]]:
    """(caller, callee) pairs that policies allow, as seen from one end."""
    found: set[tuple[str, str]] = set()
    for name, policy in named("NetworkPolicy", *values).items():
        for rule in rules(policy, direction, port):
            others = components(rule.get("from" if direction == "ingress" else "to", []))
            found |= {(other, name) if direction == "ingress" else (name, other) for other in others}
    return found


def test_the_table_says_what_the_code_calls_and_follows():
    rows = {name: (tuple(row["calls"]), set(row["follows"])) for name, row in mesh().items() if name != "gateway"}
    assert rows == {name: (service.calls, followed(name)) for name, service in SERVICES.items()}
    assert set(mesh()["gateway"]["calls"]) == set(SERVICES)


def test_each_port_of_grpc_is_open_to_exactly_its_callers():
    assert edges(TRIAL, "ingress", GRPC) == expected()
    assert edges(FULL, "ingress", GRPC) == expected() | HANDED_ON


def test_each_service_may_dial_exactly_whom_it_calls():
    assert edges(TRIAL, "egress", GRPC) == expected()
    assert edges(FULL, "egress", GRPC) == expected() | HANDED_ON


def test_the_bridge_s_http_is_the_gateway_s_alone():
    assert edges(TRIAL, "ingress", HTTP) == edges(TRIAL, "egress", HTTP) == {("gateway", "bridge")}


def test_whatever_is_not_allowed_is_denied():
    policies = named("NetworkPolicy", *TRIAL)
    deny = next(one for one in manifests(*TRIAL, kind="NetworkPolicy") if one["metadata"]["name"] == "eil")
    assert deny["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert not deny["spec"].keys() & {"ingress", "egress"}
    for one in named("Deployment", *TRIAL).values():
        labels = one["spec"]["template"]["metadata"]["labels"]
        assert deny["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    for name in mesh():
        assert policies[name]["spec"]["policyTypes"] == ["Ingress", "Egress"]
        ports = {port["port"] for rule in policies[name]["spec"]["ingress"] for port in rule["ports"]}
        assert ports <= {GRPC, HTTP, DOOR, FIGURES}


def test_no_rule_but_the_door_s_lets_everybody_in():
    for name, policy in named("NetworkPolicy", *TRIAL).items():
        for rule in policy["spec"].get("ingress", []):
            assert rule.get("from") or (name, rule["ports"][0]["port"]) == ("gateway", DOOR)
    door = rules(named("NetworkPolicy", *FULL)["gateway"], "ingress", DOOR)
    assert [peer for rule in door for peer in rule["from"] if "ipBlock" in peer] == [
        {"ipBlock": {"cidr": "198.51.100.0/24"}}
    ]
    assert components(door[0]["from"]) == {"test"}


def test_no_rule_but_a_store_s_lets_out_to_anywhere():
    for policy in named("NetworkPolicy", *TRIAL).values():
        assert all(rule.get("to") for rule in policy["spec"].get("egress", []))


def test_everybody_may_ask_for_names():
    for name, policy in named("NetworkPolicy", *TRIAL).items():
        if name != "eil":
            (rule,) = rules(policy, "egress", 53)
            assert {port["protocol"] for port in rule["ports"]} == {"UDP", "TCP"}


def test_stores_are_reached_by_those_who_use_them():
    def ports(name: str) -> set[int]:
        policy = named("NetworkPolicy", *FULL)[name]
        return {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}

    shared = {53, 443, GRPC, 4317}  # 443: an egress rule of the values
    kept = {5433, 9092, 9094}
    assert {name: ports(name) for name in STATEFUL} == {
        name: shared | kept | ({7687, 9000} if name == "atlas" else set()) for name in STATEFUL
    }
    assert ports("bridge") == shared
    assert ports("gateway") == shared | {HTTP}
    assert ports("migrate") == {53, 5433}
    (rule,) = rules(named("NetworkPolicy", *FULL)["regime"], "egress", 5433)
    assert rule["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "stores"}}}]


def test_figures_are_for_monitoring_alone():
    for name in mesh():
        (rule,) = rules(named("NetworkPolicy", *TRIAL)[name], "ingress", FIGURES)
        assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]


def test_the_scaler_reaches_decision_alone():
    keda = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}
    reached = {
        name
        for name, policy in named("NetworkPolicy", *FULL).items()
        for rule in policy["spec"].get("ingress", [])
        if keda in rule.get("from", [])
    }
    assert reached == {"decision"}


def test_policies_can_be_switched_off():
    assert "kind: NetworkPolicy" not in text(*TRIAL, "--set", "networkPolicy.enabled=false")
