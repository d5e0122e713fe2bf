"""`eil bench proof`: claims true and false through the door; verification of savings that are known; records that were altered."""

import time
from pathlib import Path

import numpy as np
from eil_proof.domain.minting import Claim, reward
from eil_proof.domain.mv.savings import LEVEL
from eil_proof.domain.tri_check import Measured, State, tri_check

from eil_cli.bench.mesh import measured_mesh
from eil_cli.bench.progress import Begin, progress
from eil_cli.bench.proof_alterations import caught_share
from eil_cli.bench.proof_claims import measure_claims
from eil_cli.bench.proof_savings import LENGTHS_D, RHOS, Found, regressions, switchbacks
from eil_cli.bench.report import Measure, Report
from eil_cli.bench.statistics import percentile

SEEDS, CLAIMS = 2000, 10_000
ALTERATIONS = 1000
CHECKS, WARM_UP = 20_000, 1000
FALSE_GATE, FALSE_GOAL = 0.07, 0.05
COVERAGE_GATE, COVERAGE_GOAL = 0.05, 0.02
WIDTH_GATE, WIDTH_GOAL = 1.25, 1.1


def bench_proof(
    state: Path | None, *, seeds: int = SEEDS, claims: int = CLAIMS, alterations: int = ALTERATIONS
) -> Report:
    """Measure verdicts on claims, and verification on simulated meters.

    Args:
        state: state folder of a running mesh, which the claims go to; None starts one in a folder of its own.
        seeds: simulated meters of each kind.
        claims: through the door, in tenant `demo`.
        alterations: of records.

    Raises:
        Failure: the mesh does not run, or did not start.
    """
    with progress() as begin:
        with measured_mesh(state) as mesh:
            claimed, wrong = measure_claims(mesh.state, claims, begin("claims", claims))
        measures, baselines = verification(seeds, alterations, begin)
    notes = (
        *wrong,
        f"{seeds} seeds: 90 days of hourly baseline, noise of 10 % of the mean, first-order autoregression; 7 and 21 days of reporting",
        "false_proven: PROVEN where nothing was done. coverage_error: |share of 90 % intervals that hold a true saving of 10 % − 0.9|",
        "width: half width over that of the exact first-order autoregression with HAC model error. proven: share that proves 10 %",
    )
    return Report("proof", claimed | measures, baselines, notes)


def verification(seeds: int, alterations: int, begin: Begin) -> tuple[dict[str, Measure], dict[str, dict[str, float]]]:
    """Measures of verification on simulated meters, and what other intervals would have made of them."""
    measures: dict[str, Measure] = {}
    baselines: dict[str, dict[str, float]] = {}
    for rho in RHOS:
        for length_d, found in zip(LENGTHS_D, _tried(rho, seeds, begin), strict=True):
            _add(f"rho{rho:g}_{length_d}d", found, measures, baselines)
        step = begin(f"switchback, ρ = {rho:g}", seeds)
        test = switchbacks(rho, seeds, step)
        measures[f"switchback_false_proven_rho{rho:g}"] = Measure(test.false_proven, "", FALSE_GATE, FALSE_GOAL)
        measures[f"switchback_coverage_rho{rho:g}"] = Measure(test.coverage, "", better="higher")
        error = abs(test.coverage - LEVEL)
        measures[f"switchback_coverage_error_rho{rho:g}"] = Measure(error, "", COVERAGE_GATE, COVERAGE_GOAL)
        measures[f"switchback_proven_rho{rho:g}"] = Measure(test.proven, "", better="higher")
    caught = caught_share(alterations, begin("altered records", alterations))
    measures["altered_records_caught"] = Measure(caught, "", 1.0, 1.0, better="higher")
    begin("tri-check", 1)
    measures["tri_check_p99"] = Measure(_tri_check_ms(), "ms", 5.0, 1.0)
    return measures, baselines


def _tried(rho: float, seeds: int, begin: Begin) -> list[Found]:
    return regressions(rho, seeds, begin(f"regression, ρ = {rho:g}", seeds))


def _add(name: str, found: Found, measures: dict[str, Measure], baselines: dict[str, dict[str, float]]) -> None:
    """The measures of one kind of meter, and what other intervals would have made of it."""
    measures[f"false_proven_{name}"] = Measure(found.false_proven, "", FALSE_GATE, FALSE_GOAL)
    measures[f"coverage_error_{name}"] = Measure(abs(found.coverage - LEVEL), "", COVERAGE_GATE, COVERAGE_GOAL)
    measures[f"coverage_{name}"] = Measure(found.coverage, "", better="higher")
    measures[f"width_{name}"] = Measure(found.width, "", WIDTH_GATE, WIDTH_GOAL)
    measures[f"proven_{name}"] = Measure(found.proven, "", better="higher")
    measures[f"insufficient_{name}"] = Measure(found.insufficient, "", 0.01)
    measures[f"fit_{name}"] = Measure(found.fit_ms, "ms")
    for other, (false_proven, coverage, width) in found.others.items():
        values = baselines.setdefault(other, {})
        values[f"false_proven_{name}"] = false_proven
        values[f"coverage_error_{name}"] = abs(coverage - LEVEL)
        values[f"coverage_{name}"] = coverage
        values[f"width_{name}"] = width


def _tri_check_ms() -> float:
    """99th percentile of one verdict with its reward [ms], as the service calls it."""
    rng = np.random.default_rng(0)
    times: list[float] = []
    for predicted, actual in zip(rng.normal(1000, 30, CHECKS), rng.normal(1000, 30, CHECKS), strict=True):
        began_s = time.perf_counter()
        measured = Measured(State(actual, actual / 295), 5.0, untested=frozenset({"feasibility"}))
        interval = (predicted - 40, predicted + 40)
        checked = tri_check(State(predicted, predicted / 295), measured, interval)
        reward(checked, Claim("t", "metered", True, 1.0, True, interval, (900.0, 1100.0), actual, 10**9))
        times.append(1e3 * (time.perf_counter() - began_s))
    return percentile(times[WARM_UP:], 0.99)
