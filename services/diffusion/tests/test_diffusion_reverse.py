import math
from dataclasses import dataclass, replace

import pytest
import torch
from eil_diffusion.domain import EnergyScheduler, GaussianFreeField, Noise, QuadraticEnergy, RackHeatMap
from eil_diffusion.domain.energies.observed import Observed, ObservedGaussian
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energies.user_quadratic import UserQuadratic
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context, ExactDenoiser, GaussianLaw
from eil_diffusion.domain.energy_guided_sampler.reverse import Drafts, flow, reverse_diffuse
from eil_diffusion.domain.energy_guided_sampler.watch import Stage
from eil_diffusion.domain.energy_guided_sampler.weights import log_z
from numpy.testing import assert_allclose

TRUTHS = {
    (2, 1.0, 0.1): 0.8366881391,
    (2, -1.0, 0.5): 1.7642883414,
    (3, 1.0, 0.1): 1.4189140982,
    (3, -1.0, 0.5): 3.2733839796,
}
"""(side, mass2, coupling) → log Z of φ⁴ at kT = 1 by numerical integration; see test_diffusion_phi4.py."""


@dataclass(frozen=True)
class Wrong:
    """The exact denoiser of an energy, made wrong in one way or all."""

    energy: QuadraticEnergy
    kt: float = 1.0
    widened: float = 1.0
    """Of every variance."""
    moved: float = 0.0
    """Of the mean at every site."""
    bent: float = 0.0
    """Of a correction that no Gaussian has."""
    unit: float = 1.0
    """In which noise is added."""
    corrects: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        return self.energy.shape

    def law(self, context: Context | None) -> GaussianLaw:
        energy = self.energy
        variance = self.widened * self.kt / energy.eigenvalues
        return GaussianLaw(energy.mean + self.moved, variance, energy.to_modes, energy.from_modes, self.unit)

    def correction(self, noisy: torch.Tensor, filtered: torch.Tensor, signal: float, context: Context | None):
        return self.bent * (1 - signal) * (2 * filtered + noisy.roll(1, -1)).sin()


FIELD = GaussianFreeField(4, 0.8)
RACKS = RackHeatMap(3, 4, 3000.0 + 500.0 * torch.arange(12, dtype=torch.float64).reshape(3, 4))
WRONG = {
    "wide": Wrong(FIELD, widened=1.2),
    "narrow": Wrong(FIELD, widened=0.85),
    "beside": Wrong(FIELD, moved=0.25),
    "bent": Wrong(FIELD, bent=0.2),
    "all": Wrong(FIELD, widened=1.15, moved=-0.1, bent=0.15, unit=1.5),
    "racks": Wrong(RACKS, kt=400.0, widened=1.2, moved=0.1, bent=0.3, unit=0.7),
}


@pytest.fixture(params=WRONG)
def wrong(request: pytest.FixtureRequest) -> Wrong:
    return WRONG[request.param]


def scheduled(steps: int, schedule: str = "cosine") -> EnergyScheduler:
    scheduler = EnergyScheduler(schedule=schedule)
    scheduler.set_timesteps(steps)
    return scheduler


def weighted(log_weights: torch.Tensor, values: torch.Tensor) -> tuple[float, float]:
    """Self-normalised mean of values and its standard error."""
    weights = torch.softmax(log_weights, 0)
    mean = float(weights @ values)
    return mean, float((weights**2 @ (values - mean) ** 2).sqrt())


def weights_of(drafts: Drafts, wrong: Wrong) -> torch.Tensor:
    return drafts.log_ratio - wrong.energy.energy(drafts.x) / wrong.kt


@pytest.mark.parametrize("steps", [1, 2, 10, 60])
def test_weights_make_a_wrong_denoiser_exact_at_any_number_of_steps(wrong: Wrong, steps: int) -> None:
    count, energy, kt = 3000, wrong.energy, wrong.kt
    drafts = reverse_diffuse(wrong, scheduled(steps), Noise([steps], [count]))
    weights, energies = weights_of(drafts, wrong), energy.energy(drafts.x)
    found = log_z(weights)
    assert 0.1 * count < found.ess < 0.97 * count
    assert abs(found.value - energy.log_z(kt)) < 4.5 * found.error
    mean, error = weighted(weights, energies)
    assert abs(mean - energy.size * kt / 2) < 4.5 * error
    level, error = weighted(weights, drafts.x.flatten(1).mean(1))
    assert abs(level - float(energy.mean.mean())) < 4.5 * error


