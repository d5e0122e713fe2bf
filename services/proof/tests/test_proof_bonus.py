"""The bonus of a saving: due in the transaction that makes it due, done until the ledger has done it, paid once."""

from typing import Any

import grpc
import pytest
from eil.proof.v1 import proof_pb2
from eil_mesh.clock import ManualClock
from eil_mesh.testing import open_store
from eil_proof import bonus
from eil_proof.bonus import Bonus
from grpc.aio import AioRpcError, Metadata


class Ledger:
    """Notes what it is asked; `down` it does not answer, and knows a reservation again as the real one does."""

    def __init__(self):
        self.asked, self.down, self.reserved = [], False, set()

    def _answer(self, name):
        async def answer(request, timeout):
            if self.down:
                raise AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata())
            if name == "ReserveMint" and request.proof_id in self.reserved:
                raise AioRpcError(grpc.StatusCode.ALREADY_EXISTS, Metadata(), Metadata())
            self.reserved.add(request.proof_id)
            self.asked.append((name, getattr(request, "saving_low_j", None)))

        return answer

    def __getattr__(self, name):
        return self._answer(name)


@pytest.fixture
def house(tmp_path, either_database):
    clock = ManualClock()
    store = open_store(tmp_path, "proof", bonus.SCHEMA, clock)
    ledger: Any = Ledger()
    yield store, ledger, Bonus(store, ledger, clock)
    store.close()


def verification(state, creditable=0.0, digest="", disputes=0):
    found = proof_pb2.Verification(verification_id="ver_1", asked_by="ann", state=state, record_digest=digest)
    found.saving.creditable = creditable
    for _ in range(disputes):
        found.disputes.add(reason="an outage")
    return found


async def owed(store, *states):
    for one in states:
        await store.write(lambda tx, one=one: bonus.owe(tx, "acme", one))


async def test_what_is_proven_is_posted_for_its_lower_bound_once(house):
    store, ledger, bonuses = house
    await owed(store, verification("BASELINE_FITTED"))
    await bonuses.settle()
    await owed(store, verification("PROVEN", 1234.9, "d1"))
    await bonuses.settle("acme", "ver_1")
    await bonuses.settle()
    assert ledger.asked == [("ReserveMint", None), ("PostMint", 1234)]
    await owed(store, verification("DISPUTED", 0.0, "d2", disputes=1))
    await bonuses.settle()
    assert len(ledger.asked) == 2, "what was minted is not taken back in silence: the record shows the dispute"


async def test_what_is_not_proven_or_disputed_is_given_up(house):
    store, ledger, bonuses = house
    await owed(store, verification("BASELINE_FITTED"), verification("MEASURING"))
    await bonuses.settle()
    await owed(store, verification("NOT_PROVEN", 0.0, "d1"))
    await bonuses.settle()
    assert [name for name, _ in ledger.asked] == ["ReserveMint", "VoidMint"]


async def test_a_proven_saving_without_a_right_to_credit_pays_nothing(house):
    store, ledger, bonuses = house
    await owed(store, verification("BASELINE_FITTED"), verification("PROVEN", 0.0, "d1"))
    await bonuses.settle()
    assert [name for name, _ in ledger.asked] == ["VoidMint"]


async def test_a_ledger_that_is_away_is_asked_again_and_a_lost_reservation_made_good(house):
    store, ledger, bonuses = house
    ledger.down = True
    await owed(store, verification("BASELINE_FITTED"))
    await bonuses.settle()
    await owed(store, verification("PROVEN", 10.0, "d1"))
    await bonuses.settle()
    assert ledger.asked == []
    ledger.down = False
    await bonuses.settle()
    await bonuses.settle()
    assert ledger.asked == [("ReserveMint", None), ("PostMint", 10)]


async def test_a_dispute_before_the_payment_takes_it_back(house):
    store, ledger, bonuses = house
    ledger.down = True
    await owed(store, verification("BASELINE_FITTED"), verification("PROVEN", 10.0, "d1"))
    await bonuses.settle()
    ledger.down = False
    await owed(store, verification("DISPUTED", 0.0, "d2", disputes=1))
    await bonuses.settle()
    assert [name for name, _ in ledger.asked] == ["VoidMint"]
