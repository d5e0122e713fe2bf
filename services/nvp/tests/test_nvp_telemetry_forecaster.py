import os

# Matrices this small are slower on several BLAS threads; it works only before NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from eil_nvp.domain.telemetry import Choice, LinearConfig, LinearForecaster
from eil_nvp.domain.telemetry.gaps import filled
from eil_nvp.domain.telemetry.moments import Layout, Moments, design_rows
from eil_nvp.domain.telemetry.ridge_map import anchor, mean_square, solve

SMALL = LinearConfig(
    lookbacks=(24, 48),
    penalties=(0.01, 1.0),
    periods=(0,),
    reversible=(False,),
    individual=(False, True),
    shortest=(0,),
)


def autoregression(rows: int, seed: int, channels: int = 2, keep: float = 0.9) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = np.zeros((rows, channels))
    for t in range(1, rows):
        values[t] = keep * values[t - 1] + rng.normal(size=channels)
    return values


def heated(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A temperature that follows a switched power: x' = 0.8 x + 2 u' + noise."""
    rng = np.random.default_rng(seed)
    power = np.repeat(rng.integers(0, 2, size=rows // 7 + 1), 7)[:rows].astype(float)
    values = np.zeros(rows)
    for t in range(1, rows):
        values[t] = 0.8 * values[t - 1] + 2.0 * power[t] + 0.1 * rng.normal()
    return values[:, None] + 40.0, power[:, None]


def test_an_autoregression_is_forecast_nearly_as_well_as_its_law_allows():
    history = autoregression(6000, 1)
    model = LinearForecaster.fit(history[:4000], 12, config=SMALL)
    held = history[4000:]
    forecasts = model.predict_windows(held[:-12])
    future = np.lib.stride_tricks.sliding_window_view(held[48:], 12, axis=0).transpose(0, 2, 1)
    error = np.mean((future - forecasts) ** 2, axis=(0, 2))
    least = np.cumsum(0.9 ** (2 * np.arange(12)))
    assert np.all(error < 1.15 * least), error / least
    persistence = np.mean((future - held[47:-12, None]) ** 2, axis=(0, 2))
    assert error[-1] < 0.8 * persistence[-1]


def test_single_forecasts_equal_those_of_all_windows_together():
    history = autoregression(900, 2)
    model = LinearForecaster.fit(history, 6, config=SMALL)
    together = model.predict_windows(history[:60])
    np.testing.assert_allclose(together[-1], model.predict(history[:60]), rtol=1e-10)


def test_moments_of_windows_are_those_of_the_laid_out_design():
    values, plan = autoregression(400, 3), np.zeros((400, 0))
    layout = Layout(lookback=20, horizon=5)
    fast = Moments.empty(layout, 2)
    fast.add(values, plan)
    for channel in range(2):
        rows = design_rows(layout, values, plan, channel)
        np.testing.assert_allclose(fast.sums[channel], rows.T @ rows, rtol=1e-9, atol=1e-9)
    assert fast.rows == 400 - 25 + 1


def test_the_error_from_moments_is_the_error_of_the_forecasts():
    values, power = heated(500, 4)
    layout = Layout(lookback=16, horizon=4, inputs=1, lags=6)
    moments = Moments.empty(layout, 1)
    moments.add(values, power)
    one = solve(layout, moments.means[0], 12, Choice(penalty=0.1))
    rows = design_rows(layout, values, power, 0)
    forecasts = rows[:, 4:16] @ one.lags + rows[:, 20:] @ one.inputs
    np.testing.assert_allclose(
        mean_square(layout, moments.means[0], one), np.mean((rows[:, 16:20] - forecasts) ** 2, axis=0), rtol=1e-6
    )


def test_the_effect_of_a_planned_input_is_learned():
    values, power = heated(1500, 5)
    config = LinearConfig(lookbacks=(24,), penalties=(0.001, 0.1), periods=(0,), input_lags=12)
    model = LinearForecaster.fit(values[:1400], 8, plan=power[:1400], config=config)
    past, before = values[1300:1400], power[1300:1400]
    on = model.predict(past, plan=np.vstack([before, np.ones((8, 1))]))
    off = model.predict(past, plan=np.vstack([before, np.zeros((8, 1))]))
    truth = 2.0 * np.cumsum(0.8 ** np.arange(8))
    np.testing.assert_allclose((on - off)[:, 0], truth, rtol=0.1)
    late = np.zeros((8, 1))
    late[5:] = 1.0
    delayed = model.predict(past, plan=np.vstack([before, late]))
    # A step must not know the plan after it.
    np.testing.assert_allclose(delayed[:5], off[:5], rtol=1e-12)


def test_the_past_of_another_channel_is_used_where_it_helps():
    rng = np.random.default_rng(6)
    driver = rng.normal(size=2000)
    values = np.column_stack([driver, np.concatenate([np.zeros(3), driver[:-3]]) + 0.1 * rng.normal(size=2000)])
    config = LinearConfig(
        lookbacks=(24,), penalties=(0.01,), periods=(0,), coupled=(False, True), input_lags=6, shortest=(0,)
    )
    model = LinearForecaster.fit(values, 3, config=config)
    assert model.choice.coupled
    alone = min(error for choice, error in model.validation.items() if not choice.coupled)
    assert model.validation[model.choice] < 0.6 * alone


def test_an_online_update_equals_a_fit_on_all_rows():
    values, power = heated(1200, 7)
    config = LinearConfig(lookbacks=(24,), penalties=(0.1,), decays=(1.0,), periods=(0,), input_lags=6, shortest=(0,))
    early = LinearForecaster.fit(values[:900], 6, plan=power[:900], validation=200, refit=True, config=config)
    whole = LinearForecaster.fit(values[:900], 6, plan=power[:900], validation=200, refit=True, config=config)
    whole.update(values[900:], plan=power[900:])
    for begin in range(900, 1200, 37):
        early.update(values[begin : begin + 37], plan=power[begin : begin + 37])
    np.testing.assert_allclose(early.moments.sums, whole.moments.sums, rtol=1e-9, atol=1e-7)
    batch = Moments.empty(early.moments.layout, 1)
    batch.add((values - early.mean) / early.std, power)
    np.testing.assert_allclose(early.moments.sums, batch.sums, rtol=1e-9, atol=1e-7)
    assert early.moments.rows == pytest.approx(batch.rows)


def test_forgetting_follows_a_change_of_law():
    before, after = autoregression(1500, 8, channels=1), autoregression(600, 9, channels=1, keep=-0.7)
    error = {}
    for forgetting in (1.0, 0.99):
        config = LinearConfig(
            lookbacks=(12,), penalties=(0.01,), decays=(0.0,), periods=(0,), forgetting=forgetting, shortest=(0,)
        )
        model = LinearForecaster.fit(before, 1, config=config)
        model.update(after[:400])
        forecasts = model.predict_windows(after[388:-1])
        error[forgetting] = np.mean((after[400:] - forecasts[:, 0]) ** 2)
    assert error[0.99] < 0.7 * error[1.0]


def test_saved_state_continues_bit_exactly():
    history = autoregression(800, 10)
    model = LinearForecaster.fit(history[:600], 6, config=SMALL)
    again = LinearForecaster.from_arrays({name: array.copy() for name, array in model.arrays().items()})
    for one in (model, again):
        one.update(history[600:650])
        one.update(history[650:])
    np.testing.assert_array_equal(model.predict(history), again.predict(history))
    assert model.choice == again.choice


def test_a_season_is_chosen_where_there_is_one_and_the_level_shifts_through():
    rng = np.random.default_rng(11)
    values = 3.0 * np.sin(2 * np.pi * np.arange(900) / 24)[:, None] + rng.normal(size=(900, 1))
    config = LinearConfig(lookbacks=(96,), penalties=(100.0,), decays=(0.0,), periods=(0, 24), shortest=(0,))
    model = LinearForecaster.fit(values, 24, config=config)
    assert model.choice.period == 24
    shifted = model.predict(values + 1000.0)
    np.testing.assert_allclose(shifted - 1000.0, model.predict(values), atol=1e-6)


def test_anchors_sum_to_one():
    for period in (0, 7, 24, 100):
        np.testing.assert_allclose(anchor(60, 30, period).sum(axis=0), 1.0)


def test_missing_values_are_bridged_when_short_and_left_out_when_long():
    history = autoregression(3000, 12)
    rng = np.random.default_rng(12)
    gappy = history.copy()
    gappy[rng.random(3000) < 0.01] = np.nan
    gappy[1000:1100, 0] = np.nan
    whole, holed = (LinearForecaster.fit(each, 6, config=SMALL) for each in (history, gappy))
    assert holed.moments.rows < whole.moments.rows - 100
    recent = gappy[-60:].copy()
    recent[-1, 0] = np.nan
    assert np.isfinite(holed.predict(recent)).all()
    np.testing.assert_allclose(holed.predict(history[:500]), whole.predict(history[:500]), atol=0.5)


def test_gaps_at_the_ends_are_held_and_long_ones_kept():
    values = np.array([np.nan, 1.0, np.nan, 3.0, np.nan, np.nan, np.nan, 7.0, np.nan])[:, None]
    np.testing.assert_array_equal(filled(values, 2)[:, 0], [1.0, 1.0, 2.0, 3.0, np.nan, np.nan, np.nan, 7.0, 7.0])


def test_a_constant_channel_stays_constant():
    history = autoregression(600, 13)
    history[:, 1] = 5.0
    model = LinearForecaster.fit(history, 6, config=SMALL)
    np.testing.assert_allclose(model.predict(history)[:, 1], 5.0)


def test_a_horizon_beyond_training_is_reached_by_feeding_back():
    history = autoregression(1500, 14)
    model = LinearForecaster.fit(history, 6, config=SMALL)
    far = model.predict(history, 20)
    np.testing.assert_allclose(far[:6], model.predict(history))
    assert far.shape == (20, 2)
    assert np.abs(far[-1]).max() < np.abs(history).max()


def test_a_short_history_uses_the_lookbacks_it_bears():
    history = autoregression(900, 15)
    model = LinearForecaster.fit(history, 6, config=SMALL)
    assert model.needed == 24
    assert model.predict(history[-30:]).shape == (6, 2)
    with pytest.raises(ValueError, match="has 10 samples: this forecaster needs at least 24"):
        model.predict(history[-10:])


@pytest.mark.parametrize(
    ("history", "horizon", "match"),
    [
        (autoregression(40, 16), 6, "too few: a lookback of 24 and a horizon of 6 need 37"),
        (np.zeros(50), 6, "give \\(n, d\\)"),
        (autoregression(500, 16), 0, "at least one step"),
        (np.full((500, 1), np.inf), 6, "infinite"),
        (np.full((500, 1), np.nan), 6, "no value at all"),
        (np.where(np.arange(500)[:, None] % 12 < 7, np.nan, 1.0), 6, "without a long gap"),
    ],
)
def test_bad_input_is_named(history: np.ndarray, horizon: int, match: str):
    with pytest.raises(ValueError, match=match):
        LinearForecaster.fit(history, horizon, config=SMALL)


def test_plans_must_fit():
    values, power = heated(600, 17)
    model = LinearForecaster.fit(values, 6, plan=power, config=LinearConfig(lookbacks=(24,), penalties=(0.1,)))
    with pytest.raises(ValueError, match="trained on 1 and 1"):
        model.predict(values)
    with pytest.raises(ValueError, match="a row for each of history and horizon"):
        model.predict(values, plan=power)
    with pytest.raises(ValueError, match="state them all"):
        model.predict(values, plan=np.vstack([power, np.full((6, 1), np.nan)]))
    with pytest.raises(ValueError, match="without inputs"):
        model.predict_windows(values)
