"""Compute credits and the market."""

from typing import Final

from panels import Dashboard, Query, Row, bars, figure, graph, grown, or_none, quantiles, rate

BOARD: Final = Dashboard(
    "market",
    "Budgets and market",
    "What is charged for work, who is refused, and what tokens cost.",
    (
        Row(
            "Compute credits",
            (
                figure(
                    "Charged", "CEU settled within the time range.", "none", grown("eil_credits_charged_total"), width=6
                ),
                figure(
                    "Refused",
                    "Charges refused within the time range.",
                    "none",
                    or_none(grown("eil_budget_refusals_total")),
                    alerts=["EilBudgetsExhausted", "EilTreasuryEmpty", "EilLedgerAway"],
                    width=6,
                ),
                figure(
                    "Inference", "Steps within the time range.", "none", grown("eil_inference_steps_total"), width=6
                ),
                figure(
                    "Swaps",
                    "In the pools, within the time range.",
                    "none",
                    or_none(grown("eil_market_swaps_total")),
                    width=6,
                ),
                graph(
                    "Charged an hour",
                    "CEU that leases were settled for, by who did the work. Leases in use show when they are settled.",
                    "none",
                    Query(grown("eil_credits_charged_total", by="service", over="1h"), "{{service}}"),
                    alerts=["EilCreditsNotSettled"],
                    stacked=True,
                ),
                graph(
                    "Refusals",
                    "BUDGET_EXHAUSTED: a principal's budget. INSUFFICIENT_BALANCE: a tenant's treasury. UNAVAILABLE: the ledger is away.",
                    "ops",
                    Query(rate("eil_budget_refusals_total", by="service, reason"), "{{service}} {{reason}}"),
                    alerts=["EilBudgetsExhausted", "EilTreasuryEmpty", "EilLedgerAway"],
                ),
                graph(
                    "Inference steps",
                    "1,000 are a CEU.",
                    "ops",
                    Query(rate("eil_inference_steps_total", by="service"), "{{service}}"),
                    alerts=["EilCreditsNotSettled"],
                ),
                graph(
                    "Ledger entries",
                    "By kind: transfer, mint, burn, reserve, post, void, expire. Expiries are leases that nobody settled.",
                    "ops",
                    Query(rate("eil_ledger_entries_total", by="kind"), "{{kind}}"),
                    alerts=["EilCreditsNotSettled", "EilMintingStopped"],
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Market",
            (
                graph(
                    "Posted prices",
                    "Of a token in its currency, as it was posted last. A price is posted when somebody asks.",
                    "none",
                    Query('max by (token, currency) (eil_market_price{job="eil-market"})', "{{token}} [{{currency}}]"),
                ),
                graph(
                    "Swaps an hour",
                    "In the pools, by what was paid in.",
                    "none",
                    Query(grown("eil_market_swaps_total", by="token", over="1h"), "{{token}}"),
                    stacked=True,
                ),
                bars(
                    "Prices now",
                    "The newest of each token.",
                    "none",
                    Query('max by (token, currency) (eil_market_price{job="eil-market"})', "{{token}} [{{currency}}]"),
                ),
                graph(
                    "Time of the market and the economy, p99",
                    "Of their calls, by method.",
                    "s",
                    *quantiles("eil_request_duration_seconds", 'service=~"market|economy"', "method", at=[0.99]),
                    alerts=["EilServiceErrors"],
                ),
            ),
        ),
    ),
)