def test_without_weights_a_wrong_denoiser_is_wrong(wrong: Wrong) -> None:
    drafts = reverse_diffuse(wrong, scheduled(10), Noise([1], [3000]))
    energies, level = wrong.energy.energy(drafts.x), drafts.x.flatten(1).mean(1)
    for values, truth in ((energies, wrong.energy.size * wrong.kt / 2), (level, float(wrong.energy.mean.mean()))):
        if abs(float(values.mean()) - truth) > 7 * float(values.std()) / math.sqrt(3000):
            return
    pytest.fail("neither energy nor level is off, so that the weights have nothing to mend")


def test_the_more_wrong_the_fewer_are_effective() -> None:
    ess = [
        log_z(weights_of(reverse_diffuse(one, scheduled(5), Noise([2], [2000])), one)).ess
        for one in (Wrong(FIELD, bent=bent) for bent in (0.0, 0.2, 0.5, 0.9))
    ]
    assert ess[0] == pytest.approx(2000, rel=1e-9)
    assert ess[0] > ess[1] + 20 > ess[2] + 200 > ess[3] + 400


@pytest.mark.parametrize(("side", "mass2", "coupling"), TRUTHS)
@pytest.mark.parametrize("steps", [1, 8])
def test_drafts_of_a_gaussian_weigh_an_energy_that_is_none(
    side: int, mass2: float, coupling: float, steps: int
) -> None:
    energy, count = Phi4(side, mass2, coupling), 6000
    drafts = reverse_diffuse(ExactDenoiser(energy.reference, 1.0), scheduled(steps), Noise([3], [count]))
    found = log_z(drafts.log_ratio - energy.energy(drafts.x))
    assert 0.1 * count < found.ess < 0.996 * count
    assert abs(found.value - TRUTHS[side, mass2, coupling]) < 4.5 * found.error


@pytest.mark.parametrize("schedule", ["cosine", "linear", "sigmoid"])
@pytest.mark.parametrize("stiffness", [1e-10, 1.0, 1e8])
@pytest.mark.parametrize("steps", [1, 9])
def test_the_exact_denoiser_is_exact_in_any_unit_and_by_any_schedule(
    schedule: str, stiffness: float, steps: int
) -> None:
    """Also where what the schedule leaves of the data at its noisiest step is more than the noise."""
    energy = UserQuadratic(stiffness * torch.diag(torch.tensor([1.0, 0.3, 5.0], dtype=torch.float64)), 2 * stiffness)
    drafts = reverse_diffuse(ExactDenoiser(energy, 2.0), scheduled(steps, schedule), Noise([4], [500]))
    assert_allclose(drafts.log_ratio - energy.energy(drafts.x) / 2.0, energy.log_z(2.0), atol=1e-6)
    energies = energy.energy(drafts.x) - energy.offset
    assert abs(float(energies.mean()) - 3.0) < 4 * float(energies.std()) / math.sqrt(500)


def test_the_unit_of_noise_changes_no_exact_weight() -> None:
    for unit in (1e-3, 1.0, 40.0):
        exact = Wrong(RACKS, kt=400.0, unit=unit)
        drafts = reverse_diffuse(exact, scheduled(6), Noise([5], [50]))
        assert_allclose(weights_of(drafts, exact), RACKS.log_z(400.0), atol=1e-6)


WHERE, READ = [[0, 0], [1, 2], [3, 3], [3, 0]], [1.5, 1.0, -1.0, 0.5]


