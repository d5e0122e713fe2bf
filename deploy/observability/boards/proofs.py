"""Whether predictions came true, and what was minted for it."""

from typing import Final

from panels import Dashboard, Query, Row, figure, graph, grown, quantiles, rate, share

PROVE: Final = 'method="/eil.proof.v1.ProofService/Prove"'

BOARD: Final = Dashboard(
    "proofs",
    "Proofs and PFT",
    "Whether predictions came true, what was minted for it, and savings verified over weeks.",
    (
        Row(
            "Verdicts",
            (
                figure(
                    "Valid in a day",
                    "Share of the verdicts that rest on measurement.",
                    "percentunit",
                    "eil:proofs_valid:ratio1d",
                    alerts=["EilProofValidationLow"],
                    least=0.7,
                    width=6,
                ),
                figure(
                    "Valid since the start",
                    "The same since the proof service was started; 0 before there is any.",
                    "percentunit",
                    'min(eil_proof_validation_rate{job="eil-proof"})',
                    alerts=["EilProofValidationLow"],
                    least=0.7,
                    width=6,
                ),
                figure("Verdicts", "Given within the time range.", "none", grown("eil_proofs_total"), width=6),
                figure(
                    "PFT minted",
                    "Booked by the economy within the time range.",
                    "none",
                    grown("eil_pft_minted_total"),
                    alerts=["EilMintingStopped"],
                    width=6,
                ),
                graph(
                    "Verdicts by outcome, an hour",
                    "Unmeasured: nothing measured decides, so that it earns nothing and counts neither way.",
                    "none",
                    Query(grown("eil_proofs_total", by="outcome", over="1h"), "{{outcome}}"),
                    alerts=["EilProofValidationLow"],
                    stacked=True,
                ),
                graph(
                    "Validation rate",
                    "By process since its start, and over a day by the counters.",
                    "percentunit",
                    Query('eil_proof_validation_rate{job="eil-proof"}', "{{instance}} since its start"),
                    Query("eil:proofs_valid:ratio1d", "a day"),
                    alerts=["EilProofValidationLow"],
                ),
                graph(
                    "PFT minted an hour",
                    "Rewards as they are booked. Owed rewards come in one step when the economy is back.",
                    "none",
                    Query(grown("eil_pft_minted_total", over="1h"), "PFT"),
                    alerts=["EilMintingStopped"],
                ),
                graph(
                    "Verifications of savings, a day",
                    "By the state that they came to: BASELINE_FITTED, PROVEN, NOT_PROVEN, REFUTED, INSUFFICIENT_DATA, DISPUTED.",
                    "none",
                    Query(grown("eil_verifications_total", by="state", over="1d"), "{{state}}"),
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Objective: 99 % of calls of proof within 50 ms",
            (
                figure(
                    "Within 50 ms",
                    "Share of the calls of the time range.",
                    "percentunit",
                    share(
                        grown("eil_request_duration_seconds_bucket", f'{PROVE},le="0.05"'),
                        grown("eil_request_duration_seconds_count", PROVE),
                    ),
                    alerts=["EilProofLatencyFastBurn", "EilProofLatencySlowBurn"],
                    least=0.99,
                    width=8,
                ),
                figure(
                    "Budget burnt in an hour",
                    "How many times faster than the month allows; 14.4 pages.",
                    "none",
                    'eil:slo_errors:ratio1h{slo="proof"} / 0.01',
                    alerts=["EilProofLatencyFastBurn"],
                    limit=14.4,
                    width=8,
                ),
                figure(
                    "Budget burnt in three days",
                    "How many times faster than the month allows; 1 makes a ticket.",
                    "none",
                    'eil:slo_errors:ratio3d{slo="proof"} / 0.01',
                    alerts=["EilProofLatencySlowBurn"],
                    limit=1,
                    width=8,
                ),
                graph(
                    "Prove",
                    "Layers, measurement, verdict and commit. Points lead to traces, where they are recorded.",
                    "s",
                    *quantiles("eil_request_duration_seconds", PROVE),
                    alerts=["EilProofLatencyFastBurn", "EilProofLatencySlowBurn"],
                    limit=0.05,
                ),
                graph(
                    "Ledger entries",
                    "By kind: mints are rewards and grants, post and void end reservations and savings bonuses.",
                    "ops",
                    Query(rate("eil_ledger_entries_total", by="kind"), "{{kind}}"),
                    alerts=["EilMintingStopped"],
                    stacked=True,
                ),
            ),
        ),
    ),
)
