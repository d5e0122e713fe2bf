"""Verifications between the contract and the domain: requests to plans, records to answers."""

import json
from collections.abc import Mapping
from typing import Any

from eil.proof.v1 import proof_pb2
from eil_mesh.clock import MICROSECONDS, from_us, to_us
from eil_mesh.errors import InvalidArgument

from eil_proof.domain.minting import DEMO_TENANT
from eil_proof.domain.mv.record import REGRESSION, Exclusion, Plan
from eil_proof.domain.mv.savings import INSUFFICIENT_DATA, PROVEN

DEFAULT_INTERVAL_S = 3600
MAX_INTERVALS = 10_000
"""Of a baseline or a reporting period."""


def refuse(field: str, problem: str) -> InvalidArgument:
    """The error of a field that does not fit the others."""
    return InvalidArgument(f"{field} {problem}", violations={field: problem})


def windows(request: proof_pb2.BeginVerificationRequest) -> tuple[int, int, int]:
    """Interval [s], intervals of the baseline (0 for a switchback) and of the reporting period.

    Raises:
        InvalidArgument: fields do not fit each other.
    """
    interval_s = request.interval_s or DEFAULT_INTERVAL_S
    if request.method != REGRESSION:
        for field in ("model", "reporting_intervals"):
            if getattr(request, field):
                raise refuse(field, "belongs to a regression; a switchback has pairs and block_intervals")
        return interval_s, 0, _bounded("pairs", 2 * request.pairs * request.block_intervals)
    if not request.model:
        raise refuse("model", "is required for a regression: change_point, time_of_week_load or mean")
    if request.model != "mean" and not request.driver:
        raise refuse("driver", f"is required by the model {request.model}: the channel that the energy depends on")
    if request.model == "mean" and request.driver:
        raise refuse("driver", "has no use in the model mean; leave it out or name another model")
    if request.pairs or request.block_intervals or request.washout_intervals:
        raise refuse("pairs", "belongs to a switchback; a regression has reporting_intervals")
    length_us = to_us(request.baseline_end) - to_us(request.baseline_start)
    count, rest = divmod(length_us, interval_s * MICROSECONDS)
    if rest or count < 1:
        raise refuse("baseline_end", f"must lie one or more whole intervals of {interval_s} s after baseline_start")
    return interval_s, _bounded("baseline_end", count), _bounded("reporting_intervals", request.reporting_intervals)


def _bounded(field: str, count: int) -> int:
    if not 1 <= count <= MAX_INTERVALS:
        raise refuse(field, f"leads to {count} intervals; 1 to {MAX_INTERVALS} are possible")
    return count


def channels_of(driver: str) -> tuple[str, ...]:
    """Channels of a product."""
    return tuple(driver.split("*")) if driver else ()


def committed(commitment: Mapping[str, Any], plan: Plan, digest: str, asked_by: str) -> proof_pb2.Verification:
    """A verification as it stands after its commitment."""
    step_us = plan.interval_s * MICROSECONDS
    found = proof_pb2.Verification(
        verification_id=plan.id,
        source=plan.source,
        boundary=plan.boundary,
        ipmvp_option=plan.ipmvp_option,
        method=plan.method,
        model=plan.model,
        driver="*".join(plan.driver),
        interval_s=plan.interval_s,
        reporting_start=from_us(plan.reporting_start_us),
        reporting_end=from_us(plan.reporting_start_us + plan.reporting_intervals * step_us),
        frozen=from_us(commitment["frozen_us"]),
        commitment_digest=digest,
        asked_by=asked_by,
        state="BASELINE_FITTED",
    )
    model = commitment["model"]
    if plan.method != REGRESSION:
        found.on_first.extend(model["on_first"])
        found.reason = "committed; toggle the lever as on_first says"
        return found
    found.baseline_start.CopyFrom(from_us(plan.baseline_start_us))
    found.baseline_end.CopyFrom(from_us(plan.baseline_start_us + plan.baseline_intervals * step_us))
    found.baseline.CopyFrom(_baseline(model))
    if model["lacking"]:
        found.state, found.reason = INSUFFICIENT_DATA, "; ".join(model["lacking"])
    elif model["failed_gates"]:
        found.reason = f"committed, but this baseline will prove nothing: {'; '.join(model['failed_gates'])}"
    else:
        found.reason = "committed; the baseline can decide"
    return found


def _baseline(model: Mapping[str, Any]) -> proof_pb2.Baseline:
    return proof_pb2.Baseline(
        n=model["n"],
        p=model["p"],
        rho=model["rho"],
        n_effective=model["n_effective"],
        cv_rmse=model["cv_rmse"],
        nmbe=model["nmbe_blocked"],
        adjusted_r2=model["adjusted_r2"],
        missing=model["missing"],
        placebo_windows=model["placebo_windows"],
        placebo_degrees=model["placebo_degrees"],
        chosen=model["name"],
        max_cv_rmse=model["gates"]["cv_rmse"],
        max_nmbe=model["gates"]["nmbe"],
        lacking=model["lacking"],
        failed_gates=model["failed_gates"],
    )


def concluded(verification: proof_pb2.Verification, record: Mapping[str, Any]) -> proof_pb2.Verification:
    """A verification with what its record says."""
    result, found = record["result"], proof_pb2.Verification()
    found.CopyFrom(verification)
    found.state, found.reason = record["state"], result["reason"]
    found.undisputed_state = verification.undisputed_state or result["state"]
    found.evaluated.CopyFrom(from_us(record["evaluated_us"]))
    found.record_digest = record["sha256"]
    creditable_j, why_not = _creditable(record)
    if record["state"] == PROVEN and why_not:
        found.reason += f"; nothing may be credited: {why_not}"
    found.saving.CopyFrom(
        proof_pb2.Saving(
            saving=result["saving_j"],
            saving_low=result["low_j"],
            saving_high=result["high_j"],
            predicted_energy=result.get("predicted_j"),
            measured_energy=result.get("measured_j", result.get("on_j")),
            ar1_half_width=result.get("ar1_half_width_j"),
            guideline14_half_width=result.get("guideline14_half_width_j"),
            placebo_coverage=result.get("placebo_coverage"),
            missing=result["missing"],
            creditable=creditable_j,
        )
    )
    return found


def _creditable(record: Mapping[str, Any]) -> tuple[float, str]:
    """What may be credited [J], and why nothing may be."""
    if record["state"] != PROVEN:
        return 0.0, "it is not proven"
    plan = record["commitment"]["plan"]
    for part in (record["commitment"]["baseline"], record["reporting"]):
        if part is None:
            continue
        where = part["provenance"]
        if where["kind"] == "simulated" and plan["tenant"] == DEMO_TENANT:
            continue
        if where["kind"] != "metered":
            return 0.0, "the source is not enrolled as `metered`"
        if not where["own_credential"]:
            return 0.0, "samples did not all come from the source's own credential"
    return record["result"]["low_j"], ""


def exclusions_of(verification: proof_pb2.Verification) -> tuple[Exclusion, ...]:
    """Declared events as the domain knows them."""
    return tuple(
        Exclusion(to_us(one.start), to_us(one.end), one.reason, one.evidence, one.declared_by, to_us(one.declared))
        for one in verification.disputes
    )


def loaded(content: bytes) -> dict[str, Any]:
    """A stored commitment or record."""
    return json.loads(content)
