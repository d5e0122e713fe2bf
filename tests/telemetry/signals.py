"""What the mesh must show of itself after one loop: each process's metrics, the spans of one trace, and which called which.

A new service is a line in `RISEN`; a new metric is a word in it, or in `QUIET` if a healthy loop leaves it at nothing.
"""

from typing import Final, NamedTuple

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
"""The trace of the loop."""
EVERY: Final = ("eil_build_info", "eil_self_energy_joules_total")
"""Of every process."""
SERVED: Final = ("eil_api_request_rate", "eil_requests_total", "eil_request_duration_seconds")
"""Of every process that answers gRPC calls."""
STORED: Final = (
    "eil_store_commit_seconds",
    "eil_store_commit_writes",
    "eil_journal_offset",
    "eil_journal_anchored_offset",
)
"""Of every service that kept a fact."""
RISEN: Final[dict[str, tuple[str, ...]]] = {
    "economy": (*EVERY, *SERVED, *STORED, "eil_ledger_entries_total"),
    "regime": (
        *EVERY,
        *SERVED,
        *STORED,
        "eil_samples_total",
        "eil_regime_physics_windows_total",
        "eil_events_sent_total",
    ),
    "regime-front": (*EVERY, *SERVED, "eil_front_bundle_calls"),
    "atlas": (*EVERY, *SERVED, "eil_events_followed_total", "eil_store_commit_seconds"),
    "nvp": (*EVERY, *SERVED, "eil_inference_steps_total", "eil_events_followed_total"),
    "diffusion": EVERY,
    "decision": (*EVERY, *SERVED, *STORED, "eil_decisions_total", "eil_decision_latency_ms", "eil_events_sent_total"),
    "proof": (
        *EVERY,
        *SERVED,
        *STORED,
        "eil_proofs_total",
        "eil_proof_validation_rate",
        "eil_pft_minted_total",
        "eil_events_followed_total",
    ),
    "market": (*EVERY, *SERVED, "eil_market_price"),
    "bridge": (*EVERY, "eil_mcp_calls_total"),
}
"""Metrics that are above zero after the loop, by process."""
QUIET: Final = frozenset(
    {
        "eil_atlas_consistency_checked_hours_total",
        "eil_atlas_consistency_clean_timestamp_seconds",
        "eil_atlas_consistency_findings_total",
        "eil_atlas_objects_swept_total",
        "eil_atlas_outbox_entries",
        "eil_atlas_segment_samples_total",
        "eil_atlas_segments_lost_total",
        "eil_budget_refusals_total",
        "eil_credits_charged_total",
        "eil_dead_letters_total",
        "eil_diffusion_energy_laws_total",
        "eil_door_points_total",
        "eil_emissions_total",
        "eil_energy_conservation_error",
        "eil_entropy_coherence_ratio",
        "eil_events_lag",
        "eil_events_lag_seconds",
        "eil_market_swaps_total",
        "eil_regime_gaps_total",
        "eil_regime_ignored_values_total",
        "eil_regime_transitions",
        "eil_relay_backlog",
        "eil_relayed_total",
        "eil_store_failures_total",
        "eil_stream_clients",
        "eil_stream_skipped_total",
        "eil_verifications_total",
        "eil_webhook_deliveries_total",
    }
)
"""Metrics that exist and that a short healthy loop may leave at zero, or without a labelled child."""


class Edge(NamedTuple):
    """A span and the one that it came from."""

    parent: str
    parent_span: str
    service: str
    span: str


SENSE, ACT = "eil.regime.v1.RegimeService/Sense", "eil.decision.v1.DecisionService/Act"
PROVE, MINT = "eil.proof.v1.ProofService/Prove", "eil.economy.v1.EconomyService/SubmitMint"
EDGES: Final = (
    Edge("eil-gateway", "ingress", "eil-regime", SENSE),  # the front's
    Edge("eil-regime", SENSE, "eil-regime", SENSE),  # behind it
    Edge("eil-regime", SENSE, "eil-atlas", "regime's page handled"),
    Edge("eil-gateway", "ingress", "eil-decision", ACT),
    Edge("eil-decision", ACT, "eil-regime", "eil.regime.v1.RegimeService/GetHistory"),
    Edge("eil-decision", ACT, "eil-nvp", "eil.nvp.v1.NvpService/Predict"),
    Edge("eil-decision", ACT, "eil-proof", "eil.act.actions handled"),
    Edge("eil-gateway", "ingress", "eil-proof", PROVE),
    Edge("eil-proof", PROVE, "eil-decision", "eil.decision.v1.DecisionService/GetDecision"),
    Edge("eil-proof", PROVE, "eil-regime", "eil.regime.v1.RegimeService/Measure"),
    Edge("eil-proof", PROVE, "eil-economy", MINT),
    Edge("eil-proof", PROVE, "eil-nvp", "eil.proof.verdicts handled"),
    Edge("eil-gateway", "ingress", "eil-market", "eil.market.v1.MarketService/GetPricing"),
    Edge(
        "eil-market", "eil.market.v1.MarketService/GetPricing", "eil-economy", "eil.economy.v1.EconomyService/GetSupply"
    ),
    Edge("eil-gateway", "ingress", "eil-bridge", "mcp"),
)
"""The loop's trace, from a sample to what was minted and what was learned of it."""
