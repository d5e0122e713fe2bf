"""What energy costs a tenant now: the step of its tariff that holds, or the price of the settings."""

from itertools import pairwise

from eil.market.v1 import market_pb2
from eil_mesh.clock import iso, to_us
from eil_mesh.errors import InvalidArgument

from eil_market.settings import MarketSettings


def require_order(tariff: market_pb2.PutTariffRequest) -> None:
    """The steps begin one after the other, and end.

    Raises:
        InvalidArgument: they do not.
    """
    begins_us = [to_us(step.begin) for step in tariff.steps]
    for i, (before, after) in enumerate(pairwise(begins_us)):
        if after <= before:
            raise _wrong(f"steps[{i + 1}].begin", "must lie after the step before")
    if begins_us and not tariff.HasField("until"):
        raise _wrong("until", "must say when the last step ends: a price does not hold for ever")
    if begins_us and to_us(tariff.until) <= begins_us[-1]:
        raise _wrong("until", "must lie after the last step's begin")


def price_now(tariff: market_pb2.PutTariffRequest, settings: MarketSettings, now_us: int) -> tuple[float, str]:
    """(price [currency/kWh], where it comes from)."""
    holding = [step for step in tariff.steps if to_us(step.begin) <= now_us]
    if holding and now_us < to_us(tariff.until):
        return holding[-1].price_per_kwh, f"{tariff.source}, since {iso(to_us(holding[-1].begin))}"
    return settings.energy_price_per_kwh, "this service's settings"


def _wrong(field: str, problem: str) -> InvalidArgument:
    return InvalidArgument(f"{field} {problem}; nothing was changed", violations={field: problem})
