"""What EIL itself draws, and the telemetry that energy maps are made of."""

from typing import Final

from panels import Dashboard, Query, Row, bars, figure, graph, grown, rate, share

BOARD: Final = Dashboard(
    "energy",
    "Energy maps",
    "What EIL itself draws, by service, and the telemetry that energy maps are made of. Joules of sources belong to their tenants and "
    "are in no metric: GET /v1/energy/map, `eil atlas map`.",
    (
        Row(
            "EIL's own energy, modelled from processor time (± 50 %)",
            (
                figure(
                    "Power",
                    "What all processes of EIL draw now.",
                    "watt",
                    "sum(eil:self_power_watts)",
                    alerts=["EilSelfEnergyShare"],
                ),
                figure(
                    "Energy",
                    "Drawn within the time range.",
                    "joule",
                    grown("eil_self_energy_joules_total"),
                ),
                figure(
                    "Share of the fleet",
                    "EIL's power over that of the fleet, which the rule eil:fleet_power_watts declares.",
                    "percentunit",
                    "eil:self_power:share",
                    alerts=["EilSelfEnergyShare"],
                    limit=0.02,
                ),
                figure(
                    "Energy per call",
                    "EIL's energy over the calls served: what an answer costs.",
                    "joule",
                    "eil:self_energy_joules_per_call",
                ),
                figure(
                    "Energy per sample",
                    "EIL's energy over the samples accepted, everything else included.",
                    "joule",
                    share(grown("eil_self_energy_joules_total"), grown("eil_samples_total", 'outcome="accepted"')),
                ),
                figure(
                    "Calls",
                    "Calls served a second over the last minute, by the processes' own count.",
                    "reqps",
                    "sum(eil_api_request_rate)",
                ),
                graph(
                    "Power by service",
                    "A joule a second is a watt. 3.5 W a busy core unless set otherwise.",
                    "watt",
                    Query(rate("eil_self_energy_joules_total", by="service"), "{{service}}"),
                    stacked=True,
                    alerts=["EilSelfEnergyShare"],
                ),
                bars(
                    "Energy by service",
                    "Joules within the time range.",
                    "joule",
                    Query(f"sort_desc({grown('eil_self_energy_joules_total', by='service')})", "{{service}}"),
                ),
            ),
        ),
        Row(
            "Telemetry that maps are made of",
            (
                graph(
                    "Samples",
                    "Rows of telemetry by what became of them. Conflicting: another value for a time that is known; the first one stands.",
                    "rowsps",
                    Query(rate("eil_samples_total", by="outcome"), "{{outcome}}"),
                    alerts=["EilTelemetrySilent", "EilSamplesRefused"],
                    width=8,
                ),
                graph(
                    "Points at the doors",
                    "Of OTLP and remote-write. Ignored: not in EIL's table of names. Reset: a counter began anew.",
                    "rowsps",
                    Query(rate("eil_door_points_total", by="door, outcome"), "{{door}} {{outcome}}"),
                    width=8,
                ),
                graph(
                    "Cut into segments",
                    "Samples that the Atlas has laid into durable segments, from which maps of the past are drawn.",
                    "rowsps",
                    Query(rate("eil_atlas_segment_samples_total"), "samples"),
                    alerts=["EilSegmentsLost"],
                    width=8,
                ),
            ),
        ),
    ),
)
