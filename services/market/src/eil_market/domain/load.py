"""Demand for and supply of compute credits, from what the ledger says of them."""

from dataclasses import dataclass
from typing import Final

U_PER_CEU: Final = 10**6


@dataclass(frozen=True, slots=True)
class Load:
    """Rates in CEU/s over one window, and in words where they come from."""

    demand_ceu_per_s: float
    supply_ceu_per_s: float
    source: str


def credit_load(circulating_u: int, metered_u: int, reserved_u: int, metered_lately_u: int, window_s: float) -> Load:
    """The load of the last `window_s` [s]: of the credits that could be spent at its beginning, how many were taken in it.

    Args:
        circulating_u: issued and not burned, 10⁻⁶ CEU.
        metered_u: of these, ever used up, 10⁻⁶ CEU.
        reserved_u: held by open leases now: asked for, not used yet, 10⁻⁶ CEU.
        metered_lately_u: used up within the window, 10⁻⁶ CEU.

    A tenant without credits is idle: its starting grant comes with the first use.
    """
    if circulating_u == 0:
        return Load(0.0, 1.0, "no credits were issued to this tenant yet, so it counts as idle")
    spendable_u = max(0, circulating_u - metered_u) + metered_lately_u
    return Load(
        (reserved_u + metered_lately_u) / U_PER_CEU / window_s,
        spendable_u / U_PER_CEU / window_s,
        f"demand is what open leases hold and what the last {window_s:g} s used, supply what could be spent in them, "
        "both from the ledger",
    )
