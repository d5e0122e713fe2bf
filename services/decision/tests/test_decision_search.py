"""Several levers at once: what each is worth, that laws and bounds hold on whatever plant, and that the search finds the best."""

import dataclasses
import math

import numpy as np
import pytest
from eil_decision.domain import search as searching
from eil_decision.domain.conditions import under
from eil_decision.domain.goal import Goal, Tariff, Weights
from eil_decision.domain.learning import learn_delay, learn_plant, with_speeds
from eil_decision.domain.levers import Lever
from eil_decision.domain.load import Load
from eil_decision.domain.plant import Gain, History, Plant
from eil_decision.domain.search import Situation, decide
from eil_decision.domain.thermal import learn_thermal
from hypothesis import given, settings
from hypothesis import strategies as st

PLANT = Plant(120.0, 180.0, (1.0, 0.0, 1.0), 3.0, 9000.0, 500.0, 8.0, 100.0)
LOAD = Load(6.0, 5.8, 6.2, 6.2, "test", (6.0, 6.0))
SERVERS = Lever("servers", "servers", 1, 20, 1)
CLOCK = Lever("clock", "frequency", 0.5, 1.0, 0.1)
CRAC = Lever("crac", "cooling", 18.0, 27.0, 1.0)
LATER = Lever("later", "deferral", 0.0, 0.4, 0.1, within_s=4 * 3600.0)


def situation(plant=PLANT, load=LOAD, goal=None, servers=12, levers=(SERVERS,), now=None, **more):
    return Situation(
        plant, load, goal or Goal(300.0, 20.0), servers, 20, tuple(levers), now or {}, step_s=300.0, **more
    )


def history(rows=200, seed=1, fleet=12.0, cooling=None, speed=None, **more):
    """12 servers of 120 W and 300 W, 8 ms; cooling adds 60 W for every kelvin below 27 °C; T follows with 10 minutes."""
    r = np.random.default_rng(seed)
    speed = np.ones(rows) if speed is None else speed
    used = np.clip(0.4 + 0.15 * np.sin(np.arange(rows) / 20) + 0.03 * r.standard_normal(rows), 0.05, 0.95)
    power = fleet * (120.0 + 180.0 * used * speed**2.4) + 3.0 * r.standard_normal(rows)
    settings, temperature = {}, np.full(rows, 30.0)
    if cooling is not None:
        power, settings["crac"] = power + 60.0 * (27.0 - cooling), cooling
        for k in range(1, rows):
            temperature[k] = 0.6 * temperature[k - 1] + 0.4 * (cooling[k] + power[k] / 300.0)
    return History(
        power, np.full(rows, fleet), used, 100.0 * used * fleet * speed, 8.0 / speed / (1 - used), 300.0,
        settings=settings, temperature_c=temperature + 0.05 * r.standard_normal(rows), **more,
    )  # fmt: skip


