"""Random histories of two tenants against a small in-memory ledger; every step is compared and conserved."""

import sqlite3
from collections import defaultdict
from dataclasses import dataclass, field

from eil_economy.domain.audit import audit
from eil_economy.domain.book import find_transfer
from eil_economy.domain.errors import LedgerError
from eil_economy.domain.holds import expire, post, reserve, void
from eil_economy.domain.leases import draw_lease, settle_lease
from eil_economy.domain.ledger import burn, mint, transfer, transfer_linked
from eil_economy.domain.policies import STARTING_GRANT
from eil_economy.domain.records import Instruction, Transfer
from eil_economy.domain.reports import balances, supply
from eil_economy.domain.schema import REPLACE_GUARD, SCHEMA
from eil_economy.domain.tokens import ISSUANCE, TOKENS, TREASURY
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

TENANTS = ("acme", "zeta")
tenants = st.sampled_from(TENANTS)
owners = st.sampled_from(("alice", "bob", TREASURY))
tokens = st.sampled_from(TOKENS[:2])
amounts = st.one_of(st.integers(1, 60), st.integers(1, STARTING_GRANT.amount_u))
Account = tuple[str, str, str]


@dataclass
class Model:
    """The ledger in words of one account each: posted, reserved, and open reservations."""

    posted: dict[Account, int] = field(default_factory=lambda: defaultdict(int))
    reserved: dict[Account, int] = field(default_factory=lambda: defaultdict(int))
    known: set[Account] = field(default_factory=set)
    issued: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    open: dict[tuple[str, str], tuple[Instruction, int]] = field(default_factory=dict)

    def refusal(self, tenant: str, order: Instruction) -> str | None:
        source = (tenant, order.source, order.token)
        if order.source == order.destination:
            return "SELF_TRANSFER"
        if order.source == ISSUANCE:
            return None
        if source not in self.known:
            return "ACCOUNT_NOT_FOUND"
        return "INSUFFICIENT_BALANCE" if self.posted[source] - self.reserved[source] < order.amount_u else None

    def move(self, tenant: str, order: Instruction, amount: int, held: int) -> None:
        source, destination = ((tenant, owner, order.token) for owner in (order.source, order.destination))
        self.known |= {source, destination}
        self.posted[source] -= amount
        self.posted[destination] += amount
        self.reserved[source] += held
        self.issued[tenant, order.token] += amount * ((order.source == ISSUANCE) - (order.destination == ISSUANCE))

    def resolve(self, tenant: str, pending_id: str, amount: int) -> None:
        order, _ = self.open.pop((tenant, pending_id))
        self.move(tenant, order, amount, -order.amount_u)

    def grant(self, tenant: str) -> None:
        if (tenant, TREASURY, "CEU") not in self.known:
            self.move(tenant, Instruction.minting("", TREASURY, "CEU", 1, ""), STARTING_GRANT.amount_u, 0)


