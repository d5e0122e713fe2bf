"""The load of streams: every sample of it goes to a real service through TLS, and is counted at both ends."""

import asyncio

import grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_cli.bench import gateway_streams
from eil_cli.bench.gateway_streams import CHANNELS
from eil_mesh.testing import running, token
from eil_regime.main import build
from eil_regime.settings import RegimeSettings


async def test_every_source_sends_a_sample_a_second_and_each_once(monkeypatch):
    async def at_once(_seconds):
        pass

    monkeypatch.setattr(asyncio, "sleep", at_once)
    messages = [message async for message in gateway_streams._messages([f"s{i}" for i in range(600)], 3)]
    assert [message.sequence for message in messages] == list(range(1, 10)), "three messages a second"
    rows = [batch.source for message in messages for batch in message.batches]
    assert len(rows) == 1800
    assert {rows.count(f"s{i}") for i in (0, 249, 250, 599)} == {3}
    batch = messages[0].batches[0]
    assert [column.name for column in batch.columns] == [*CHANNELS]
    assert all(len(column.values) == 1 for column in batch.columns)


async def test_a_message_counts_once_it_is_acknowledged():
    tally = gateway_streams._Tally(waiting={1: (250, 0.0), 2: (10, 0.0)})
    gateway_streams._count(regime_pb2.IngestStreamResponse(sequences=[2], rejected_count=3), tally)
    assert (tally.acknowledged, tally.rejected, list(tally.waiting)) == (10, 3, [1])


async def test_what_is_sent_is_what_a_service_stores(tmp_path):
    async with (
        running(tmp_path, RegimeSettings, build),
        grpc.aio.insecure_channel(f"unix:{tmp_path}/regime.sock") as channel,
    ):
        stub: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(channel)
        auth = (("authorization", f"Bearer {token(tmp_path, roles=['operator'])}"),)
        tally = gateway_streams._Tally()

        async def requests():
            async for request in gateway_streams._messages(["a", "b"], 1):
                tally.waiting[request.sequence] = len(request.batches), asyncio.get_running_loop().time()
                yield request

        async for answer in stub.IngestStream(requests(), metadata=auth):
            gateway_streams._count(answer, tally)
        answer = await stub.GetStatus(regime_pb2.GetStatusRequest(), metadata=auth)
    assert (tally.acknowledged, tally.rejected, tally.waiting) == (2, 0, {})
    assert {source.source: source.samples for source in answer.sources} == {"a": 1, "b": 1}
