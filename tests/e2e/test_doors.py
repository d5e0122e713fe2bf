"""Agents that know nothing of EIL are pointed at it: OpenTelemetry's SDK over gRPC and HTTP, and a Prometheus that scrapes exporters."""

import math
import shutil
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import grpc
import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from support.servers import free_port

TENANT = "doors"


@pytest.fixture
def door(mesh):
    return mesh.door("operator", tenant=TENANT)


@pytest.fixture
def agent_token(mesh):
    return mesh.token("agent", tenant=TENANT, subject="collector")


def status_of(door, source, ready=lambda status: True, within_s=60.0):
    """The source's status once it is there and ready."""
    deadline = time.monotonic() + within_s
    while True:
        code, answer = door.get("/v1/regime/status", params={"source": source})
        if code == 200 and ready(answer["sources"][0]):
            return answer["sources"][0]
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)


def history_of(door, source):
    """Channels of a source: (seconds, value) of each sample."""
    answer = door.call("GET", "/v1/regime/history", params={"source": source})
    times = [int(time_us) / 1e6 for time_us in answer["times_us"]]
    return answer["power_kind"], {
        column["name"]: [
            (t, float(v)) for t, v in zip(times, column["values"], strict=True) if not math.isnan(float(v))
        ]
        for column in answer["columns"]
    }


def exporters(mesh, token):
    """OpenTelemetry's own, as its documentation has them."""
    endpoint, ca = mesh.endpoint, mesh.endpoint.ca
    with open(ca, "rb") as certificate:
        credentials = grpc.ssl_channel_credentials(certificate.read())
    bearer = f"Bearer {token}"
    yield (
        "grpc",
        GrpcExporter(endpoint=endpoint.grpc, credentials=credentials, headers=(("authorization", bearer),)),
    )
    for name, compression in (("http", Compression.NoCompression), ("http-gzip", Compression.Gzip)):
        yield (
            name,
            HttpExporter(
                endpoint=f"{endpoint.url}/v1/metrics",
                certificate_file=ca,
                headers={"authorization": bearer},
                compression=compression,
            ),
        )


def test_the_opentelemetry_sdk(mesh, door, agent_token, monkeypatch):
    for bundle in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # they would win over the certificate that is named
        monkeypatch.delenv(bundle, raising=False)
    for name, exporter in exporters(mesh, agent_token):
        joules = [1000.0]
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
        provider = MeterProvider([reader], Resource({"host.name": f"sdk-{name}"}))
        meter = provider.get_meter("test")
        meter.create_observable_counter("hw.host.energy", [lambda _, j=joules: [Observation(j[0])]], "J")
        meter.create_observable_gauge("hw.temperature", [lambda _: [Observation(48.5, {"hw.id": "board"})]], "Cel")
        meter.create_histogram("http.server.request.duration").record(0.2)
        meter.create_counter("app.orders").add(3)
        for _ in range(6):
            time.sleep(0.3)
            assert reader.force_flush()
            joules[0] += 60.0
        provider.shutdown()

        status = status_of(door, f"sdk-{name}", lambda status: status["energy_state"]["covered_s"] > 0.8)
        assert status["energy_state"]["total_energy"] > 0
        assert status["energy_state"]["regime"]
        kind, channels = history_of(door, f"sdk-{name}")
        assert kind == "mean"
        power = channels["power_draw"]
        assert len(power) >= 5
        for (before_s, _), (time_s, watts) in pairwise(power):
            assert watts * (time_s - before_s) == pytest.approx(60.0, rel=1e-3)
        assert {value for _, value in channels["temperature"]} == {48.5}
        assert set(channels) == {"power_draw", "temperature"}


PAGE = """\
# TYPE kepler_node_cpu_joules_total counter
kepler_node_cpu_joules_total{{zone="package",path="/sys/class/powercap/intel-rapl:0",node_name="prom-1"}} {package}
kepler_node_cpu_joules_total{{zone="dram",path="/sys/class/powercap/intel-rapl:0:1",node_name="prom-1"}} {dram}
kepler_node_cpu_joules_total{{zone="core",path="/sys/class/powercap/intel-rapl:0:0",node_name="prom-1"}} {package}
# TYPE kepler_pod_cpu_joules_total counter
kepler_pod_cpu_joules_total{{zone="package",pod_name="web",node_name="prom-1"}} {package}
# TYPE node_rapl_package_joules_total counter
node_rapl_package_joules_total{{index="0",path="/sys/class/powercap/intel-rapl:0",node="prom-1"}} {package}
# TYPE DCGM_FI_DEV_POWER_USAGE gauge
DCGM_FI_DEV_POWER_USAGE{{gpu="0",UUID="GPU-a",Hostname="prom-1"}} 250
DCGM_FI_DEV_POWER_USAGE{{gpu="1",UUID="GPU-b",Hostname="prom-1"}} 150
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{{cpu="0",mode="idle",node="prom-1"}} {idle}
node_cpu_seconds_total{{cpu="0",mode="user",node="prom-1"}} {idle}
# TYPE node_hwmon_temp_celsius gauge
node_hwmon_temp_celsius{{chip="platform_coretemp_0",sensor="temp1",node="prom-1"}} 61.5
# TYPE go_goroutines gauge
go_goroutines 12
"""
PACKAGE_W, DRAM_W, IDLE = 100.0, 30.0, 0.75


