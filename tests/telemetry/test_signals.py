"""After one loop the mesh has shown itself: every metric, one trace from a sample to the mint, logs that name it, exemplars."""

import json

import pytest
from eil_mesh import metrics, self_energy
from prometheus_client.metrics import MetricWrapperBase

from .conftest import Traced, scrape
from .signals import EDGES, QUIET, RISEN, TRACE, Edge


def registered() -> set[str]:
    """Names in the registry file, and of the one metric that is computed at each scrape."""
    known = [one for one in vars(metrics).values() if isinstance(one, MetricWrapperBase)]
    names = {f"{one._name}_total" if one._type == "counter" else one._name for one in known}
    return {*names, f"{self_energy.NAME}_total"}


def test_the_table_knows_every_metric_of_the_registry():
    assert {name for names in RISEN.values() for name in names} | QUIET == registered()
    assert len(registered()) >= 45


@pytest.mark.parametrize(("process", "name"), [(process, name) for process, names in RISEN.items() for name in names])
def test_a_metric_rose(traced: Traced, process: str, name: str):
    assert traced.figures[process].get(name, 0.0) > 0.0


@pytest.mark.parametrize("name", sorted(QUIET))
def test_a_quiet_metric_is_declared(traced: Traced, name: str):
    page = scrape(traced.mesh.endpoint.metrics["regime"])
    assert f"# TYPE {name} " in page


def test_the_door_has_figures_of_its_own(traced: Traced):
    page = scrape(traced.mesh.endpoint.metrics["gateway"])
    assert "envoy_http_downstream_rq_xx" in page


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: f"{edge.parent} to {edge.service} {edge.span}")
def test_one_span_came_from_the_other(traced: Traced, edge: Edge):
    by_id = {span.id: span for span in traced.spans}
    found = {
        (by_id[span.parent].service, by_id[span.parent].name)
        for span in traced.spans
        if (span.service, span.name) == (edge.service, edge.span) and span.parent in by_id
    }
    assert (edge.parent, edge.parent_span) in found, found


def test_what_nobody_traces_is_not_exported(traced: Traced, collector):
    assert {span.trace_id for span in collector.spans()} == {TRACE}


def test_logs_name_the_trace(traced: Traced):
    lines = [
        json.loads(line)
        for file in (traced.mesh.state / "logs").glob("*.log")
        for line in file.read_text().splitlines()
        if line.startswith("{")
    ]
    assert any(line.get("trace_id") == TRACE for line in lines)


def test_a_duration_has_the_trace_as_exemplar(traced: Traced):
    page = scrape(traced.mesh.endpoint.metrics["decision"], "application/openmetrics-text")
    assert f'# {{trace_id="{TRACE}"}}' in page


def test_energy_of_its_own_is_processor_time_times_power(traced: Traced):
    found = traced.figures["nvp"]
    assert found["eil_self_energy_joules_total"] == pytest.approx(3.5 * found["process_cpu_seconds_total"], rel=0.05)