class TestLearning:
    def test_a_set_point_that_moved_is_learned(self):
        cooling = np.where(np.arange(200) % 40 < 20, 22.0, 23.0)
        gain = learn_plant(history(cooling=cooling), [CRAC]).gains["crac"]
        assert gain.w_per_unit == pytest.approx(-60.0, abs=3 * gain.sd_w_per_unit)
        assert gain.sd_w_per_unit < 5.0
        assert (gain.low, gain.high) == (22.0, 23.0)

    def test_one_that_never_moved_is_as_usual_or_unknown(self):
        seen = history(cooling=np.full(200, 22.0))
        power = float(np.median(seen.power_w))
        usual = learn_plant(seen, [CRAC]).gains["crac"]
        assert usual.w_per_unit == pytest.approx(-0.02 * power, rel=0.01)
        unknown = learn_plant(seen, [dataclasses.replace(CRAC, kind="set_point", safe=22.0)]).gains["crac"]
        assert unknown.w_per_unit == pytest.approx(0.0, abs=0.01 * power)
        assert unknown.sd_w_per_unit == pytest.approx(0.1 * power, rel=0.05)

    def test_the_law_of_speed_is_learned_where_speeds_differ(self):
        speed = np.where(np.arange(200) % 30 < 15, 1.0, 0.7)
        seen = dataclasses.replace(history(speed=speed), settings={"clock": speed})
        plant = learn_plant(with_speeds(seen, [CLOCK]), [CLOCK])
        assert plant.exponent == pytest.approx(2.4, abs=0.3)
        assert plant.exponent_sd < 0.3
        assert plant.service_ms == pytest.approx(8.0, rel=0.01)
        assert plant.capacity == pytest.approx(100.0, rel=0.01)
        slow = plant.at_speed(0.7)
        assert slow.peak_w == pytest.approx(120 + 180 * 0.7**2.4, rel=0.02)
        assert slow.service_ms == pytest.approx(8.0 / 0.7, rel=0.01)

    def test_what_vacated_servers_draw_is_not_laid_to_those_that_work(self):
        pack = Lever("pack", "consolidation", 1, 20, 1, parked_w=30.0)
        seen = history()
        parked = dataclasses.replace(seen, power_w=seen.power_w + 30.0 * 8)
        assert learn_plant(parked, [pack]).idle_w == pytest.approx(120.0, rel=0.05)

    def test_the_delay_of_a_start_is_the_longest_seen(self):
        times = np.arange(0.0, 1200.0, 60.0)
        servers = np.where(times >= 500.0, 12.0, 8.0)
        assert learn_delay([(120.0, 12)], times, servers) == 420.0
        assert learn_delay([(120.0, 12), (180.0, 8)], times, servers) == 0.0, (
            "it was taken back before it could be seen"
        )
        assert learn_delay([(60.0, 6)], times, servers) == 0.0, "a stop teaches nothing of starts"

    def test_the_temperature_is_bounded_by_what_was_learned(self):
        cooling = np.where(np.arange(200) % 40 < 20, 22.0, 23.0)
        law = learn_thermal(history(cooling=cooling), [CRAC])
        assert law is not None
        power = 12 * (120 + 180 * 0.4) + 60.0 * 4
        steady = 23.0 + power / 300.0
        assert steady < law.upper_c(power, {"crac": 23.0}, 60) < steady + 1.5
        assert law.upper_c(power, {"crac": 24.0}, 60) > law.upper_c(power, {"crac": 23.0}, 60) + 0.5
        assert learn_thermal(dataclasses.replace(history(), temperature_c=None), []) is None


