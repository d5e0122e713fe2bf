"""A network that repeats and reorders, clients that retry, a process that dies between statements; and what must hold after every step.

Everything follows from the seed. Each step delivers one request (new, repeated, or altered under an old id), lets time pass and the sweep
run, or kills the process in the middle of one. After each the book is compared with `Model`, account by account, and every invariant of a
ledger is checked; now and then, and at the end, the whole book is read and counted again.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from eil_economy.domain import holds, ledger
from eil_economy.domain.audit import audit
from eil_economy.domain.book import COLUMNS, recording
from eil_economy.domain.database import Database, Rows
from eil_economy.domain.errors import LedgerError
from eil_economy.domain.records import Instruction
from eil_economy.domain.tokens import ISSUANCE
from eil_economy.simulation.backends import Backend
from eil_economy.simulation.model import OK, REPLAY, Model, Request

TENANTS: Final = ("acme", "zeta")
OWNERS: Final = ("alice", "bob", "carol")
TOKENS: Final = ("CEU", "PFT")
IN_FLIGHT: Final = 12
"""Requests under way at most; which of them arrives next is chance."""
RECOUNT_EVERY: Final = 50_000
"""Steps between readings of the whole book."""
SHOWN: Final = 20
"""Violations that are kept in words."""


class Crash(Exception):
    """The process dies here."""


class Fragile:
    """A connection on which the process dies at the n-th statement."""

    def __init__(self, conn: Database, statements: int) -> None:
        self._conn, self._left = conn, statements

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._conn.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Run one statement, or die before it."""
        self._left -= 1
        if self._left < 0:
            raise Crash
        return self._conn.execute(sql, parameters)


@dataclass(slots=True)
class Outcome:
    """What a simulation did and found. `violations` counts what did not hold; the first of them stand in `told`."""

    seed: int
    steps: int = 0
    lines: int = 0
    violations: int = 0
    told: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    """How often each answer came."""


