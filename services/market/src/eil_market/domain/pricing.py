"""The oracle's posted prices of CEU, PFT and MUNT: a product of factors, each with its unit and its meaning.

Posted prices are floating point; balances never are.
"""

from dataclasses import dataclass
from math import isfinite, prod
from typing import Final

from eil_market.domain.errors import InvalidPriceInput
from eil_market.domain.reputation import Reputation, reputation_discount

J_PER_KWH: Final = 3.6e6
CONGESTION_MAX: Final = 4.0
"""Reached at three quarters of the supply; beyond it more price would no longer shift load, only punish it."""
BULK_TIERS: Final = ((0.0, 0.0), (1_000.0, 0.02), (10_000.0, 0.05), (100_000.0, 0.08))
"""(CEU from which, discount on the credits above it)."""
LICENCE_DEMAND_MAX: Final = 2.0
LICENCE_DEMAND_HALF: Final = 100.0
"""Licences outstanding at which half of the demand premium applies."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a price, with its unit ("1" for a ratio) and what it stands for."""

    name: str
    value: float
    unit: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Price:
    """`amount` in `unit` (currency per token): exactly the product of the factors' values."""

    token: str
    amount: float
    currency: str
    unit: str
    factors: tuple[Factor, ...]


@dataclass(frozen=True, slots=True)
class EnergyPrice:
    """Price of energy in currency per joule."""

    per_j: float
    currency: str
    source: str = "tariff"
    """Where it comes from, in words."""

    def __post_init__(self) -> None:
        _require(self.per_j, "energy_price", above=0.0)
        if len(self.currency) != 3 or not self.currency.isalpha() or not self.currency.isupper():
            raise InvalidPriceInput(f"Currency {self.currency!r} is no ISO 4217 code: give three capitals.", "currency")

    @classmethod
    def per_kwh(cls, price: float, currency: str, source: str = "tariff") -> "EnergyPrice":
        """From a tariff in currency per kilowatt-hour."""
        return cls(_require(price, "energy_price", above=0.0) / J_PER_KWH, currency, source)


def congestion_factor(demand_ceu_per_s: float, supply_ceu_per_s: float) -> float:
    """1/(1 − ρ) with ρ = demand/supply, bounded to 1 … 4: 1 when idle, never falling as demand grows.

    It is the mean time in an M/M/1 queue relative to the service time alone, that is by how much one more request finds
    everyone's work slowed. Both rates in CEU/s; no supply counts as full.
    """
    demand = _require(demand_ceu_per_s, "demand_ceu_per_s")
    supply = _require(supply_ceu_per_s, "supply_ceu_per_s")
    idle = supply - demand
    return CONGESTION_MAX if idle * CONGESTION_MAX <= supply else supply / idle


def bulk_discount(quantity_ceu: float, tiers: tuple[tuple[float, float], ...] = BULK_TIERS) -> float:
    """Average discount in 0 … 1 on buying `quantity_ceu` at once; each tier applies to the credits within it.

    Marginal tiers, so that the unit price never rises with the quantity and the bill never falls.
    """
    quantity = _require(quantity_ceu, "quantity_ceu")
    if not quantity:
        return 0.0
    ends = [start for start, _ in tiers[1:]] + [quantity]
    saved = sum(
        rate * max(0.0, min(quantity, end) - start) for (start, rate), end in zip(tiers, ends, strict=True) if rate
    )
    return saved / quantity


def licence_demand_factor(licences_outstanding: int) -> float:
    """1 … 2, saturating: 1 + n/(n + 100). Demand for a model raises its price, ever more slowly, never beyond twice."""
    n = _require(licences_outstanding, "licences_outstanding")
    return 1.0 + (LICENCE_DEMAND_MAX - 1.0) * n / (n + LICENCE_DEMAND_HALF)


def skill_factor(skill: float) -> float:
    """1 … 2: one plus the model's skill (1 − its error / persistence's error), clipped to 0 … 1.

    A model no better than persistence is worth the compute of its steps, a perfect one twice that.
    """
    if not isfinite(skill) or skill > 1.0:
        raise InvalidPriceInput(f"Skill is {skill}: 1 − error/reference is finite and at most 1.", "skill")
    return 1.0 + max(0.0, skill)


