"""The agent: widths follow the context, the strange is recognised, trust falls and returns, and a restart changes nothing."""

import time
from dataclasses import dataclass, field

import numpy as np
import pytest
from eil_nvp.domain.agent import ACEAgent, ACEConfig

LESSONS, SETTLED = 3000, 500


@dataclass
class Life:
    """What an agent said and what happened, by lesson."""

    agent: ACEAgent
    inside: list[bool] = field(default_factory=list)
    scale: list[float] = field(default_factory=list)
    radius: list[float] = field(default_factory=list)
    error: list[float] = field(default_factory=list)
    trust: list[float] = field(default_factory=list)
    action: list[str] = field(default_factory=list)


def live(
    dimensions: int, seed: int, lessons: int = LESSONS, change: int = 10**9, agent: ACEAgent | None = None
) -> Life:
    """Normal errors whose scale depends on the context (factors 1 to 36), five times larger from lesson `change` on."""
    rng, life = np.random.default_rng(seed), Life(agent or ACEAgent(128, seed=seed))
    for lesson in range(lessons):
        context = rng.uniform(-1, 1, dimensions)
        scale = float(np.exp(1.2 * context[0] + 0.6 * np.sin(3 * context[1 % dimensions]))) * (
            5 if lesson >= change else 1
        )
        error = abs(rng.normal()) * scale
        said = life.agent.decide(context)
        life.inside.append(error <= said.radius)
        life.scale.append(scale)
        life.radius.append(said.radius)
        life.error.append(error)
        life.trust.append(said.trust)
        life.action.append(said.action)
        life.agent.learn(context, error)
    return life


@pytest.fixture(scope="module")
def plain() -> Life:
    return live(2, seed=1)


def by_quintile(inside: np.ndarray, scale: np.ndarray) -> np.ndarray:
    place = np.digitize(scale, np.quantile(scale, [0.2, 0.4, 0.6, 0.8]))
    return np.array([inside[place == quintile].mean() for quintile in range(5)])


@pytest.mark.parametrize(("dimensions", "seed"), [(2, 1), (4, 2), (8, 3)])
def test_coverage_holds_overall_and_in_every_fifth_of_the_contexts(dimensions, seed):
    life = live(dimensions, seed)
    inside, scale = np.array(life.inside)[SETTLED:], np.array(life.scale)[SETTLED:]
    assert abs(inside.mean() - 0.9) < 0.02
    conditional = by_quintile(inside, scale)
    error, width, flat = np.array(life.error), float(np.quantile(life.error[:64], 0.9)), []
    for one in error:  # the same tracker without the context
        flat.append(one <= width)
        width *= np.exp(0.04 * ((one > width) - 0.1))
    unconditional = by_quintile(np.array(flat)[SETTLED:], scale)
    assert abs(np.mean(flat[SETTLED:]) - 0.9) < 0.02
    assert np.abs(conditional - 0.9).max() < 0.06
    assert np.abs(unconditional - 0.9).max() > 0.2
    assert np.mean(np.array(life.radius)[SETTLED:] / scale) < 2.1  # the exact width is 1.645


@pytest.mark.parametrize(("dimensions", "seed"), [(1, 3), (2, 1), (4, 2)])
def test_contexts_far_from_those_seen_are_recognised_and_those_seen_are_not_refused(dimensions, seed):
    life, rng = live(dimensions, seed, 1500), np.random.default_rng(0)
    assert np.mean(np.array(life.action[SETTLED:]) == "predict") > 0.97
    usual = np.array([life.agent.decide(rng.uniform(-1, 1, dimensions)).novelty for _ in range(200)])
    assert np.mean(usual > 1) < 0.15
    for distance in (4.0, 10.0, 1000.0):
        direction = rng.normal(size=dimensions)
        far = life.agent.decide(distance * direction / np.linalg.norm(direction))
        assert far.action == "abstain"
        assert far.novelty > 10
        assert far.trust < 0.1
        assert "nothing like this context" in far.reason
        assert far.radius > 2 * np.median(life.radius[SETTLED:]) or distance < 10


def test_a_hole_between_seen_contexts_is_not_taken_for_known():
    rng, agent = np.random.default_rng(4), ACEAgent(128)
    for _ in range(1000):
        agent.learn([rng.choice([-1.0, 1.0]) + 0.05 * rng.normal()], abs(rng.normal()))
    assert agent.decide([0.0]).novelty > 3
    assert agent.decide([0.0]).action != "predict"
    assert agent.decide([1.0]).action == "predict"


