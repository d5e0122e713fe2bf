"""Load of compute credits: a share of what could be spent, whatever the unit of time."""

import pytest
from eil_market.domain.load import credit_load
from eil_market.domain.pricing import congestion_factor
from hypothesis import given, settings
from hypothesis import strategies as st

CEU = 10**6
amounts = st.integers(0, 2**62)


def test_load_by_hand() -> None:
    # 1000 issued, 400 ever used, 100 of them lately, 200 held by leases: 300 of the 700 that could be spent.
    load = credit_load(1000 * CEU, 400 * CEU, 200 * CEU, 100 * CEU, 300.0)
    assert load.demand_ceu_per_s == pytest.approx(1.0)
    assert load.supply_ceu_per_s == pytest.approx(700 / 300)
    assert congestion_factor(load.demand_ceu_per_s, load.supply_ceu_per_s) == pytest.approx(7 / 4)


def test_a_tenant_without_credits_is_idle_and_one_that_spent_all_is_full() -> None:
    fresh, spent = credit_load(0, 0, 0, 0, 300.0), credit_load(5 * CEU, 5 * CEU, 0, 0, 300.0)
    assert congestion_factor(fresh.demand_ceu_per_s, fresh.supply_ceu_per_s) == 1.0
    assert "idle" in fresh.source
    assert congestion_factor(spent.demand_ceu_per_s, spent.supply_ceu_per_s) == 4.0


@settings(deadline=None, derandomize=True, database=None)
@given(circulating=amounts, shares=st.tuples(*[st.integers(0, 1000)] * 3), window=st.floats(1.0, 1e6))
def test_demand_never_exceeds_supply(circulating: int, shares: tuple[int, int, int], window: float) -> None:
    metered = circulating * shares[0] // 1000
    reserved, lately = (circulating - metered) * shares[1] // 1000, metered * shares[2] // 1000
    load = credit_load(circulating, metered, reserved, lately, window)
    assert 0 <= load.demand_ceu_per_s <= load.supply_ceu_per_s * (1 + 1e-12)
