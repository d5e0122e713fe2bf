"""The diffusion engine's optimiser against enumeration, linear algebra, bounded least squares and operations research."""

from eil_cli.bench.diffusion_optimise.alike import alike_measures
from eil_cli.bench.diffusion_optimise.placements import placement_measures
from eil_cli.bench.diffusion_optimise.quadratics import quadratic_measures
from eil_cli.bench.diffusion_optimise.tally import Tally
from eil_cli.bench.progress import Begin
from eil_cli.bench.report import Measure

NOTES = [
    "placement_gap leaves out start-up energy, latency and the future: it is one moment's power. Gaps are over the best of all 2^S sets of "
    "servers, whose loads are certified; 64 servers are too many, and placement_64_bound_gap is over what branch and bound proves. "
    "placement_proven is the share of fleets of 4 to 12 servers whose optimum is proven without enumeration.",
    "Up to 12 servers the discrete moves, which re-optimise the loads of every set that differs in three servers, do the work: 'moves "
    "alone' still begins from 16 scattered placements, but does not anneal. They know this problem; SLSQP and random search do not.",
    "SLSQP and random search get as many evaluations as the whole search, each re-optimised set of servers counted as one. The MILP "
    "knows no recirculation, for which it would need a quadratic solver; the even spread takes the largest servers first.",
    "The decision service chooses how many servers of one kind, for the hours to come; here it is asked with the load known and moves "
    "free, and the first servers of the row serve. Its one miss is a load within 0.2 % of what three servers carry, where it keeps a "
    "margin for noise. It is not told of recirculation (alike_heat_gap), which none of its levers names.",
]


def optimise_measures(begin: Begin) -> tuple[dict[str, Measure], dict[str, dict[str, float]], list[str]]:
    """Every measure of the optimiser, the baselines' values of the same, and what they leave out."""
    tally = Tally()
    measures, baselines = placement_measures(begin, tally)
    for part in (alike_measures(begin, tally), quadratic_measures(begin, tally)):
        measures |= part[0]
        for name, values in part[1].items():
            baselines.setdefault(name, {}).update(values)
    measures["optimise_worse_than_start"] = Measure(tally.worse, "", 0.0, 0.0)
    measures["optimise_bounds_broken"] = Measure(tally.broken, "", 0.0, 0.0)
    return measures, baselines, NOTES