class TestWorth:
    def test_slow_servers_save_where_the_latency_allows(self):
        loose = decide(situation(goal=Goal(300.0, 200.0), levers=[SERVERS, CLOCK], now={"clock": 1.0}))
        tight = decide(situation(goal=Goal(300.0, 20.0), levers=[SERVERS, CLOCK], now={"clock": 1.0}))
        assert loose.feasible
        assert tight.feasible
        assert loose.chosen.setting["clock"] < 1.0 or loose.chosen.servers < tight.chosen.servers
        assert loose.chosen.energy_j < tight.chosen.energy_j

    def test_with_the_size_fixed_the_clock_goes_as_low_as_the_latency_allows(self):
        choice = decide(situation(goal=Goal(300.0, 30.0), servers=12, levers=[CLOCK], now={"clock": 1.0}))
        expected = next(f for f in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0) if 8 / f / (1 - 6.2 / 12 / f) <= 30 and f > 6.2 / 12)
        assert choice.chosen.servers == 12
        assert choice.chosen.setting["clock"] == pytest.approx(expected)

    def test_a_cap_is_the_speed_that_it_allows(self):
        cap = Lever("cap", "power_cap", 150.0, 300.0, 10.0)
        choice = decide(situation(goal=Goal(300.0, 30.0), levers=[cap], now={"cap": 300.0}))
        assert choice.feasible
        assert 200.0 < choice.chosen.setting["cap"] < 300.0
        assert choice.chosen.energy_high_j / 300 < 12 * choice.chosen.setting["cap"]

    def test_the_cooling_is_raised_until_it_would_be_too_warm(self):
        seen = history(cooling=np.where(np.arange(200) % 40 < 20, 22.0, 23.0))
        plant, law = learn_plant(seen, [CRAC]), learn_thermal(seen, [CRAC])
        free = decide(situation(plant, levers=[CRAC], now={"crac": 23.0}, thermal=law))
        goal = Goal(300.0, 20.0, max_temperature_c=34.0)
        assert free.chosen.setting["crac"] == 24.0, "a step beyond what was seen, however good it looks"
        warm = dataclasses.replace(plant, gains={"crac": dataclasses.replace(plant.gains["crac"], high=27.0)})
        far = decide(situation(warm, levers=[CRAC], now={"crac": 23.0}, thermal=law))
        assert far.chosen.setting["crac"] == 27.0
        bound = decide(situation(warm, goal=goal, levers=[CRAC], now={"crac": 23.0}, thermal=law))
        assert 23.0 <= bound.chosen.setting["crac"] < 27.0
        others = {c.setting["crac"]: c for c in bound.others}
        assert "°C" in others[27.0].broken[0]

    def test_an_unknown_set_point_is_left_alone_unless_it_may_be_explored(self):
        kiln = Lever("kiln", "set_point", 100.0, 200.0, 10.0, safe=150.0)
        plant = dataclasses.replace(PLANT, gains={"kiln": Gain(0.0, 20.0, 150.0, 150.0)})
        assert decide(situation(plant, levers=[kiln], now={"kiln": 150.0})).chosen.setting["kiln"] == 150.0
        curious = dataclasses.replace(kiln, explore=True)
        tried = decide(situation(plant, levers=[curious], now={"kiln": 150.0})).chosen
        assert abs(tried.setting["kiln"] - 150.0) == 10.0, "by one step"
        held = decide(situation(plant, levers=[kiln], now={"kiln": 150.0})).chosen
        assert tried.energy_high_j - tried.energy_low_j > 2 * (held.energy_high_j - held.energy_low_j), (
            "and says its doubt"
        )
        nothing = dataclasses.replace(plant, gains={"kiln": Gain(0.0, 1.0, 140.0, 160.0)})
        costly = dataclasses.replace(curious, wear_j=1e5)
        assert decide(situation(nothing, levers=[costly], now={"kiln": 150.0})).chosen.setting["kiln"] == 150.0

    def test_work_is_put_off_to_where_energy_is_cheap_and_not_for_efficiency(self):
        evening = Tariff((0.40, 0.40, 0.05), 3600.0)
        wait = {"levers": [SERVERS, LATER], "now": {"later": 0.0}}
        cheap = decide(situation(goal=Goal(300.0, 20.0, tariff=evening), **wait)).chosen
        level = decide(situation(goal=Goal(300.0, 20.0), **wait)).chosen
        efficient = decide(situation(goal=Goal(300.0, 20.0, tariff=evening, may_defer=False), **wait)).chosen
        assert cheap.setting["later"] == pytest.approx(0.4)
        assert level.setting["later"] == 0.0
        assert efficient.setting["later"] == 0.0
        short = dataclasses.replace(LATER, within_s=1800.0)
        none = decide(situation(goal=Goal(300.0, 20.0, tariff=evening), levers=[SERVERS, short], now={"later": 0.0}))
        assert none.chosen.setting["later"] == 0.0, "within half an hour nothing becomes cheaper"

    def test_vacated_servers_that_stay_on_are_worth_less_to_vacate(self):
        off = decide(situation(servers=20, levers=[SERVERS])).chosen
        parked = decide(situation(servers=20, levers=[Lever("pack", "consolidation", 1, 20, 1, parked_w=118.0)])).chosen
        assert off.servers < parked.servers
        fleet_w = 20 * 118.0
        assert parked.energy_j > fleet_w * 300, "the whole fleet draws at least its parking power"

    def test_a_late_start_is_ordered_before_it_is_needed(self):
        rising = Load(6.0, 5.8, 6.2, 6.2, "test", (7.5, 9.0))
        prompt = decide(situation(load=rising, servers=11))
        late = decide(situation(load=rising, servers=11, levers=[dataclasses.replace(SERVERS, delay_s=900.0)]))
        assert late.chosen.servers >= 15, "9 servers' worth at 60 %, in 15 minutes"
        assert late.chosen.servers > prompt.chosen.servers
        assert late.chosen.run_j == pytest.approx(PLANT.power_w(11, 6.0) * 300), "until then the present ones serve"

    def test_a_cap_on_power_is_kept_or_said_to_be_out_of_reach(self):
        choice = decide(situation(goal=Goal(300.0, 100.0, max_power_w=2400.0), servers=20))
        assert choice.feasible
        assert choice.chosen.energy_high_j / 300 <= 2450
        impossible = decide(situation(goal=Goal(300.0, 20.0, max_power_w=500.0), servers=20))
        assert not impossible.feasible
        assert "raise the limit that is named" in impossible.reason

    def test_weights_without_wear_move_sooner(self):
        small = Load(6.4, 6.3, 6.5, 6.5, "test", (6.4, 6.4))
        careful = decide(
            situation(load=small, goal=Goal(300.0, 20.0, weights=Weights(1.0, 0.0, 20.0)), servers=14)
        ).chosen
        eager = decide(situation(load=small, goal=Goal(300.0, 20.0, weights=Weights(1.0, 0.0, 0.0)), servers=14)).chosen
        assert eager.servers < careful.servers

    def test_a_law_that_gives_energy_away_may_not_win(self):
        odd = dataclasses.replace(PLANT, slope_w=-500.0)
        choice = decide(situation(odd))
        assert not choice.feasible
        assert "energy_conservation" in choice.chosen.unlawful
        assert "less than nothing" in choice.reason
        spared = dataclasses.replace(PLANT, gains={"crac": Gain(-2000.0, 1.0, 18.0, 27.0)})
        checked = decide(situation(spared, levers=[CRAC], now={"crac": 23.0})).chosen
        assert checked.setting["crac"] == 23.0, "5 kW cannot be spared of 2.5 kW"