def test_after_a_change_of_regime_trust_falls_and_then_recovers():
    life = live(2, seed=5, change=1500)
    trust = np.array(life.trust)
    assert trust[1400:1500].mean() > 0.9
    assert trust[1500:1560].min() < 0.1
    assert "predict" not in life.action[1515:1525]
    assert "abstain" in life.action[1500:1560]
    assert trust[1700:].mean() > 0.9
    assert np.mean(life.inside[1700:]) == pytest.approx(0.9, abs=0.03)
    assert np.median(life.radius[2500:]) > 3 * np.median(life.radius[1000:1500])


def test_what_was_learnt_of_a_context_is_forgotten_when_it_no_longer_holds():
    rng, agent, inside, strong = np.random.default_rng(13), ACEAgent(64), [], []
    for lesson in range(3000):
        context = rng.uniform(-1, 1)
        scale = np.exp(1.5 * context if lesson < 1000 else -1.5 * context)
        error = abs(rng.normal()) * scale
        if lesson >= 2200:
            inside.append(error <= agent.decide([context]).radius)
            strong.append(scale)
        agent.learn([context], error)
    assert np.abs(by_quintile(np.array(inside), np.array(strong)) - 0.9).max() < 0.1


def test_widths_scale_with_the_base_given():
    rng, agent = np.random.default_rng(6), ACEAgent(64)
    for lesson in range(800):
        base = 1.0 if lesson % 2 else 100.0  # the forecaster's own half-width, right up to a factor
        agent.learn([rng.normal()], base * abs(rng.normal()), base=base)
    one, hundred = agent.decide([0.0], base=1.0), agent.decide([0.0], base=100.0)
    assert hundred.radius == pytest.approx(100 * one.radius)
    assert one.radius == pytest.approx(1.645, rel=0.35)


def test_it_falls_back_where_the_baseline_errs_less():
    rng, agent = np.random.default_rng(7), ACEAgent(64)
    for _ in range(1200):
        context = rng.uniform(-1, 1)
        agent.learn([context], abs(rng.normal()) * np.exp(2 * context), baseline_error=abs(rng.normal()))
    assert agent.decide([-0.8]).action == "predict"
    poor = agent.decide([0.8])
    assert poor.action == "fall_back"
    assert "baseline errs less" in poor.reason
    assert poor.expected_error > 2 * poor.expected_baseline


def test_nothing_is_promised_before_anything_was_learnt():
    agent = ACEAgent(latent_dim=128)
    first = agent.decide([1.0, 2.0])
    assert (first.action, first.radius, first.trust) == ("fall_back", np.inf, 0.0)
    assert "only 0 lessons" in first.reason
    assert np.isnan(agent.aspiration.bound)
    assert np.isnan(agent.calibration.coverage)


def test_a_context_that_is_not_finite_abstains(plain):
    said = plain.agent.decide([np.nan, 0.0])
    assert (said.action, said.radius) == ("abstain", np.inf)


def test_the_attainable_bound_is_the_noise_and_the_target_is_judged_by_it():
    rng, agent = np.random.default_rng(8), ACEAgent(32, asked=0.5)
    mean_error = np.sqrt(2 / np.pi)  # of standard normal noise, which no member can predict
    for _ in range(2500):
        noise = rng.normal()
        biased = noise + np.array([0.0, 0.5, 2.0])
        agent.learn([rng.normal()], abs(noise + 1.0), baseline_error=abs(biased[2]), member_errors=np.abs(biased))
    found = agent.aspiration
    assert found.bound == pytest.approx(mean_error, rel=0.15)
    assert abs(found.bound - mean_error) < 4 * found.bound_error
    assert (found.target, found.target_from, found.attainable) == (0.5, "asked", False)
    assert found.present > 1.2 * found.bound
    assert found.gap == pytest.approx(found.present / found.bound - 1)
    assert "below what any member has held" in found.sentence


def test_the_bound_rises_when_the_world_gets_harder_and_the_best_baseline_is_the_target():
    rng, agent = np.random.default_rng(9), ACEAgent(32)
    for lesson in range(4000):
        noise = abs(rng.normal()) * (1.0 if lesson < 1500 else 3.0)
        agent.learn([rng.normal()], noise, baseline_error=2 * noise)
        if lesson == 1499:
            before = agent.aspiration
    assert agent.aspiration.bound > 2.2 * before.bound
    assert before.target_from == "baseline"
    assert before.attainable
    assert before.target == pytest.approx(2 * before.present)


