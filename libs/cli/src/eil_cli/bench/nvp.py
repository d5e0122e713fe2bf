"""`eil bench nvp`: telemetry on ETT, fields in five domains, Burgers' equation, and calls to the running service."""

from pathlib import Path

from eil_cli.bench import nvp_telemetry
from eil_cli.bench.nvp_fields import field_measures
from eil_cli.bench.nvp_solvers import (
    LeftOut,
    closed_forms,
    openfoam_heat,
    openfoam_heat_step,
    openfoam_taylor_green,
    pandapower_grid,
)
from eil_cli.bench.nvp_wire import measure_calls
from eil_cli.bench.progress import progress
from eil_cli.bench.report import Measure, Report


def bench_nvp(data: Path | None, *, quick: bool = False) -> Report:
    """Measure next-state prediction.

    Args:
        data: folder of ETTh1.csv and ETTh2.csv; None leaves telemetry out.
        quick: leaves out others' solvers and the running service.

    Raises:
        Failure: a file is missing or not in order; or the mesh did not start.
    """
    measures: dict[str, Measure] = {}
    baselines: dict[str, dict[str, float]] = {}
    notes: list[str] = []
    with progress() as begin:
        if data is None:
            notes.append("telemetry is left out: give the folder of ETTh1.csv and ETTh2.csv with --data DIR")
        else:
            telemetry = nvp_telemetry.measure(data, begin)
            measures |= telemetry.measures
            baselines |= {name: dict(values) for name, values in telemetry.baselines.items()}
            notes += telemetry.notes
        fields, others = field_measures(begin)
        measures |= fields
        for name, values in others.items():
            baselines.setdefault(name, {}).update(values)
        if not quick:
            begin("calls to the service", 1)
            for name, value in measure_calls().items():
                gate, goal = (10.0, 2.0) if name == "telemetry" else (30.0, None)
                measures[f"{name}_call_p99"] = Measure(value, "ms", gate, goal)
            begin("others' solvers", 1)
            notes += _solvers()
    return Report("nvp", measures, baselines, tuple(notes))


def _solvers() -> list[str]:
    """What trusted solvers err by, a line each."""
    figures = [
        openfoam_heat(),
        openfoam_heat_step(),
        openfoam_taylor_green(64),
        openfoam_taylor_green(128),
        pandapower_grid(),
        *closed_forms(),
    ]
    return [
        f"{one.name} is left out: {one.reason}"
        if isinstance(one, LeftOut)
        else f"{one.name}: relative L2 error {one.error:.1e} in {one.seconds:.1f} s; {one.note}"
        for one in figures
    ]
