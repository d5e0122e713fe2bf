"""Records of verification: what was committed, what was measured, what follows. A record holds the data that it rests on, so
that anybody recomputes it offline.

Canonical form: JSON with sorted keys, no spaces, UTF-8, no NaN (a missing value is null), floats as the shortest text that reads
back the same. Measured values are kept to the last bit. Figures that follow from them are rounded to `DIGITS` digits: far coarser
than what the order of a sum makes between processors and far finer than what is known, so that they agree to the bit anywhere.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eil_proof.domain.mv.baseline import MAX_CV, MAX_NMBE, Baseline, fit_baseline
from eil_proof.domain.mv.intervals import Intervals
from eil_proof.domain.mv.savings import LEVEL, Saving, beyond, save
from eil_proof.domain.mv.switchback import SwitchbackSaving, Switching, switchback

VERSION = 1
"""Of the record's form."""
METHOD = 1
"""Of the mathematics: figures of another number are not recomputed."""
DIGITS = 9
REGRESSION, SWITCHBACK = "regression", "switchback"
DISPUTED = "DISPUTED"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is committed before anything is done. Windows are numbers of intervals from their begin."""

    id: str
    tenant: str
    source: str
    boundary: str
    """What the meter measures, in words."""
    ipmvp_option: str
    method: str
    model: str
    """Empty for a switchback."""
    driver: tuple[str, ...]
    """Channels whose interval means are multiplied; empty is none."""
    interval_s: int
    baseline_start_us: int
    baseline_intervals: int
    """0 for a switchback."""
    reporting_start_us: int
    reporting_intervals: int
    pairs: int = 0
    block_intervals: int = 0
    washout_intervals: int = 0
    seed: str = ""

    @property
    def switching(self) -> Switching:
        """How a switchback toggles the lever."""
        return Switching(self.pairs, self.block_intervals, self.washout_intervals, self.seed)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A non-routine event: intervals that touch [start_us, end_us) do not count."""

    start_us: int
    end_us: int
    reason: str
    evidence: str
    declared_by: str
    declared_us: int


def canonical(value: Any) -> bytes:
    """A JSON value in canonical form.

    Raises:
        ValueError: it holds NaN or an infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def figure(value: float) -> float | None:
    """A figure to DIGITS digits; None if it is not finite."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def data_of(measured: Intervals, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Measured intervals with where they come from."""
    columns = {
        "start_us": measured.start_us,
        "interval_s": measured.interval_s,
        "energy_j": _column(measured.energy_j),
        "driver": _column(measured.driver),
    }
    return {**columns, "sha256": digest(columns), "provenance": dict(provenance)}


def intervals_of(data: Mapping[str, Any]) -> Intervals:
    """Inverse of `data_of`."""
    read = lambda values: np.array([math.nan if v is None else v for v in values], float)  # noqa: E731 - for two columns
    return Intervals(data["start_us"], data["interval_s"], read(data["energy_j"]), read(data["driver"]))


def _column(values: NDArray[np.float64]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def plan_of(fields: Mapping[str, Any]) -> Plan:
    """A plan as it stands in a record."""
    return Plan(**{**fields, "driver": tuple(fields["driver"])})


def commit(plan: Plan, frozen_us: int, baseline: Mapping[str, Any] | None, code: str) -> dict[str, Any]:
    """The commitment: the plan, the baseline's data (`data_of`) and model, and when they were frozen [µs].

    Raises:
        ValueError: see `fit_baseline` and `Switching`.
    """
    if plan.method == SWITCHBACK:
        fitted = {"on_first": list(plan.switching.on_first)}
    else:
        assert baseline is not None, "a regression has a baseline"
        fitted = _baseline_figures(fit_baseline(intervals_of(baseline), plan.model, plan.reporting_intervals))
    series = [f"{plan.tenant}/{plan.source}/{name}" for name in ("power_draw", *plan.driver)]
    return {
        "version": VERSION,
        "method": METHOD,
        "code": code,
        "plan": {**asdict(plan), "driver": list(plan.driver)},
        "series": series,
        "frozen_us": frozen_us,
        "baseline": baseline and dict(baseline),
        "model": fitted,
    }


def conclude(
    commitment: Mapping[str, Any], reporting: Mapping[str, Any], exclusions: tuple[Exclusion, ...], evaluated_us: int
) -> dict[str, Any]:
    """The record: a commitment with the reporting period's data (`data_of`), exclusions, and what follows."""
    plan = plan_of(commitment["plan"])
    result = _result(plan, commitment, intervals_of(reporting), exclusions)
    body = {
        "commitment": dict(commitment),
        "commitment_sha256": digest(commitment),
        "reporting": dict(reporting),
        "exclusions": [asdict(one) for one in exclusions],
        "evaluated_us": evaluated_us,
        "result": result,
        "state": DISPUTED if exclusions else result["state"],
    }
    return {**body, "sha256": digest(body)}


def verify(record: Mapping[str, Any]) -> list[str]:
    """Recompute a record from the data within; the paths of fields that come out otherwise, empty if it holds.

    What is only stated (boundary, who declared an exclusion, …) is held by the digests alone: a signature says whose statement it is.
    """
    try:
        commitment, reporting = record["commitment"], record["reporting"]
        if commitment["version"] != VERSION or commitment["method"] != METHOD:
            return [f"commitment.method (this release recomputes version {VERSION}, method {METHOD})"]
        plan, baseline = plan_of(commitment["plan"]), commitment["baseline"]
        again = commit(plan, commitment["frozen_us"], baseline and _rehashed(baseline), commitment["code"])
        exclusions = tuple(Exclusion(**one) for one in record["exclusions"])
        whole = conclude(again, _rehashed(reporting), exclusions, record["evaluated_us"])
        placed = (
            baseline is None or _placed(baseline, plan, plan.baseline_start_us, plan.baseline_intervals)
        ) and _placed(reporting, plan, plan.reporting_start_us, plan.reporting_intervals)
        differing = [*_differences(record, whole, "")]
        return differing if placed else [*differing, "commitment.plan (the data are not those of its windows)"]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, AssertionError) as error:
        return [f"the record cannot be read: {error!r}"]


