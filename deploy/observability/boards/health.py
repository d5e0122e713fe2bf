"""The mesh: objectives, the door, services, stores, journals, events, the Atlas, streams."""

from typing import Final

from boards.upkeep import CHOSEN, UPKEEP
from panels import (
    SOURCE,
    Dashboard,
    Json,
    Query,
    Row,
    figure,
    graph,
    grown,
    heatmap,
    or_none,
    quantiles,
    rate,
    share,
    table,
)

SERVICE: Final[Json] = {
    "name": "service",
    "label": "Service",
    "type": "query",
    "datasource": SOURCE,
    "query": {"query": 'label_values(up{job=~"eil-.+"}, service)', "refId": "service"},
    "refresh": 2,
    "multi": True,
    "includeAll": True,
    "allValue": ".*",
    "current": {"text": ["All"], "value": ["$__all"]},
    "sort": 1,
}
CALLS: Final = f'{CHOSEN},method!~".*/(.*Stream.*|Subscribe|Watch.*|ReadSamples|Verify)"'
"""Calls with one answer: how long a stream lasts says nothing of how fast a service is."""
FIRING: Final = 'ALERTS{alertname=~"Eil.+",alertstate="firing"}'
DOOR: Final = 'envoy_http_conn_manager_prefix="door"'
FAILED: Final = f'{CHOSEN},code=~"INTERNAL|UNKNOWN|DATA_LOSS|UNAVAILABLE|DEADLINE_EXCEEDED"'
SENSE: Final = 'method="/eil.regime.v1.RegimeService/Sense"'
FAST: Final = [
    "EilDoorAvailabilityFastBurn",
    "EilActLatencyFastBurn",
    "EilProofLatencyFastBurn",
    "EilSenseLatencyFastBurn",
]
SLOW: Final = [
    "EilDoorAvailabilitySlowBurn",
    "EilActLatencySlowBurn",
    "EilProofLatencySlowBurn",
    "EilSenseLatencySlowBurn",
]


def burnt(window: str) -> str:
    """How many times faster than a month allows each objective's error budget went: .1 % of answers, 1 % of latencies."""
    ratio = f"eil:slo_errors:ratio{window}"
    return f'{ratio}{{slo="door"}} / 0.001 or {ratio}{{slo!="door"}} / 0.01'


