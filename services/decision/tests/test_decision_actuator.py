"""An actuator that reads Kafka: `eil.act.actions` says what is emitted and what leaves on approval, with all that carrying it out needs."""

import asyncio

import pytest
from eil.decision.v1 import decision_pb2
from eil_mesh.testing import kafka_prefix, kafka_servers
from kafka import KafkaConsumer
from kafka.structs import TopicPartition

pytestmark = pytest.mark.skipif(
    not kafka_servers(), reason="needs a Kafka broker: EIL_TEST_KAFKA=127.0.0.1:9092 make test"
)


class Actuator:
    """Reads as docs/events.md says: committed records, each (tenant, prediction id) once, of those the emitted ones."""

    def __init__(self, topic: str) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=kafka_servers(),
            group_id=None,
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
        self._topic = topic
        self._done: set[tuple[str, str]] = set()
        self.seen = 0

    def carry_out(self, count: int) -> list[tuple[str, str, decision_pb2.Decision]]:
        """(tenant, source, decision) of the next actions."""
        while not (found := self._consumer.partitions_for_topic(self._topic)):
            pass
        if not self._consumer.assignment():
            self._consumer.assign([TopicPartition(self._topic, place) for place in found])
            self._consumer.seek_to_beginning()
        actions = []
        while len(actions) < count:
            for records in self._consumer.poll(timeout_ms=500).values():
                actions += [action for record in records if (action := self._action(record))]
        return actions

    def _action(self, record):
        self.seen += 1
        tenant, _, source = record.key.decode().partition("/")
        decision = decision_pb2.Decision.FromString(record.value)
        name = (tenant, decision.response.prediction_id)
        if not decision.response.emitted or name in self._done:
            return None
        self._done.add(name)
        return tenant, source, decision

    def close(self) -> None:
        self._consumer.close()


async def test_an_actuator_gets_each_emitted_action_once_with_its_lease(serve):
    with kafka_prefix(kafka_servers()) as prefix:
        actuator = Actuator(f"{prefix}eil.act.actions")
        async with serve(kafka=kafka_servers(), kafka_prefix=prefix, kafka_partitions=2) as world:
            await world.mode("advise")
            await world.act(10, 9)  # advice is on the topic, too, and is not carried out
            await world.mode("auto")
            emitted = await world.act(10, 9)
            ((tenant, source, decision),) = await asyncio.to_thread(actuator.carry_out, 1)
            assert (tenant, source) == ("default", "plant")
            assert decision.response.prediction_id == emitted.prediction_id
            action = decision.response.action
            assert (action.target_servers, action.revert_to_servers) == (9, 10)
            assert action.lease_s == emitted.action.lease_s > 0
            world.pass_time(30)
            await world.mode("approve")
            waiting = await world.act(9, 8)
            assert not waiting.emitted
            await world.approve(waiting.prediction_id)
            ((_, _, approved),) = await asyncio.to_thread(actuator.carry_out, 1)
            assert approved.response.prediction_id == waiting.prediction_id
            assert approved.response.action.target_servers == 8
            assert approved.approved_by == "tester"
            assert actuator.seen == 4, "advice, the emitted action, the one that waits, its approval"
        actuator.close()
