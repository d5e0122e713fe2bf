"""EILOptimizer: the planner without a mesh, with the real predictor."""

import numpy as np
import pytest
from eil_decision import Decision, EILOptimizer, Goal, History
from eil_nvp import NVPPredictor

GOAL = Goal(300.0, max_latency_ms=20.0, min_throughput=None)


def history(rows: int, servers: int = 20, seed: int = 0, until: int | None = None) -> History:
    """A calm load of about 6 servers' worth; 8 ms at no load; 120 W idle, 300 W at most."""
    rng = np.random.default_rng(seed)
    fleet = np.full(rows, float(servers))
    used = 6.0 * np.exp(0.03 * rng.standard_normal(rows)) / fleet
    power = fleet * (120.0 + 180.0 * used) * (1 + 0.01 * rng.standard_normal(rows))
    end = slice(None, until)
    return History(power[end], fleet[end], used[end], (100.0 * used * fleet)[end], (8.0 / (1 - used))[end], 300.0)


def test_it_learns_predicts_and_chooses_the_smallest_that_keeps_the_latency():
    told: list[tuple[str, Decision]] = []
    optimizer = EILOptimizer(nvp_predictor=NVPPredictor, proof_economy=lambda source, made: told.append((source, made)))
    made = optimizer.decide("dc-01", GOAL, servers=20, history=history(200))
    assert made.choice.feasible
    assert 10 < made.choice.chosen.servers <= 13, "at 60 % of each server 6 servers' worth need 10, and a margin"
    assert made.load.mean == pytest.approx(6.0, rel=0.03)
    assert made.plant.idle_w == pytest.approx(120.0, rel=0.1)
    assert told == [("dc-01", made)]


def test_each_source_has_a_predictor_that_sees_every_row_once():
    seen: dict[int, int] = {}

    class Counting(NVPPredictor):
        def observe(self, rows, *, plan=None):
            seen[id(self)] = seen.get(id(self), 0) + np.shape(rows)[0]
            super().observe(rows, plan=plan)

    optimizer = EILOptimizer(nvp_predictor=Counting)
    whole = history(60)
    for rows in (50, 60):
        part = history(60, until=rows)
        optimizer.decide("a", GOAL, servers=20, history=part)
    optimizer.decide("b", GOAL, servers=20, history=whole)
    assert sorted(seen.values()) == [60, 60]


def test_the_connector_gives_the_history_and_without_one_it_is_asked_for():
    assert EILOptimizer(atlas_connector=lambda source: history(30)).decide("x", GOAL, servers=20).choice.feasible
    with pytest.raises(ValueError, match="atlas_connector"):
        EILOptimizer().decide("x", GOAL, servers=20)
    nothing = np.full(3, np.nan)
    empty = History(nothing, nothing, nothing, nothing, nothing, 300.0)
    with pytest.raises(ValueError, match="holds no load"):
        EILOptimizer().decide("x", GOAL, servers=20, history=empty)
