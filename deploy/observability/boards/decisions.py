"""What was decided, how long it took, and what became of it."""

from typing import Final

from panels import Dashboard, Query, Row, figure, graph, grown, heatmap, quantiles, rate, share

ACT: Final = 'method="/eil.decision.v1.DecisionService/Act"'

BOARD: Final = Dashboard(
    "decisions",
    "Decisions",
    "What was decided, how long it took, and what became of it.",
    (
        Row(
            "Objective: 99 % of calls of act within 250 ms",
            (
                figure(
                    "Within 250 ms",
                    "Share of the calls of the time range.",
                    "percentunit",
                    share(
                        grown("eil_request_duration_seconds_bucket", f'{ACT},le="0.25"'),
                        grown("eil_request_duration_seconds_count", ACT),
                    ),
                    alerts=["EilActLatencyFastBurn", "EilActLatencySlowBurn"],
                    least=0.99,
                    width=6,
                ),
                figure(
                    "Budget burnt in an hour",
                    "How many times faster than the month allows; 14.4 pages.",
                    "none",
                    'eil:slo_errors:ratio1h{slo="act"} / 0.01',
                    alerts=["EilActLatencyFastBurn"],
                    limit=14.4,
                    width=6,
                ),
                figure(
                    "Budget burnt in three days",
                    "How many times faster than the month allows; 1 makes a ticket.",
                    "none",
                    'eil:slo_errors:ratio3d{slo="act"} / 0.01',
                    alerts=["EilActLatencySlowBurn"],
                    limit=1,
                    width=6,
                ),
                figure("Decisions", "Committed within the time range.", "none", grown("eil_decisions_total"), width=6),
                graph(
                    "Act, as callers of the service see it",
                    "Layers, forecast, choice and commit. Points lead to traces, where they are recorded.",
                    "s",
                    *quantiles("eil_request_duration_seconds", ACT),
                    alerts=["EilActLatencyFastBurn", "EilActLatencySlowBurn"],
                    limit=0.25,
                ),
                graph(
                    "From question to committed decision",
                    "The decision's own time, without the layers around it.",
                    "ms",
                    *quantiles("eil_decision_latency_ms"),
                    alerts=["EilActLatencyFastBurn"],
                    limit=250,
                ),
                heatmap(
                    "Decision latency, all",
                    "How many decisions a second took how long.",
                    "ms",
                    "eil_decision_latency_ms",
                ),
                graph(
                    "Answers of act",
                    "By gRPC code.",
                    "reqps",
                    Query(rate("eil_requests_total", ACT, "code"), "{{code}}"),
                    stacked=True,
                    alerts=["EilServiceErrors"],
                ),
            ),
        ),
        Row(
            "What was decided, and what became of it",
            (
                graph(
                    "Decisions by action",
                    "scale_down, scale_up, hold, and what declared levers add.",
                    "ops",
                    Query(rate("eil_decisions_total", by="action"), "{{action}}"),
                    stacked=True,
                ),
                graph(
                    "Emissions",
                    "Emitted, renewed; withheld: stopped, advice only, over the hour's moves (budget), not followed (ineffective).",
                    "ops",
                    Query(rate("eil_emissions_total", by="outcome"), "{{outcome}}"),
                    alerts=["EilActionsNotFollowed"],
                    stacked=True,
                ),
                graph(
                    "Webhook",
                    "Delivered; or refused, ended before delivery, dropped, superseded by a newer action, which is as it should be.",
                    "ops",
                    Query(rate("eil_webhook_deliveries_total", by="outcome"), "{{outcome}}"),
                    alerts=["EilWebhookFailing"],
                    stacked=True,
                ),
                graph(
                    "Inference behind it",
                    "Steps metered by nvp and diffusion; 1,000 are a compute credit.",
                    "ops",
                    Query(rate("eil_inference_steps_total", by="service"), "{{service}}"),
                    alerts=["EilCreditsNotSettled"],
                ),
            ),
        ),
    ),
)
