"""Posted prices: units that multiply out, factors that are bounded and monotone, reputation from the lower bound."""

import math
from collections import Counter
from itertools import pairwise

import pytest
from eil_market.domain.errors import MarketError
from eil_market.domain.pricing import (
    CONGESTION_MAX,
    EnergyPrice,
    Price,
    bulk_discount,
    congestion_factor,
    licence_demand_factor,
    price_ceu,
    price_munt,
    price_pft,
    skill_factor,
)
from eil_market.domain.reputation import MAX_DISCOUNT, jeffreys, reputation_discount
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

SEEDED = settings(deadline=None, derandomize=True, database=None)
TARIFF = EnergyPrice.per_kwh(0.36, "EUR")
NEWCOMER = jeffreys(0, 0)
positive = st.floats(1e-6, 1e9)
rates = st.floats(0, 1e9)
counts = st.integers(0, 10_000)


def ceu(
    joules: float = 500.0, demand: float = 10.0, supply: float = 100.0, quantity: float = 1.0, valid: int = 0
) -> Price:
    return price_ceu(joules, TARIFF, demand, supply, quantity, jeffreys(valid, valid))


def multiplied(units: list[str]) -> str:
    powers: Counter[str] = Counter()
    for unit in units:
        over, _, under = unit.partition("/")
        powers[over] += 1
        powers[under or "1"] -= 1
    powers.pop("1", None)
    above = [unit for unit, power in powers.items() if power == 1]
    below = [unit for unit, power in powers.items() if power == -1]
    assert all(power in (-1, 0, 1) for power in powers.values())
    return f"{'*'.join(above)}/{'*'.join(below)}"


@pytest.mark.parametrize(
    ("price", "unit"),
    [
        (ceu(), "EUR/CEU"),
        (price_pft(1e6, TARIFF, jeffreys(9, 10)), "EUR/PFT"),
        (price_munt(50_000, ceu(), 10, 0.3), "EUR/MUNT"),
    ],
)
def test_units_and_values_multiply_out_to_the_price(price: Price, unit: str) -> None:
    assert price.unit == unit
    assert multiplied([factor.unit for factor in price.factors]) == unit
    assert price.amount == math.prod(factor.value for factor in price.factors)
    assert price.amount > 0
    assert all(factor.meaning for factor in price.factors)


def test_prices_by_hand() -> None:
    # 0.36 EUR/kWh is 1e-7 EUR/J; half load doubles; 2000 CEU save 2 % on the second thousand.
    price = price_ceu(500.0, TARIFF, 50.0, 100.0, 2_000.0, NEWCOMER)
    assert price.amount == pytest.approx(500.0 * 1e-7 * 2.0 * 0.99)
    assert price_pft(3.6e6, TARIFF, jeffreys(9, 10)).amount == pytest.approx(0.36 * 9.5 / 11)
    licence = price_munt(1_000.0, price, 100, 0.5)
    assert licence.amount == pytest.approx(1_000.0 * price.amount * 1.5 * 1.5)


@SEEDED
@given(demand=rates, more=rates, supply=rates)
def test_congestion_is_bounded_and_monotone(demand: float, more: float, supply: float) -> None:
    factor = congestion_factor(demand, supply)
    assert 1.0 <= factor <= CONGESTION_MAX
    assert congestion_factor(demand + more, supply) >= factor
    assert congestion_factor(demand, supply + more) <= factor or supply == 0


def test_congestion_at_known_loads() -> None:
    assert [congestion_factor(load, 100.0) for load in (0.0, 50.0, 75.0, 100.0, 1e6)] == [1.0, 2.0, 4.0, 4.0, 4.0]
    assert congestion_factor(0.0, 0.0) == CONGESTION_MAX
    assert congestion_factor(74.999, 100.0) == pytest.approx(CONGESTION_MAX, rel=1e-4)


@SEEDED
@given(quantity=st.floats(0, 1e9), more=st.floats(0, 1e9))
def test_buying_more_lowers_the_unit_price_but_never_the_bill(quantity: float, more: float) -> None:
    here, there = bulk_discount(quantity), bulk_discount(quantity + more)
    assert 0.0 <= here <= there * (1 + 1e-12)
    assert there < 0.08
    assert quantity * (1 - here) <= (quantity + more) * (1 - there) * (1 + 1e-12)


def test_bulk_discount_by_hand() -> None:
    assert bulk_discount(1_000.0) == 0.0
    assert bulk_discount(20_000.0) == pytest.approx((9_000 * 0.02 + 10_000 * 0.05) / 20_000)


