"""Names: a switch and a quiet channel's departures give four regimes that return; a wandering channel names none; what follows is named."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from eil_regime.domain.detector import Detector
from eil_regime.domain.verdict import Trace

ROWS, PAUSE, AWAY = 12_000, 440, 160
LEARNT = ROWS // 3
CALM, SETTLED = 60, 40  # rows within which the true state must not have changed for a name to be asked for


@pytest.fixture(scope="module")
def states() -> np.ndarray:
    """(ROWS, 2): whether the valve is open, and whether the flow is away."""
    rows = np.arange(ROWS)
    return np.column_stack([rows // 1000 % 2, rows % (PAUSE + AWAY) >= PAUSE])


@pytest.fixture(scope="module", params=[5, 6, 7])
def trace(states: np.ndarray, request: pytest.FixtureRequest) -> Trace:
    """The flow leaves gently, too gently for a jump, while a third channel wanders."""
    rng = np.random.default_rng(request.param)
    into = np.arange(ROWS) % (PAUSE + AWAY) - PAUSE
    flow = np.clip(np.minimum(into, AWAY - into) / 40.0, 0.0, 1.0) * 5.0
    columns = {
        "flow": flow + 0.5 * rng.standard_normal(ROWS),
        "valve": 40.0 * states[:, 0] + 0.5 * rng.standard_normal(ROWS),
        "temperature": 0.1 * rng.standard_normal(ROWS).cumsum(),
    }
    return Detector().advance(np.arange(float(ROWS)), columns)


def settled(states: np.ndarray) -> np.ndarray:
    """Rows from LEARNT on whose state has stood for a while and stands a little longer."""
    code = states @ [2, 1]
    return np.array([i for i in range(LEARNT, ROWS - SETTLED) if len(set(code[i - CALM : i + SETTLED])) == 1])


def test_each_state_of_switch_and_departure_has_a_name_of_its_own(states: np.ndarray, trace: Trace) -> None:
    rows = settled(states)
    names: dict[tuple[int, ...], Counter[int]] = {}
    for i in rows:
        names.setdefault(tuple(states[i]), Counter())[int(trace.regime[i])] += 1
    usual = {state: seen.most_common(1)[0] for state, seen in names.items()}
    assert len({name for name, _ in usual.values()}) == 4
    assert sum(count for _, count in usual.values()) > 0.95 * rows.size


def test_names_are_few(trace: Trace) -> None:
    assert len(set(trace.regime[LEARNT:].tolist())) <= 9


def test_what_follows_is_named_before_it_comes(states: np.ndarray, trace: Trace) -> None:
    rows = np.flatnonzero(trace.next_regime != trace.regime)
    rows = rows[(rows > LEARNT) & (rows < ROWS - 100)]
    assert rows.size > 50
    came = [trace.next_regime[i] in trace.regime[i + 1 : i + 100] for i in rows]
    assert np.mean(came) > 0.7


def test_a_channel_that_only_wanders_names_nothing() -> None:
    rng = np.random.default_rng(6)
    noise = rng.standard_normal(ROWS)
    trace = Detector().advance(np.arange(float(ROWS)), {"a": noise, "b": rng.standard_normal(ROWS)})
    assert not trace.shifts
    assert set(trace.regime.tolist()) == {1}
