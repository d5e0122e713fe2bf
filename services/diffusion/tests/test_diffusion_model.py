import json
import math
from dataclasses import replace

import pytest
import torch
from eil_diffusion.domain import EnergyScheduler, GaussianFreeField, Noise, cosine_schedule, forward_diffuse
from eil_diffusion.domain.energy_diffusion_core import model as models
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context
from eil_diffusion.domain.energy_diffusion_core.model import EnergyDiffusionModel, ModelCard, dumps, loads
from eil_diffusion.domain.energy_diffusion_core.network import ResidualNetwork
from eil_diffusion.domain.energy_diffusion_core.schedule import linear_schedule
from eil_diffusion.domain.energy_diffusion_core.spectrum import DEGREE, SOFTENING, LearnedLaw
from eil_diffusion.domain.energy_guided_sampler.reverse import reverse_diffuse
from eil_diffusion.domain.energy_guided_sampler.weights import log_z
from eil_diffusion.domain.lattice import Lattice
from numpy.testing import assert_allclose
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


CARD = ModelCard("free", {"name": "gaussian_free_field", "side": 8, "mass2": SOFTENING}, 1.0, ("φ",), width=8)
"""Of a field whose log variance is a line in the polynomials' own variable, so that a model can be exactly right."""


def right(card: ModelCard = CARD, *, centre: float = 0.0, scale: float = 1.0, seed: int = 0) -> EnergyDiffusionModel:
    """A model of the Gaussian law around `centre` with variance scale²/(ℓ + SOFTENING), exactly, its network as it begins."""
    torch.manual_seed(seed)
    model = EnergyDiffusionModel(card).requires_grad_(False)
    low, high = math.log(SOFTENING), math.log(8 + SOFTENING)
    model.gaussian.spectrum[:, 0, 0], model.gaussian.spectrum[:, 0, 1] = -(low + high) / 2, -(high - low) / 2
    model.centre.fill_(centre)
    model.scale.fill_(scale)
    return model


def shaken(model: EnergyDiffusionModel, by: float = 0.3) -> EnergyDiffusionModel:
    """The same with a network that says something."""
    torch.nn.init.normal_(model.network.head.weight, std=by, generator=seeded(5))
    return model


# The Gaussian law.


def log_spectrum_error(law: LearnedLaw, field: GaussianFreeField) -> torch.Tensor:
    return law.log_variance(field.lattice, None)[0, 0] + field.eigenvalues.log()


@pytest.mark.parametrize("mass2", [0.02, 0.1, 1.0])
def test_a_free_fields_spectrum_is_learned_and_holds_on_other_grids(mass2: float) -> None:
    """From 400 fields of 16²: per cents, also for the longest waves of larger grids, which no field has shown."""
    field, law = GaussianFreeField(16, mass2), LearnedLaw(1, 0, 0, periodic=True)
    law.fit(field.draw(400, 1.0, seeded(1))[:, None], None, None)
    for side in (7, 16, 32, 64):
        error = log_spectrum_error(law, GaussianFreeField(side, mass2))
        assert float(error.square().mean().sqrt()) < 0.04, side
        # The zero mode is one number a field: its variance is known to √(2/400) = 7 %.
        assert float(error.abs().max()) < 5 * math.sqrt(2 / 400), side
    assert abs(float(law.mean(field.lattice, None, None).mean())) < 4 / math.sqrt(400 * 256 * mass2)


def test_more_fields_know_the_spectrum_better() -> None:
    field, errors = GaussianFreeField(16, 0.3), []
    for count in (30, 2000):
        law = LearnedLaw(1, 0, 0, periodic=True)
        law.fit(field.draw(count, 1.0, seeded(2))[:, None], None, None)
        errors.append(float(log_spectrum_error(law, field).square().mean().sqrt()))
    assert errors[1] < 0.4 * errors[0]
    assert errors[1] < 0.015


