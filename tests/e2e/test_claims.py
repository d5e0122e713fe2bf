"""Claims true and false by the hundred: every verdict is the one that the figures demand, and the ledger holds what was promised."""

from eil_cli.bench.proof_claims import KINDS, measure_claims


def test_every_verdict_is_right(mesh):
    measures, wrong = measure_claims(mesh.state, 20 * len(KINDS), lambda: None)
    assert measures["claims_wrongly_judged"].value == 0, wrong
    assert measures["claims_minted"].value > 0