class TestSearch:
    def test_one_lever_after_the_other_finds_what_weighing_all_finds(self, monkeypatch):
        more = [SERVERS, CLOCK, dataclasses.replace(CRAC, step=3.0)]
        plant = dataclasses.replace(PLANT, gains={"crac": Gain(-50.0, 2.0, 18.0, 27.0)})
        asked = situation(plant, goal=Goal(300.0, 60.0), levers=more, now={"clock": 1.0, "crac": 20.0})
        exact = decide(asked).chosen
        monkeypatch.setattr(searching, "EXACT", 1)
        by_one = decide(asked).chosen
        assert (by_one.servers, by_one.setting) == (exact.servers, exact.setting)

    def test_where_levers_are_declared_and_none_moves_the_fleet_it_stays(self):
        choice = decide(situation(servers=12, levers=[CRAC], now={"crac": 20.0}))
        assert {c.servers for c in (choice.chosen, *choice.others)} == {12}

    def test_a_lever_of_unknown_value_stays_out(self):
        choice = decide(situation(levers=[SERVERS, CRAC]))
        assert choice.chosen.setting == {}

    def test_conditions_add_up_lever_by_lever(self):
        plant = dataclasses.replace(PLANT, gains={"crac": Gain(-50.0, 2.0, 18.0, 27.0)})
        late = dataclasses.replace(CRAC, delay_s=150.0, wear_j=10.0)
        goal = Goal(300.0, 20.0)
        made = under(
            plant, LOAD, None, goal, [CLOCK, late], {"clock": 0.5, "crac": 22.0}, {"clock": 1.0, "crac": 20.0}, 0.6
        )
        assert made.overhead_w == pytest.approx(-100.0 * 0.5), "half of the horizon it has no effect yet"
        assert made.overhead_sd_w == pytest.approx(2.0)
        assert made.cost_j == pytest.approx(20.0 - 100.0 * (150.0 + 1500.0))
        assert made.load.mean == pytest.approx(12.0)
        assert made.plant.slope_w == pytest.approx(180.0 / 4)


UNITS = {"clock": (0.3, 1.0), "crac": (15.0, 30.0), "later": (0.0, 0.6), "kiln": (0.0, 500.0)}