def test_walls_have_a_spectrum_too() -> None:
    lattice, law = Lattice((9, 12), periodic=False), LearnedLaw(1, 0, 0, periodic=False)
    fields = lattice.from_modes(normal(500, 9, 12, seed=3) / (lattice.eigenvalues() + 0.4).sqrt())
    law.fit(fields[:, None], None, None)
    for shape in ((9, 12), (20, 30), (1, 5)):
        other = Lattice(shape, periodic=False)
        error = law.log_variance(other, None)[0, 0] + (other.eigenvalues() + 0.4).log()
        assert float(error.abs().max()) < 0.3, shape


def test_the_spectrum_follows_the_signals() -> None:
    """Fluctuations that grow with one signal, and for another shrink at both ends."""
    field, signals = GaussianFreeField(8, 0.5), normal(1200, 2, seed=4)
    growth = 0.6 * signals[:, 0] - 0.25 * signals[:, 1] ** 2
    fields = field.draw(1200, 1.0, seeded(5)) * (growth / 2).exp()[:, None, None]
    law = LearnedLaw(1, 2, 0, periodic=True)
    law.fit(fields[:, None], signals, None)
    asked = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.0, 1.5]], dtype=torch.float64)
    wanted = (0.6 * asked[:, 0] - 0.25 * asked[:, 1] ** 2)[:, None, None] - field.eigenvalues.log()
    error = law.log_variance(field.lattice, asked)[:, 0] - wanted
    assert float(error.abs().max()) < 0.25
    assert float(error.square().mean().sqrt()) < 0.06
    assert_allclose(law.log_variance(field.lattice, None), law.log_variance(field.lattice, 0 * asked[:1]), atol=1e-12)


def linear_set(noise: float, count: int = 150):
    """Fields that follow two maps through filters of wavelength, and three signals through their level; on 6 x 8 with walls."""
    lattice, maps, signals = Lattice((6, 8), periodic=False), normal(count, 2, 6, 8, seed=6), normal(count, 3, seed=7)
    return lattice, maps, signals, followed(lattice, maps, signals) + noise * normal(count, 1, 6, 8, seed=8)


def followed(lattice: Lattice, maps: torch.Tensor, signals: torch.Tensor) -> torch.Tensor:
    u = (lattice.eigenvalues() + SOFTENING).log()
    modes = lattice.to_modes(maps)
    shaped = lattice.from_modes((0.7 - 0.2 * u) * modes[:, 0] + (0.1 * u + 0.03 * u**3) * modes[:, 1])
    level = 2.0 + 1.5 * signals[:, 0] - 0.5 * signals[:, 1] ** 2 + 0.25 * signals[:, 2]
    return (shaped + level[:, None, None])[:, None]


def test_a_mean_that_is_linear_in_maps_and_signals_is_learned_exactly() -> None:
    lattice, maps, signals, fields = linear_set(noise=0.0)
    law = LearnedLaw(1, 3, 2, periodic=False)
    with torch.no_grad():
        law._fit_mean(lattice, fields, signals, maps)
    # To the penalty, 10⁻⁷ of the cube's power.
    assert_allclose(law.mean(lattice, signals, maps), fields, atol=2e-4)
    other, new_maps, new_signals = Lattice((13, 5), periodic=False), normal(4, 2, 13, 5, seed=9), normal(4, 3, seed=10)
    assert_allclose(law.mean(other, new_signals, new_maps), followed(other, new_maps, new_signals), atol=1e-3)


def test_noise_leaves_the_mean_within_its_error_and_is_the_spectrum() -> None:
    lattice, maps, signals, fields = linear_set(noise=0.5)
    law = LearnedLaw(1, 3, 2, periodic=False)
    law.fit(fields, signals, maps)
    # 29 weights of 7,200 numbers: the mean is known to 0.5·√(29/7200) = 0.03 a site.
    error = law.mean(lattice, signals, maps) - followed(lattice, maps, signals)
    assert float(error.square().mean().sqrt()) < 0.06
    # 77 weights of the spectrum, too: 0.1 of its logarithm.
    off = law.log_variance(lattice, signals) - math.log(0.25)
    assert float(off.square().mean().sqrt()) < 0.2
    assert abs(float(off.mean())) < 0.06
    # And it holds on a grid with waves that were between all that were seen.
    other, new_maps = Lattice((24, 30), periodic=False), normal(4, 2, 24, 30, seed=9)
    error = law.mean(other, signals[:4], new_maps) - followed(other, new_maps, signals[:4])
    assert float(other.to_modes(error).abs()[:, 0, :3, :3].max()) < 1.0
    assert float(error.square().mean().sqrt()) < 0.1


