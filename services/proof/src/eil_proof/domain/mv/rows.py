"""The intervals of a record as rows, for a spreadsheet."""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from eil_proof.domain.mv.baseline import Baseline, fit_baseline
from eil_proof.domain.mv.intervals import Intervals
from eil_proof.domain.mv.models import basis
from eil_proof.domain.mv.record import REGRESSION, Exclusion, excluded, intervals_of, plan_of

COLUMNS = ("period", "start", "energy_j", "driver", "predicted_j", "excluded")


def to_csv(record: Mapping[str, Any]) -> str:
    """CSV with a heading: an interval a row; what was not measured or not predicted is empty."""
    plan = plan_of(record["commitment"]["plan"])
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    reporting = intervals_of(record["reporting"])
    exclusions = tuple(Exclusion(**one) for one in record["exclusions"])
    fitted = None
    if plan.method == REGRESSION:
        baseline = intervals_of(record["commitment"]["baseline"])
        fitted = fit_baseline(baseline, plan.model, plan.reporting_intervals)
        writer.writerows(_rows("baseline", baseline, fitted, ()))
    writer.writerows(_rows("reporting", reporting, fitted, exclusions))
    return out.getvalue()


def _rows(
    period: str, measured: Intervals, fitted: Baseline | None, exclusions: tuple[Exclusion, ...]
) -> Iterator[tuple[str, ...]]:
    predicted = np.full(len(measured), np.nan)
    if fitted is not None:
        predicted = basis(fitted.spec, measured)[:, list(fitted.fit.candidate.columns)] @ fitted.fit.coefficients
    out = excluded(measured, exclusions)
    for place, start_us in enumerate(measured.starts_us.tolist()):
        start = datetime.fromtimestamp(start_us / 1e6, UTC).isoformat().replace("+00:00", "Z")
        numbers = (measured.energy_j[place], measured.driver[place], predicted[place])
        yield (period, start, *(repr(float(x)) if np.isfinite(x) else "" for x in numbers), "yes" if out[place] else "")
