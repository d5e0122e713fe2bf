"""What is read of a request: encodings and their bombs, names, labels, sources, and what agents mean by their numbers."""

import gzip
import json
import math
import struct
import zlib

import cramjam
import pytest
from eil.regime.v1.remote_write_pb2 import WriteRequest
from eil_mesh.errors import InvalidArgument
from eil_regime.doors import intake, otlp, remote_write
from eil_regime.doors.bodies import MAX_BYTES, plain
from eil_regime.doors.names import MAX_PART, PLACES, TABLE, metrics_of, source_of
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
T_NS = 1_800_000_000_123_456_000


def write_request(*series):
    """Series are (labels, samples of (milliseconds, value))."""
    request = WriteRequest()
    for labels, samples in series:
        one = request.timeseries.add()
        for name, value in labels.items():
            one.labels.add(name=name, value=value)
        for timestamp, value in samples:
            one.samples.add(timestamp=timestamp, value=value)
    return request


def export_request(*metrics, **resource):
    request = ExportMetricsServiceRequest()
    about = request.resource_metrics.add()
    for name, value in resource.items():
        about.resource.attributes.add(key=name.replace("__", ".")).value.string_value = value
    about.scope_metrics.add().metrics.extend(metrics)
    return request


def gauge(name, *points):
    metric = metrics_pb2.Metric(name=name)
    for value, attributes in points:
        point = metric.gauge.data_points.add(time_unix_nano=T_NS)
        if isinstance(value, int):
            point.as_int = value
        else:
            point.as_double = value
        for key, text in attributes.items():
            point.attributes.add(key=key).value.string_value = text
    return metric


def only(found):
    """The one reading of an intake."""
    ((source, (reading,)),) = found.readings.items()
    return source, reading


class TestBodies:
    def test_each_encoding_gives_the_body(self):
        body = b"energy " * 1000
        assert plain(body, "") == plain(body, "identity") == body
        assert plain(gzip.compress(body), "gzip") == body
        assert plain(bytes(cramjam.snappy.compress_raw(body)), "snappy") == body

    def test_bombs_are_refused_and_not_unpacked(self):
        with pytest.raises(InvalidArgument, match="32 MiB"):
            plain(gzip.compress(bytes(MAX_BYTES + 1)), "gzip")
        claims_4_gib = b"\xff\xff\xff\xff\x0f" + b"\x00" * 8
        with pytest.raises(InvalidArgument, match="32 MiB"):
            plain(claims_4_gib, "snappy")

    @pytest.mark.parametrize(
        ("body", "encoding"),
        [
            (b"not gzip", "gzip"),
            (gzip.compress(b"x" * 5000, mtime=0)[:-20], "gzip"),  # its time would be in the name of the test
            (zlib.compress(b"zlib, not gzip"), "gzip"),
            (b"", "snappy"),
            (b"\xff\xff\xff\xff\xff\xff", "snappy"),
            (b"\x40garbage", "snappy"),
            (bytes(cramjam.snappy.compress(b"framed, not a block")), "snappy"),
            (b"", "br"),
        ],
    )
    def test_what_is_not_what_it_says_is_refused(self, body, encoding):
        with pytest.raises(InvalidArgument) as caught:
            plain(body, encoding)
        assert caught.value.reason == "MALFORMED_REQUEST"


class TestSources:
    @pytest.mark.parametrize(
        ("labels", "source"),
        [
            ({"instance": "node-1:9100", "job": "node"}, "node-1"),
            ({"instance": "10.0.0.7:9100"}, "10.0.0.7"),
            ({"instance": "[fd00::7]:9100"}, "fd00::7"),
            ({"instance": "http://bmc-3:80/redfish"}, "http://bmc-3:80/redfish"),
            ({"service_instance_id": "fd00::7"}, "fd00::7"),
            ({"instance": "10.0.0.7:9100", "node": "worker-1"}, "worker-1"),
            ({"instance": "10.0.0.7:9400", "Hostname": "worker-1"}, "worker-1"),
            ({"instance": "10.0.0.7:28282", "node_name": "worker-1"}, "worker-1"),
            ({"service_instance_id": "node-1:9100"}, "node-1"),
            ({"service_instance_id": "627cc493", "host_name": "db-4"}, "db-4"),
            ({"host_name": "db-4", "eil_source": "rack-7/db-4"}, "rack-7/db-4"),
        ],
    )
    def test_labels_name_it(self, labels, source):
        assert source_of(labels) == source

    @pytest.mark.parametrize(
        "labels", [{}, {"job": "node"}, {"host_name": ""}, {"node": "a b"}, {"node": "x" * 129}, {"node": "-a"}]
    )
    def test_none_is_made_up(self, labels):
        with pytest.raises(ValueError, match="eil_source"):
            source_of(labels)


