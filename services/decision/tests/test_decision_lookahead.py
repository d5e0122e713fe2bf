"""The look ahead against the plain minimum over every move."""

import numpy as np
import pytest
from eil_decision.domain.lookahead import WEAR_S, Path, _energy_j, _revisions, _violation_w, costs, grid
from eil_decision.domain.plant import Plant
from scipy.special import ndtr


def _plainly(plant: Plant, path: Path, limit: float, sizes: np.ndarray, now: int, stage_s: float) -> np.ndarray:
    count = sizes.astype(float)
    drift, between = _revisions(path)
    mean = np.array(path.means)[:, None] * np.exp(drift)
    stage = _energy_j(plant, mean, path.spread, count, stage_s)
    stage += _violation_w(plant, now) * stage_s * ndtr(-np.log(count * limit / mean[:, :, None]) / path.spread)

    def move(here: float, there: np.ndarray) -> np.ndarray:
        return np.maximum(there - here, 0.0) * plant.start_j + WEAR_S * plant.peak_w * np.abs(there - here)

    ahead = np.zeros((drift.size, count.size))
    for k in range(len(path.means) - 1, 0, -1):
        ahead = between @ np.stack([(move(here, count) + stage[k] + ahead).min(axis=1) for here in count], axis=1)
    middle = drift.size // 2
    return move(float(now), count) + stage[0, middle] + ahead[middle]


@pytest.mark.parametrize("seed", range(12))
def test_running_minima_are_the_minima_over_every_move(seed):
    rng = np.random.default_rng(seed)
    largest = int(rng.integers(2, 200))
    now = int(rng.integers(1, largest + 1))
    idle_w, slope_w, start_j = rng.uniform(20, 300), rng.uniform(20, 300), rng.uniform(0, 5e4) * (seed % 3 > 0)
    plant = Plant(idle_w, slope_w, (1.0, 0.0, 1.0), 1.0, start_j, 1.0, 20.0, None)
    path = Path(tuple(rng.uniform(0.1, largest, 6)), rng.uniform(0.01, 0.3), rng.uniform(0, 0.5) * (seed % 2))
    sizes = grid(now, 1, largest)
    found, _ = costs(plant, path, 0.7, sizes, now, 300.0)
    np.testing.assert_allclose(found, _plainly(plant, path, 0.7, sizes, now, 300.0), rtol=1e-12)
