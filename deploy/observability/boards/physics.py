"""Whether measured energy obeys the first and the second law."""

from typing import Final

from panels import Dashboard, Query, Row, figure, graph, grown, heatmap, quantiles, rate, share

BOARD: Final = Dashboard(
    "physics",
    "Entropy and physics",
    "Whether measured energy obeys the first and the second law. Both are asked of windows that proofs measure.",
    (
        Row(
            "First law: what went in was stored or given off",
            (
                graph(
                    "Conservation error",
                    "|r| of the windows measured in an hour that had an identified thermal node, as a share of the energy that went in.",
                    "percentunit",
                    *quantiles("eil_energy_conservation_error", over="1h"),
                    alerts=["EilConservationErrorHigh"],
                    limit=0.1,
                ),
                heatmap(
                    "Conservation error, all windows",
                    "How many windows a second fell into each bucket of |r|.",
                    "percentunit",
                    "eil_energy_conservation_error",
                ),
                figure(
                    "Open by a tenth",
                    "Share of windows of six hours in which more than a tenth of the energy is unaccounted for.",
                    "percentunit",
                    "eil:conservation_error_over_tenth:ratio6h",
                    alerts=["EilConservationErrorHigh"],
                    limit=0.25,
                    width=6,
                ),
                figure(
                    "Windows judged",
                    "Windows within the time range that had the power to decide.",
                    "none",
                    grown("eil_energy_conservation_error_count"),
                    width=6,
                ),
                figure(
                    "Mean error",
                    "Mean |r| within the time range.",
                    "percentunit",
                    share(grown("eil_energy_conservation_error_sum"), grown("eil_energy_conservation_error_count")),
                    width=6,
                ),
                figure(
                    "Coherence now",
                    "Share of windows since the start of regime in which the second law held; 0 before there is any.",
                    "percentunit",
                    'min(eil_entropy_coherence_ratio{job="eil-regime"})',
                    alerts=["EilEntropyCoherenceLow"],
                    least=0.9,
                    width=6,
                ),
            ),
        ),
        Row(
            "Second law, and the laws of what was drawn",
            (
                graph(
                    "Entropy coherence",
                    "Share of measured windows in which no entropy was destroyed, since regime's start. An alarm on units and signs.",
                    "percentunit",
                    Query('eil_entropy_coherence_ratio{job="eil-regime"}', "{{instance}}"),
                    alerts=["EilEntropyCoherenceLow"],
                ),
                graph(
                    "Windows by evidence of physics",
                    "Accounting windows that the physics branch looked at, by how much speaks for a change.",
                    "rowsps",
                    Query(rate("eil_regime_physics_windows_total", by="level"), "{{level}}"),
                    stacked=True,
                ),
                graph(
                    "Energy laws of sampling, an hour",
                    "Runs of diffusion by verdict: whether what was drawn has the energies that it should have.",
                    "none",
                    Query(grown("eil_diffusion_energy_laws_total", by="verdict", over="1h"), "{{verdict}}"),
                    stacked=True,
                ),
                graph(
                    "Proofs by outcome, an hour",
                    "What measurement made of predictions. Invalid proofs beside an open first law mean the meter, not the forecast.",
                    "none",
                    Query(grown("eil_proofs_total", by="outcome", over="1h"), "{{outcome}}"),
                    alerts=["EilProofValidationLow"],
                    stacked=True,
                ),
            ),
        ),
    ),
)