class Exporter(BaseHTTPRequestHandler):
    """A page as Kepler, node_exporter and dcgm-exporter have it; their counters run with the clock."""

    def do_GET(self):
        run_s = time.time() - 1.7e9
        page = PAGE.format(package=PACKAGE_W * run_s, dram=DRAM_W * run_s, idle=IDLE * run_s).encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format, *args):
        pass


PROMETHEUS = """\
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: exporters
    static_configs: [{{targets: ["{exporter}"]}}]
remote_write:
  - url: {url}/api/v1/write
    authorization: {{credentials_file: {token}}}
    tls_config: {{ca_file: {ca}}}
"""


@pytest.fixture
def prometheus(mesh, agent_token, tmp_path):
    """A Prometheus that scrapes the page and writes to the mesh."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no Prometheus on this machine (Debian: apt-get install prometheus)")
    page = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    (tmp_path / "token").write_text(agent_token)
    settings = {"exporter": f"127.0.0.1:{page.server_port}", "url": mesh.endpoint.url, "ca": mesh.endpoint.ca}
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS.format(token=tmp_path / "token", **settings))
    listen = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with open(tmp_path / "prometheus.log", "wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={listen}"], stdout=log, stderr=log)
    try:
        yield f"http://{listen}", tmp_path / "prometheus.log"
    finally:
        process.terminate()
        process.wait(30)
        page.shutdown()
        page.server_close()


def test_a_prometheus(door, prometheus):
    url, log = prometheus
    status = status_of(door, "prom-1", lambda status: status["energy_state"]["covered_s"] >= 8)
    assert status["energy_state"]["regime"]
    assert status["energy_state"]["power_method"] == "REPORTED"
    kind, channels = history_of(door, "prom-1")
    assert kind == "mean"
    power = channels["power_draw"]
    spent_j = sum(watts * (t - before) for (before, _), (t, watts) in pairwise(power))
    expected_w = PACKAGE_W + DRAM_W + 250 + 150
    assert spent_j / (power[-1][0] - power[0][0]) == pytest.approx(expected_w, rel=0.15), (
        "cores and pods are in it already"
    )
    idle = [1 - value for _, value in channels["cpu_usage"]]
    assert sum(idle) / len(idle) == pytest.approx(IDLE, abs=0.15)
    assert {value for _, value in channels["temperature"]} == {61.5}
    assert set(channels) == {"power_draw", "cpu_usage", "temperature"}

    own = httpx.get(f"{url}/metrics").text
    failed = [line for line in own.splitlines() if line.startswith("prometheus_remote_storage_samples_failed_total")]
    assert failed
    assert all(line.endswith(" 0") for line in failed), log.read_text()


def test_what_is_no_telemetry_is_refused_by_http(mesh, agent_token):
    trusted = ssl.create_default_context(cafile=mesh.endpoint.ca)
    with httpx.Client(base_url=mesh.endpoint.url, verify=trusted, timeout=30) as client:
        client.headers["authorization"] = f"Bearer {agent_token}"
        for path, headers, body, words in (
            ("/api/v1/write", {"content-encoding": "snappy"}, b"garbage", "snappy"),
            ("/v1/metrics", {"content-encoding": "gzip"}, b"garbage", "gzip"),
            ("/v1/metrics", {"content-type": "application/json"}, b"{", "ExportMetricsServiceRequest"),
            ("/v1/metrics", {"content-type": "text/plain"}, b"x", "content-type"),
        ):
            headers = {"content-type": "application/x-protobuf"} | headers
            answer = client.post(path, content=body, headers=headers)
            assert answer.status_code == 400, "which is not sent again"
            assert words in answer.json()["message"]
        anybody = client.post("/v1/metrics", content=b"", headers={"authorization": ""})
        assert anybody.status_code == 401
