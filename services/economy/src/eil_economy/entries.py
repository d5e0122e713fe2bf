"""What the ledger records also stands in the journal, in the same transaction: topic eil.economy.entries, key = account debited."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import structlog
from eil_mesh import metrics
from eil_mesh.clock import MICROSECONDS
from eil_mesh.errors import (
    AlreadyExists,
    EilError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from eil_mesh.status import BUDGET_KEY
from eil_mesh.store import Store, Tx

from eil_economy.domain.book import recording
from eil_economy.domain.errors import BudgetExhausted, Kind, LedgerError
from eil_economy.domain.holds import expire
from eil_economy.domain.minter import validate
from eil_economy.domain.tokens import U_PER_TOKEN
from eil_economy.messages import entry

log = structlog.get_logger("eil.economy")
T = TypeVar("T")
TOPIC = "eil.economy.entries"
SWEPT = 1000
"""Reservations ended, and claims decided, in one transaction."""
STATUS: Mapping[Kind, type[EilError]] = {
    "invalid": InvalidArgument,
    "not_found": NotFound,
    "conflict": AlreadyExists,
    "exhausted": ResourceExhausted,
    "precondition": FailedPrecondition,
}
FIELDS: Mapping[str, str] = {
    "source": "debit_owner",
    "destination": "credit_owner",
    "transfer_id": "id",
    "lease_id": "id",
    "pending_id": "id",
    "timeout_us": "ttl_s",
    "period_us": "period_s",
    "life_us": "life_s",
}
"""The ledger's names of request fields → the contract's, where they differ."""


async def book(store: Store, work: Callable[[Tx], T], fields: Mapping[str, str] = FIELDS) -> T:
    """Run what writes to the ledger in one transaction, and append what it recorded anew to the journal.

    Raises:
        EilError: what the ledger refused, by its kind; nothing was recorded.
    """
    with refusals(fields):
        return await store.write(lambda tx: _recorded(tx, work))


@contextmanager
def refusals(fields: Mapping[str, str] = FIELDS) -> Iterator[None]:
    """Turn the ledger's refusals into the mesh's errors, with reason, message and field kept."""
    try:
        yield
    except BudgetExhausted as error:
        raise ResourceExhausted(
            str(error),
            reason=error.reason,
            retry_after_s=None if error.wait_us is None else error.wait_us / MICROSECONDS,
            headers={BUDGET_KEY: f"{error.left_u / U_PER_TOKEN:.6f}"},
        ) from error
    except LedgerError as error:
        message = str(error)
        violations = {fields.get(error.field, error.field): message} if error.field else None
        raise STATUS[error.kind](message, reason=error.reason, violations=violations) from error


async def sweep(store: Store, every_s: float) -> None:
    """End the reservations whose time is past, and decide the claims that wait, for ever."""
    while True:
        try:
            done = await book(
                store, lambda tx: max(len(expire(tx.conn, tx.now_us, SWEPT)), len(validate(tx.conn, tx.now_us, SWEPT)))
            )
        except EilError as error:  # a full queue, or a disk that refuses: what is due stays due
            log.warning("not swept", reason=error.reason, detail=error.message)
            done = 0
        await asyncio.sleep(0 if done == SWEPT else every_s)


def _recorded(tx: Tx, work: Callable[[Tx], T]) -> T:
    with recording() as lines:
        result = work(tx)
    for line in lines:
        record = entry(line)
        tx.journal.append(tx.now_us, line.tenant, TOPIC, line.source, record)
        metrics.LEDGER_ENTRIES.labels(record.kind).inc()
    return result