@pytest.mark.parametrize(("skills", "sharp"), [((0.2, 1.0, 1.0, 1.0, 1.0), True), ((1.0, 1.0, 1.0, 1.0, 1.0), False)])
def test_temperature_is_low_where_one_member_stands_out_and_weights_follow(skills, sharp):
    rng, agent = np.random.default_rng(10), ACEAgent(32)
    shared = 0.9 if sharp else 0.0  # with errors in common averaging does not help, so the best should rule
    for _ in range(400):
        errors = np.array(skills)[:, None] * (
            shared * rng.normal(size=8) + np.sqrt(1 - shared**2) * rng.normal(size=(5, 8))
        )
        temperature = agent.learn_members(errors, np.zeros(8))
    assert agent.weights.sum() == pytest.approx(1.0)
    if sharp:
        assert temperature < 1.0
        assert agent.weights[0] > 0.98
    else:
        assert agent.weights.max() < 0.25
    broken = np.vstack([np.full((1, 8), np.nan), np.ones((4, 8))])
    for _ in range(200):
        agent.learn_members(broken, np.zeros(8))
    assert agent.weights[0] == agent.weights.min()


@pytest.mark.parametrize("cut", [30, 64, 407, 800])
def test_a_restart_changes_nothing(cut):
    rng = np.random.default_rng(11)
    contexts, errors, members = rng.normal(size=(900, 3)), np.abs(rng.normal(size=900)), rng.normal(size=(900, 5, 2))
    whole, split = ACEAgent(64, seed=3), ACEAgent(64, seed=3)
    for lesson, (context, error) in enumerate(zip(contexts, errors, strict=True)):
        if lesson == cut:
            split = ACEAgent.from_arrays(split.to_arrays())
        for agent in (whole, split):
            agent.learn(context, error, baseline_error=1.1 * error, member_errors=np.abs(members[lesson, :, 0]))
            agent.learn_members(members[lesson], np.zeros(2))
        if lesson >= cut and lesson % 50 == 0:
            assert whole.decide(context) == split.decide(context) or np.isnan(whole.decide(context).expected_error)
    assert (whole.aspiration, whole.calibration) == (split.aspiration, split.calibration)
    for name, array in whole.to_arrays().items():
        assert np.array_equal(array, split.to_arrays()[name])


def test_state_is_bounded_and_a_decision_quick(plain):
    stored = sum(array.nbytes for array in plain.agent.to_arrays().values())
    assert stored < 90_000
    context, taken = np.array([0.1, 0.2]), []
    for _ in range(200):
        begun = time.perf_counter()
        plain.agent.decide(context)
        taken.append(time.perf_counter() - begun)
    assert np.median(taken) < 3e-4


def test_extremes_do_not_break_it():
    agent, rng = ACEAgent(32), np.random.default_rng(12)
    for lesson in range(600):
        context = [1e6 + rng.normal(), 7.0, 1e9 if lesson == 300 else 0.0]
        agent.learn(context, 0.0 if lesson % 7 == 0 else 1e200 if lesson == 400 else abs(rng.normal()))
        said = agent.decide([1e6, 7.0, 0.0])
        assert said.radius > 0
        assert np.isfinite(said.radius) or not said.reason.startswith("expected")
    assert agent.decide([1e6, 7.0, 0.0]).action == "predict"
    assert said.radius < 20
    assert agent.aspiration.present < 10
    assert agent.aspiration.bound < 10


def test_wrong_input_is_refused_in_words(plain):
    with pytest.raises(ValueError, match="give one fixed vector"):
        plain.agent.decide([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="base is 0"):
        plain.agent.decide([0.0, 0.0], base=0.0)
    with pytest.raises(ValueError, match="not finite"):
        plain.agent.learn([0.0, 0.0], np.nan)
    with pytest.raises(ValueError, match="no map of a context"):
        ACEAgent(latent_dim=4)
    with pytest.raises(ValueError, match="no prediction is exact"):
        ACEAgent(asked=0.0)
    with pytest.raises(ValueError, match="level in"):
        ACEConfig(level=1.5)
    with pytest.raises(ValueError, match="nothing to weigh"):
        ACEAgent().learn_members(np.full((3, 2), np.nan), np.zeros(2))
    with pytest.raises(ValueError, match="do not fit"):
        ACEAgent().learn_members(np.zeros((3, 2)), np.zeros(3))
    arrays = plain.agent.to_arrays()
    del arrays["model.gram"]
    with pytest.raises(ValueError, match="lacks 'gram'"):
        ACEAgent.from_arrays(arrays)
