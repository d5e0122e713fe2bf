"""Configurations name what exists: every service is scraped, traces have somewhere to go, links lead somewhere."""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from eil_mesh.services import SERVICES
from gateway_door import await_port
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from support.collector import collecting
from support.servers import free_port

from .content import CONTENT, run

PROMETHEUS = yaml.safe_load((CONTENT / "prometheus.yml").read_text())
COLLECTOR = yaml.safe_load((CONTENT / "collector.yaml").read_text())
PROVISIONING = CONTENT / "grafana/provisioning"


def test_prometheus_takes_the_configuration(promtool):
    run(promtool, "check", "config", CONTENT / "prometheus.yml")


def test_every_service_and_the_door_are_scraped_under_their_names():
    scraped = {}
    for job in PROMETHEUS["scrape_configs"]:
        for target in (target for group in job["static_configs"] for target in group["targets"]):
            found = {rule["target_label"]: re.fullmatch(rule["regex"], target) for rule in job["relabel_configs"]}
            labels = {label: match[1] for label, match in found.items() if match}
            scraped[labels["job"]] = (labels["service"], target, job.get("metrics_path", "/metrics"))
    assert scraped == {
        **{f"eil-{name}": (name, f"eil-{name}:9090", "/metrics") for name in SERVICES},
        "eil-gateway": ("gateway", "eil-gateway:9090", "/stats/prometheus"),
    }
    assert not [job for job in PROMETHEUS["scrape_configs"] if job.get("honor_labels")]


def test_the_collector_knows_every_part_of_its_pipelines():
    traces = COLLECTOR["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors"):
        assert set(traces[kind]) <= COLLECTOR[kind].keys()
    assert traces["exporters"] == ["${env:EIL_TRACES_EXPORTER:-debug}"]
    assert COLLECTOR["exporters"].keys() == {"debug", "otlp"}


@pytest.mark.skipif(not shutil.which("otelcol"), reason="needs the OpenTelemetry collector as otelcol on the PATH")
def test_a_real_collector_passes_on_what_it_is_sent(tmp_path):
    port = free_port()
    config = tmp_path / "collector.yaml"
    config.write_text((CONTENT / "collector.yaml").read_text().replace("0.0.0.0:4317", f"127.0.0.1:{port}"))
    with collecting() as store, (tmp_path / "log").open("w") as log:
        collector = subprocess.Popen(
            ["otelcol", f"--config={config}"],
            env={**os.environ, "EIL_TRACES_EXPORTER": "otlp", "EIL_TRACES_ENDPOINT": store.address},
            stdout=log,
            stderr=log,
        )
        try:
            await_port(port, collector)
            provider = TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"127.0.0.1:{port}", insecure=True)))
            with provider.get_tracer("test").start_as_current_span("sense"):
                pass
            found = store.await_spans("", lambda spans: bool(spans))
            provider.shutdown()
        finally:
            collector.terminate()
            collector.wait(10)
    assert [span.name for span in found] == ["sense"], (tmp_path / "log").read_text()


def test_exemplars_lead_to_a_datasource_that_exists():
    known = yaml.safe_load((PROVISIONING / "datasources/eil.yaml").read_text())["datasources"]
    by_uid = {one["uid"]: one for one in known}
    to = by_uid["eil-prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert [(one["name"], by_uid[one["datasourceUid"]]["type"]) for one in to] == [("trace_id", "tempo")]


def test_grafana_is_told_of_the_dashboards():
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/eil.yaml").read_text())["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"]


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#\s]+)", (CONTENT / "README.md").read_text()))
def test_a_link_leads_somewhere(link):
    assert (CONTENT / link).exists()