BOARD: Final = Dashboard(
    "health",
    "System health",
    "Objectives, the door, services, stores, journals, events, the Atlas, streams.",
    (
        Row(
            "Now",
            (
                table(
                    "Alerts that fire",
                    "Begin with a process that is down, then stores, then the rest: objectives come last, for they follow.",
                    Query(f"sum by (alertname, severity, service, exported_service, slo) ({FIRING})"),
                    ["Time", "Value"],
                    width=24,
                ),
            ),
        ),
        Row(
            "Objectives",
            (
                figure(
                    "Door without server errors",
                    "Share of answers that are not 5xx; objective 99.9 %. A gRPC call that fails is no 5xx: see failed calls.",
                    "percentunit",
                    share(
                        grown("envoy_http_downstream_rq_xx", f'{DOOR},envoy_response_code_class!="5"'),
                        grown("envoy_http_downstream_rq_xx", DOOR),
                    ),
                    alerts=["EilDoorAvailabilityFastBurn", "EilDoorAvailabilitySlowBurn"],
                    least=0.999,
                    width=6,
                ),
                figure(
                    "Sense within 100 ms",
                    "Share of calls of the time range; objective 99 %.",
                    "percentunit",
                    share(
                        grown("eil_request_duration_seconds_bucket", f'{SENSE},le="0.1"'),
                        grown("eil_request_duration_seconds_count", SENSE),
                    ),
                    alerts=["EilSenseLatencyFastBurn", "EilSenseLatencySlowBurn"],
                    least=0.99,
                    width=6,
                ),
                figure(
                    "Processes down",
                    "Of those that Prometheus knows.",
                    "none",
                    or_none('count(up{job=~"eil-.+"} == 0)'),
                    alerts=["EilProcessDown"],
                    limit=1,
                    width=6,
                ),
                figure(
                    "Starts",
                    "Starts of processes within the time range, the first left out.",
                    "none",
                    'sum(changes(process_start_time_seconds{job=~"eil-.+"}[$__range]))',
                    alerts=["EilProcessRestarting"],
                    limit=3,
                    width=6,
                ),
                graph(
                    "Error budget, an hour",
                    "How many times faster than a month allows each objective's budget is burnt. 14.4 pages.",
                    "none",
                    Query(burnt("1h"), "{{slo}}"),
                    alerts=FAST,
                    limit=14.4,
                ),
                graph(
                    "Error budget, three days",
                    "The same over three days. 1 makes a ticket.",
                    "none",
                    Query(burnt("3d"), "{{slo}}"),
                    alerts=SLOW,
                    limit=1,
                ),
            ),
        ),
        Row(
            "The door",
            (
                graph(
                    "Answers by class",
                    "HTTP status of what the door answered, its own refusals included.",
                    "reqps",
                    Query(
                        rate("envoy_http_downstream_rq_xx", DOOR, "envoy_response_code_class"),
                        "{{envoy_response_code_class}}xx",
                    ),
                    alerts=["EilDoorAvailabilityFastBurn"],
                    stacked=True,
                ),
                graph(
                    "Time at the door",
                    "From a request's first byte to its answer's last, streams included.",
                    "ms",
                    *quantiles("envoy_http_downstream_rq_time", DOOR),
                    alerts=["EilActLatencyFastBurn", "EilSenseLatencyFastBurn"],
                ),
            ),
        ),
        Row(
            "Services",
            (
                graph(
                    "Calls",
                    "Served a second.",
                    "reqps",
                    Query(rate("eil_requests_total", CHOSEN, "service"), "{{service}}"),
                    alerts=["EilServiceErrors"],
                    stacked=True,
                    width=8,
                ),
                graph(
                    "Calls that failed",
                    "INTERNAL, UNKNOWN, DATA_LOSS, UNAVAILABLE, DEADLINE_EXCEEDED: what callers cannot mend.",
                    "reqps",
                    Query(rate("eil_requests_total", FAILED, "service, code"), "{{service}} {{code}}"),
                    alerts=["EilServiceErrors"],
                    width=8,
                ),
                graph(
                    "Calls by code",
                    "Everything but OK.",
                    "reqps",
                    Query(rate("eil_requests_total", f'{CHOSEN},code!="OK"', "code"), "{{code}}"),
                    alerts=["EilServiceErrors", "EilBudgetsExhausted"],
                    width=8,
                ),
                graph(
                    "Latency by method, p99",
                    "Of calls with one answer. Points lead to traces, where they are recorded.",
                    "s",
                    *quantiles("eil_request_duration_seconds", CALLS, "method", at=[0.99]),
                    alerts=["EilActLatencyFastBurn", "EilProofLatencyFastBurn", "EilSenseLatencyFastBurn"],
                ),
                heatmap(
                    "Latency, all calls",
                    "How many calls a second took how long.",
                    "s",
                    "eil_request_duration_seconds",
                    CALLS,
                ),
                graph(
                    "Sense",
                    "Where the call comes in: at the front, where there is one.",
                    "s",
                    *quantiles("eil_request_duration_seconds", SENSE),
                    alerts=["EilSenseLatencyFastBurn", "EilSenseLatencySlowBurn"],
                    limit=0.1,
                    width=8,
                ),
                graph(
                    "Calls a second, by the services' own count",
                    "Over the last minute.",
                    "reqps",
                    Query(f"sum by (service) (eil_api_request_rate{{{CHOSEN}}})", "{{service}}"),
                    width=8,
                ),
                graph(
                    "Bundles of fronts",
                    "Calls that a front hands over at once: they grow with the load, and end at 256.",
                    "none",
                    *quantiles("eil_front_bundle_calls", CHOSEN, at=[0.5, 0.99]),
                    alerts=["EilSenseLatencyFastBurn"],
                    width=8,
                ),
                graph(
                    "Processor",
                    "Cores in use.",
                    "none",
                    Query(rate("process_cpu_seconds_total", CHOSEN, "service"), "{{service}}"),
                    alerts=["EilSelfEnergyShare"],
                    stacked=True,
                    width=8,
                ),
                graph(
                    "Memory",
                    "Resident.",
                    "bytes",
                    Query(f"sum by (service) (process_resident_memory_bytes{{{CHOSEN}}})", "{{service}}"),
                    alerts=["EilProcessRestarting"],
                    stacked=True,
                    width=8,
                ),
                table(
                    "Releases",
                    "Which release each process runs. Two beside each other are an upgrade under way.",
                    Query("sum by (service, version) (eil_build_info)"),
                    ["Time", "Value"],
                    width=8,
                ),
            ),
        ),
        *UPKEEP,
    ),
    (SERVICE,),
)
