"""This release beside the one before it: their services work together either way round, and this one opens the other's state."""

import time
from pathlib import Path

import pytest
from support.mesh import eil
from support.plant import Plant
from support.releases import SPOKEN, MixedMesh, previous_release, unpack

HALVES = [{"regime", "atlas", "economy", "diffusion"}, {"regime", "nvp", "diffusion", "proof"}]
"""Services of one release; of each pair that speaks with each other, one of these halves or its complement holds the caller alone."""


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    commit = previous_release()
    if not commit:
        pytest.skip("the release before this one is not in this clone: fetch the whole history (git fetch --unshallow)")
    return unpack(commit, tmp_path_factory.mktemp("release"))


def loop(mesh: MixedMesh, stamp, source: str) -> float:
    """Sense, act, prove, settle, remember; returns the PFT minted."""
    plant = Plant(mesh, stamp, source=source)
    mesh.call("PUT", f"/v1/sources/{source}", {"kind": "simulated"})
    plant.sense(30)
    decision = plant.act()
    plant.sense(6)
    verdict = mesh.call("POST", "/v1/proof", plant.proof_of(decision))
    assert verdict["valid"], verdict
    deadline = time.monotonic() + 60
    while True:
        states = mesh.call("GET", "/v1/atlas/states", params={"source": source})["states"]
        balances = mesh.call("GET", "/v1/economy/balances", params={"owner": "tester"})["balances"]
        held = sum(int(balance["balance_u"]) for balance in balances if balance["token"] == "PFT") / 1e6
        if states and held >= verdict["pft_minted"]:
            return held
        assert time.monotonic() < deadline, f"states {len(states)}, PFT {held} of {verdict['pft_minted']}"
        time.sleep(0.2)


@pytest.mark.parametrize(
    "mine", [*HALVES, *({*SPOKEN} - half for half in HALVES)], ids=lambda half: "+".join(sorted(half))
)
def test_services_of_both_releases_close_the_loop_together(other, tmp_path, stamp, mine):
    with MixedMesh(tmp_path, other, {*SPOKEN} - mine) as mesh:
        loop(mesh, stamp, "mixed")


def test_this_release_goes_on_with_the_state_of_the_one_before(other, tmp_path, stamp):
    with MixedMesh(tmp_path, other, SPOKEN) as mesh:
        before = loop(mesh, stamp, "first")
    with MixedMesh(tmp_path, other, ()) as mesh:
        status = mesh.call("GET", "/v1/regime/status", params={"source": "first"})["sources"][0]
        assert int(status["samples"]) == 36
        assert mesh.call("GET", "/v1/atlas/states", params={"source": "first"})["states"]
        assert loop(mesh, stamp, "second") >= before
    assert eil("audit", "verify", "--state", str(tmp_path), check=False).returncode == 0
