"""Compute credits of a metering service: leases drawn from the ledger ahead of use, so that a charge normally costs no call.

1 CEU is 1000 inference steps. A tenant's lease is counted down here; the next one is drawn in the background when a third is left. What was
used is settled when a lease is used up, shortly before it lapses, and at drain. A crash loses at most the unsettled part of the leases
held: they lapse and return to the tenant's treasury, whose work so far was then free.
"""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

import grpc
import structlog
from eil.economy.v1 import economy_pb2, economy_pb2_grpc

from eil_mesh import metrics
from eil_mesh.call import acting_for
from eil_mesh.client import Peers
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.errors import ResourceExhausted, Unavailable
from eil_mesh.status import reason_of

log = structlog.get_logger("eil.metering")
STEP_U = 1000
"""Price of one inference step, 10⁻⁶ CEU."""
TENANTS = 1000
"""Tenants whose leases are held at once; beyond it the one idle for longest is settled."""
DRAW_S = 2.0
"""Longest time that a charge waits for the ledger."""
SETTLE_S = 10.0
"""Longest time of one attempt to settle."""
CLOSE_S = 3.0
"""Time that settling everything may take at drain."""
MARGIN_SHARE, MARGIN_S = 0.2, 10.0
"""A lease is settled this share of its life before it lapses, at most this long: settling late charges nothing."""
NOT_NOW = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


