"""NVPPredictor: skill, coverage at every step and of sums, doubt where it is due, and members that are questioned, weighed and promoted."""

from __future__ import annotations

import numpy as np
import pytest
from eil_nvp import ACEAgent, NVPPredictor
from eil_nvp.domain import members

STEPS = 6


def cyclic(rows: int, seed: int) -> np.ndarray:
    rng, t = np.random.default_rng(seed), np.arange(rows)
    return np.stack(
        [
            50 + 10 * np.sin(2 * np.pi * t / 24) + rng.standard_normal(rows),
            5 + 0.1 * rng.standard_normal(rows).cumsum(),
        ],
        1,
    )


@pytest.fixture(scope="module")
def walked() -> tuple[NVPPredictor, dict[str, np.ndarray]]:
    """A predictor led through 700 rows, and what it said from row 300 on."""
    rows = cyclic(700 + STEPS, 0)
    predictor = NVPPredictor(ACEAgent(latent_dim=64), horizon=STEPS)
    predictor.observe(rows[:300])
    inside, total_inside, errors, still = [], [], [], []
    for i in range(300, 700):
        said, truth = predictor.predict(), rows[i : i + STEPS]
        inside.append((said.low <= truth) & (truth <= said.high))
        total_inside.append((said.total_low <= truth.sum(0)) & (truth.sum(0) <= said.total_high))
        errors.append((said.point - truth) ** 2)
        still.append((rows[i - 1] - truth) ** 2)
        predictor.observe(rows[i : i + 1])
    named = {"inside": inside, "total": total_inside, "errors": errors, "still": still}
    return predictor, {name: np.array(values) for name, values in named.items()}


def test_a_cycle_is_predicted_and_a_random_walk_is_not_beaten_by_pretending(walked) -> None:
    _, said = walked
    ratio = np.sqrt(said["errors"].mean((0, 1)) / said["still"].mean((0, 1)))
    assert ratio[0] < 0.3
    assert 0.95 < ratio[1] < 1.1


def test_intervals_hold_at_every_step_and_of_the_sum(walked) -> None:
    _, said = walked
    cycle, walk = said["inside"].mean(0).T
    assert np.all(np.abs(cycle - 0.9) < 0.05)
    assert np.all(walk > 0.87)  # where it leaves all that was seen it is widened on purpose
    assert np.all(said["total"].mean(0) > 0.85)


def test_a_better_member_becomes_champion_on_live_error(walked) -> None:
    predictor, _ = walked
    champion = next(name for name, stage in predictor.stages.items() if stage == "champion")
    assert champion in ("direct", "autoregressive")
    assert predictor.live_errors[champion] < predictor.live_errors["persistence"]


def test_what_drives_a_prediction_can_be_said(walked) -> None:
    predictor, _ = walked
    drivers = predictor.drivers()
    assert len(drivers) == 8
    sizes = [abs(contribution) for *_, contribution in drivers]
    assert sizes == sorted(sizes, reverse=True)
    assert all(1 <= lag <= members.LAGS for _, _, lag, _ in drivers)


def test_a_jump_beyond_everything_seen_is_doubted() -> None:
    predictor = NVPPredictor(ACEAgent(latent_dim=64), horizon=STEPS)
    rows = cyclic(301, 1)
    predictor.observe(rows[:300])
    calm = predictor.predict(1)
    assert calm.in_domain
    assert not calm.abstained
    predictor.observe(20.0 * rows[300:])
    strange = predictor.predict(1)
    assert strange.abstained
    assert strange.trust == 0.0
    assert (strange.high - strange.low > 3.0 * (calm.high - calm.low)).all()
    np.testing.assert_array_equal(strange.point[0], 20.0 * rows[300])
    assert "beyond" in strange.reason or "before" in strange.reason or "usual" in strange.reason


def test_planned_inputs_move_the_prediction() -> None:
    rng = np.random.default_rng(2)
    plan = np.repeat(rng.integers(1, 6, 60), 5).astype(float)[:, None]
    rows = 3.0 * plan + 0.1 * rng.standard_normal(plan.shape)
    predictor = NVPPredictor(ACEAgent(latent_dim=64), horizon=STEPS)
    predictor.observe(rows, plan=plan)
    low, high = (predictor.predict(3, plan=np.full((3, 1), servers)).point[-1, 0] for servers in (1.0, 5.0))
    assert 6.0 < high - low < 18.0


def test_what_was_never_negative_stays_so_and_it_is_said() -> None:
    rows = np.maximum(0.0, 10.0 - 0.05 * np.arange(200.0))[:, None] + 1e-3 * np.random.default_rng(3).random((200, 1))
    predictor = NVPPredictor(ACEAgent(latent_dim=64), horizon=STEPS)
    predictor.observe(rows)
    said = predictor.predict(40)
    assert np.nanmin(said.members) < 0.0
    assert (said.point >= 0.0).all()
    assert any(finding.question == "bounds" for finding in said.findings)


def test_gaps_are_held_and_teach_nothing() -> None:
    rows = cyclic(200, 4)
    rows[50:60] = np.nan
    predictor = NVPPredictor(ACEAgent(latent_dim=64), horizon=STEPS)
    predictor.observe(rows)
    assert predictor.rows == 200
    assert np.isfinite(predictor.predict().point).all()


def test_one_row_is_enough_for_an_honest_answer() -> None:
    predictor = NVPPredictor()
    predictor.observe([[7.0]])
    said = predictor.predict(2)
    np.testing.assert_array_equal(said.point, [[7.0], [7.0]])
    assert not said.in_domain
    assert "nothing is known" in said.reason


@pytest.mark.parametrize(
    ("rows", "steps", "message"),
    [
        ([[np.inf]], 1, "finite"),
        ([[np.nan]], 1, "first row lacks"),
        ([1.0, 2.0], 1, "give \\(n, d\\)"),
        ([[1.0]], 0, "at least one"),
    ],
)
def test_bad_input_is_refused(rows: list, steps: int, message: str) -> None:
    def ask() -> None:
        predictor = NVPPredictor()
        predictor.observe(rows)
        predictor.predict(steps)

    with pytest.raises(ValueError, match=message):
        ask()


def test_channels_cannot_change() -> None:
    predictor = NVPPredictor()
    predictor.observe([[1.0]])
    with pytest.raises(ValueError, match="2 channels and 0 planned inputs were given; this source has 1 and 0"):
        predictor.observe([[1.0, 2.0]])


@pytest.mark.parametrize(("period", "found"), [(24, 24), (7, 7), (0, 0)])
def test_the_cycle_of_rows_is_found(period: int, found: int) -> None:
    rng, t = np.random.default_rng(5), np.arange(400)
    wave = np.sin(2 * np.pi * t / period) if period else np.zeros(400)
    assert members.cycle((wave + 0.2 * rng.standard_normal(400))[:, None]) == found