class Simulator:
    """One ledger under simulation. `run` may be called again to go on."""

    def __init__(self, seed: int, backend: Backend) -> None:
        self._rng, self._backend = random.Random(seed), backend
        self._model, self.outcome = Model(), Outcome(seed)
        self._now_us, self._made = 1, 0
        self._flight: list[Request] = []
        self._sent: list[Request] = []
        self._digests: list[int] = []

    def run(self, steps: int) -> Outcome:
        """Take `steps` steps and recount. Raises nothing that is not a fault of the simulator itself."""
        for _ in range(steps):
            self.outcome.steps += 1
            chance = self._rng.random()
            if chance < 0.03:
                self._sweep()
            elif chance < 0.05:
                self._die(self._next())
            else:
                self._deliver(self._next())
            if self.outcome.steps % RECOUNT_EVERY == 0:
                self._recount()
        self._recount()
        return self.outcome

    def _next(self) -> Request:
        """The request that arrives now: of those under way, a repetition, or an old id with another amount."""
        while len(self._flight) < IN_FLIGHT:
            self._flight.append(self._new())
        chance = self._rng.random()
        if self._sent and chance < 0.08:
            return self._rng.choice(self._sent)
        if self._sent and chance < 0.10:
            old = self._rng.choice(self._sent)
            return replace(old, kind="post" if old.kind == "void" else old.kind, amount_u=old.amount_u + 1)
        request = self._flight[self._rng.randrange(len(self._flight))]
        if self._rng.random() < 0.9:  # else it arrives again later, though it arrived now
            self._flight.remove(request)
        return request

    def _new(self) -> Request:
        rng, tenant, token = self._rng, self._rng.choice(TENANTS), self._rng.choice(TOKENS)
        self._made += 1
        key = f"r{self._made}"
        source, destination = rng.choice(OWNERS), rng.choice(OWNERS)
        amount_u = rng.choice((rng.randint(1, 60), rng.randint(1, 2000), rng.randint(-1, 1)))
        if rng.random() < 0.002:
            amount_u = 2**62 + 1
        timeout_us = rng.randint(1, 40) if rng.random() < 0.5 else 0
        chance = rng.random()
        if chance < 0.15:
            return Request("mint", tenant, key, ISSUANCE, destination, token, amount_u, timeout_us)
        if chance < 0.25:
            return Request("burn", tenant, key, source, ISSUANCE, token, amount_u, timeout_us)
        if chance < 0.35:
            return Request("exchange", tenant, key, source, destination, "CEU", amount_u, back_u=rng.randint(1, 500))
        if chance < 0.60 and self._sent:
            pending = rng.choice(self._sent[-60:])
            kind = "post" if rng.random() < 0.6 else "void"
            share_u = rng.randint(1, max(1, pending.amount_u + 1)) if kind == "post" else 0
            return Request(kind, pending.tenant, key, "", "", "", share_u, pending_id=pending.id)
        return Request("transfer", tenant, key, source, destination, token, amount_u, timeout_us)

    def _deliver(self, request: Request) -> None:
        conn = self._backend.begin()
        before = self.outcome.lines
        with recording() as lines:
            got = self._answer(conn, request)
        expected = self._model.apply(request, self._now_us)
        self.outcome.seen[got] += 1
        if got != expected:
            self._violation(f"{request} at {self._now_us} µs answered {got}, the model {expected}")
        if got == OK:
            self._sent.append(request)
        elif lines:
            self._violation(f"{request} answered {got} and wrote {len(lines)} lines")
        self.outcome.lines += len(lines) if got == OK else 0
        self._check(conn, before)
        self._backend.commit()

    def _die(self, request: Request) -> None:
        """The process dies within a request; nothing of it may stand. The client will send it again."""
        conn = self._backend.begin()
        with suppress(Crash):
            self._answer(Fragile(conn, self._rng.randrange(6)), request)
        self._backend.crash()
        self.outcome.seen["CRASH"] += 1
        if request not in self._flight:
            self._flight.append(request)
        conn = self._backend.begin()
        self._check(conn, self.outcome.lines)
        self._backend.commit()

    def _sweep(self) -> None:
        self._now_us += self._rng.randint(1, 30)
        conn = self._backend.begin()
        before, ended = self.outcome.lines, len(holds.expire(conn, self._now_us))
        self.outcome.lines += ended
        self.outcome.seen["EXPIRED"] += ended
        if ended != (expected := self._model.sweep(self._now_us)):
            self._violation(f"the sweep at {self._now_us} µs ended {ended} reservations, the model {expected}")
        self._check(conn, before)
        self._backend.commit()

    def _answer(self, conn: Database, r: Request) -> str:
        try:
            lines = _send(conn, r, self._now_us)
        except LedgerError as error:
            return error.reason
        except Crash:
            raise
        except (
            Exception
        ) as error:  # the database or an assertion refuses what the ledger should have: the model knows no such answer
            return f"{type(error).__name__}: {error}"
        return REPLAY if lines[0].replayed else OK

    def _check(self, conn: Database, before: int) -> None:
        """The invariants that a look at the accounts and at the newest lines can tell."""
        sums: Counter[tuple[str, str]] = Counter()
        circulating: Counter[tuple[str, str]] = Counter()
        rows = conn.execute("SELECT tenant, owner, token, balance_u, reserved_u, incoming_u FROM account").fetchall()
        model = self._model
        if len(rows) != len(model.balance):
            self._violation(f"{len(rows)} accounts, the model has {len(model.balance)}")
        held_u = 0
        for tenant, owner, token, balance_u, reserved_u, incoming_u in rows:
            account = (tenant, owner, token)
            if balance_u != model.balance[account] or reserved_u != model.reserved[account]:
                self._violation(f"{account} has {balance_u}, {reserved_u} reserved; the model {model.balance[account]}")
            if owner != ISSUANCE:
                circulating[tenant, token] += balance_u
                if balance_u < reserved_u or reserved_u < 0:
                    self._violation(f"{account} has {balance_u - reserved_u} available")
            sums[tenant, token] += balance_u
            held_u += reserved_u - incoming_u
        if held_u or any(sums.values()):
            self._violation(f"debits and credits differ by {dict(sums)}, reserved and incoming by {held_u}")
        for tenant, token, minted_u, burned_u in conn.execute("SELECT tenant, token, minted_u, burned_u FROM supply"):
            if circulating[tenant, token] != minted_u - burned_u:
                self._violation(f"{token} of {tenant}: balances are not minted minus burned")
        self._check_history(conn, before)

    def _check_history(self, conn: Database, before: int) -> None:
        """New lines follow the old ones, and an old one, chosen by chance, is what it was."""
        fresh = [
            hash(tuple(row))
            for row in conn.execute(f"SELECT {COLUMNS} FROM transfer WHERE seq > ? ORDER BY seq", (before,))
        ]
        if len(fresh) != self.outcome.lines - before or len(self._digests) != before:
            self._violation(f"{len(fresh)} new lines after {before}, expected {self.outcome.lines - before}")
        self._digests += fresh
        if self._digests:
            place = self._rng.randrange(len(self._digests))
            row = conn.execute(f"SELECT {COLUMNS} FROM transfer WHERE seq = ?", (place + 1,)).fetchone()
            if row is None or hash(tuple(row)) != self._digests[place]:
                self._violation(f"line {place + 1} was altered")

    def _recount(self) -> None:
        conn = self._backend.begin()
        for mismatch in audit(conn).mismatches:
            self._violation(mismatch)
        for place, row in enumerate(_book(conn)):
            if place >= len(self._digests) or hash(row) != self._digests[place]:
                self._violation(f"line {place + 1} was altered")
        self._backend.commit()

    def _violation(self, text: str) -> None:
        self.outcome.violations += 1
        if len(self.outcome.told) < SHOWN:
            self.outcome.told.append(f"seed {self.outcome.seed}, step {self.outcome.steps}: {text}")


def _send(conn: Database, r: Request, now_us: int) -> Sequence[Any]:
    if r.kind == "post":
        return [holds.post(conn, r.tenant, r.id, r.pending_id, now_us, r.amount_u)]
    if r.kind == "void":
        return [holds.void(conn, r.tenant, r.id, r.pending_id, now_us)]
    purpose = r.kind if r.kind in ("mint", "burn") else "transfer"
    order = Instruction(r.id, r.source, r.destination, r.token, r.amount_u, "simulated", "", purpose)
    if r.kind == "exchange":
        back = Instruction(f"{r.id}b", r.destination, r.source, "PFT", r.back_u, "simulated")
        return ledger.transfer_linked(conn, r.tenant, [order, back], now_us)
    if r.timeout_us:
        return [holds.reserve(conn, r.tenant, order, r.timeout_us, now_us)]
    return [ledger.transfer(conn, r.tenant, order, now_us)]


def _book(conn: Database) -> Iterator[tuple[Any, ...]]:
    seq = 0
    while rows := conn.execute(
        f"SELECT {COLUMNS} FROM transfer WHERE seq > ? ORDER BY seq LIMIT 5000", (seq,)
    ).fetchall():
        yield from (tuple(row) for row in rows)
        seq = rows[-1][0]
