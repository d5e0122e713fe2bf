"""The claims of the benchmark: a door that believes everything, and one that believes nothing, are both found out."""

from collections.abc import Mapping
from typing import Any

import pytest
from eil_cli.bench.proof_claims import KINDS, MODELLED, Claimant, Outcome
from eil_cli.door import DoorError

PREDICTED = {"energy": 100_000.0, "entropy": 339.0, "energy_low": 90_000.0, "energy_high": 110_000.0}


class Door:
    """Answers every proof alike."""

    def __init__(self, valid: bool) -> None:
        self.valid, self.proofs = valid, 0

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        if path == "/v1/act":
            return {"prediction_id": "pred_1", "predicted_state": PREDICTED}
        if path == "/v1/proof":
            self.proofs += 1
            return {"valid": self.valid, "pft_minted": 1.0, "already_proven": False, "reason": "as always"}
        return {}


async def outcome_of(kind: str, door: Door) -> Outcome:
    outcome = Outcome()
    await Claimant("plant", door, door, 3, 0.0, outcome, metered=kind != MODELLED).claim(kind)
    return outcome


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "honest"])
async def test_a_door_that_believes_everything_is_found_out(kind):
    assert (await outcome_of(kind, Door(valid=True))).wrong


async def test_a_door_that_believes_nothing_is_found_out():
    door, wrong = Door(valid=False), 0
    for seed in range(20):
        outcome = Outcome()
        await Claimant("plant", door, door, seed, 0.0, outcome).claim("honest")
        wrong += bool(outcome.wrong)
    assert wrong == 20, "hits are refused, and misses are paid"


async def test_another_refusal_than_the_right_one_is_wrong():
    class Broken(Door):
        async def post(self, path, body):
            if path == "/v1/proof":
                raise DoorError(500, "INTERNAL", "a bug")
            return await super().post(path, body)

    (wrong, *_) = (await outcome_of("altered", Broken(valid=True))).wrong
    assert "INTERNAL instead of PREDICTION_ALTERED" in wrong
