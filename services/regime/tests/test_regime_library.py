"""Known regimes are recognised by distance, the oldest is forgotten, names are never reused."""

from __future__ import annotations

import math

import pytest
from eil_regime.domain.library import RegimeLibrary, distance

QUIET = {"power": (100.0, math.log(2.0)), "load": (0.2, math.log(0.01))}
BUSY = {"power": (150.0, math.log(2.0)), "load": (0.9, math.log(0.01))}


def test_distance_is_the_worst_standardised_difference_of_a_channel() -> None:
    moved = {"power": (104.0, math.log(2.0)), "load": (0.2, math.log(0.01))}
    assert distance(QUIET, moved, {}) == pytest.approx(2.0)
    assert distance(QUIET, QUIET, {}) == 0.0
    louder = {"power": (100.0, math.log(6.0)), "load": (0.2, math.log(0.01))}
    assert distance(QUIET, louder, {}) == pytest.approx(1.0)
    assert distance(QUIET, louder, {}, compare_scale=False) == 0.0
    assert distance(QUIET, moved, {"power": 100.0}) < 0.05


def test_regimes_that_share_too_few_channels_are_strangers() -> None:
    assert distance(QUIET, {"temperature": (20.0, 0.0)}, {}) == math.inf
    assert distance(QUIET, {"power": (100.0, math.log(2.0))}, {}) == 0.0  # one channel of two is enough


def test_match_finds_the_nearest_and_respects_the_tolerance() -> None:
    library = RegimeLibrary(capacity=8, tolerance=1.5)
    library.observe(library.new_id(), QUIET)
    library.observe(library.new_id(), BUSY)
    near = {"power": (101.0, math.log(2.5)), "load": (0.201, math.log(0.01))}
    assert library.match(near, {}) == "r1"
    assert library.match(near, {}, but="r1") is None
    assert library.match({"power": (125.0, 0.0), "load": (0.5, 0.0)}, {}) is None


def test_the_least_recently_seen_is_forgotten_and_its_name_not_reused() -> None:
    library = RegimeLibrary(capacity=2, tolerance=1.5)
    one, two = library.new_id(), library.new_id()
    library.observe(one, QUIET)
    library.observe(two, BUSY)
    library.observe(one, QUIET)  # seen again: now `two` is the oldest
    three = library.new_id()
    assert library.observe(three, {"power": (500.0, 0.0)}) == two
    assert (one in library, two in library, three in library) == (True, False, True)
    assert len(library) == 2
    assert library.new_id() == "r4"


def test_a_signature_is_the_average_of_its_stretches() -> None:
    library = RegimeLibrary(capacity=2, tolerance=1.5)
    regime = library.new_id()
    library.observe(regime, {"power": (100.0, 0.0)})
    library.observe(regime, {"power": (104.0, 0.0)})
    assert list(library.state()["numbers"]) == pytest.approx([102.0, 0.0])
