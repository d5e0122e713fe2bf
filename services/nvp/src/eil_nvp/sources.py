"""Predictors of sources, kept warm: each has seen the source's states up to the newest, in order, and learns from those that are new.

They are memory, not state: a predictor that is gone is made again from the Atlas.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from eil.atlas.v1 import atlas_pb2, atlas_pb2_grpc
from eil_mesh.errors import NotFound

from eil_nvp.domain.predictor import NVPPredictor, TelemetryForecast

CHANNELS = ("energy", "entropy")
"""What is predicted of a source's states."""
STATES = 512
"""Newest states that a new predictor is made from."""
HELD = 256
"""Predictors kept; the one unused for longest goes first."""


@dataclass(slots=True)
class _Warm:
    predictor: NVPPredictor = field(default_factory=NVPPredictor)
    newest: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Sources:
    """The predictors of every tenant's sources."""

    def __init__(self, atlas: atlas_pb2_grpc.AtlasServiceAsyncStub) -> None:
        self._atlas = atlas
        self._warm: OrderedDict[tuple[str, str], _Warm] = OrderedDict()

    async def predict(
        self, tenant: str, source: str, steps: int, level: float
    ) -> tuple[TelemetryForecast, NVPPredictor, str]:
        """The next states of a source, whose predictor has seen every state; and the identity of the newest.

        Raises:
            NotFound: the Atlas knows no state of it.
        """
        warm = self._warm.setdefault((tenant, source), _Warm())
        self._warm.move_to_end((tenant, source))
        while len(self._warm) > HELD:
            self._warm.popitem(last=False)
        async with warm.lock:
            states = await self._new_states(source, warm)
            rows = np.array([[state.energy, state.entropy] for state in states]).reshape(-1, len(CHANNELS))
            forecast = await asyncio.to_thread(_advance, warm.predictor, rows, steps, level)
            if states:
                warm.newest = states[-1].id
            return forecast, warm.predictor, warm.newest

    async def newest(self, source: str) -> str:
        """Identity of a source's newest state; empty if there is none."""
        answer = await self._atlas.ListStates(atlas_pb2.ListStatesRequest(source=source, page_size=1))
        return answer.states[0].id if answer.states else ""

    async def _new_states(self, source: str, warm: _Warm) -> list[atlas_pb2.StateRecord]:
        """States that the predictor has not seen, oldest first; a predictor that has missed too many begins anew."""
        size = 16 if warm.newest else STATES
        while True:
            answer = await self._atlas.ListStates(atlas_pb2.ListStatesRequest(source=source, page_size=size))
            if not answer.states:
                raise NotFound(
                    f"the Atlas knows no state of source {source!r}; a state needs about a minute of telemetry",
                    reason="SOURCE_UNKNOWN",
                )
            unseen: list[atlas_pb2.StateRecord] = []
            for state in answer.states:
                if state.id == warm.newest:
                    return unseen[::-1]
                unseen.append(state)
            if not warm.newest:
                return unseen[::-1]
            if size == STATES:
                warm.predictor, warm.newest = NVPPredictor(), ""
                return unseen[::-1]
            size = STATES


def _advance(predictor: NVPPredictor, rows: np.ndarray, steps: int, level: float) -> TelemetryForecast:
    if len(rows):
        predictor.observe(rows)
    return predictor.predict(steps, level=level)