@pytest.mark.parametrize(
    ("sigma", "steps", "share"), [(1.0, 10, 0.95), (0.6, 10, 0.85), (0.3, 10, 0.4), (0.3, 60, 0.85)]
)
def test_a_guide_towards_sensors_spares_drafts_and_the_weights_stay_exact(
    sigma: float, steps: int, share: float
) -> None:
    count, seen = 3000, ObservedGaussian(FIELD, WHERE, READ, sigma)
    told = Observed(FIELD, WHERE, READ, sigma)
    blind = reverse_diffuse(ExactDenoiser(FIELD, 1.0), scheduled(steps), Noise([6], [count]))
    guided = reverse_diffuse(ExactDenoiser(FIELD, 1.0), scheduled(steps), Noise([6], [count]), guide=told.pull)
    weights = guided.log_ratio - told.energy(guided.x)
    found, without = log_z(weights), log_z(blind.log_ratio - told.energy(blind.x))
    assert found.ess > share * count
    assert found.ess > 1.5 * without.ess
    assert abs(found.value - seen.log_z()) < 4.5 * found.error
    for row, column in WHERE:
        mean, error = weighted(weights, guided.x[:, row, column])
        assert abs(mean - float(seen.mean[row, column])) < 4.5 * error
    if sigma == 1.0:
        assert abs(without.value - seen.log_z()) < 4.5 * without.error


@pytest.mark.parametrize("sigma", [0.03, 1e-4])
def test_sensors_that_know_more_than_a_draft_do_not_drive_it_off(sigma: float) -> None:
    """The first order of a guide would overshoot, each step farther: here by factors of 10² to 10⁷."""
    told = Observed(FIELD, WHERE, READ, sigma)
    drafts = reverse_diffuse(ExactDenoiser(FIELD, 1.0), scheduled(20), Noise([14], [500]), guide=told.pull)
    assert bool(drafts.log_ratio.isfinite().all())
    assert float(FIELD.energy(drafts.x).mean()) < 20
    # The last step leaves √(1-ᾱ) of noise at a site, 0.07 with 20 steps.
    misfit = drafts.x.flatten(1)[:, told.where] - told.values
    assert float(misfit.square().mean().sqrt()) < 0.1
    assert float(misfit.mean(0).abs().max()) < 5 * 0.1 / math.sqrt(500)


def test_a_guide_moves_the_estimate_to_the_conditional_mean() -> None:
    """In one step from pure noise the clean estimate is the prior's mean, and guided the posterior's."""
    told, heard = Observed(FIELD, WHERE, READ, 0.2), []
    reverse_diffuse(
        Wrong(FIELD, unit=3.0, corrects=False), scheduled(1), Noise([15], [4]), guide=told.pull, watch=heard.append
    )
    wanted = ObservedGaussian(FIELD, WHERE, READ, 0.2).mean
    assert_allclose(heard[0].x, wanted.expand(4, 4, 4), atol=1e-3)


