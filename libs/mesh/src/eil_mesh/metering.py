"""Energy budgets: who calls from outside, and who has something inferred, pays in compute credits (CEU); what costs what: see `costs`.

A service draws leases ahead of use, so that a charge normally costs no call: it is counted down here, and the next lease is drawn in the
background when a third is left. Leases begin small and double while they are used up quickly. What was used is settled when a lease is used
up, was not used for a while, or is about to lapse, and at drain. A crash loses at most the unsettled part of the leases held: they lapse
and return, and that work was free.
"""

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import grpc
import structlog
from eil.economy.v1 import economy_pb2, economy_pb2_grpc

from eil_mesh import metrics
from eil_mesh.call import acting_for, caller
from eil_mesh.client import Peers
from eil_mesh.clock import MICROSECONDS, Clock
from eil_mesh.costs import STEP_U, from_outside, samples_u
from eil_mesh.errors import EilError, ResourceExhausted, Unavailable
from eil_mesh.services import SERVICES
from eil_mesh.settings import MeshSettings
from eil_mesh.status import BUDGET_KEY, RETRY_KEY, reason_of, trailing_of

log = structlog.get_logger("eil.metering")
LONGEST_SUBJECT: Final = 100
"""Subjects of more characters have budgets by their digest."""
WALLETS: Final = 10_000
"""Payers whose leases are held at once; beyond it the one idle for longest is settled."""
FIRST_U: Final = 1000
"""Size of a first lease, 10⁻⁶ CEU: a thousand ordinary calls."""
SHARE: Final = 4
"""A lease takes at most this part of what is left, so that other services find something."""
QUICK_S, SLOW_S = 30.0, 300.0
"""Draws that follow each other within the first double the lease; after a pause of the second it begins small again."""
IDLE_S = 60.0
"""A lease that nobody used for this long is settled."""
DRAW_S = 2.0
"""Longest time that a charge waits for the ledger."""
FREE_S = 10.0
"""How long nothing is charged once an economy of the release before said that this service may draw no leases."""
REFUSED_S = 1.0
"""How long a refusal stands without asking the ledger again, at most."""
SETTLE_S = 10.0
"""Longest time of one attempt to settle."""
CLOSE_S = 3.0
"""Time that settling everything may take at drain."""
MARGIN_SHARE, MARGIN_S = 0.2, 10.0
"""A lease is settled this share of its life before it lapses, at most this long: settling late charges nothing."""
OUTAGE: Final = "the lease of compute credits is used up and the ledger cannot be reached to draw another; nothing was done; try again"
NOT_NOW = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)


@dataclass(slots=True, eq=False)
class _Lease:
    wallet: "_Wallet"
    id: str
    amount_u: int
    low_u: int
    """Used up to here, the next one is drawn."""
    lapses_us: int
    until_us: int
    """Not used from here on."""
    used_u: int = 0
    seen_u: int = 0
    """What was used of it when it was last looked at."""
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True, eq=False)
class _Wallet:
    """A payer's leases: the one in use, and at most one that waits behind it. Without a principal the tenant's treasury pays."""

    tenant: str
    principal: str
    lease: _Lease | None = None
    following: _Lease | None = None
    ahead: asyncio.Task[None] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted_u: int = 0
    """Cost of the calls that wait for a lease."""
    size_u: int = FIRST_U
    """Size of the newest lease, if nobody wanted more."""
    most_u: int = 0
    """What a lease may take of what was left at the last draw; 0 before the first."""
    drawn_us: int = 0
    refused: EilError | None = None
    refused_u: int = 0
    """The smallest cost that is refused, until `refused_us`."""
    refused_us: int = 0
    free_us: int = 0
    """Nothing is charged until here."""


