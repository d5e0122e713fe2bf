"""The table of costs names methods that exist, and says what each method of the contract costs."""

import pytest
from eil.regime.v1 import regime_pb2
from eil_mesh.access import FOREIGN, contract, methods
from eil_mesh.costs import CALL_U, FREE, TABLE, cost_of, samples_u
from eil_mesh.services import SERVICES
from eil_mesh.settings import MeshSettings
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

FILES = [file for name in (*(s.name for s in SERVICES.values() if s.grpc), "events") for file in contract(name)]
PATHS = [path for file in FILES for service in file.services_by_name.values() for path, _ in methods(service)]
OTHERS = [health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR]
SERVED = {
    *(f"/{service.full_name}/" for file in (*FILES, *OTHERS) for service in file.services_by_name.values()),
    "/grpc.reflection.v1.ServerReflection/",
}


@pytest.mark.parametrize("path", TABLE)
def test_every_row_names_what_is_served(path):
    assert path in SERVED or path in PATHS or path in FOREIGN


@pytest.mark.parametrize("path", [*PATHS, *FOREIGN])
def test_every_method_costs_something_but_those_that_the_table_calls_free(path):
    free = path in FREED or path.startswith(("/eil.economy.", "/eil.events."))
    assert (cost_of(path).of(None) == 0) is free


FREED = ("/eil.decision.v1.DecisionService/StreamActions", "/eil.decision.v1.DecisionService/StopActions")


def test_health_and_reflection_are_free():
    for path in ("/grpc.health.v1.Health/Check", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"):
        assert cost_of(path) is FREE


@pytest.mark.parametrize(("samples", "cost_u"), [(0, 0), (1, 1), (100, 1), (101, 2), (10_000, 100)])
def test_samples_cost_by_hundreds_begun(samples, cost_u):
    request = regime_pb2.IngestRequest(source="dc")
    for _ in range(samples):
        request.timestamps.add()
    assert samples_u(samples) == cost_u
    assert cost_of("/eil.regime.v1.RegimeService/Ingest").of(request) == CALL_U + cost_u


def test_the_starting_grant_pays_thirty_calls_a_second_for_a_year():
    assert 30 * 365 * 86_400 * CALL_U < 1000 * 10**6


def test_a_lease_lives_as_long_as_the_ledger_lets_it():
    assert MeshSettings.model_fields["lease_s"].default <= 3600
