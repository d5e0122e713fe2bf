"""Amounts of compute credits as people write and read them; what the commands do stands in tests/e2e/test_budgets.py."""

import pytest
from eil_cli.budget import ceu, micro
from eil_cli.terminal import Failure


@pytest.mark.parametrize(
    ("amount", "amount_u"),
    [("0", 0), ("12.5", 12_500_000), ("0.000001", 1), ("1e3", 10**9), ("4611686018427.387904", 2**62)],
)
def test_amounts_are_exact(amount, amount_u):
    assert micro(amount) == amount_u


@pytest.mark.parametrize("amount", ["-1", "0.0000001", "x", "", "nan", "Infinity", "1,5"])
def test_what_is_no_amount_is_refused(amount):
    with pytest.raises(Failure, match="no amount of CEU"):
        micro(amount)


@pytest.mark.parametrize(
    ("amount_u", "text"), [(0, "0"), ("12500000", "12.5"), (1, "0.000001"), (1_000_000_000, "1,000")]
)
def test_amounts_are_shown_without_idle_zeros(amount_u, text):
    assert ceu(amount_u) == text