def test_a_guide_knows_the_temperature() -> None:
    """In units of kT and of the field: a field ten times as high at kT = 100 is guided as one at kT = 1."""
    scaled = UserQuadratic(torch.diag(torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)))
    ends = []
    for height in (1.0, 10.0):

        def pull(x: torch.Tensor, height: float = height) -> torch.Tensor:
            return (x - 2.0 * height) / 0.5 / height**2

        exact = Wrong(scaled, kt=height**2, unit=height, corrects=False)
        ends.append(reverse_diffuse(exact, scheduled(7), Noise([7], [20]), guide=pull).x / height)
    assert_allclose(ends[0], ends[1], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
@pytest.mark.parametrize(
    "exact",
    [ExactDenoiser(FIELD, 1.7), ExactDenoiser(RACKS, 400.0), Wrong(RACKS, kt=400.0, unit=0.2)],
    ids=["field", "racks", "unit"],
)
def test_the_flow_keeps_a_modes_place_in_its_own_spread(
    steps: int, schedule: str, exact: ExactDenoiser | Wrong
) -> None:
    """Exactly: every mode of the noise is stretched to its standard deviation, whatever the number of steps."""
    energy = exact.energy
    x = flow(exact, scheduled(steps, schedule), Noise([8], [40]))
    fresh = Noise([8], [40]).normal(*energy.shape)
    assert_allclose(x, energy.mean + energy.from_modes((exact.kt / energy.eigenvalues).sqrt() * fresh), atol=1e-7)


@dataclass(frozen=True)
class Displaced(Wrong):
    """A law with a wrong mean, and the correction that makes it right: the filter of the data's own mean."""

    def correction(self, noisy: torch.Tensor, filtered: torch.Tensor, signal: float, context: Context | None):
        law = self.law(None)
        share = (1 - signal) / (signal * law.variance / law.scale**2 + 1 - signal)
        shift = torch.full_like(noisy, -self.moved / law.scale)
        return law.from_modes(share * law.to_modes(shift))


@pytest.mark.parametrize("steps", [1, 3, 10, 50])
@pytest.mark.parametrize("energy", [FIELD, GaussianFreeField(8, 0.05)], ids=["field", "light field"])
def test_the_flow_corrects_a_wrong_mean(steps: int, energy: GaussianFreeField) -> None:
    """What is left is what the noisiest step had of the mean, 5·10⁻⁵ of it, and where shares below 10⁻³ are cut off."""
    x = flow(Displaced(energy, moved=1.0), scheduled(steps), Noise([9], [40]))
    fresh = Noise([9], [40]).normal(*energy.shape)
    spread = (1 / energy.eigenvalues).sqrt()
    assert_allclose(x, energy.from_modes(spread * fresh), atol=2e-3)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_the_flows_samples_have_the_laws_variance_mode_by_mode(steps: int) -> None:
    energy, count = GaussianFreeField(6, 0.3), 4000
    x = flow(Displaced(energy, moved=0.7), scheduled(steps), Noise([10], [count]))
    modes = energy.to_modes(x)
    assert float((modes.square().mean(0) * energy.eigenvalues - 1).abs().max()) < 5 * math.sqrt(2 / count)
    assert float((modes.mean(0).abs() * energy.eigenvalues.sqrt()).max()) < 5 / math.sqrt(count)


def test_corrections_that_agree_with_the_law_leave_the_drafts_exact_too() -> None:
    """A wrong mean with its own correction: weights as good as equal, for the sum of the two is the exact denoiser."""
    displaced = Displaced(FIELD, moved=1.0)
    drafts = reverse_diffuse(displaced, scheduled(10), Noise([11], [1000]))
    assert log_z(weights_of(drafts, displaced)).ess > 999.9
    energies = FIELD.energy(drafts.x)
    assert abs(float(energies.mean()) - 8) < 4 * float(energies.std()) / math.sqrt(1000)


@pytest.mark.parametrize("walk", [reverse_diffuse, flow])
def test_every_step_is_told_and_what_hears_it_may_end_the_work(walk) -> None:
    heard: list[Stage] = []
    walk(WRONG["all"], scheduled(7), Noise([12], [3]), watch=heard.append)
    assert [(one.name, one.done, one.total) for one in heard] == [("diffusion", n, 7) for n in range(1, 8)]
    assert all(one.x.shape == (3, 4, 4) for one in heard)

    def stop(stage: Stage) -> None:
        if stage.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        walk(WRONG["all"], scheduled(7), Noise([12], [3]), watch=stop)


@pytest.mark.parametrize("guide", [None, Observed(FIELD, WHERE, READ, 0.1).pull], ids=["blind", "guided"])
def test_chains_do_not_depend_on_their_company(guide) -> None:
    together = reverse_diffuse(WRONG["all"], scheduled(5), Noise([1, 2], [2, 3]), guide=guide)
    for part, seed in ((slice(0, 2), 1), (slice(2, 5), 2)):
        count = part.stop - part.start
        alone = reverse_diffuse(WRONG["all"], scheduled(5), Noise([seed], [count]), guide=guide)
        assert torch.equal(together.x[part], alone.x)
        assert torch.equal(together.log_ratio[part], alone.log_ratio)


def test_a_law_of_each_chain_is_heeded() -> None:
    """Means and variances that differ from chain to chain, as contexts make them."""

    @dataclass(frozen=True)
    class Each(Wrong):
        def law(self, context: Context | None) -> GaussianLaw:
            law = super().law(context)
            factors = torch.tensor([1.0, 4.0], dtype=torch.float64)[:, None, None]
            return replace(law, mean=law.mean + factors, variance=law.variance * factors)

    each = Each(FIELD, corrects=False)
    drafts = reverse_diffuse(each, scheduled(4), Noise([13], [2]))
    spread = torch.tensor([1.0, 4.0], dtype=torch.float64)
    energies = torch.stack([FIELD.energy(drafts.x[n : n + 1] - spread[n])[0] / spread[n] for n in range(2)])
    exact = FIELD.log_z() + 8 * spread.log()
    assert_allclose(drafts.log_ratio - energies, exact, atol=1e-9)
