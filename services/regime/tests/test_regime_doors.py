"""The doors over gRPC: what agents send ends as samples of their sources, once, whatever happens in between."""

import gzip
import json
from contextlib import asynccontextmanager

import cramjam
import grpc
import pytest
from eil.regime.v1 import doors_pb2_grpc, regime_pb2, regime_pb2_grpc
from eil.regime.v1.remote_write_pb2 import WriteRequest
from eil_mesh.clock import MICROSECONDS, ManualClock
from eil_mesh.server import MAX_MESSAGE
from eil_mesh.testing import metadata, running, token
from eil_regime.main import build
from eil_regime.settings import RegimeSettings
from google.api.httpbody_pb2 import HttpBody
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc

pytestmark = pytest.mark.usefixtures("either_database")
NOW_S = 1_800_000_000
RAPL = "node_rapl_package_joules_total"


def scrape(t_s, joules, *, node="n1", name=RAPL, **labels):
    """A series with one sample, t_s seconds after now."""
    return (
        {"__name__": name, "instance": f"{node}:9100", "job": "node", **labels},
        NOW_S * 1000 + round(t_s * 1000),
        joules,
    )


def export(*points, name="hw.host.power", host="n1"):
    """An OTLP request of (seconds after now, value)."""
    request = metrics_service_pb2.ExportMetricsServiceRequest()
    about = request.resource_metrics.add()
    if host:
        about.resource.attributes.add(key="host.name").value.string_value = host
    metric = about.scope_metrics.add().metrics.add(name=name)
    for t_s, value in points:
        metric.gauge.data_points.add(time_unix_nano=(NOW_S + t_s) * 10**9, as_double=value)
    return request


class Regime:
    """A regime service, restarted at will, and what agents do to it."""

    def __init__(self, tmp_path, clock):
        self.tmp_path, self.clock = tmp_path, clock

    @asynccontextmanager
    async def serving(self, **settings):
        async with (
            running(self.tmp_path, RegimeSettings, build, clock=self.clock, **settings),
            grpc.aio.insecure_channel(
                f"unix:{self.tmp_path}/regime.sock", options=[("grpc.max_send_message_length", -1)]
            ) as channel,
        ):
            self.own = regime_pb2_grpc.RegimeServiceStub(channel)
            self.http = doors_pb2_grpc.TelemetryDoorServiceStub(channel)
            self.otlp = metrics_service_pb2_grpc.MetricsServiceStub(channel)
            yield self

    def auth(self, tenant="default", role="agent"):
        return metadata(token(self.tmp_path, roles=[role], tenant=tenant))

    async def write(self, *scrapes, body=None, tenant="default"):
        request = WriteRequest()
        for labels, timestamp, value in scrapes:
            series = request.timeseries.add()
            for name, text in labels.items():
                series.labels.add(name=name, value=text)
            series.samples.add(timestamp=timestamp, value=value)
        packed = bytes(cramjam.snappy.compress_raw(request.SerializeToString())) if body is None else body
        return await self.http.RemoteWrite(
            HttpBody(content_type="application/x-protobuf", data=packed),
            metadata=(*self.auth(tenant), ("content-encoding", "snappy")),
        )

    async def history(self, source="n1", tenant="default"):
        """Samples by channel: seconds after now → value."""
        request = regime_pb2.GetHistoryRequest(source=source)
        answer = await self.own.GetHistory(request, metadata=self.auth(tenant, "operator"))
        times = [t_us / MICROSECONDS - NOW_S for t_us in answer.times_us]
        return answer.power_kind, {
            column.name: {t: value for t, value in zip(times, column.values, strict=True) if value == value}
            for column in answer.columns
        }


@pytest.fixture
def clock():
    return ManualClock(NOW_S * MICROSECONDS)


@pytest.fixture
async def regime(tmp_path, clock):
    async with Regime(tmp_path, clock).serving() as serving:
        yield serving


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_counters_survive_a_restart_and_repetitions_change_nothing(tmp_path, clock):
    regime = Regime(tmp_path, clock)
    async with regime.serving():
        await regime.write(scrape(-60, 1000.0, index="0"), scrape(-60, 500.0, index="1"))
    async with regime.serving():
        for _ in range(2):
            await regime.write(scrape(-45, 2500.0, index="0"))
    async with regime.serving():
        for _ in range(3):
            await regime.write(scrape(-45, 1250.0, index="1"), scrape(-45, 2500.0, index="0"))
        kind, samples = await regime.history()
        assert kind == "mean"
        assert samples == {"power_draw": {-45: pytest.approx(100 + 50)}}


