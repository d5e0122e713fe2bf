"""Budgets of principals: what each may spend, refilled out of the tenant's treasury as its policy says.

A budget is an account, `@budget/<principal>`, and what the treasury owes it. What is due stays in the treasury until a lease needs it, so
that full budgets of a thousand principals bind nothing. The refill is counted when somebody asks: what flowed since it was counted last,
at most what there is room for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from eil_economy.domain.book import all_or_nothing, find_transfer
from eil_economy.domain.database import Database
from eil_economy.domain.errors import BudgetExhausted
from eil_economy.domain.holds import reserve
from eil_economy.domain.leases import lease_order
from eil_economy.domain.ledger import post_now
from eil_economy.domain.policies import STARTING_GRANT, apply_policies
from eil_economy.domain.records import Instruction, Transfer
from eil_economy.domain.tokens import (
    BUDGET_PREFIX,
    CEU,
    EVERYBODY,
    TREASURY,
    format_amount,
    require_name,
    require_principal,
)

HOUR_US: Final = 3600 * 10**6
_FOUND: Final = (
    "SELECT 'policy', principal, capacity_u, refill_u_per_h, due_u, rest, since_us FROM budget "
    "WHERE tenant = ? AND principal IN (?, ?) "
    "UNION ALL SELECT 'account', owner, balance_u, reserved_u, 0, 0, 0 FROM account "
    "WHERE tenant = ? AND token = ? AND owner IN (?, ?)"
)
_NAMED: Final = f"substr(owner, {len(BUDGET_PREFIX) + 1})"
_NAMES: Final = (
    f"SELECT principal FROM budget WHERE tenant = ? AND principal > ? UNION SELECT {_NAMED} FROM account "
    f"WHERE tenant = ? AND substr(owner, 1, {len(BUDGET_PREFIX)}) = ? AND {_NAMED} > ? ORDER BY 1 LIMIT ?"
)
_KEEP: Final = (
    "INSERT INTO budget (tenant, principal, capacity_u, refill_u_per_h, due_u, rest, since_us) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, principal) DO UPDATE SET capacity_u = excluded.capacity_u, "
    "refill_u_per_h = excluded.refill_u_per_h, due_u = excluded.due_u, rest = excluded.rest, since_us = excluded.since_us"
)


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """A budget is filled up to `capacity_u`, by `refill_u_per_h`, 10⁻⁶ CEU."""

    capacity_u: int
    refill_u_per_h: int


DEFAULT: Final = BudgetPolicy(STARTING_GRANT.amount_u, STARTING_GRANT.amount_u)
"""For all of a tenant that set nothing: a principal may spend as much as the tenant was granted, and again within an hour."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget at a moment, 10⁻⁶ CEU. `due_u` is owed by the treasury, which can spend `treasury_u`; `rest` of an hour's millionths of it
    have flowed beyond."""

    principal: str
    policy: BudgetPolicy
    own_policy: bool
    balance_u: int
    reserved_u: int
    due_u: int
    rest: int
    since_us: int
    treasury_u: int

    @property
    def account(self) -> str:
        """Who holds it in the ledger."""
        return BUDGET_PREFIX + self.principal

    @property
    def left_u(self) -> int:
        """What a lease could be drawn for now."""
        return self.balance_u - self.reserved_u + min(self.due_u, self.treasury_u)


def draw_from_budget(
    conn: Database, tenant: str, lease_id: str, principal: str, holder: str, amount_u: int, ttl_us: int, now_us: int
) -> tuple[Transfer, int]:
    """As `leases.draw_lease`, of the principal's budget; also answers what is left beside the lease. Of what is due, as much moves out of
    the treasury as the lease needs.

    Raises InvalidName, BudgetExhausted, and as `holds.reserve` does; then nothing is recorded.
    """
    order = lease_order(lease_id, BUDGET_PREFIX + require_principal(principal), holder, amount_u)
    with all_or_nothing(conn):
        apply_policies(conn, require_name(tenant, "tenant"), now_us)
        budget = budget_of(conn, tenant, principal, now_us)
        if find_transfer(conn, tenant, lease_id) is not None:  # drawn before: what it needed was moved then
            return reserve(conn, tenant, order, ttl_us, now_us), budget.left_u
        short_u = amount_u - (budget.balance_u - budget.reserved_u)
        if short_u > 0:
            if amount_u > budget.left_u:
                raise _exhausted(budget, amount_u)
            refill = Instruction(
                f"@refill/{lease_id}", TREASURY, budget.account, CEU, short_u, "budget_refill", principal
            )
            post_now(conn, tenant, refill, now_us)
            budget = replace(
                budget,
                balance_u=budget.balance_u + short_u,
                due_u=budget.due_u - short_u,
                treasury_u=budget.treasury_u - short_u,
            )
        _keep(conn, tenant, budget)
        line = reserve(conn, tenant, order, ttl_us, now_us)
    return line, budget.left_u - amount_u


def budget_of(conn: Database, tenant: str, principal: str, now_us: int) -> Budget:
    """A principal's budget now, refill included; whoever never spent has a full one. `*`: the default, which holds nothing.

    Raises InvalidName.
    """
    _require_whose(principal)
    account = BUDGET_PREFIX + principal
    found: dict[tuple[str, str], tuple] = {
        (kind, name): tuple(row)
        for kind, name, *row in conn.execute(
            _FOUND, (tenant, principal, EVERYBODY, tenant, CEU, account, TREASURY)
        ).fetchall()
    }
    kept = found.get(("policy", principal))
    own_policy = kept is not None and kept[0] is not None
    terms = kept if own_policy else found.get(("policy", EVERYBODY))
    policy = BudgetPolicy(*terms[:2]) if terms else DEFAULT
    balance_u, reserved_u, *_ = found.get(("account", account), (0, 0))
    # A tenant that never used its treasury has the grant to come.
    treasury = found.get(("account", TREASURY), (STARTING_GRANT.amount_u, 0))
    due_u, rest, since_us = kept[2:] if kept else (max(0, policy.capacity_u - balance_u), 0, now_us)
    if principal == EVERYBODY:
        due_u = 0
    budget = Budget(
        *(principal, policy, own_policy, balance_u, reserved_u, due_u, rest, since_us),
        treasury_u=treasury[0] - treasury[1],
    )
    return _refilled(budget, now_us)


def budgets(conn: Database, tenant: str, after: str, limit: int, now_us: int) -> tuple[Budget, ...]:
    """Budgets that were spent from, paid into or given a policy, the tenant's default among them, by principal above `after`.

    Raises InvalidName.
    """
    if after:
        _require_whose(after)
    rows = conn.execute(_NAMES, (tenant, after, tenant, BUDGET_PREFIX, after, limit)).fetchall()
    return tuple(budget_of(conn, tenant, principal, now_us) for (principal,) in rows)


def put_policy(conn: Database, tenant: str, principal: str, policy: BudgetPolicy, now_us: int) -> Budget:
    """Gives a principal, or with `*` those without a policy of their own, other terms from now on; what flowed before stays.

    Whatever is due beyond the new capacity is not due any more. Raises InvalidName.
    """
    _require_whose(principal)
    for name in _those_under(conn, tenant, principal):
        _keep(conn, tenant, budget_of(conn, tenant, name, now_us))
    before = budget_of(conn, tenant, principal, now_us)
    known = conn.execute("SELECT 1 FROM budget WHERE tenant = ? AND principal = ?", (tenant, principal)).fetchone()
    full_u = 0 if principal == EVERYBODY else max(0, policy.capacity_u - before.balance_u)
    due_u = min(before.due_u, policy.capacity_u) if known else full_u
    budget = replace(before, policy=policy, own_policy=True, due_u=due_u)
    _keep(conn, tenant, budget)
    return budget


def _require_whose(principal: str) -> None:
    if principal != EVERYBODY:
        require_principal(principal)


def _those_under(conn: Database, tenant: str, principal: str) -> Sequence[str]:
    """Those beside `principal` who follow its policy."""
    if principal != EVERYBODY:
        return ()
    rows = conn.execute("SELECT principal FROM budget WHERE tenant = ? AND capacity_u IS NULL", (tenant,)).fetchall()
    return [name for (name,) in rows]


def _refilled(budget: Budget, now_us: int) -> Budget:
    policy = budget.policy
    flowed = budget.rest + policy.refill_u_per_h * max(0, now_us - budget.since_us)
    earned_u, rest = divmod(flowed, HOUR_US)
    room_u = max(0, policy.capacity_u - budget.balance_u - budget.due_u)
    if earned_u >= room_u:  # full: what flows runs over
        earned_u, rest = room_u, 0
    due_u = min(budget.due_u + earned_u, policy.capacity_u)
    return replace(budget, due_u=due_u, rest=rest, since_us=max(now_us, budget.since_us))


def _keep(conn: Database, tenant: str, budget: Budget) -> None:
    policy = budget.policy
    terms = (policy.capacity_u, policy.refill_u_per_h) if budget.own_policy else (None, None)
    conn.execute(_KEEP, (tenant, budget.principal, *terms, budget.due_u, budget.rest, budget.since_us))


def _exhausted(budget: Budget, amount_u: int) -> BudgetExhausted:
    asked, left = format_amount(amount_u, CEU), format_amount(budget.left_u, CEU)
    wait_us, policy = _wait_us(budget, amount_u), budget.policy
    if budget.treasury_u < budget.due_u:
        why = f"The treasury of the tenant is short: credit {TREASURY}, or transfer CEU to {budget.account}"
    elif wait_us is not None:
        why = f"Refill covers it in {wait_us / 10**6:.0f} s; sooner if CEU are transferred to {budget.account}"
    else:
        why = f"Refill never covers it: transfer CEU to {budget.account}, or have its policy changed"
    return BudgetExhausted(
        f"{asked} were asked of the budget of {budget.principal!r}, which has {left} left "
        f"({format_amount(budget.reserved_u, CEU)} in leases) and is filled up to {format_amount(policy.capacity_u, CEU)} "
        f"by {format_amount(policy.refill_u_per_h, CEU)} an hour. {why}.",
        budget.left_u,
        wait_us,
    )


def _wait_us(budget: Budget, amount_u: int) -> int | None:
    """When refill will cover the amount; None if never. What leases hold makes room, or returns."""
    policy = budget.policy
    lacking_u = amount_u - (budget.balance_u - budget.reserved_u) - budget.due_u
    room_u = policy.capacity_u - budget.balance_u - budget.due_u + budget.reserved_u
    if not policy.refill_u_per_h or not 0 < lacking_u <= room_u or budget.treasury_u < budget.due_u + lacking_u:
        return None
    return -(-(lacking_u * HOUR_US - budget.rest) // policy.refill_u_per_h)