@dataclass(slots=True, eq=False)
class _Lease:
    tenant: str
    id: str
    amount_u: int
    lapses_us: int
    until_us: int
    """Not used from here on."""
    used_u: int = 0
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class _Wallet:
    """A tenant's leases, the one in use first; at most one more waits behind it."""

    leases: list[_Lease] = field(default_factory=list)
    ahead: asyncio.Task[None] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class CeuMeter:
    """Charges tenants for inference steps. Close it at the drain: `mesh.on_drain(meter.close)`.

    Args:
        peers: channels; the ledger is the peer `economy`.
        service: name of the metering service.
        lease_u: credits leased at once, 10⁻⁶ CEU.
        ttl_s: life of a lease [s].
        clock: tells when a lease lapses.
    """

    def __init__(self, peers: Peers, service: str, lease_u: int, ttl_s: float, clock: Clock) -> None:
        self._economy = peers.stub(economy_pb2_grpc.EconomyServiceStub, "economy")
        self._service, self._lease_u, self._ttl_s, self._clock = service, lease_u, ttl_s, clock
        self._wallets: OrderedDict[str, _Wallet] = OrderedDict()
        self._open: set[_Lease] = set()
        self._settling: dict[asyncio.Task[None], _Lease] = {}

    async def charge(self, tenant: str, steps: int) -> None:
        """Charge `steps` (>= 0) inference steps to the tenant, before they are made.

        Raises:
            ResourceExhausted: the tenant's credits do not suffice; reason INSUFFICIENT_BALANCE.
            Unavailable: the lease held is used up and the ledger cannot be reached.
        """
        if steps < 0:
            raise ValueError(f"{steps} steps cannot be charged")
        cost_u = steps * STEP_U
        wallet = self._wallet(tenant)
        if cost_u and not self._spend(wallet, cost_u):
            async with wallet.lock:
                if wallet.ahead:
                    await asyncio.wait([wallet.ahead])
                if not self._spend(wallet, cost_u):
                    await self._draw_for(tenant, wallet, cost_u)
        metrics.INFERENCE_STEPS.labels(self._service).inc(steps)

    async def close(self) -> None:
        """Settle every lease; what cannot be settled in time lapses and returns."""
        for wallet in self._wallets.values():
            if wallet.ahead:
                wallet.ahead.cancel()
        for lease in list(self._open):
            self._retire(lease)
        if self._settling:
            _, late = await asyncio.wait(self._settling, timeout=CLOSE_S)
            for task in late:
                lease = self._settling[task]
                log.warning("lease not settled at the end", lease=lease.id, tenant=lease.tenant, used_u=lease.used_u)
                task.cancel()

    def _wallet(self, tenant: str) -> _Wallet:
        wallet = self._wallets.setdefault(tenant, _Wallet())
        self._wallets.move_to_end(tenant)
        if len(self._wallets) > TENANTS:
            _, idle = self._wallets.popitem(last=False)
            for lease in idle.leases:
                self._retire(lease)
        return wallet

    def _spend(self, wallet: _Wallet, cost_u: int) -> bool:
        """Take the cost from the leases held, if one covers it; those that do not are settled."""
        while wallet.leases:
            lease, now_us = wallet.leases[0], self._clock.now_us()
            if lease in self._open and now_us < lease.until_us and lease.used_u + cost_u <= lease.amount_u:
                lease.used_u += cost_u
                low = 3 * (lease.amount_u - lease.used_u) < lease.amount_u
                if low and len(wallet.leases) == 1 and wallet.ahead is None:
                    wallet.ahead = asyncio.create_task(self._draw_ahead(lease.tenant, wallet))
                return True
            self._retire(wallet.leases.pop(0))
            wallet.ahead = None if wallet.ahead and wallet.ahead.done() else wallet.ahead
        return False

    async def _draw_ahead(self, tenant: str, wallet: _Wallet) -> None:
        try:
            wallet.leases.append(await self._draw(tenant, self._lease_u))
        except grpc.aio.AioRpcError as error:
            # The lease in use goes on; whoever finds it used up tries again and hears why.
            log.info("next lease not drawn yet", tenant=tenant, code=error.code().name, reason=reason_of(error))
        else:
            wallet.ahead = None

    async def _draw_for(self, tenant: str, wallet: _Wallet, cost_u: int) -> None:
        """Draw a lease that covers the cost and charge it; near the end of the credits, one of the cost alone."""
        amount_u = max(self._lease_u, cost_u)
        try:
            try:
                lease = await self._draw(tenant, amount_u)
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                # What is left of the leases just retired returns first.
                if returning := [task for task, lease in self._settling.items() if lease.tenant == tenant]:
                    await asyncio.wait(returning, timeout=DRAW_S)
                lease = await self._draw(tenant, cost_u)
        except grpc.aio.AioRpcError as error:
            raise _refusal(error) from error
        wallet.ahead = None
        lease.used_u = cost_u
        wallet.leases.append(lease)

    async def _draw(self, tenant: str, amount_u: int) -> _Lease:
        request = economy_pb2.DrawLeaseRequest(
            id=f"lease:{self._service}:{secrets.token_hex(10)}", amount_u=amount_u, ttl_s=self._ttl_s
        )
        # Counted from before the call on this side's clock, a lease never outlives the ledger's whatever the clocks' difference.
        lapses_us = self._clock.now_us() + round(self._ttl_s * MICROSECONDS)
        with acting_for(self._service, tenant):
            response = await self._economy.DrawLease(request, timeout=DRAW_S)
        margin_us = round(min(MARGIN_SHARE * self._ttl_s, MARGIN_S) * MICROSECONDS)
        lease = _Lease(tenant, response.id, response.amount_u, lapses_us, lapses_us - margin_us)
        left_s = (lease.until_us - self._clock.now_us()) / MICROSECONDS
        lease.timer = asyncio.get_running_loop().call_later(left_s, self._retire, lease)
        self._open.add(lease)
        return lease

    def _retire(self, lease: _Lease) -> None:
        """Settle a lease in the background; it is not used any more."""
        if lease not in self._open:
            return
        self._open.discard(lease)
        if lease.timer:
            lease.timer.cancel()
        task = asyncio.create_task(self._settle(lease))
        self._settling[task] = lease
        task.add_done_callback(self._settling.pop)

    async def _settle(self, lease: _Lease) -> None:
        """Settle until it is done, refused or too late."""
        request = economy_pb2.SettleLeaseRequest(id=lease.id, used_u=lease.used_u)
        while (left_s := (lease.lapses_us - self._clock.now_us()) / MICROSECONDS) > 0:
            try:
                with acting_for(self._service, lease.tenant):
                    await self._economy.SettleLease(request, timeout=min(left_s, SETTLE_S))
                return
            except grpc.aio.AioRpcError as error:
                if error.code() not in NOT_NOW:
                    log.error("lease refused to settle", lease=lease.id, tenant=lease.tenant, reason=reason_of(error))
                    return
            await asyncio.sleep(0.2)
        log.warning("lease lapsed unsettled", lease=lease.id, tenant=lease.tenant, used_u=lease.used_u)


def _refusal(error: grpc.aio.AioRpcError) -> Exception:
    """What the ledger's refusal means to who is charged; what is neither shortage nor outage passes as it is."""
    if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
        return ResourceExhausted(
            f"the tenant's compute credits do not suffice: {error.details()}", reason=reason_of(error) or None
        )
    if error.code() in NOT_NOW:
        return Unavailable(
            "the lease of compute credits is used up and the ledger cannot be reached to draw another; nothing was "
            "computed; try again",
            retry_after_s=1.0,
        )
    return error
