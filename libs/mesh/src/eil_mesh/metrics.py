"""Every metric of the mesh, by name: define it here before using it."""

import time
from collections import deque
from functools import cache

from prometheus_client import Counter, Gauge, Histogram

from eil_mesh.tracing import is_recorded, trace_id_of

REQUESTS = Counter("eil_requests_total", "Calls served, by method and gRPC code.", ["method", "code"])
REQUEST_SECONDS = Histogram(
    "eil_request_duration_seconds",
    "Time to serve a call.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
API_REQUEST_RATE = Gauge("eil_api_request_rate", "Calls served per second over the last minute.")
SAMPLES = Counter("eil_samples_total", "Rows of telemetry, by what became of them.", ["outcome"])
DOOR_POINTS = Counter(
    "eil_door_points_total", "Points that agents sent, by door and what became of them.", ["door", "outcome"]
)
CONSERVATION_ERROR = Histogram(
    "eil_energy_conservation_error",
    "First-law residual |r| of measured windows with an identified thermal node, share of the energy in.",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)
ENTROPY_COHERENCE = Gauge("eil_entropy_coherence_ratio", "Share of measured windows in which the second law held.")
# A gauge that only rises: a counter's name would end in _total, and this one is fixed by the public surface.
REGIME_TRANSITIONS = Gauge("eil_regime_transitions", "Regime shifts found since the start of the process.")
PHYSICS_WINDOWS = Counter(
    "eil_regime_physics_windows_total", "Accounting windows that physics looked at, by level of evidence.", ["level"]
)
REGIME_GAPS = Counter("eil_regime_gaps_total", "Gaps in time across which the detector compared nothing.")
REGIME_IGNORED = Counter(
    "eil_regime_ignored_values_total", "Values of channels beyond those that the detector follows."
)
DECISION_LATENCY_MS = Histogram(
    "eil_decision_latency_ms",
    "Time from question to committed decision, milliseconds.",
    buckets=(1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000),
)
DECISIONS = Counter("eil_decisions_total", "Decisions committed, by action.", ["action"])
EMISSIONS = Counter(
    "eil_emissions_total",
    "Actions that a source's mode lets out, by what became of them where they leave.",
    ["outcome"],
)
WEBHOOK_DELIVERIES = Counter("eil_webhook_deliveries_total", "Actions for the webhook, by outcome.", ["outcome"])
PROOFS = Counter("eil_proofs_total", "Verdicts given, by outcome.", ["outcome"])
PROOF_VALIDATION_RATE = Gauge("eil_proof_validation_rate", "Share of measured verdicts that are valid.")
VERIFICATIONS = Counter("eil_verifications_total", "Verifications of savings, by the state they came to.", ["state"])
PFT_MINTED = Counter("eil_pft_minted", "PFT minted by proofs.")
LEDGER_ENTRIES = Counter("eil_ledger_entries_total", "Ledger entries written, by kind.", ["kind"])
CREDITS_CHARGED = Counter("eil_credits_charged_total", "CEU that leases were settled for.")
BUDGET_REFUSALS = Counter(
    "eil_budget_refusals_total",
    "Charges refused, by reason: a budget or treasury used up, the ledger away.",
    ["reason"],
)
INFERENCE_STEPS = Counter("eil_inference_steps_total", "Inference steps metered.", ["service"])
ENERGY_LAWS = Counter(
    "eil_diffusion_energy_laws_total", "Runs of sampling, by verdict of the energy laws.", ["verdict"]
)
OUTBOX_ENTRIES = Gauge("eil_atlas_outbox_entries", "Entries of the Atlas's outbox that wait for Neo4j.")
EVENTS_SENT = Counter("eil_events_sent_total", "Journal entries sent to subscribers.")
EVENTS_FOLLOWED = Counter("eil_events_followed_total", "Events taken from another service's journal.", ["service"])
EVENTS_LAG = Gauge("eil_events_lag", "Entries of what a service follows that it has not handled yet.", ["service"])
EVENTS_LAG_SECONDS = Gauge("eil_events_lag_seconds", "Age of the oldest of them that is known.", ["service"])
DEAD_LETTERS = Counter("eil_dead_letters_total", "Events put aside because they could not be handled.", ["service"])
RELAYED = Counter("eil_relayed_total", "Journal entries that Kafka has acknowledged.")
RELAY_BACKLOG = Gauge("eil_relay_backlog", "Journal entries that Kafka has not acknowledged yet.")
SEGMENT_SAMPLES = Counter("eil_atlas_segment_samples_total", "Samples of telemetry cut into segments.")
SEGMENTS_LOST = Counter("eil_atlas_segments_lost_total", "Times that a segment was found lost or damaged.")
OBJECTS_SWEPT = Counter("eil_atlas_objects_swept_total", "Contents removed that no object had any more.")
CONSISTENCY_FINDINGS = Counter(
    "eil_atlas_consistency_findings_total", "Hours that were not what the log says, by what was wrong.", ["kind"]
)
CONSISTENCY_HOURS = Counter("eil_atlas_consistency_checked_hours_total", "Hours of sources compared with the log.")
CONSISTENCY_CLEAN = Gauge(
    "eil_atlas_consistency_clean_timestamp_seconds",
    "When log, graph and segments agreed last, or were repaired, on schedule; Unix time.",
)
BUILD_INFO = Gauge("eil_build_info", "1, by service and release.", ["service", "version"])
STORE_COMMIT_SECONDS = Histogram(
    "eil_store_commit_seconds",
    "Time that a commit took, with the work of everything in it.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)
STORE_COMMIT_WRITES = Histogram(
    "eil_store_commit_writes", "Writes that shared a commit.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
)
STORE_FAILURES = Counter("eil_store_failures_total", "Commits that failed: disk full, or the database away.")
FRONT_BUNDLE = Histogram(
    "eil_front_bundle_calls", "Calls of a front's bundles.", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
STREAM_CLIENTS = Gauge("eil_stream_clients", "Clients of the bridge's event streams.")
STREAM_SKIPPED = Counter("eil_stream_skipped_total", "Events that slow clients of the stream were not sent.")
MCP_CALLS = Counter("eil_mcp_calls_total", "Tools that agents called, by tool and outcome.", ["tool", "outcome"])
MARKET_PRICE = Gauge(
    "eil_market_price", "Price of a token as it was posted last, in its currency.", ["token", "currency"]
)
MARKET_SWAPS = Counter("eil_market_swaps_total", "Swaps of tokens in the pools, by what was paid in.", ["token"])
JOURNAL_OFFSET = Gauge("eil_journal_offset", "Offset of the newest journal entry.")
ANCHORED_OFFSET = Gauge("eil_journal_anchored_offset", "Offset of the newest entry under a signed head.")

_RATE_WINDOW_S = 60.0
_served: deque[float] = deque(maxlen=100_000)


@cache
def _served_of(method: str, code: str) -> tuple[Counter, Histogram]:
    """The two of a method and code: looking labels up costs more than counting."""
    return REQUESTS.labels(method, code), REQUEST_SECONDS.labels(method)


def count_request(method: str, code: str, seconds: float, traceparent: str = "") -> None:
    """Count one served call; where its trace is recorded, it is the exemplar of its duration."""
    count, duration = _served_of(method, code)
    count.inc()
    duration.observe(seconds, {"trace_id": trace_id_of(traceparent)} if is_recorded(traceparent) else None)
    _served.append(time.monotonic())


def _request_rate() -> float:
    horizon = time.monotonic() - _RATE_WINDOW_S
    while _served and _served[0] < horizon:
        _served.popleft()
    return len(_served) / _RATE_WINDOW_S


API_REQUEST_RATE.set_function(_request_rate)