@SEEDED
@given(joules=positive, more=positive, demand=rates, quantity=positive, valid=counts)
def test_price_of_ceu_follows_energy_and_stays_within_its_factors(
    joules: float, more: float, demand: float, quantity: float, valid: int
) -> None:
    price = ceu(joules, demand, 100.0, quantity, valid).amount
    base = joules * TARIFF.per_j
    assert base * 0.92 * 0.9 * (1 - 1e-12) <= price <= base * CONGESTION_MAX * (1 + 1e-12)
    assert ceu(joules + more, demand, 100.0, quantity, valid).amount >= price


@SEEDED
@given(outstanding=counts, more=counts, skill=st.floats(-1e6, 1), better=st.floats(0, 1))
def test_licence_factors_are_bounded_and_monotone(outstanding: int, more: int, skill: float, better: float) -> None:
    assert 1.0 <= licence_demand_factor(outstanding) <= licence_demand_factor(outstanding + more) < 2.0
    assert 1.0 <= skill_factor(skill) <= skill_factor(min(1.0, skill + better)) <= 2.0


def test_price_of_proof_falls_with_every_invalid_proof() -> None:
    prices = [price_pft(1e6, TARIFF, jeffreys(90 - bad, 90)).amount for bad in range(10)]
    assert all(later < earlier for earlier, later in pairwise(prices))


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: EnergyPrice(0.0, "EUR"),
        lambda: EnergyPrice(math.nan, "EUR"),
        lambda: EnergyPrice(1.0, "euro"),
        lambda: ceu(joules=0.0),
        lambda: ceu(joules=math.inf),
        lambda: ceu(demand=-1.0),
        lambda: ceu(supply=math.nan),
        lambda: ceu(quantity=-1.0),
        lambda: price_pft(-1.0, TARIFF, NEWCOMER),
        lambda: price_munt(0.0, ceu(), 1, 0.5),
        lambda: price_munt(1.0, price_pft(1.0, TARIFF, NEWCOMER), 1, 0.5),
        lambda: price_munt(1.0, ceu(), -1, 0.5),
        lambda: price_munt(1.0, ceu(), 1, 1.1),
        lambda: jeffreys(2, 1),
        lambda: jeffreys(-1, 1),
        lambda: jeffreys(1, 1, level=1.0),
    ],
)
def test_nonsense_is_refused(attempt) -> None:
    with pytest.raises(MarketError) as caught:
        attempt()
    assert caught.value.kind == "invalid"


@SEEDED
@given(valid=counts, invalid=counts)
def test_posterior_agrees_with_scipy(valid: int, invalid: int) -> None:
    reputation = jeffreys(valid, valid + invalid)
    posterior = stats.beta(valid + 0.5, invalid + 0.5)
    assert reputation.mean == pytest.approx(posterior.mean(), rel=1e-12)
    assert reputation.low == pytest.approx(posterior.ppf(0.05) if valid else 0.0, rel=1e-8, abs=1e-14)
    assert reputation.high == pytest.approx(posterior.ppf(0.95) if invalid else 1.0, rel=1e-8)


@pytest.mark.parametrize("rate", [0.5, 0.8, 0.9, 0.97])
def test_interval_covers_the_true_rate_nine_times_in_ten(rate: float) -> None:
    total = 100
    hits = [(r := jeffreys(valid, total)).low <= rate <= r.high for valid in range(total + 1)]
    probabilities = stats.binom.pmf(range(total + 1), total, rate)
    coverage = sum(p for p, hit in zip(probabilities, hits, strict=True) if hit)
    assert 0.86 <= coverage <= 0.95


@SEEDED
@given(valid=counts, more=st.integers(1, 1000))
def test_discount_comes_from_evidence_alone(valid: int, more: int) -> None:
    discount = reputation_discount(jeffreys(valid, valid))
    assert 0.0 <= discount < MAX_DISCOUNT
    assert reputation_discount(jeffreys(valid + more, valid + more)) >= discount
    assert reputation_discount(jeffreys(valid, valid + more)) <= discount


def test_a_short_perfect_history_earns_less_than_a_long_good_one() -> None:
    assert reputation_discount(NEWCOMER) == 0.0
    assert reputation_discount(jeffreys(5, 5)) < reputation_discount(jeffreys(950, 1000))
    assert jeffreys(9, 10).mean > 0.8 > jeffreys(9, 10).low
    assert reputation_discount(jeffreys(9, 10)) == 0.0
    trusted = jeffreys(950, 1000)
    assert reputation_discount(trusted) == pytest.approx(0.1 * (trusted.low - 0.8) / 0.2)
