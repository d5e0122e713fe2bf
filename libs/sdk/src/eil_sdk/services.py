"""Every service of the contract that the door offers, as its generated stubs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from eil.atlas.v1.archive_pb2_grpc import ArchiveServiceStub
from eil.atlas.v1.atlas_pb2_grpc import AtlasServiceStub
from eil.atlas.v1.consistency_pb2_grpc import ConsistencyServiceStub
from eil.decision.v1.decision_pb2_grpc import DecisionServiceStub
from eil.diffusion.v1.diffusion_pb2_grpc import DiffusionServiceStub
from eil.economy.v1.economy_pb2_grpc import EconomyServiceStub
from eil.market.v1.market_pb2_grpc import MarketServiceStub
from eil.nvp.v1.nvp_pb2_grpc import NvpServiceStub
from eil.proof.v1.proof_pb2_grpc import ProofServiceStub
from eil.regime.v1.doors_pb2_grpc import TelemetryDoorServiceStub
from eil.regime.v1.regime_pb2_grpc import RegimeServiceStub
from grpc import aio

S = TypeVar("S")
A = TypeVar("A")


class _Stub(Generic[S, A]):
    """A stub, made when it is first used. The class is given twice because a checker sees two types in it, by the kind of channel."""

    def __init__(self, stub: type[S], _same: Callable[[aio.Channel], A]) -> None:
        self._make: Callable[[Any], Any] = stub

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, services: Services, owner: Any = None) -> S: ...
    @overload
    def __get__(self, services: AsyncServices, owner: Any = None) -> A: ...
    def __get__(self, services: Any, owner: Any = None) -> Any:
        services.__dict__[self._name] = made = self._make(services.wire)
        return made


class _Table:
    def __init__(self, wire: Any) -> None:
        self.wire = wire

    regime = _Stub(RegimeServiceStub, RegimeServiceStub)
    telemetry_door = _Stub(TelemetryDoorServiceStub, TelemetryDoorServiceStub)
    decision = _Stub(DecisionServiceStub, DecisionServiceStub)
    proof = _Stub(ProofServiceStub, ProofServiceStub)
    economy = _Stub(EconomyServiceStub, EconomyServiceStub)
    market = _Stub(MarketServiceStub, MarketServiceStub)
    nvp = _Stub(NvpServiceStub, NvpServiceStub)
    diffusion = _Stub(DiffusionServiceStub, DiffusionServiceStub)
    atlas = _Stub(AtlasServiceStub, AtlasServiceStub)
    archive = _Stub(ArchiveServiceStub, ArchiveServiceStub)
    consistency = _Stub(ConsistencyServiceStub, ConsistencyServiceStub)


class Services(_Table):
    """Stubs that answer messages, e.g. `services.economy.Transfer(TransferRequest(…))`."""


class AsyncServices(_Table):
    """Stubs that answer awaitables of messages."""