def test_without_its_maps_a_law_is_at_their_mean() -> None:
    lattice, maps, signals, fields = linear_set(noise=0.5)
    law = LearnedLaw(1, 3, 2, periodic=False)
    law.fit(fields, signals, maps)
    assert_allclose(law.mean(lattice, signals[:2], None), law.mean(lattice, signals[:2], 0 * maps[:2]), atol=1e-12)


def test_fields_of_one_model_have_laws_of_their_own() -> None:
    light, heavy, law = GaussianFreeField(8, 0.2), GaussianFreeField(8, 3.0), LearnedLaw(2, 0, 0, periodic=True)
    fields = torch.stack([light.draw(500, 1.0, seeded(11)), 5 + heavy.draw(500, 1.0, seeded(12))], 1)
    law.fit(fields, None, None)
    found = law.log_variance(light.lattice, None)[0]
    assert float((found + torch.stack([light.eigenvalues, heavy.eigenvalues]).log()).abs().max()) < 0.25
    assert_allclose(law.mean(light.lattice, None, None)[0, :, 0, 0], [0.0, 5.0], atol=0.05)


# The network.


@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (4, 4), (5, 9), (16, 16)])
@pytest.mark.parametrize("periodic", [True, False])
def test_an_untrained_network_says_nothing_on_any_grid(shape: tuple[int, int], periodic: bool) -> None:
    network = ResidualNetwork(2, 3, 1, 8, periodic=periodic).requires_grad_(False)
    noisy, maps, signals = normal(3, 2, *shape).float(), normal(3, 1, *shape).float(), normal(3, 3).float()
    said = network(noisy, noisy, torch.zeros(3), signals, maps)
    assert said.shape == (3, 2, *shape)
    assert float(said.abs().max()) == 0.0
    assert_allclose(network(noisy, noisy, torch.zeros(3), None, None), 0 * noisy)


def test_a_periodic_network_knows_no_place_and_a_walled_one_does() -> None:
    for periodic in (True, False):
        torch.manual_seed(1)
        network = ResidualNetwork(1, 0, 0, 8, periodic=periodic).requires_grad_(False)
        torch.nn.init.normal_(network.head.weight)
        x = normal(1, 1, 8, 8).float()
        level = torch.tensor([0.7])
        moved = network(x.roll((2, 3), (2, 3)), x.roll((2, 3), (2, 3)), level, None, None)
        error = float((moved - network(x, x, level, None, None).roll((2, 3), (2, 3))).abs().max())
        assert (error < 1e-5) == periodic


def test_a_network_hears_level_signals_and_maps() -> None:
    torch.manual_seed(2)
    network = ResidualNetwork(1, 1, 1, 8, periodic=True).requires_grad_(False)
    torch.nn.init.normal_(network.head.weight)
    x, told, known = normal(1, 1, 8, 8).float(), torch.zeros(1, 1), torch.zeros(1, 1, 8, 8)
    said = network(x, x, torch.zeros(1), told, known)
    for other in (
        network(x, x, torch.ones(1), told, known),
        network(x, x, torch.zeros(1), told + 1, known),
        network(x, x, torch.zeros(1), told, known + 1),
    ):
        assert float((said - other).abs().max()) > 1e-3


# The model.


def test_an_untrained_network_changes_no_draft() -> None:
    """And with the law exact all weights are log Z."""
    scheduler = EnergyScheduler()
    scheduler.set_timesteps(8)
    field = GaussianFreeField(8, SOFTENING)
    made = [
        reverse_diffuse(right(replace(CARD, networked=networked)).on((8, 8)), scheduler, Noise([3], [20]))
        for networked in (True, False)
    ]
    assert torch.equal(made[0].x, made[1].x)
    assert torch.equal(made[0].log_ratio, made[1].log_ratio)
    assert_allclose(made[0].log_ratio - field.energy(made[0].x), field.log_z(), atol=1e-7)
    drafts = reverse_diffuse(shaken(right()).on((8, 8)), scheduler, Noise([3], [20]))
    assert float((drafts.x - made[0].x).abs().max()) > 1e-3