class TestNames:
    def test_every_entry_has_a_key_of_its_own(self):
        assert len(PLACES) == len(TABLE)

    @pytest.mark.parametrize(
        ("name", "family"),
        [
            ("hw_host_energy_joules_total", "hw_host_energy"),
            ("hw_host_power_watts", "hw_host_power"),
            ("hw_temperature_celsius", "hw_temperature"),
            ("hw_gpu_utilization_ratio", "hw_gpu_utilization"),
            ("system_cpu_time_seconds_total", "system_cpu_time"),
            ("system_network_io_bytes_total", "system_network_io"),
            ("power_draw", "power_draw"),
        ],
    )
    def test_translated_names_are_the_same_metric(self, name, family):
        assert {metric.family for metric in metrics_of(name)} == {family}

    @pytest.mark.parametrize(
        "name",
        ["", "go_gc_duration_seconds", "kepler_pod_cpu_watts", "kepler_node_cpu_active_watts", "hw_power_limit_watts"],
    )
    def test_others_are_not_read(self, name):
        assert metrics_of(name) == ()


class TestRemoteWrite:
    def read(self, *series):
        return remote_write.intake_of(remote_write.request_of(write_request(*series).SerializeToString(), ""))

    def test_samples_keep_value_and_time(self):
        labels = {"__name__": "DCGM_FI_DEV_POWER_USAGE", "gpu": "3", "UUID": "GPU-a", "instance": "n1:9400", "pod": "p"}
        source, reading = only(self.read((labels, [(1_800_000_000_123, 250.5)])))
        assert (source, reading.part, reading.value) == ("n1", "GPU-a|3", 250.5)
        assert (reading.time_us, reading.start_us, reading.delta) == (1_800_000_000_123_000, 0, False)

    def test_names_that_were_not_translated_are_the_same(self):
        labels = {"__name__": "hw.power", "hw.type": "gpu", "hw.id": "a", "host.name": "n1"}
        source, reading = only(self.read((labels, [(1, 250.5)])))
        assert (source, reading.metric.key, reading.part) == ("n1", "hw_power|gpu", "a")

    def test_a_series_that_ended_is_missing(self):
        labels = {"__name__": "hw_host_power_watts", "instance": "n1:9100"}
        assert math.isnan(only(self.read((labels, [(1, STALE)])))[1].value)

    def test_what_is_not_in_the_table_is_counted_and_left(self):
        found = self.read(
            ({"__name__": "up", "instance": "n1:9100"}, [(1, 1.0), (2, 1.0)]),
            ({"__name__": "node_cpu_seconds_total", "mode": "user", "cpu": "0", "instance": "n1:9100"}, [(1, 1.0)]),
        )
        assert (found.readings, found.tally.ignored, found.tally.refused) == ({}, 3, 0)

    def test_metadata_alone_is_fine(self):
        only_metadata = b"\x1a\x0c\x08\x01\x12\x08whatever"
        assert remote_write.intake_of(remote_write.request_of(only_metadata, "application/x-protobuf")).points == 0

    def test_no_source_and_long_labels_are_refused_and_others_are_read(self):
        found = self.read(
            ({"__name__": "power_draw"}, [(1, 1.0), (2, 1.0)]),
            ({"__name__": "hw_power_watts", "hw_type": "gpu", "hw_id": "x" * (MAX_PART + 1), "node": "n"}, [(1, 1.0)]),
            ({"__name__": "power_draw", "node": "n"}, [(1, 1.0)]),
        )
        assert found.tally.refused == 3
        assert only(found)[0] == "n"

    def test_garbage_and_the_next_version_are_refused(self):
        with pytest.raises(InvalidArgument, match=r"no prometheus\.WriteRequest"):
            remote_write.request_of(b"\xff\xff\xff", "application/x-protobuf")
        with pytest.raises(InvalidArgument, match=r"protobuf_message"):
            remote_write.request_of(b"", "application/x-protobuf;proto=io.prometheus.write.v2.Request")

    def test_too_many_samples_are_refused_whole(self, monkeypatch):
        monkeypatch.setattr(intake, "MAX_POINTS", 3)
        with pytest.raises(InvalidArgument, match="more than 3 points"):
            self.read(({"__name__": "up"}, [(t, 1.0) for t in range(4)]))


