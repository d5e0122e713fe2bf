import numpy as np
from eil_twin.environment import Ambient, Demand

DAY_S = 600.0


def demand_of(seed: int, seconds: int) -> np.ndarray:
    demand = Demand(full_load_per_s=1000.0, day_s=DAY_S, rng=np.random.default_rng(seed))
    return np.array([demand.next_per_s() for _ in range(seconds)])


def test_demand_follows_the_day_with_its_busiest_hour_at_time_zero():
    days = demand_of(1, 20 * int(DAY_S)).reshape(20, int(DAY_S)).mean(axis=0)
    phase = np.exp(-2j * np.pi * np.arange(DAY_S) / DAY_S)
    first_harmonic = 2.0 * (days * phase).mean()
    assert abs(np.angle(first_harmonic)) < 0.15
    assert 160.0 < abs(first_harmonic) < 200.0
    assert 375.0 < days.mean() < 415.0  # bursts add a few percent to the mean of 380


def test_demand_has_bursts_beyond_cycle_and_noise():
    demand = demand_of(2, 20 * int(DAY_S))
    seconds = np.arange(demand.size)
    cycle = 1000.0 * (Demand.MEAN + Demand.SWING * np.cos(2.0 * np.pi * seconds / DAY_S))
    excess = demand / cycle - 1.0
    assert np.median(excess) < 0.1
    assert excess.max() > 0.3
    assert demand.min() > 0.0


def test_ambient_varies_slowly():
    ambient = Ambient(day_s=DAY_S, rng=np.random.default_rng(3))
    path = np.array([ambient.next_c() for _ in range(10 * int(DAY_S))])
    assert 20.0 < path.min() < 21.5
    assert 22.5 < path.max() < 25.0
    assert np.abs(np.diff(path)).max() < 0.2
