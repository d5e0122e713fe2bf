"""gRPC ⇄ energy maps."""

import grpc
from eil.atlas.v1 import atlas_pb2
from eil_mesh.call import caller
from eil_mesh.clock import Clock, from_us
from google.api import httpbody_pb2

from eil_atlas import map_answers, topology
from eil_atlas.answers import Answers
from eil_atlas.domain.spans import DAY_US
from eil_atlas.domain.windows import WINDOW_S
from eil_atlas.graph_methods import GraphMethods, SpanRequest
from eil_atlas.layout import Layout
from eil_atlas.maps import Maps

LONGEST_MAP_US = 31 * DAY_US


class MapMethods(GraphMethods):
    """The methods that answer and draw maps, beside those of the graph. See the contract for what each promises."""

    def __init__(self, answers: Answers, clock: Clock, domain: str) -> None:
        super().__init__(answers, clock, domain)
        self._maps = Maps(Layout(answers))

    async def GetEnergyMap(
        self, request: atlas_pb2.GetEnergyMapRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.GetEnergyMapResponse:
        tenant = caller().tenant
        map_answers.check_form(request)
        answer = await self._whole(tenant, request)
        if request.form and answer.HasField("end"):
            map_answers.add_frames(answer, await self._maps.make(tenant, map_answers.question_of(request, answer)))
        return answer

    async def DrawEnergyMap(
        self, request: atlas_pb2.DrawEnergyMapRequest, context: grpc.aio.ServicerContext
    ) -> httpbody_pb2.HttpBody:
        tenant, kind = caller().tenant, map_answers.picture_kind(request.picture)
        answer = await self._whole(tenant, request)
        transitions = [(edge.source, edge.from_regime, edge.to_regime, edge.count) for edge in answer.edges]
        picture = await self._maps.draw(tenant, map_answers.question_of(request, answer), transitions, kind)
        return httpbody_pb2.HttpBody(content_type=map_answers.MEDIA_TYPES[kind], data=picture)

    async def _whole(self, tenant: str, request: SpanRequest) -> atlas_pb2.GetEnergyMapResponse:
        """Sources and their regime transitions over the whole windows that a request asks for."""
        if (span := await self.span(tenant, request, LONGEST_MAP_US)) is None:
            return atlas_pb2.GetEnergyMapResponse(unit="J", resolution_s=WINDOW_S)
        sums = await self._answers.sums(tenant, *span)
        changes = await self._answers.store.read(lambda conn: topology.regime_changes(conn, tenant, *span))
        return atlas_pb2.GetEnergyMapResponse(
            nodes=[
                atlas_pb2.MapNode(
                    source=one.source,
                    energy=one.energy_j,
                    entropy=one.entropy,
                    regime=one.last_regime,
                    states=one.states,
                )
                for one in sums
            ],
            edges=[
                atlas_pb2.MapEdge(source=source, from_regime=left, to_regime=entered, count=times)
                for source, left, entered, times in changes
            ],
            start=from_us(span[0]),
            end=from_us(span[1]),
            unit="J",
            total_energy=sum(one.energy_j for one in sums),
            resolution_s=WINDOW_S,
        )