def _rehashed(data: Mapping[str, Any]) -> dict[str, Any]:
    return data_of(intervals_of(data), data["provenance"])


def _placed(data: Mapping[str, Any], plan: Plan, start_us: int, count: int) -> bool:
    return (data["start_us"], data["interval_s"], len(data["energy_j"])) == (start_us, plan.interval_s, count)


def _differences(stated: Any, found: Any, path: str) -> Iterator[str]:
    """Paths at which two JSON values differ, types and the sign of zero included."""
    if isinstance(found, dict) and isinstance(stated, dict):
        for key in sorted(stated.keys() | found.keys(), key=str):
            inner = f"{path}.{key}".lstrip(".")
            if key in stated and key in found:
                yield from _differences(stated[key], found[key], inner)
            else:
                yield inner
    elif isinstance(found, list) and isinstance(stated, list) and len(found) == len(stated):
        for place, (one, other) in enumerate(zip(stated, found, strict=True)):
            yield from _differences(one, other, f"{path}[{place}]")
    elif type(stated) is not type(found) or stated != found or repr(stated) != repr(found):
        yield path


def excluded(measured: Intervals, exclusions: tuple[Exclusion, ...]) -> NDArray[np.bool_]:
    """(n,): which intervals touch an exclusion."""
    begins = measured.starts_us
    ends = begins + measured.interval_s * 1_000_000
    out = np.zeros(len(measured), np.bool_)
    for one in exclusions:
        out |= (begins < one.end_us) & (ends > one.start_us)
    return out


def _baseline_figures(fitted: Baseline) -> dict[str, Any]:
    spec, residuals, found = fitted.spec, fitted.residuals, fitted.placebo
    return {
        "name": fitted.fit.candidate.name,
        "coefficients": [figure(value) for value in fitted.fit.coefficients],
        "knots": [figure(value) for value in spec.knots],
        "driver_span": [figure(spec.low), figure(spec.high)],
        "grouping": spec.grouping,
        "n": residuals.n,
        "p": residuals.p,
        "sigma_j": figure(residuals.sigma),
        "rho": figure(residuals.rho),
        "n_effective": figure(residuals.n_effective),
        "mean_j": figure(fitted.mean_j),
        "cv_rmse": figure(fitted.cv),
        "nmbe_blocked": figure(fitted.nmbe_blocked),
        "adjusted_r2": figure(fitted.adjusted_r2),
        "missing": figure(fitted.missing),
        "placebo_errors_j": [figure(value) for value in found.errors],
        "placebo_windows": found.windows,
        "placebo_degrees": figure(found.degrees),
        "gates": {"row": "ASHRAE 14-2014, calibrated simulation, hourly", "cv_rmse": MAX_CV, "nmbe": MAX_NMBE},
        "lacking": list(fitted.lacking),
        "failed_gates": list(fitted.failed_gates),
    }


def _result(
    plan: Plan, commitment: Mapping[str, Any], reporting: Intervals, exclusions: tuple[Exclusion, ...]
) -> dict[str, Any]:
    out = excluded(reporting, exclusions)
    if plan.method == SWITCHBACK:
        test = switchback(reporting, plan.switching, out, adjust=bool(plan.driver))
        return _saving_figures(test)
    baseline = fit_baseline(intervals_of(commitment["baseline"]), plan.model, plan.reporting_intervals)
    refused = np.flatnonzero(beyond(baseline, reporting)).tolist()
    return {**_saving_figures(save(baseline, reporting, out)), "beyond_baseline": refused}


def _saving_figures(found: Saving | SwitchbackSaving) -> dict[str, Any]:
    values = {name: figure(value) if isinstance(value, float) else value for name, value in asdict(found).items()}
    return {**values, "level": LEVEL, "low_j": figure(found.low_j), "high_j": figure(found.high_j)}