async def test_remote_write_and_otlp_of_one_host_are_one_source(regime):
    for t in (-30, -20, -10):
        await regime.write(
            scrape(t, 50.0, name="node_hwmon_temp_celsius", chip="c", sensor="temp1"),
            scrape(t, 0.7 * (t + 100), name="node_cpu_seconds_total", cpu="0", mode="idle"),
        )
        await regime.otlp.Export(export((t, 400.0)), metadata=regime.auth())
    await regime.write(scrape(-1, 50.0, name="node_hwmon_temp_celsius", chip="c", sensor="temp1"))
    kind, samples = await regime.history()
    assert kind == "instant"
    assert samples["power_draw"] == {-30: 400.0, -20: 400.0, -10: 400.0}
    assert samples["temperature"] == {-20: 50.0, -10: 50.0}
    assert samples["cpu_usage"] == {-20: pytest.approx(0.3), -10: pytest.approx(0.3)}
    status = (await regime.own.GetStatus(regime_pb2.GetStatusRequest(source="n1"), metadata=regime.auth())).sources[0]
    assert status.energy_state.total_energy == pytest.approx(8000.0)


async def test_otlp_refuses_by_the_point(regime):
    request = export((-20, 400.0), (-10, -5.0), (400, 400.0))
    request.resource_metrics.add().scope_metrics.add().metrics.add(name="power_draw").gauge.data_points.add(
        time_unix_nano=(NOW_S - 10) * 10**9, as_double=1.0
    )
    answer = await regime.otlp.Export(request, metadata=regime.auth())
    assert answer.partial_success.rejected_data_points == 3
    assert "eil_source" in answer.partial_success.error_message
    assert (await regime.history())[1] == {"power_draw": {-20: 400.0}}
    late = await regime.otlp.Export(export((-700, 400.0)), metadata=regime.auth())
    assert late.partial_success.rejected_data_points == 1
    assert "behind" in late.partial_success.error_message
    fine = await regime.otlp.Export(export((-5, 400.0)), metadata=regime.auth())
    assert not fine.HasField("partial_success")


async def test_a_point_of_the_future_does_not_stop_those_that_follow(regime):
    await regime.otlp.Export(export((100_000, 400.0)), metadata=regime.auth())
    await regime.otlp.Export(export((-10, 400.0)), metadata=regime.auth())
    assert (await regime.history())[1] == {"power_draw": {-10: 400.0}}


@pytest.mark.parametrize("encoding", ["", "gzip"])
@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/json"])
async def test_otlp_over_http_answers_in_kind(regime, kind, encoding):
    if kind.endswith("json"):
        point = {"timeUnixNano": f"{(NOW_S - 10) * 10**9}", "asDouble": 400}
        metrics = [{"name": n, "gauge": {"dataPoints": [point]}} for n in ("hw.host.power", "latency_ms")]
        metrics[1]["gauge"]["dataPoints"] = [{**point, "asDouble": -1}]
        host = [{"key": "host.name", "value": {"stringValue": "n1"}}]
        body = json.dumps(
            {"resourceMetrics": [{"resource": {"attributes": host}, "scopeMetrics": [{"metrics": metrics}]}]}
        ).encode()
    else:
        request = export((-10, 400.0))
        request.MergeFrom(export((-10, -1.0), name="latency_ms"))
        body = request.SerializeToString()
    body = gzip.compress(body) if encoding else body
    answer = await regime.http.ExportMetrics(
        HttpBody(content_type=kind, data=body), metadata=(*regime.auth(), ("content-encoding", encoding))
    )
    assert answer.content_type == kind
    if kind.endswith("json"):
        assert json.loads(answer.data)["partialSuccess"]["rejectedDataPoints"] == "1"
    else:
        read = metrics_service_pb2.ExportMetricsServiceResponse.FromString(answer.data)
        assert read.partial_success.rejected_data_points == 1
    assert (await regime.history())[1] == {"power_draw": {-10: 400.0}}