def test_a_network_that_is_wrong_is_weighed_right() -> None:
    scheduler = EnergyScheduler()
    scheduler.set_timesteps(10)
    field, model = GaussianFreeField(4, SOFTENING), shaken(right(), 0.12)
    drafts = reverse_diffuse(model.on((4, 4)), scheduler, Noise([4], [2000]))
    found = log_z(drafts.log_ratio - field.energy(drafts.x))
    assert 200 < found.ess < 1900
    assert abs(found.value - field.log_z()) < 4.5 * found.error


@pytest.mark.parametrize("t", [0, 60, 500, 999])
@pytest.mark.parametrize("scale", [1e-5, 1.0, 40.0, 1e9])
@pytest.mark.parametrize("shape", [(8, 8), (3, 10)])
def test_denoising_by_an_exact_law_is_wieners_filter(t: int, scale: float, shape: tuple[int, int]) -> None:
    """In the fields' own unit, in which the noise of `forward_diffuse` is one, be their spread what it may."""
    lattice, centre = Lattice(shape), 3.0 * scale
    variance = scale**2 / (lattice.eigenvalues() + SOFTENING)
    clean = centre + lattice.from_modes(variance.sqrt() * normal(3, *shape, seed=13))
    for schedule in (cosine_schedule(), linear_schedule()):
        noisy = forward_diffuse(clean, t, schedule, generator=seeded(14))
        signal = float(schedule[t])
        gain = math.sqrt(signal) * variance / (signal * variance + 1 - signal)
        wanted = centre + lattice.from_modes(gain * lattice.to_modes(noisy - math.sqrt(signal) * centre))
        found = right(centre=centre, scale=scale).reverse_denoise(noisy, None, t, schedule)
        assert_allclose(found, wanted, rtol=1e-7, atol=1e-7 * scale)


def test_denoising_gives_back_what_hardly_was_noisy_and_the_mean_of_what_is_noise() -> None:
    model, clean = right(centre=2.0), 2.0 + GaussianFreeField(8, SOFTENING).draw(2, 1.0, seeded(15))
    found = models.reverse_denoise(
        forward_diffuse(clean, 0, cosine_schedule(), generator=seeded(16)), None, model=model, t=0
    )
    assert float((found - clean).abs().max()) < 5 * math.sqrt(1 - float(cosine_schedule()[0]))
    noise = forward_diffuse(clean, 999, cosine_schedule(), generator=seeded(17))
    assert_allclose(model.reverse_denoise(noise, None, 999), torch.full_like(clean, 2.0), atol=0.01)


def test_the_denoised_is_the_mean_of_the_clean_given_the_noisy() -> None:
    """What is left of the error is uncorrelated with all that was seen, mode by mode."""
    field, count = GaussianFreeField(8, SOFTENING), 4000
    clean = 2 + 3 * field.draw(count, 1.0, seeded(18))
    noisy = forward_diffuse(clean, 600, cosine_schedule(), generator=seeded(19))
    error = field.to_modes(clean - right(centre=2.0, scale=3.0).reverse_denoise(noisy, None, 600))
    seen = field.to_modes(noisy - math.sqrt(float(cosine_schedule()[600])) * 2)
    assert float(((error * seen).mean(0) / (error.std(0) * seen.std(0))).abs().max()) < 5 / math.sqrt(count)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_a_network_is_finite_in_any_unit(scale: float) -> None:
    model = shaken(right(scale=scale))
    for t in (0, 500, 999):
        assert bool(model.reverse_denoise(scale * normal(2, 8, 8), None, t).isfinite().all())


def test_two_fields_are_denoised_each_by_its_own_law() -> None:
    model = right(replace(CARD, fields=("φ", "ψ")))
    model.centre.copy_(torch.tensor([1.0, -4.0]))
    model.scale.copy_(torch.tensor([1.0, 2.0]))
    noisy = normal(2, 2, 8, 8, seed=20)
    found = model.reverse_denoise(noisy, None, 300)
    for place, (centre, scale) in enumerate([(1.0, 1.0), (-4.0, 2.0)]):
        alone = right(centre=centre, scale=scale).reverse_denoise(noisy[:, place], None, 300)
        assert_allclose(found[:, place], alone, atol=1e-9)


