"""Methods about tokens and prices."""

from eil.economy.v1 import economy_pb2
from eil.market.v1 import market_pb2

from eil_sdk.calls import unary


class Economy:
    """What the economy and market services do, as far as it only reads."""

    @unary(lambda to: to.economy.GetBalances, lambda answer: answer.balances)
    def balances(self, owner: str = "") -> economy_pb2.GetBalancesRequest:
        """Balances of an owner, or of all of the tenant, by token. Amounts ending in `_u` are integers of 10⁻⁶ token."""
        return economy_pb2.GetBalancesRequest(owner=owner)

    @unary(lambda to: to.economy.GetBudget, lambda answer: answer.budget)
    def budget(self, principal: str = "") -> economy_pb2.GetBudgetRequest:
        """What a principal (a token's subject; the caller's own if not named) may still spend, and what flows into it [10⁻⁶ CEU]."""
        return economy_pb2.GetBudgetRequest(principal=principal)

    @unary(lambda to: to.market.GetPricing)
    def pricing(self, *, quantity: float = 0.0) -> market_pb2.GetPricingRequest:
        """Posted prices of the tokens with every factor; `quantity` is CEU wanted at once, for the bulk tier."""
        return market_pb2.GetPricingRequest(quantity=quantity)