async def test_garbage_and_bombs_are_final_and_change_nothing(regime):
    for body in (b"garbage", b"\xff\xff\xff\xff\x0f" + b"\x00" * 9, bytes(cramjam.snappy.compress_raw(b"\xff\xff"))):
        error = await refused(regime.write(body=body))
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, "which is not retried"
    bomb = HttpBody(content_type="application/x-protobuf", data=gzip.compress(bytes(MAX_MESSAGE)))
    error = await refused(regime.http.ExportMetrics(bomb, metadata=(*regime.auth(), ("content-encoding", "gzip"))))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "32 MiB" in (error.details() or "")
    assert await refused(regime.history())


async def test_grpc_itself_does_not_unpack_bombs(regime):
    request = metrics_service_pb2.ExportMetricsServiceRequest()
    request.resource_metrics.add(schema_url="x" * (MAX_MESSAGE + 1))
    error = await refused(regime.otlp.Export(request, metadata=regime.auth(), compression=grpc.Compression.Gzip))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_remote_write_says_what_it_refused_and_takes_the_rest(regime):
    error = await refused(
        regime.write(scrape(-10, 400.0, name="power_draw"), scrape(-10, 5.0, name="power_draw", node="-"))
    )
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "1 of 2 samples were refused, the others are taken" in (error.details() or "")
    assert (await regime.history())[1] == {"power_draw": {-10: 400.0}}


async def test_metadata_alone_is_answered_with_nothing(regime):
    answer = await regime.write(body=bytes(cramjam.snappy.compress_raw(b"\x1a\x0c\x08\x01\x12\x08whatever")))
    assert (answer.content_type, answer.data) == ("", b"")


async def test_tenants_do_not_share_counters(regime):
    await regime.write(scrape(-20, 1000.0, index="0"), tenant="acme")
    await regime.write(scrape(-10, 2000.0, index="0"), tenant="globex")
    for tenant in ("acme", "globex"):
        assert await refused(regime.history(tenant=tenant))


async def test_only_agents_and_operators_may(regime):
    viewer = regime.auth(role="viewer")
    for call in (
        regime.otlp.Export(export((-10, 1.0)), metadata=viewer),
        regime.http.ExportMetrics(HttpBody(), metadata=viewer),
        regime.http.RemoteWrite(HttpBody(), metadata=viewer),
    ):
        assert (await refused(call)).code() == grpc.StatusCode.PERMISSION_DENIED


async def test_a_deleted_source_leaves_no_counter_and_takes_nothing(regime):
    await regime.write(scrape(-30, 1000.0, index="0"), scrape(-30, 400.0, name="power_draw", node="n2"))
    await regime.write(scrape(-20, 2000.0, index="0"))
    await regime.own.DeleteSource(regime_pb2.DeleteSourceRequest(source="n1"), metadata=regime.auth(role="admin"))
    error = await refused(
        regime.write(scrape(-10, 3000.0, index="0"), scrape(-10, 410.0, name="power_draw", node="n2"))
    )
    assert "deleted" in (error.details() or "")
    assert (await regime.history("n2"))[1] == {"power_draw": {-30: 400.0, -10: 410.0}}
    regime.clock.advance(25 * 3600)
    late = 25 * 3600
    await regime.write(scrape(late, 9000.0, index="0"))
    assert await refused(regime.history()), "the counter of before is forgotten"


async def test_rows_that_are_refused_are_counted(regime):
    full = regime_pb2.IngestRequest(source="n1", times_us=[(NOW_S - 30) * MICROSECONDS])
    full.columns.extend(regime_pb2.Column(name=f"channel_{n}", values=[1.0]) for n in range(256))
    await regime.own.Ingest(full, metadata=regime.auth())
    answer = await regime.otlp.Export(export((-10, 400.0)), metadata=regime.auth())
    assert answer.partial_success.rejected_data_points == 1
    assert "256 channels" in answer.partial_success.error_message


async def test_a_tenant_has_so_many_sources_and_no_more(tmp_path, clock):
    async with Regime(tmp_path, clock).serving(door_sources=2) as regime:
        error = await refused(regime.write(*(scrape(-10, 1.0, name="power_draw", node=f"n{n}") for n in range(3))))
        assert "1 of 3" in (error.details() or "")
        assert (await regime.history("n1"))[1] == {"power_draw": {-10: 1.0}}


async def test_more_sources_than_a_transaction_takes(regime):
    await regime.write(*(scrape(-10, 1.0 + n, name="power_draw", node=f"n{n}") for n in range(150)))
    for n in (0, 63, 64, 149):
        assert (await regime.history(f"n{n}"))[1] == {"power_draw": {-10: 1.0 + n}}
