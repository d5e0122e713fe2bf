"""The decision service for real on its socket, with decisions out of a script instead of a planner."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from eil.decision.v1 import decision_pb2, decision_pb2_grpc
from eil_decision.drafting import Draft
from eil_decision.main import serve_decisions
from eil_decision.planning import Known
from eil_decision.settings import DecisionSettings
from eil_mesh.clock import MICROSECONDS, ManualClock, from_us
from eil_mesh.server import Mesh
from eil_mesh.status import reason_of
from eil_mesh.testing import metadata, running, token

SOURCE = "plant"


@dataclass
class Script:
    """Drafts what it is told to."""

    target: int = 10
    clock_us: int = 1_800_000_000 * MICROSECONDS
    """The source's clock."""
    urgent: bool = False
    advise_only: str = ""
    issued: int = 0
    largest: int = 12

    async def draft(self, request: decision_pb2.ActRequest, known: Known, asked_by: str) -> Draft:
        self.issued += 1
        now, horizon_s = request.current_state.active_servers, request.horizon_s or 300.0
        kind = "hold" if self.target == now else "scale_up" if self.target > now else "scale_down"
        response = decision_pb2.ActResponse(
            action=decision_pb2.Action(type=kind, target_servers=self.target),
            prediction_id=f"pred_{self.issued}",
            horizon_s=horizon_s,
            pft_reward=1.0,
            reason="as scripted",
        )
        decision = decision_pb2.Decision(
            request=request,
            response=response,
            asked_by=asked_by,
            window_start=from_us(self.clock_us),
            window_end=from_us(self.clock_us + round(horizon_s * MICROSECONDS)),
        )
        return Draft(decision, max(known.largest, self.largest, now), self.urgent, self.advise_only)


@dataclass
class World:
    """A served decision service and its callers."""

    folder: Path
    script: Script = field(default_factory=Script)
    clock: ManualClock = field(default_factory=ManualClock)
    stub: Any = None
    store: Any = None

    def auth(self, *roles: str, tenant: str = "default") -> tuple[tuple[str, str], ...]:
        return metadata(token(self.folder, roles=roles or ("operator",), tenant=tenant))

    async def act(self, servers: int, target: int, *, source: str = SOURCE, **more: Any) -> decision_pb2.ActResponse:
        """Ask for a decision of a fleet of `servers`; the script says `target`."""
        self.script.target, tenant = target, more.pop("tenant", "default")
        now = decision_pb2.CurrentState(active_servers=servers, avg_utilization=0.5)
        request = decision_pb2.ActRequest(goal="minimize_energy", source=source, current_state=now, **more)
        return await self.stub.Act(request, metadata=self.auth(tenant=tenant))

    async def mode(self, mode: str, source: str = SOURCE, tenant: str = "default") -> None:
        request = decision_pb2.SetModeRequest(source=source, mode=mode)
        await self.stub.SetMode(request, metadata=self.auth(tenant=tenant))

    async def stop(self, source: str = "", reason: str = "") -> list[decision_pb2.Stop]:
        request = decision_pb2.StopActionsRequest(source=source, reason=reason)
        return list((await self.stub.StopActions(request, metadata=self.auth())).stops)

    async def release(self, source: str = "") -> list[decision_pb2.Stop]:
        request = decision_pb2.ReleaseActionsRequest(source=source)
        return list((await self.stub.ReleaseActions(request, metadata=self.auth())).stops)

    async def approve(self, prediction_id: str) -> decision_pb2.Action:
        request = decision_pb2.ApproveDecisionRequest(prediction_id=prediction_id)
        return (await self.stub.ApproveDecision(request, metadata=self.auth())).action

    async def decision(self, prediction_id: str) -> decision_pb2.Decision:
        request = decision_pb2.GetDecisionRequest(prediction_id=prediction_id)
        return (await self.stub.GetDecision(request, metadata=self.auth())).decision

    def pass_time(self, seconds: float) -> None:
        """On the wall and on the source's clock."""
        self.clock.advance(seconds)
        self.script.clock_us += round(seconds * MICROSECONDS)


@pytest.fixture
async def serve(tmp_path: Path, either_database: str) -> AsyncIterator[Callable[..., Any]]:
    """`async with serve(lease_s=60.0) as world`: with these settings; again later, it finds its state as it left it."""
    world = World(tmp_path)

    @asynccontextmanager
    async def start(**settings: object) -> AsyncIterator[World]:
        async def build(mesh: Mesh[DecisionSettings]) -> None:
            serve_decisions(mesh, world.script)

        async with running(tmp_path, DecisionSettings, build, clock=world.clock, grace_s=0.5, **settings) as mesh:
            address = mesh.settings.address() if mesh.settings.tls_dir is None else "unix:unused.sock"
            channel = await clients.enter_async_context(grpc.aio.insecure_channel(address))
            world.stub, world.store = decision_pb2_grpc.DecisionServiceStub(channel), mesh._stores[0]
            yield world

    async with AsyncExitStack() as clients:
        yield start


@pytest.fixture
def refused() -> Callable[..., Any]:
    """`await refused(call)`: the reason by which it was refused."""

    async def reason(call: Any) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        return reason_of(caught.value)

    return reason