KNOWN = replace(CARD, signals=("load", "ambient"), maps=("power",))


def knowing() -> EnergyDiffusionModel:
    """A model whose mean and spectrum depend on everything."""
    model = right(KNOWN)
    model.gaussian.levels[0] = torch.tensor([0.0, 1.0, 0.5, 0.2, 0.0], dtype=torch.float64)
    model.gaussian.filters[0, 0, 0] = 0.3
    model.gaussian.spectrum[0, 1, 0] = 0.4
    for name, centre, scale in (("signal_", [10.0, 300.0], [2.0, 5.0]), ("map_", [1000.0], [200.0])):
        getattr(model, f"{name}centre").copy_(torch.tensor(centre))
        getattr(model, f"{name}scale").copy_(torch.tensor(scale))
    return model


def test_contexts_are_standardised_and_what_is_not_known_is_at_its_mean() -> None:
    model, maps = knowing(), 1000 + 200 * normal(1, 1, 8, 8, seed=21)
    given = torch.tensor([[14.0, math.nan], [math.inf, 295.0]], dtype=torch.float64)
    known = model.standardise(Context(given, maps))
    assert known.signals is not None
    assert known.maps is not None
    assert known.signals.tolist() == [[2.0, 0.0], [0.0, -1.0]]
    assert_allclose(known.maps, normal(1, 1, 8, 8, seed=21), atol=1e-9)
    assert model.standardise(None) == Context(None, None)
    unknown = torch.full((1, 2), math.nan, dtype=torch.float64)
    at_mean = torch.tensor([[10.0, 300.0]], dtype=torch.float64)
    for one, other in ((Context(unknown), Context(at_mean)), (Context(unknown), None)):
        for found, wanted in zip(laws(model, one), laws(model, other), strict=True):
            assert_allclose(found, wanted, atol=1e-12)


def laws(model: EnergyDiffusionModel, context: Context | None) -> tuple[torch.Tensor, torch.Tensor]:
    law = model.on((8, 8)).law(context)
    return law.mean, law.variance


def test_a_law_is_of_its_context() -> None:
    model, maps = knowing(), torch.full((1, 1, 8, 8), 1200.0, dtype=torch.float64)
    mean, variance = laws(model, Context(torch.tensor([[12.0, 300.0], [8.0, 305.0]], dtype=torch.float64), maps))
    assert_allclose(mean[:, 0, 0], [1.0 + 0.2 + 0.3, -1.0 + 0.5 + 0.2 + 0.3], atol=1e-9)
    plain = laws(model, None)[1]
    assert_allclose(variance / plain, torch.tensor([math.exp(0.4), math.exp(-0.4)])[:, None, None].expand(2, 8, 8))


