"""What the domain knows, as the contract shows it."""

from eil.economy.v1 import economy_pb2
from eil_mesh.clock import MICROSECONDS, from_us

from eil_economy.clients import USER_PREFIX
from eil_economy.domain.audit import AuditReport
from eil_economy.domain.budgets import Budget
from eil_economy.domain.licences import Licence
from eil_economy.domain.minter import Claim
from eil_economy.domain.policies import MintPolicy
from eil_economy.domain.records import Balance, Line, Statement, Supply, Transfer
from eil_economy.domain.tokens import EVERYBODY, U_PER_TOKEN


def entry(line: Transfer) -> economy_pb2.TransferRecord:
    """A line of the book."""
    return economy_pb2.TransferRecord(
        id=line.transfer_id,
        debit_owner=line.source,
        credit_owner=line.destination,
        token=line.token,
        amount_u=line.amount_u,
        kind=_kind(line),
        reason=line.reason,
        time=from_us(line.created_us),
        pending_id=line.pending_id or "",
        expires=None if line.expires_us is None else from_us(line.expires_us),
        reference=line.reference,
    )


def balance(account: Balance) -> economy_pb2.Balance:
    """An account."""
    return economy_pb2.Balance(
        owner=account.owner,
        token=account.token,
        balance_u=account.balance_u,
        reserved_u=account.reserved_u,
        balance=account.balance_u / U_PER_TOKEN,
        incoming_u=account.incoming_u,
    )


def budget(found: Budget) -> economy_pb2.Budget:
    """A principal's budget, or the default, which is nobody's."""
    everybody = found.principal == EVERYBODY
    return economy_pb2.Budget(
        principal=found.principal,
        account="" if everybody else found.account,
        left_u=0 if everybody else found.left_u,
        leased_u=found.reserved_u,
        capacity_u=found.policy.capacity_u,
        refill_u_per_h=found.policy.refill_u_per_h,
        own_policy=found.own_policy,
    )


def supply(issue: Supply) -> economy_pb2.Supply:
    """A token's issue."""
    return economy_pb2.Supply(
        token=issue.token,
        minted_u=issue.minted_u,
        burned_u=issue.burned_u,
        circulating_u=issue.circulating_u,
    )


def statement(found: Statement) -> economy_pb2.GetStatementResponse:
    """A page of an account's statement."""
    return economy_pb2.GetStatementResponse(
        opening_u=found.opening_u,
        lines=[_statement_line(line) for line in found.lines],
        closing_u=found.closing_u,
        next_page_token="" if found.next_after_seq is None else str(found.next_after_seq),
    )


def audited(report: AuditReport) -> economy_pb2.AuditLedgerResponse:
    """What a recount found."""
    return economy_pb2.AuditLedgerResponse(
        holds=report.ok, transfers=report.transfers, accounts=report.accounts, mismatches=report.mismatches
    )


def policy(terms: MintPolicy) -> economy_pb2.Policy:
    """A mint policy."""
    return economy_pb2.Policy(
        name=terms.name,
        version=terms.version,
        token=terms.token,
        condition=terms.condition,
        formula=terms.formula,
        parameters=dict(terms.parameters),
        inputs=terms.inputs,
        cap_u=terms.cap_u,
        day_cap_u=terms.day_cap_u,
    )


def claim(found: Claim) -> economy_pb2.MintClaim:
    """A claim of a proof."""
    return economy_pb2.MintClaim(
        proof_id=found.proof_id,
        policy=found.policy,
        version=found.version,
        owner=found.owner,
        evidence=found.evidence,
        inputs=found.inputs,
        state=found.state,
        amount_u=found.amount_u,
        why=found.why,
        submitted=from_us(found.created_us),
        decided=None if found.decided_us is None else from_us(found.decided_us),
    )


def licence(found: Licence) -> economy_pb2.Licence:
    """A licence; its id is shown as the person sent it."""
    return economy_pb2.Licence(
        id=found.licence_id.removeprefix(USER_PREFIX),
        model=found.model,
        holder=found.holder,
        steps=found.steps,
        period_s=found.period_us / MICROSECONDS,
        price_u=found.price_u,
        starts=from_us(found.starts_us),
        expires=from_us(found.expires_us),
    )


def _statement_line(line: Line) -> economy_pb2.StatementLine:
    return economy_pb2.StatementLine(
        transfer=entry(line.transfer),
        counterparty=line.counterparty,
        change_u=line.change_u,
        reserved_change_u=line.reserved_change_u,
        balance_after_u=line.balance_after_u,
    )


def _kind(line: Transfer) -> str:
    if line.phase == "posted":
        return line.purpose
    return "reserve" if line.phase == "pending" else line.phase