class CeuMeter:
    """Charges principals, and tenants' treasuries, for what is done for them. Close it at the drain.

    Args:
        peers: channels; the ledger is the peer `economy`.
        settings: of the service that meters. Where `budgets` is off, or the service may not call the economy, nothing is charged.
        clock: tells when a lease lapses.
    """

    def __init__(self, peers: Peers, settings: MeshSettings, clock: Clock) -> None:
        self._service, self._clock = settings.service, clock
        self._lease_u, self._ttl_s = settings.lease_u, settings.lease_s
        self.on = settings.budgets and "economy" in SERVICES[settings.service].calls
        """Whether anything is charged."""
        if self.on:
            self._economy = peers.stub(economy_pb2_grpc.EconomyServiceStub, "economy")
        self._wallets: OrderedDict[tuple[str, str], _Wallet] = OrderedDict()
        self._open: set[_Lease] = set()
        self._settling: dict[asyncio.Task[None], _Lease] = {}

    async def charge(self, *, samples: int = 0, steps: int = 0) -> None:
        """Charge the caller of the call being served, before the work: `samples` (>= 0) that came together to whoever sent them from
        outside, `steps` (>= 0) of inference to whoever's token it is, and to the tenant's treasury where there is none.

        Raises:
            ResourceExhausted: the budget does not suffice, reason BUDGET_EXHAUSTED; or the treasury does not, INSUFFICIENT_BALANCE.
            Unavailable: the lease held is used up and the ledger cannot be reached.
            PermissionDenied: the call has no tenant.
        """
        if samples < 0 or steps < 0:
            raise ValueError(f"{samples} samples and {steps} steps cannot be charged")
        if self.on:
            principal = caller()
            cost_u = steps * STEP_U + (samples_u(samples) if from_outside(principal) else 0)
            subject = principal.subject if principal.token else ""
            if cost_u and not self.spend(principal.tenant, subject, cost_u):
                await self.pay(principal.tenant, subject, cost_u)
        if steps:
            metrics.INFERENCE_STEPS.labels(self._service).inc(steps)

    def spend(self, tenant: str, subject: str, cost_u: int) -> bool:
        """Take the cost from the lease in use, if that covers it: the way of nearly every call, hence the short one."""
        wallet = self._wallets.get((tenant, subject))
        if wallet is None or (lease := wallet.lease) is None:
            return False
        used_u = lease.used_u + cost_u
        if used_u > lease.amount_u or self._clock.now_us() >= lease.until_us:
            return False
        lease.used_u = used_u
        if used_u >= lease.low_u and wallet.ahead is None and wallet.following is None:
            wallet.ahead = asyncio.create_task(self._draw_ahead(wallet))
        return True

    async def pay(self, tenant: str, subject: str, cost_u: int) -> None:
        """Take the cost from the next lease, or one drawn for it. Raises as `charge` does."""
        wallet = self._wallet(tenant, subject)
        wallet.wanted_u += cost_u
        try:
            async with wallet.lock:
                if wallet.ahead:
                    await asyncio.wait([wallet.ahead])
                while wallet.lease:
                    if self.spend(tenant, subject, cost_u):
                        return
                    self._retire(wallet.lease)
                if self._clock.now_us() < wallet.free_us:
                    return
                if wallet.refused and cost_u >= wallet.refused_u and self._clock.now_us() < wallet.refused_us:
                    metrics.BUDGET_REFUSALS.labels(wallet.refused.reason).inc()
                    raise wallet.refused.with_traceback(None)
                await self._draw_for(wallet, cost_u)
        finally:
            wallet.wanted_u -= cost_u

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
                log.warning("lease not settled at the end", lease=lease.id, used_u=lease.used_u)
                task.cancel()

    def _wallet(self, tenant: str, subject: str) -> _Wallet:
        key = (tenant, subject)
        if (wallet := self._wallets.get(key)) is None:
            wallet = self._wallets[key] = _Wallet(tenant, principal_of(subject) if subject else "")
        self._wallets.move_to_end(key)
        if len(self._wallets) > WALLETS:
            _, idle = self._wallets.popitem(last=False)
            for lease in (idle.following, idle.lease):
                if lease:
                    self._retire(lease)
        return wallet

    def _size(self, wallet: _Wallet) -> int:
        """How much the next lease should take."""
        now_us = self._clock.now_us()
        since_us, wallet.drawn_us = now_us - wallet.drawn_us, now_us
        if since_us < QUICK_S * MICROSECONDS:
            wallet.size_u = min(2 * wallet.size_u, self._lease_u)
        elif since_us > SLOW_S * MICROSECONDS:
            wallet.size_u = min(FIRST_U, self._lease_u)
        return max(min(wallet.size_u, wallet.most_u or wallet.size_u), wallet.wanted_u, 1)

    async def _draw_ahead(self, wallet: _Wallet) -> None:
        used = wallet.lease
        try:
            drawn = await self._draw(wallet, self._size(wallet))
            if wallet.lease:
                wallet.following = drawn
            else:
                wallet.lease = drawn
        except grpc.aio.AioRpcError as error:
            # The lease in use goes on; whoever finds it used up tries again and hears why.
            log.info("next lease not drawn yet", tenant=wallet.tenant, code=error.code().name, reason=reason_of(error))
            if used:
                used.low_u = used.amount_u + 1
        finally:
            wallet.ahead = None

    async def _draw_for(self, wallet: _Wallet, cost_u: int) -> None:
        """Draw a lease that covers the cost and charge it; near the end of a budget smaller ones, at last one of the cost alone."""
        amount_u = max(self._size(wallet), cost_u)
        # What is left of the leases just retired may return behind the draw: whether it does is asked before.
        returning = [task for task, lease in self._settling.items() if lease.wallet is wallet]
        while True:
            try:
                lease = await self._draw(wallet, amount_u)
                break
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.PERMISSION_DENIED:
                    log.warning("nothing is charged: the economy knows no budgets yet", tenant=wallet.tenant)
                    wallet.free_us = self._clock.now_us() + round(FREE_S * MICROSECONDS)
                    return
                exhausted = error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
                if not exhausted or (amount_u == cost_u and not returning):
                    raise self._refusal(wallet, error, cost_u) from error
                if returning:
                    await asyncio.wait(returning, timeout=DRAW_S)
                    returning = []
                left_u = round(float(trailing_of(error).get(BUDGET_KEY, "0")) * 10**6)
                amount_u = max(cost_u, min(amount_u, left_u) // 2)
        lease.used_u, wallet.lease, wallet.refused = cost_u, lease, None

    def _refusal(self, wallet: _Wallet, error: grpc.aio.AioRpcError, cost_u: int) -> Exception:
        """What the ledger's refusal means to who is charged; it stands for a moment. What is neither shortage nor outage passes on."""
        told = trailing_of(error)
        if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
            retry_s = float(told[RETRY_KEY]) if RETRY_KEY in told else None
            headers = {BUDGET_KEY: told[BUDGET_KEY]} if BUDGET_KEY in told else {}
            refused = ResourceExhausted(
                f"nothing was done, because compute credits do not suffice: {error.details()}",
                reason=reason_of(error) or None,
                retry_after_s=retry_s,
                headers=headers,
            )
        elif error.code() in NOT_NOW:
            refused, cost_u, retry_s = Unavailable(OUTAGE), 0, 1.0
        else:
            return error
        stands_s = REFUSED_S if retry_s is None else min(retry_s, REFUSED_S)
        wallet.refused, wallet.refused_u = refused, cost_u
        wallet.refused_us = self._clock.now_us() + round(stands_s * MICROSECONDS)
        metrics.BUDGET_REFUSALS.labels(refused.reason).inc()
        return refused

    async def _draw(self, wallet: _Wallet, amount_u: int) -> _Lease:
        request = economy_pb2.DrawLeaseRequest(
            id=f"lease:{self._service}:{secrets.token_hex(10)}",
            amount_u=amount_u,
            ttl_s=self._ttl_s,
            principal=wallet.principal,
        )
        # Counted from before the call on this side's clock, a lease never outlives the ledger's whatever the clocks' difference.
        lapses_us = self._clock.now_us() + round(self._ttl_s * MICROSECONDS)
        with acting_for(self._service, wallet.tenant):
            response = await self._economy.DrawLease(request, timeout=DRAW_S)
        margin_us = round(min(MARGIN_SHARE * self._ttl_s, MARGIN_S) * MICROSECONDS)
        low_u = 2 * response.amount_u // 3 + 1
        lease = _Lease(wallet, response.id, response.amount_u, low_u, lapses_us, lapses_us - margin_us)
        wallet.most_u = max(response.left_u // SHARE, FIRST_U)
        self._open.add(lease)
        self._wait(lease)
        return lease

    def _wait(self, lease: _Lease) -> None:
        lease.seen_u = lease.used_u
        left_s = (lease.until_us - self._clock.now_us()) / MICROSECONDS
        lease.timer = asyncio.get_running_loop().call_later(min(left_s, IDLE_S), self._look, lease)

    def _look(self, lease: _Lease) -> None:
        """Settle a lease whose time is past, or that nobody used since the last look; one that waits for its turn may wait on."""
        idle = lease.used_u == lease.seen_u and lease is not lease.wallet.following
        if idle or self._clock.now_us() >= lease.until_us:
            self._retire(lease)
        else:
            self._wait(lease)

    def _retire(self, lease: _Lease) -> None:
        """Settle a lease in the background; it is not used any more."""
        if lease not in self._open:
            return
        self._open.discard(lease)
        if lease.timer:
            lease.timer.cancel()
        wallet = lease.wallet
        if wallet.lease is lease:
            wallet.lease, wallet.following = wallet.following, None
        elif wallet.following is lease:
            wallet.following = None
        task = asyncio.create_task(self._settle(lease))
        self._settling[task] = lease
        task.add_done_callback(self._settling.pop)

    async def _settle(self, lease: _Lease) -> None:
        """Settle until it is done, refused or too late."""
        request = economy_pb2.SettleLeaseRequest(id=lease.id, used_u=lease.used_u)
        while (left_s := (lease.lapses_us - self._clock.now_us()) / MICROSECONDS) > 0:
            try:
                with acting_for(self._service, lease.wallet.tenant):
                    await self._economy.SettleLease(request, timeout=min(left_s, SETTLE_S))
                metrics.CREDITS_CHARGED.inc(lease.used_u / 10**6)
                return
            except grpc.aio.AioRpcError as error:
                if error.code() not in NOT_NOW:
                    log.error("lease refused to settle", lease=lease.id, reason=reason_of(error))
                    return
            await asyncio.sleep(0.2)
        log.warning("lease lapsed unsettled", lease=lease.id, tenant=lease.wallet.tenant, used_u=lease.used_u)


def principal_of(subject: str) -> str:
    """Whose budget a subject's is: the subject's own, if an account can be called so, else one by its digest."""
    if 0 < len(subject) <= LONGEST_SUBJECT and subject != "*" and "\0" not in subject:
        return subject
    return f"sha256:{hashlib.sha256(subject.encode()).hexdigest()}"
