"""The gateway's bench: its generators, without a mesh to load."""

import os
import stat
from io import BytesIO
from pathlib import Path

import pytest
from eil.regime.v1 import regime_pb2
from eil_cli.bench import load_tools
from eil_cli.bench.load_tools import grpc_load, rest_load, tool
from eil_cli.endpoint import Endpoint
from eil_cli.terminal import Failure
from eil_mesh.layers import validate
from google.protobuf import descriptor_pool
from google.protobuf.proto import parse_length_prefixed

NOWHERE = Endpoint("https://127.0.0.1:9", "127.0.0.1:9", "ca.crt", "admin", {}, 1)


@pytest.fixture
def generator(tmp_path, monkeypatch):
    """Puts a program in a generator's place."""

    def place(name: str, script: str) -> None:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return place


@pytest.mark.parametrize("name", ["wrk", "ghz"])
def test_a_generator_that_is_missing_is_named_with_the_way_to_get_it(monkeypatch, name):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Failure, match=f"{name} .*install") as missing:
        tool(name)
    assert missing.value.exit_code == 2


def test_what_wrk_saw_is_read_and_its_script_knows_the_token(generator):
    generator("wrk", '[ "$EIL_TOKEN $EIL_PREFIX" = "secret dc" ] && echo "result 1234.5 20.1 80.2 9000 3"')
    found = rest_load(NOWHERE, "secret", 1.0, prefix="dc")
    assert (found.per_s, found.p50_ms, found.p99_ms, found.requests, found.refused) == (1234.5, 20.1, 80.2, 9000, 3)


def test_a_generator_that_fails_says_why(generator):
    generator("wrk", "echo unable to connect >&2; exit 1")
    with pytest.raises(Failure, match="unable to connect"):
        rest_load(NOWHERE, "secret", 1.0, prefix="dc")
    generator("wrk", "echo nothing")
    with pytest.raises(Failure, match="nothing of its result"):
        rest_load(NOWHERE, "secret", 1.0, prefix="dc")


def test_what_ghz_saw_is_read(generator):
    answer = (
        '{"rps": 900.5, "count": 100, "statusCodeDistribution": {"OK": 98, "Unavailable": 2},'
        ' "latencyDistribution": [{"percentage": 50, "latency": 20000000}, {"percentage": 99, "latency": 80000000}]}'
    )
    generator("ghz", f"echo '{answer}'")
    found = grpc_load(NOWHERE, "secret", 1.0, prefix="dc")
    assert (found.per_s, found.p50_ms, found.p99_ms, found.requests, found.refused) == (900.5, 20.0, 80.0, 100, 2)


def test_ghz_gets_a_contract_that_it_can_read():
    pool = descriptor_pool.DescriptorPool()
    for file in load_tools._sense_alone().file:
        pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    service = pool.FindServiceByName("eil.regime.v1.RegimeService")
    assert [method.name for method in service.methods] == ["Sense"]
    assert service.methods[0].input_type.fields_by_name["telemetry"]


def test_ghz_gets_no_sample_twice_and_none_before_its_sources_last_one():
    told, samples = BytesIO(load_tools._samples("dc", 120)), []
    while (one := parse_length_prefixed(regime_pb2.SenseRequest, told)) is not None:
        validate(one)
        samples.append((one.source, one.timestamp.seconds))
    assert len(set(samples)) == 120
    assert [second for source, second in samples if source == "dc-7"] == [samples[0][1] + step for step in range(3)]


def test_ghz_that_ran_out_of_samples_measured_nothing(generator):
    generator("ghz", 'echo \'{"rps": 3001, "count": 3001, "statusCodeDistribution": {}, "latencyDistribution": null}\'')
    with pytest.raises(Failure, match="repeated some"):
        grpc_load(NOWHERE, "secret", 1.0, prefix="dc")


def test_the_script_goes_with_the_package():
    assert (Path(load_tools.__file__).parent / "sense.lua").exists()
