"""The load that measures gRPC: every row of it is taken by a real service, and a refusal is no speed."""

import grpc
import pytest
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_cli.bench import regime_wire
from eil_cli.bench.regime_wire import WARM_UP_ROWS, Load, samples_per_s
from eil_cli.terminal import Failure
from eil_mesh.testing import metadata, running, token
from eil_regime.main import build
from eil_regime.settings import RegimeSettings

LOAD = Load(channels=2, sources=10, batches=2, rows=50)


@pytest.fixture
async def channel(tmp_path):
    async with (
        running(tmp_path, RegimeSettings, build),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/regime.sock") as channel,
    ):
        yield channel


async def test_every_row_of_every_source_is_taken(tmp_path, channel: grpc.aio.Channel):
    bearer = token(tmp_path, roles=["operator"])
    assert LOAD.samples == 2000
    assert await samples_per_s(channel, bearer, "load", LOAD) > 0.0
    stub: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(channel)
    answer = await stub.GetStatus(regime_pb2.GetStatusRequest(), metadata=metadata(bearer))
    assert {source.source for source in answer.sources} == {f"load-{number}" for number in range(10)}
    assert {source.samples for source in answer.sources} == {WARM_UP_ROWS + 100}


async def test_rows_refused_are_said(tmp_path, channel, monkeypatch):
    monkeypatch.setattr(regime_wire, "AGE_US", -86_400_000_000)
    with pytest.raises(Failure, match=f"only 0 of {WARM_UP_ROWS} rows"):
        await samples_per_s(channel, token(tmp_path, roles=["operator"]), "future", LOAD)


async def test_a_batch_refused_is_said(tmp_path, channel):
    with pytest.raises(Failure, match="a batch was refused"):
        await samples_per_s(channel, token(tmp_path, roles=["viewer"]), "viewer", LOAD)