@pytest.mark.parametrize("shape", [(8,), (2, 8, 8), (1, 1, 8, 8), ()])
def test_configurations_of_another_kind_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"the model free is of 1 field\(s\) on a grid, not of configurations"):
        right().on(shape)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (Context(torch.zeros(1, 1)), r"knows 2 signals, and the context's have shape \(1, 1\)"),
        (Context(torch.zeros(1, 3)), "knows 2 signals"),
        (Context(torch.zeros(2)), "knows 2 signals"),
        (Context(None, torch.zeros(1, 2, 8, 8)), "knows 1 maps"),
        (Context(None, torch.zeros(8, 8)), "knows 1 maps"),
    ],
)
def test_contexts_of_another_model_are_refused(context: Context, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        knowing().on((8, 8)).law(context)


# Checkpoints.


def answers(model: EnergyDiffusionModel) -> list[torch.Tensor]:
    context = Context(torch.tensor([[12.0, 299.0]], dtype=torch.float64), 900 + normal(1, 1, 8, 8, seed=22))
    return [*laws(model, context), model.reverse_denoise(normal(2, 8, 8, seed=23), context, 400)]


@pytest.mark.parametrize("networked", [True, False])
def test_a_checkpoint_gives_the_same_model_to_the_bit(networked: bool) -> None:
    model = shaken(knowing())
    model.card = replace(KNOWN, networked=networked, metrics={"denoising_gain": 0.25}, data_digest="ab", code="x 1")
    content = dumps(model)
    again = loads(content)
    assert again.card == model.card
    assert not again.training
    assert all(torch.equal(one, other) for one, other in zip(answers(model), answers(again), strict=True))
    assert dumps(again) == content
    assert models.digest(content) == models.digest(dumps(again)) != models.digest(content[:-1])


def test_a_network_that_is_not_used_is_not_kept(tmp_path) -> None:
    model = shaken(knowing())
    model.card = replace(KNOWN, networked=False)
    names = load_tensors(dumps(model)).keys()
    assert not [name for name in names if name.startswith("network.")]
    assert {"centre", "scale", "gaussian.spectrum"} <= set(names)
    model.card = replace(KNOWN, networked=True)
    assert [name for name in load_tensors(dumps(model)) if name.startswith("network.")]
    (tmp_path / "model.ckpt").write_bytes(dumps(model))
    assert models.load(tmp_path / "model.ckpt").card == model.card


def changed(*, networked: bool = True, drop: str = "", add: str = "", spoil: str = "", **card) -> bytes:
    """A checkpoint that is not what it was."""
    model = right(replace(CARD, networked=networked))
    tensors = load_tensors(dumps(model))
    tensors = {name: value for name, value in tensors.items() if not drop or not name.startswith(drop)}
    if add:
        tensors[add] = torch.zeros(3)
    if spoil:
        tensors[spoil] = tensors[spoil].clone().fill_(math.nan)
    told = json.loads(
        json.loads(dumps(model)[8:][: int.from_bytes(dumps(model)[:8], "little")])["__metadata__"]["card"]
    )
    return save_tensors(tensors, {"card": json.dumps({**told, **card})})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no checkpoint"),
        (b"PK\x03\x04" + bytes(100), "no checkpoint"),
        (save_tensors({"x": torch.zeros(2)}), "no checkpoint"),
        (save_tensors({"x": torch.zeros(2)}, {"card": "{}"}), "no checkpoint"),
        (changed(format=models.FORMAT + 1), "later release"),
        (changed(drop="network.stem"), r"not those of its card.*network\.stem"),
        (changed(drop="gaussian.spectrum"), r"not those of its card.*gaussian\.spectrum"),
        (changed(networked=False, drop="gaussian.spectrum"), r"not those of its card.*gaussian\.spectrum"),
        (changed(networked=False, drop="scale"), "not those of its card"),
        (changed(add="network.spy"), r"not those of its card.*spy"),
        (changed(width=9), "no checkpoint"),
        (changed(width=10**7), "wide"),
        (changed(networked=False, width=10**7), "wide"),
        (changed(fields=["φ", "ψ"]), "no checkpoint"),
        (changed(spoil="centre"), "not finite"),
        (changed(spoil="network.head.weight"), "not finite"),
        (changed(surprise=1), "no checkpoint"),
    ],
)
def test_what_is_no_checkpoint_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match="this is no checkpoint of a diffusion model") as refused:
        loads(content)
    assert refused.match(message)
    assert "eil diffusion train" in str(refused.value)


def test_a_checkpoint_that_breaks_off_anywhere_is_refused() -> None:
    content = dumps(right())
    assert loads(changed()).card == CARD
    for length in [*range(0, 64, 7), *range(64, len(content), len(content) // 40), len(content) - 1]:
        with pytest.raises(ValueError, match="no checkpoint"):
            loads(content[:length])
    with pytest.raises(ValueError, match="no checkpoint"):
        loads(content + b"\0")


def test_reading_a_checkpoint_draws_no_random_numbers() -> None:
    """A service reads models between the requests that it draws for."""
    content = dumps(right())
    torch.manual_seed(1)
    loads(content)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), after)


def test_the_polynomials_are_as_many_as_checkpoints_have() -> None:
    assert right().gaussian.spectrum.shape == (1, 1, DEGREE + 1)
