"""gRPC ⇄ the graph's answers."""

from typing import Any, Protocol

import grpc
from eil.atlas.v1 import atlas_pb2, atlas_pb2_grpc
from eil_mesh.call import caller
from eil_mesh.clock import MICROSECONDS, Clock, from_us, to_us
from eil_mesh.errors import InvalidArgument
from eil_mesh.paging import page_of

from eil_atlas import topology
from eil_atlas.answers import Answers
from eil_atlas.changes import END_OF_TIME_US, Shift
from eil_atlas.domain.spans import DAY_US
from eil_atlas.domain.windows import WINDOW_US, window_start_us
from eil_atlas.records import LEVELS, link_of, link_record, place_of, shift_record, state_record, strange, token_after

DEFAULT_SPAN_US = 3600 * MICROSECONDS
LONGEST_SPAN_US = 732 * DAY_US
DEFAULT_WITHIN_S, DEFAULT_HOPS, DEFAULT_LIMIT = 900.0, 3, 10
LONGEST_PATH = 100
"""Stretches on a page of a path, whose energies are asked for one by one."""


class SpanRequest(Protocol):
    """A request with a begin and an end."""

    start: Any
    end: Any

    def HasField(self, field_name: Any) -> bool: ...


class GraphMethods(atlas_pb2_grpc.AtlasServiceServicer):
    """The methods that ask the graph or draw its topology. See the contract for what each promises."""

    def __init__(self, answers: Answers, clock: Clock, domain: str) -> None:
        self._answers, self._clock, self._domain = answers, clock, domain

    async def ListStates(
        self, request: atlas_pb2.ListStatesRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.ListStatesResponse:
        tenant, (size, token) = caller().tenant, page_of(request)
        span = (
            to_us(request.start) if request.HasField("start") else 0,
            to_us(request.end) if request.HasField("end") else END_OF_TIME_US,
        )
        level_us = LEVELS[request.resolution]
        found = await self._answers.graph.states(tenant, request.source, span, place_of(token), size, level_us)
        return atlas_pb2.ListStatesResponse(
            states=[state_record(tenant, self._domain, state) for state in found],
            next_page_token=token_after(found, size, "start_us"),
        )

    async def GetState(
        self, request: atlas_pb2.GetStateRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.GetStateResponse:
        tenant, time_us = caller().tenant, self._moment_us(request)
        state = await self._answers.state_at(tenant, request.source, time_us)
        age_us = max(0, time_us - state.start_us - WINDOW_US)
        return atlas_pb2.GetStateResponse(state=state_record(tenant, self._domain, state), age_s=age_us / MICROSECONDS)

    async def ListShiftStates(
        self, request: atlas_pb2.ListShiftStatesRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.ListShiftStatesResponse:
        tenant, (size, token) = caller().tenant, page_of(request)
        before = place_of(token)
        found = await self._answers.store.read(
            lambda conn: topology.list_shifts(conn, tenant, request.source, before, size)
        )
        return atlas_pb2.ListShiftStatesResponse(
            shifts=await self._shift_records(tenant, found), next_page_token=token_after(found, size, "detected_us")
        )

    async def ListRegimePath(
        self, request: atlas_pb2.ListRegimePathRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.ListRegimePathResponse:
        tenant, (size, token) = caller().tenant, page_of(request)
        size = min(size, LONGEST_PATH)
        if (span := await self.span(tenant, request)) is None:
            return atlas_pb2.ListRegimePathResponse()
        start_us, end_us = span
        if token:
            at_us, last = place_of(token)
            if last != request.source or not start_us <= at_us < end_us:
                raise strange(token)
            start_us = at_us
        path = await self._answers.path(tenant, request.source, start_us, end_us, size)
        reached_us = path[-1][0].end_us if path else end_us
        return atlas_pb2.ListRegimePathResponse(
            stretches=[
                atlas_pb2.RegimeStretch(
                    regime=stretch.regime,
                    start=from_us(stretch.start_us),
                    end=from_us(stretch.end_us),
                    energy=sums.energy_j if sums else 0.0,
                    states=sums.states if sums else 0,
                    covered_s=sums.covered_s if sums else 0.0,
                )
                for stretch, sums in path
            ],
            next_page_token=f"{reached_us}/{request.source}" if reached_us < end_us else "",
        )

    async def TraceShift(
        self, request: atlas_pb2.TraceShiftRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.TraceShiftResponse:
        tenant = caller().tenant
        within_s, hops = request.within_s or DEFAULT_WITHIN_S, request.hops or DEFAULT_HOPS
        shift, origins, complete = await self._answers.trace(
            tenant, request.source, request.shift_id, within_s, hops, request.limit or DEFAULT_LIMIT
        )
        records = await self._shift_records(tenant, [shift, *(origin.shift for origin in origins)])
        looked = f"in the {within_s:g} s before it, on sources at most {hops} links away"
        return atlas_pb2.TraceShiftResponse(
            shift=records[0],
            origins=[
                atlas_pb2.ShiftOrigin(shift=record, before_s=origin.before_s, hops=origin.hops, score=origin.score)
                for record, origin in zip(records[1:], origins, strict=True)
            ],
            explanation=f"shifts {looked}, the likeliest first; near in time and topology is no proof"
            if origins
            else f"nothing explains it: no shift {looked}",
            complete=complete,
        )

    async def GetEnergyFlow(
        self, request: atlas_pb2.GetEnergyFlowRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.GetEnergyFlowResponse:
        tenant = caller().tenant
        if (span := await self.span(tenant, request)) is None:
            return atlas_pb2.GetEnergyFlowResponse()
        flows = await self._answers.flow(tenant, *span)
        return atlas_pb2.GetEnergyFlowResponse(
            flows=[atlas_pb2.EnergyFlow(link=link_record(link), energy=energy_j) for link, energy_j in flows],
            start=from_us(span[0]),
            end=from_us(span[1]),
        )

    async def ListTopConsumers(
        self, request: atlas_pb2.ListTopConsumersRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.ListTopConsumersResponse:
        tenant = caller().tenant
        if (span := await self.span(tenant, request)) is None:
            return atlas_pb2.ListTopConsumersResponse()
        consumers, total_j = await self._answers.top(tenant, *span, request.limit or DEFAULT_LIMIT)
        return atlas_pb2.ListTopConsumersResponse(
            consumers=[
                atlas_pb2.Consumer(
                    source=one.source,
                    energy=one.energy_j,
                    share=one.energy_j / total_j if total_j > 0 else 0.0,
                    trend=one.trend,
                    covered_s=one.covered_s,
                )
                for one in consumers
            ],
            total_energy=total_j,
            start=from_us(span[0]),
            end=from_us(span[1]),
        )

    async def FindSimilarStates(
        self, request: atlas_pb2.FindSimilarStatesRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.FindSimilarStatesResponse:
        tenant, level_us = caller().tenant, LEVELS[request.resolution]
        target = await self._answers.state_at(tenant, request.source, self._moment_us(request), level_us)
        span = await self.span(tenant, request) or (0, 0)
        found, scanned, complete = await self._answers.similar(
            tenant, target, request.among, span, request.limit or DEFAULT_LIMIT
        )
        return atlas_pb2.FindSimilarStatesResponse(
            state=state_record(tenant, self._domain, target),
            similar=[
                atlas_pb2.SimilarState(state=state_record(tenant, self._domain, state), distance=away)
                for state, away in found
            ],
            scanned=scanned,
            complete=complete,
        )

    async def PutLinks(
        self, request: atlas_pb2.PutLinksRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.PutLinksResponse:
        await self._answers.put_links(caller().tenant, [link_of(link) for link in request.links])
        return atlas_pb2.PutLinksResponse()

    async def ListLinks(
        self, request: atlas_pb2.ListLinksRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.ListLinksResponse:
        tenant, (size, token) = caller().tenant, page_of(request)
        after = tuple(token.split("\n")) if token else ("", "", "")
        if len(after) != 3:
            raise strange(token)
        found = await self._answers.store.read(lambda conn: topology.links(conn, tenant, after, size))
        last = found[-1] if len(found) == size else None
        return atlas_pb2.ListLinksResponse(
            links=[link_record(link) for link in found],
            next_page_token="\n".join((last.source, last.to_source, last.kind)) if last else "",
        )

    async def DeleteLinks(
        self, request: atlas_pb2.DeleteLinksRequest, context: grpc.aio.ServicerContext
    ) -> atlas_pb2.DeleteLinksResponse:
        deleted = await self._answers.delete_links(caller().tenant, [link_of(link) for link in request.links])
        return atlas_pb2.DeleteLinksResponse(deleted=deleted)

    async def _shift_records(self, tenant: str, shifts: list[Shift]) -> list[atlas_pb2.ShiftRecord]:
        windows = [(shift.source, window_start_us(shift.detected_us)) for shift in shifts]
        standing = await self._answers.graph.standing(tenant, windows)
        return [shift_record(tenant, shift, standing) for shift in shifts]

    def _moment_us(self, request: Any) -> int:
        return to_us(request.time) if request.HasField("time") else self._clock.now_us()

    async def span(
        self, tenant: str, request: SpanRequest, longest_us: int = LONGEST_SPAN_US
    ) -> tuple[int, int] | None:
        """The whole windows that a request asks for: its begin goes down and its end up to a window's edge. None: without an end, and the
        tenant has no state.

        Raises:
            InvalidArgument: it ends before it begins, or is too long.
        """
        if request.HasField("end"):
            end_us = window_start_us(to_us(request.end) + WINDOW_US - 1)
        elif (newest_us := await self._answers.graph.newest_us(tenant)) is not None:
            end_us = newest_us + WINDOW_US
        else:
            return None
        start_us = window_start_us(to_us(request.start)) if request.HasField("start") else end_us - DEFAULT_SPAN_US
        if not 0 < end_us - start_us <= longest_us:
            raise InvalidArgument(
                f"a span must end after it starts and cover at most {longest_us // DAY_US} days; without an end it ends with the newest "
                "state: choose another `start` or `end`",
                violations={"end" if request.HasField("end") else "start": "the end must come after the start"},
            )
        return start_us, end_us
