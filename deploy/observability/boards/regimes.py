"""When sources changed their behaviour, and what the detector looked at."""

from typing import Final

from panels import Dashboard, Query, Row, figure, graph, grown, or_none, rate, share, timeline

DRIFTING: Final = 'level="drifting"'
CRITICAL: Final = 'level="critical"'

BOARD: Final = Dashboard(
    "regimes",
    "Regimes",
    "When sources changed their behaviour, and what the detector saw and did not see. Which source: `eil watch`, GET /v1/regime/status.",
    (
        Row(
            "Timeline",
            (
                timeline(
                    "When something changed",
                    "Marked where a shift was found, physics spoke for drift or for a critical state, or a gap left nothing to compare.",
                    Query(or_none(f"{rate('eil_regime_transitions')} > bool 0"), "shift"),
                    Query(or_none(f"{rate('eil_regime_physics_windows_total', DRIFTING)} > bool 0"), "drifting"),
                    Query(or_none(f"{rate('eil_regime_physics_windows_total', CRITICAL)} > bool 0"), "critical"),
                    Query(or_none(f"{rate('eil_regime_gaps_total')} > bool 0"), "gap"),
                ),
                figure(
                    "Shifts",
                    "Found within the time range.",
                    "none",
                    grown("eil_regime_transitions"),
                    width=6,
                ),
                figure(
                    "Gaps",
                    "Stretches within the time range across which nothing was compared.",
                    "none",
                    grown("eil_regime_gaps_total"),
                    width=6,
                ),
                figure(
                    "Values not followed",
                    "Of channels beyond the 64 of a source that the detector follows.",
                    "none",
                    grown("eil_regime_ignored_values_total"),
                    width=6,
                ),
                figure(
                    "Critical windows",
                    "Share of the windows within the time range in which physics speaks for a critical state.",
                    "percentunit",
                    share(
                        f"({or_none(grown('eil_regime_physics_windows_total', CRITICAL))})",
                        grown("eil_regime_physics_windows_total"),
                    ),
                    width=6,
                ),
            ),
        ),
        Row(
            "Evidence",
            (
                graph(
                    "Shifts an hour",
                    "Of all sources together. A young source reports more than it will later.",
                    "none",
                    Query(grown("eil_regime_transitions", over="1h"), "shifts"),
                ),
                graph(
                    "Windows by evidence",
                    "Share of accounting windows, by what physics says of them: none, drifting, critical.",
                    "percentunit",
                    Query(
                        f"{rate('eil_regime_physics_windows_total', by='level')}"
                        f" / scalar({rate('eil_regime_physics_windows_total')})",
                        "{{level}}",
                    ),
                    stacked=True,
                ),
                graph(
                    "Gaps and values not followed",
                    "What the detector could not look at.",
                    "ops",
                    Query(rate("eil_regime_gaps_total"), "gaps"),
                    Query(rate("eil_regime_ignored_values_total"), "values not followed"),
                ),
                graph(
                    "Samples that it rests on",
                    "Accepted and refused. Without samples nothing is found.",
                    "rowsps",
                    Query(rate("eil_samples_total", by="outcome"), "{{outcome}}"),
                    alerts=["EilTelemetrySilent", "EilSamplesRefused"],
                ),
            ),
        ),
    ),
)