@st.composite
def plants(draw):
    """A plant, a load, levers with their values, and what is wanted: whatever they are."""
    idle = draw(st.floats(5, 300))
    plant = Plant(
        idle, draw(st.floats(1, 400)), (idle, 0.0, idle), draw(st.floats(0.1, 20)), draw(st.floats(0, 3e5)), 100.0,
        draw(st.one_of(st.none(), st.floats(0.5, 50))), draw(st.one_of(st.none(), st.floats(1, 500))),
        gains={name: Gain(draw(st.floats(-100, 100)), draw(st.floats(0.1, 60)), *UNITS[name]) for name in ("crac", "kiln")},
    )  # fmt: skip
    low = draw(st.integers(1, 10))
    fleet = Lever(
        "servers", draw(st.sampled_from(["servers", "consolidation"])), low, low + draw(st.integers(0, 50)), draw(st.integers(1, 4)),
        ramp_per_s=draw(st.one_of(st.just(math.inf), st.floats(0, 0.1))), delay_s=draw(st.floats(0, 2000)),
        parked_w=draw(st.floats(0, 4)),
    )  # fmt: skip
    kinds = {"clock": "frequency", "crac": "cooling", "later": "deferral", "kiln": "set_point"}
    levers, now = [fleet] if draw(st.booleans()) else [], {}
    for name in draw(st.lists(st.sampled_from(sorted(kinds)), unique=True, max_size=3)):
        bottom, top = UNITS[name]
        ramp = draw(st.one_of(st.just(math.inf), st.floats(0, (top - bottom) / 300)))
        step = draw(st.sampled_from([0.0, (top - bottom) / 7]))
        explore = draw(st.booleans())
        levers.append(Lever(name, kinds[name], bottom, top, step, ramp, safe=bottom, within_s=3600.0, explore=explore))
        now[name] = draw(st.floats(bottom, top))
    mean = draw(st.floats(0, 30))
    width = draw(st.floats(0, 0.5)) * mean
    load = Load(
        mean, max(mean - width, 0.0), mean + width, mean + 2 * width, "test", (mean, mean), draw(st.floats(0, 0.3))
    )
    some = lambda low, high: draw(st.one_of(st.none(), st.floats(low, high)))  # noqa: E731
    goal = Goal(
        300.0,
        some(0.5, 500),
        some(1, 3000),
        max_power_w=some(100, 1e5),
        tariff=Tariff((draw(st.floats(-1, 1)), 0.5), 3600.0),
    )
    servers = draw(st.integers(low, int(fleet.high)))
    return Situation(plant, load, goal, servers, servers + draw(st.integers(0, 20)), tuple(levers), now, step_s=300.0)


@settings(max_examples=150, deadline=None)
@given(plants())
def test_no_decision_on_whatever_plant_violates_a_hard_bound(asked):
    choice = decide(asked)
    chosen, fleet = choice.chosen, next((lever for lever in asked.levers if lever.name == "servers"), None)
    if fleet:
        assert fleet.low <= chosen.servers <= fleet.high
        assert abs(chosen.servers - asked.servers) <= fleet.ramp_per_s * 300 + 1e-6
        assert chosen.servers == asked.servers or (chosen.servers - fleet.low) % fleet.step == 0
    elif asked.levers:
        assert chosen.servers == asked.servers
    else:
        assert 1 <= chosen.servers <= max(asked.largest, asked.servers)
    for lever in asked.levers:
        if lever.name != "servers":
            value = chosen.setting[lever.name]
            assert lever.inside(value)
            assert abs(value - asked.now[lever.name]) <= lever.ramp_per_s * 300 + 1e-6
    assert 0 <= chosen.energy_low_j <= chosen.energy_high_j
    assert math.isfinite(chosen.cost_j)
    for candidate in (chosen, *choice.others):
        assert candidate.latency_ms is None or candidate.latency_ms > 0
    if choice.feasible:
        assert not chosen.broken
        assert not chosen.unlawful
        assert chosen.energy_low_j <= chosen.energy_j <= chosen.energy_high_j
        if asked.goal.max_latency_ms and chosen.latency_ms is not None:
            assert chosen.latency_ms <= asked.goal.max_latency_ms * (1 + 1e-9)
        kept = [c for c in choice.others if not c.broken and not c.unlawful]
        assert all(chosen.cost_j <= other.cost_j for other in kept)
    else:
        assert chosen.broken or chosen.unlawful
        assert "comes nearest" in choice.reason