def price_ceu(
    energy_per_ceu_j: float,
    energy: EnergyPrice,
    demand_ceu_per_s: float,
    supply_ceu_per_s: float,
    quantity_ceu: float,
    reputation: Reputation,
    *,
    energy_source: str = "measured energy of 1000 inference steps",
    load_source: str = "",
) -> Price:
    """Compute credit: the energy of its 1000 steps at the tariff × congestion × (1 − bulk) × (1 − reputation discount).

    `energy_source` and `load_source` say in words where the energy, and demand and supply, come from.
    Raises InvalidPriceInput.
    """
    _require(energy_per_ceu_j, "energy_per_ceu_j", above=0.0)
    bulk, trust = bulk_discount(quantity_ceu), reputation_discount(reputation)
    return _price(
        "CEU",
        energy.currency,
        Factor("energy_per_ceu", energy_per_ceu_j, "J/CEU", energy_source),
        _tariff(energy),
        Factor(
            "congestion",
            congestion_factor(demand_ceu_per_s, supply_ceu_per_s),
            "1",
            f"demand {demand_ceu_per_s:g} CEU/s of supply {supply_ceu_per_s:g} CEU/s: 1/(1 − demand/supply), at most 4"
            + (f"; {load_source}" if load_source else ""),
        ),
        Factor("bulk", 1.0 - bulk, "1", f"1 − average tier discount {bulk:.4f} on {quantity_ceu:g} CEU at once"),
        Factor(
            "reputation",
            1.0 - trust,
            "1",
            f"1 − discount {trust:.4f}, from the {reputation.level:.0%} interval's lower bound {reputation.low:.3f} of "
            f"{reputation.valid} valid among {reputation.total} proofs",
        ),
    )


def price_pft(
    proven_per_pft_j: float,
    energy: EnergyPrice,
    verdicts: Reputation,
    *,
    proven_source: str = "energy proven saved for each token minted",
) -> Price:
    """Proof token: the energy proven saved per token at the tariff × validity rate of all proofs.

    `verdicts` is the Jeffreys posterior of the whole market's proofs, `proven_source` says in words where the energy comes
    from. Raises InvalidPriceInput.
    """
    _require(proven_per_pft_j, "proven_per_pft_j", above=0.0)
    return _price(
        "PFT",
        energy.currency,
        Factor("proven_per_pft", proven_per_pft_j, "J/PFT", proven_source),
        _tariff(energy),
        Factor(
            "validity",
            verdicts.mean,
            "1",
            f"Jeffreys mean of the rate of valid proofs, {verdicts.valid} of {verdicts.total}",
        ),
    )


def price_munt(term_ceu_per_munt: float, ceu: Price, licences_outstanding: int, skill: float) -> Price:
    """Model licence: the compute credits of its term at their price × demand for licences × the model's skill.

    Raises InvalidPriceInput.
    """
    _require(term_ceu_per_munt, "term_ceu_per_munt", above=0.0)
    if ceu.token != "CEU":
        raise InvalidPriceInput(f"A licence is priced in CEU, not {ceu.token}: pass the price of CEU.", "ceu")
    return _price(
        "MUNT",
        ceu.currency,
        Factor("licence_term", term_ceu_per_munt, "CEU/MUNT", "inference steps of the licence's term, 1000 to the CEU"),
        Factor("price_ceu", ceu.amount, ceu.unit, "posted price of a compute credit"),
        Factor(
            "demand",
            licence_demand_factor(licences_outstanding),
            "1",
            f"{licences_outstanding} licences outstanding: 1 + n/(n + {LICENCE_DEMAND_HALF:g})",
        ),
        Factor("skill", skill_factor(skill), "1", f"1 + skill over persistence, {skill:.3f}, counted from 0"),
    )


def _tariff(energy: EnergyPrice) -> Factor:
    return Factor(
        "energy_price",
        energy.per_j,
        f"{energy.currency}/J",
        f"{energy.per_j * J_PER_KWH:g} {energy.currency} per kWh; {energy.source}",
    )


def _price(token: str, currency: str, *factors: Factor) -> Price:
    return Price(token, prod(factor.value for factor in factors), currency, f"{currency}/{token}", factors)


def _require(value: float, name: str, above: float | None = None) -> float:
    if not isfinite(value) or value < 0.0 or (above is not None and value <= above):
        bound = "0 or more" if above is None else f"more than {above:g}"
        raise InvalidPriceInput(f"{name} is {value}: no price follows from it; give a finite number, {bound}.", name)
    return value
