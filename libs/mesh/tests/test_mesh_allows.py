"""Who may call: a service that acts for a user lends the user nothing."""

import pytest
from eil_mesh.access import Access
from eil_mesh.identity import Principal

READ = Access(frozenset({"viewer", "operator"}), frozenset({"bridge"}), True)
MINT = Access(frozenset(), frozenset({"proof"}), True)
ANCHOR = Access(frozenset(), frozenset({"*"}), True)
SCALER = Access(frozenset(), frozenset({"keda"}), True)


def user(*roles, service=None):
    return Principal("someone", "acme", frozenset(roles), service, token=True)


def service(name):
    return Principal(name, "acme", service=name)


@pytest.mark.parametrize(
    ("access", "principal", "allowed"),
    [
        (READ, user("viewer"), True),
        (READ, user("agent"), False),
        (READ, user("admin"), True),
        (READ, user(), False),
        (READ, user(service="bridge"), False),
        (READ, user("viewer", service="market"), True),
        (READ, service("bridge"), True),
        (READ, service("market"), False),
        (MINT, user("admin"), False),
        (MINT, user("agent", service="proof"), True),
        (MINT, user("admin", service="market"), False),
        (MINT, service("proof"), True),
        (ANCHOR, service("regime"), True),
        (ANCHOR, user("admin"), False),
        (ANCHOR, service("keda"), False),
        (READ, service("keda"), False),
        (SCALER, service("keda"), True),
        (SCALER, service("bridge"), False),
        (SCALER, user("admin"), False),
    ],
)
def test_allows(access, principal, allowed):
    assert access.allows(principal) is allowed