class LedgerMachine(RuleBasedStateMachine):
    @initialize()
    def open_book(self) -> None:
        self.conn = sqlite3.connect(":memory:", isolation_level=None)
        self.conn.execute("PRAGMA foreign_keys = ON")
        self.conn.executescript(SCHEMA + REPLACE_GUARD)
        self.conn.execute("BEGIN IMMEDIATE")
        self.model = Model()
        self.now_us = 0
        self.history: list[Transfer] = []
        self.requests: list[tuple] = []

    def teardown(self) -> None:
        if hasattr(self, "conn"):
            self.conn.execute("COMMIT")
            assert audit(self.conn).mismatches == ()
            self.conn.close()

    def next_id(self) -> str:
        return f"id{len(self.requests)}"

    def attempt(self, function, *args) -> str | None:
        """Runs one request; remembers it for replays if it was accepted, else returns the reason."""
        before = self.conn.execute("SELECT count(*) FROM transfer").fetchone()
        try:
            done = function(self.conn, *args)
        except LedgerError as error:
            assert self.conn.execute("SELECT count(*) FROM transfer").fetchone() == before
            return error.reason
        lines = done if isinstance(done, tuple) else (done,)
        assert not any(line.replayed for line in lines)
        self.requests.append((function, args, lines))
        return None

    @rule(tenant=tenants, owner=owners, token=tokens, amount=amounts)
    def mints(self, tenant: str, owner: str, token: str, amount: int) -> None:
        assert self.attempt(mint, tenant, self.next_id(), owner, token, amount, "test", self.now_us) is None
        self.model.move(tenant, Instruction.minting("", owner, token, amount, ""), amount, 0)

    @rule(tenant=tenants, owner=owners, token=tokens, amount=amounts)
    def burns(self, tenant: str, owner: str, token: str, amount: int) -> None:
        order = Instruction.burning("", owner, token, amount, "")
        expected = self.model.refusal(tenant, order)
        assert self.attempt(burn, tenant, self.next_id(), owner, token, amount, "test", self.now_us) == expected
        if expected is None:
            self.model.move(tenant, order, amount, 0)

    @rule(tenant=tenants, source=owners, destination=owners, token=tokens, amount=amounts, timeout=st.integers(0, 9))
    def transfers_or_reserves(
        self, tenant: str, source: str, destination: str, token: str, amount: int, timeout: int
    ) -> None:
        order = Instruction(self.next_id(), source, destination, token, amount, "test")
        expected = self.model.refusal(tenant, order)
        if timeout:
            assert self.attempt(reserve, tenant, order, timeout, self.now_us) == expected
        else:
            assert self.attempt(transfer, tenant, order, self.now_us) == expected
        if expected is None:
            self.model.move(tenant, order, 0 if timeout else amount, amount if timeout else 0)
        if expected is None and timeout:
            self.model.open[tenant, order.transfer_id] = (order, self.now_us + timeout)

    @rule(tenant=tenants, owner=owners, amount=amounts)
    def reserves_a_mint(self, tenant: str, owner: str, amount: int) -> None:
        order = Instruction.minting(self.next_id(), owner, "PFT", amount, "bonus")
        assert self.attempt(reserve, tenant, order, 5, self.now_us) is None
        self.model.move(tenant, order, 0, amount)
        self.model.open[tenant, order.transfer_id] = (order, self.now_us + 5)

    @rule(tenant=tenants, source=owners, destination=owners, first=amounts, second=amounts)
    def exchanges(self, tenant: str, source: str, destination: str, first: int, second: int) -> None:
        there = Instruction(self.next_id(), source, destination, "CEU", first, "test")
        back = Instruction(self.next_id() + "b", destination, source, "PFT", second, "test")
        expected = self.model.refusal(tenant, there) or self.model.refusal(tenant, back)
        assert self.attempt(transfer_linked, tenant, [there, back], self.now_us) == expected
        if expected is None:
            self.model.move(tenant, there, first, 0)
            self.model.move(tenant, back, second, 0)

    @rule(tenant=tenants, amount=amounts)
    def draws_a_lease(self, tenant: str, amount: int) -> None:
        granted = Instruction(self.next_id(), TREASURY, "@metering", "CEU", amount, "compute_lease", "nvp")
        fresh = (tenant, TREASURY, "CEU") not in self.model.known
        expected = None if fresh else self.model.refusal(tenant, granted)
        assert self.attempt(draw_lease, tenant, granted.transfer_id, "nvp", amount, 4, self.now_us) == expected
        if expected is None:
            self.model.grant(tenant)
            self.model.move(tenant, granted, 0, amount)
            self.model.open[tenant, granted.transfer_id] = (granted, self.now_us + 4)

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), share=st.integers(0, 6))
    def resolves(self, data: st.DataObject, share: int) -> None:
        any_line = [(line.tenant, line.transfer_id) for _, _, lines in self.requests for line in lines]
        # Open reservations twice, so that most draws have something to resolve.
        tenant, pending_id = data.draw(st.sampled_from([*self.model.open, *self.model.open, *any_line]))
        recorded = find_transfer(self.conn, tenant, pending_id)
        assert recorded is not None
        order, expires_us = self.model.open.get((tenant, pending_id), (None, 0))
        amount = recorded.amount_u * share // 5
        late = self.now_us >= expires_us
        expected = "PENDING_EXPIRED" if late else "EXCEEDS_PENDING" if amount > recorded.amount_u else None
        if recorded.reason == "compute_lease" and order is not None:
            got = self.attempt(settle_lease, tenant, pending_id, amount, self.now_us)
        elif amount:
            got = self.attempt(post, tenant, self.next_id(), pending_id, self.now_us, amount)
        else:
            got = self.attempt(void, tenant, self.next_id(), pending_id, self.now_us)
        if order is None:
            assert got in {"NOT_PENDING", "ALREADY_POSTED", "ALREADY_VOIDED", "PENDING_EXPIRED"}
            return
        assert got == expected
        if expected is None:
            self.model.resolve(tenant, pending_id, amount)

    @rule(step_us=st.integers(1, 4))
    def time_passes_and_the_sweep_runs(self, step_us: int) -> None:
        self.now_us += step_us
        due = {key for key, (_, expires_us) in self.model.open.items() if expires_us <= self.now_us}
        assert {(line.tenant, line.pending_id) for line in expire(self.conn, self.now_us)} == due
        for tenant, pending_id in due:
            self.model.resolve(tenant, pending_id, 0)

    @rule(step_us=st.integers(1, 4))
    def time_passes_unswept(self, step_us: int) -> None:
        self.now_us += step_us

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def replays(self, data: st.DataObject) -> None:
        function, args, lines = data.draw(st.sampled_from(self.requests))
        again = function(self.conn, *args)
        again = again if isinstance(again, tuple) else (again,)
        assert all(line.replayed for line in again)
        assert [line.seq for line in again] == [line.seq for line in lines]

    @invariant()
    def agrees_with_the_model(self) -> None:
        stored = {(t, b.owner, b.token): b for t in TENANTS for b in balances(self.conn, t)}
        assert set(stored) == self.model.known
        for key, balance in stored.items():
            assert (balance.balance_u, balance.reserved_u) == (self.model.posted[key], self.model.reserved[key])
            assert balance.kind == "issuance" or balance.available_u >= 0

    @invariant()
    def conserves_every_token(self) -> None:
        for tenant in TENANTS:
            held = balances(self.conn, tenant)
            for token in TOKENS:
                issue = supply(self.conn, tenant, token)
                ordinary_u = sum(b.balance_u for b in held if b.token == token and b.kind == "ordinary")
                assert ordinary_u == issue.circulating_u == self.model.issued[tenant, token]
                assert sum(b.balance_u for b in held if b.token == token) == 0
                assert sum(b.reserved_u - b.incoming_u for b in held if b.token == token) == 0

    @invariant()
    def history_only_grows(self) -> None:
        rows = self.conn.execute("SELECT tenant, transfer_id FROM transfer ORDER BY seq").fetchall()
        prefix = [(line.tenant, line.transfer_id) for line in self.history]
        assert rows[: len(prefix)] == prefix
        for tenant, transfer_id in rows[len(prefix) :]:
            line = find_transfer(self.conn, tenant, transfer_id)
            assert line is not None
            self.history.append(line)


LedgerMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, database=None
)
TestLedger = LedgerMachine.TestCase