class TestOtlp:
    def test_integers_and_doubles_of_a_resource(self):
        found = otlp.intake_of(
            export_request(gauge("hw.temperature", (450, {}), (451.5, {"hw.id": "b"})), host__name="n1")
        )
        assert [(r.part, r.value, r.time_us) for r in found.readings["n1"]] == [
            ("", 450.0, T_NS // 1000),
            ("b", 451.5, T_NS // 1000),
        ]

    def test_a_point_may_name_its_source(self):
        metric = gauge("power_draw", (1.0, {"eil.source": "rack-7"}))
        found = otlp.intake_of(export_request(metric, host__name="n1", eil__source="rack-6"))
        assert list(found.readings) == ["rack-7"]

    @pytest.mark.parametrize("temporality", ["DELTA", "CUMULATIVE"])
    def test_sums_say_since_when_they_count(self, temporality):
        metric = metrics_pb2.Metric(name="hw.host.energy")
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = getattr(metrics_pb2, f"AGGREGATION_TEMPORALITY_{temporality}")
        metric.sum.data_points.add(time_unix_nano=T_NS, start_time_unix_nano=T_NS - 10**10, as_double=5.0)
        _, reading = only(otlp.intake_of(export_request(metric, host__name="n1")))
        assert (reading.start_us, reading.delta) == (T_NS // 1000 - 10**7, temporality == "DELTA")

    def test_what_was_not_recorded_is_missing(self):
        metric = gauge("hw.host.power", (0.0, {}))
        metric.gauge.data_points[0].flags = 1
        metric.gauge.data_points.add(time_unix_nano=T_NS)
        found = otlp.intake_of(export_request(metric, host__name="n1"))
        assert [math.isnan(reading.value) for reading in found.readings["n1"]] == [True, True]

    def test_histograms_are_refused_by_the_point_and_others_are_read(self):
        histogram = metrics_pb2.Metric(name="http.server.request.duration")
        histogram.histogram.data_points.add(time_unix_nano=T_NS)
        histogram.histogram.data_points.add(time_unix_nano=T_NS)
        found = otlp.intake_of(export_request(histogram, gauge("power_draw", (5.0, {})), host__name="n1"))
        answer = otlp.answer_of(found.tally).partial_success
        assert answer.rejected_data_points == 2
        assert "http.server.request.duration is a histogram" in answer.error_message
        assert only(found)[1].value == 5.0

    def test_nothing_refused_is_an_empty_answer(self):
        found = otlp.intake_of(export_request(gauge("jvm.threads", (5.0, {})), host__name="n1"))
        assert found.tally.ignored == 1
        assert otlp.answer_of(found.tally).ByteSize() == 0
        assert otlp.encoded(otlp.answer_of(found.tally), "application/json") == b"{}"

    def test_json_as_the_specification_writes_it(self):
        point = {
            "timeUnixNano": str(T_NS),
            "startTimeUnixNano": T_NS - 10**10,
            "asInt": "450",
            "attributes": [{"key": k, "value": {"stringValue": v}} for k, v in (("hw.id", "a"), ("hw.type", "gpu"))],
            "exemplars": [
                {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "asDouble": 1.0}
            ],
            "notYetInvented": True,
        }
        body = {
            "resourceMetrics": [
                {
                    "resource": {"attributes": [{"key": "host.name", "value": {"stringValue": "n1"}}]},
                    "scopeMetrics": [
                        {
                            "metrics": [
                                {
                                    "name": "hw.energy",
                                    "sum": {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True},
                                }
                            ]
                        }
                    ],
                }
            ]
        }
        request = otlp.request_of(json.dumps(body).encode(), "application/json; charset=utf-8")
        source, reading = only(otlp.intake_of(request))
        assert (source, reading.part, reading.value, reading.time_us) == ("n1", "a", 450.0, T_NS // 1000)

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            (b"\xff\xff\xff", "application/x-protobuf"),
            (b'{"resourceMetrics": 5}', "application/json"),
            (b"[" * 100_000, "application/json"),
            (b"\xff{}", "application/json"),
            (b"{}", "text/plain"),
        ],
    )
    def test_garbage_is_refused(self, body, content_type):
        with pytest.raises(InvalidArgument) as caught:
            otlp.request_of(body, content_type)
        assert caught.value.reason == "MALFORMED_REQUEST"
