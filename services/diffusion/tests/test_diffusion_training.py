import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch
from eil_diffusion.domain import GaussianFreeField, Noise, RackHeatMap, sample
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energy_diffusion_core import datasets, physics_sets, training
from eil_diffusion.domain.energy_diffusion_core.datasets import FieldSet, Provenance
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context
from eil_diffusion.domain.energy_diffusion_core.fidelity import energy_of, evolution, fidelity
from eil_diffusion.domain.energy_diffusion_core.model import EnergyDiffusionModel
from eil_diffusion.domain.energy_diffusion_core.training import Training, train
from numpy.testing import assert_allclose
from scipy import stats


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def quiet(stage: str, done: int, total: int, loss: float) -> None:
    """Nobody listens."""


def made(fields: torch.Tensor, **about) -> FieldSet:
    """A set of one field, (n, rows, columns)."""
    return FieldSet(fields[:, None], ("φ",), Provenance("toy", about.pop("energy", {}), 1.0, 0, "by hand", **about))


FREE = GaussianFreeField(8, 0.3)
FREE_ENERGY = {"name": "gaussian_free_field", "side": 8, "mass2": 0.3}
SHORT = Training(updates=12, batch=4, rate=1e-2, width=8)


def gaussian(count: int = 64, seed: int = 1) -> FieldSet:
    return made(FREE.draw(count, 1.0, seeded(seed)), energy=FREE_ENERGY)


def known(count: int = 40) -> FieldSet:
    """Fields that follow signals and a map, one signal of which never varies."""
    signals, maps = normal(count, 2, seed=2), 500 + 100 * normal(count, 1, 6, 6, seed=3)
    signals[:, 1] = 7.0
    fields = 300 + 2 * signals[:, :1, None, None] + 0.01 * maps + 0.5 * normal(count, 1, 6, 6, seed=4)
    about = Provenance("rooms", {}, 1.0, 0, "by hand", periodic=False)
    return FieldSet(fields, ("T",), about, signals, ("load", "dull"), maps, ("power",))


def weights(model: EnergyDiffusionModel) -> list[torch.Tensor]:
    return list(model.state_dict().values())


def same(one: EnergyDiffusionModel, other: EnergyDiffusionModel) -> bool:
    return all(torch.equal(a, b) for a, b in zip(weights(one), weights(other), strict=True))


# Training.


class Pulled(Exception):
    """The plug."""


def until(update: int) -> Callable[[str, int, int, float], None]:
    def progress(stage: str, done: int, total: int, loss: float) -> None:
        if stage == "network" and done == update:
            raise Pulled

    return progress


def test_an_interrupted_training_ends_in_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "KEEP_EVERY", 5)
    whole, kept, seen = train(gaussian(), SHORT, quiet), tmp_path / "kept", []
    for last in (4, 7, 12):
        with pytest.raises(Pulled):
            train(gaussian(), SHORT, until(last), kept=kept)
    resumed = train(gaussian(), SHORT, lambda *told: seen.append(told), kept=kept)
    assert [done for stage, done, *_ in seen if stage == "network"] == [11, 12]
    assert same(resumed, whole)
    assert resumed.card == whole.card
    assert not (tmp_path / "kept.part").exists()


def test_what_was_kept_of_another_training_is_not_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "KEEP_EVERY", 5)
    kept = tmp_path / "kept"
    with pytest.raises(Pulled):
        train(gaussian(), SHORT, until(11), kept=kept)
    for data, how in ((gaussian(seed=9), SHORT), (gaussian(), replace(SHORT, seed=1))):
        assert same(train(data, how, quiet, kept=kept), train(data, how, quiet))


def test_the_seed_decides_everything_and_draws_from_nobody_else() -> None:
    torch.manual_seed(3)
    first = train(gaussian(), SHORT, quiet)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(1), after)
    torch.rand(17)
    assert same(train(gaussian(), SHORT, quiet), first)
    assert not same(train(gaussian(), replace(SHORT, seed=1), quiet), first)


def test_progress_is_told_and_the_card_says_where_the_model_comes_from() -> None:
    told = []
    model = train(gaussian(), SHORT, lambda *one: told.append(one))
    assert [one[:3] for one in told] == [
        ("Gaussian law", 0, 1),
        ("Gaussian law", 1, 1),
        *(("network", n, 12) for n in range(1, 13)),
    ]
    assert all(math.isfinite(one[3]) for one in told[2:])
    card = model.card
    assert (card.name, card.energy, card.kt, card.fields, card.periodic) == ("toy", FREE_ENERGY, 1.0, ("φ",), True)
    assert card.data_digest == gaussian().digest()
    assert card.code.startswith("eil-diffusion ")
    assert not model.training
    assert not any(one.requires_grad for one in model.parameters())


HARDER = Training(updates=200, batch=16, rate=2e-2, width=8)


def coins(count: int = 128) -> torch.Tensor:
    """Every site near plus or near minus one, which no Gaussian law can say: white to second order."""
    return torch.randint(2, (count, 5, 5), generator=seeded(5)) * 2.0 - 1 + 0.2 * normal(count, 5, 5, seed=6)


@pytest.fixture(scope="module")
def tossed() -> tuple[EnergyDiffusionModel, list[float]]:
    """A model of coins, and the losses of its training."""
    losses: list[float] = []
    return train(made(coins()), HARDER, lambda stage, done, total, loss: losses.append(loss)), losses[2:]


def test_a_network_earns_its_place_where_the_law_is_no_gaussian(
    tossed: tuple[EnergyDiffusionModel, list[float]],
) -> None:
    model, losses = tossed
    metrics = model.card.metrics
    assert model.card.networked
    assert metrics["denoising_gain"] > 0.1
    assert metrics["denoising_gain"] > 5 * metrics["denoising_gain_se"]
    # White to second order: Wiener's filter leaves all of the unit of white fields.
    assert metrics["denoising_error_gaussian"] == pytest.approx(1.0, abs=0.05)
    assert sum(losses[-40:]) < 0.9 * sum(losses[:40])


def test_the_networks_gain_stays_below_what_the_exact_denoiser_gains(
    tossed: tuple[EnergyDiffusionModel, list[float]],
) -> None:
    """Of ±1 with 0.2 of noise the mean given the noisy value is known; a gain beyond it would be a leak."""
    model = tossed[0]
    clean, best, scale = coins()[-16:], [], float(model.scale)
    generator = seeded(7)
    for place in ((torch.arange(8) + 0.5) / 8 * 1000).long().repeat(40):
        signal = float(training.SCHEDULE[place])
        noise = torch.randn(clean.shape, generator=generator, dtype=torch.float64)
        spread = (1 - signal) * scale**2
        noisy = math.sqrt(signal) * clean + math.sqrt(spread) * noise
        total = signal * 0.04 + spread
        side = (math.sqrt(signal) * noisy / total).tanh()
        ideal = side + math.sqrt(signal) * 0.04 / total * (noisy - math.sqrt(signal) * side)
        filtered = math.sqrt(signal) * 1.04 / (signal * 1.04 + spread) * noisy
        best.append(float(((filtered - clean).square() - (ideal - clean).square()).mean()) / spread)
    ideal_gain = sum(best) / len(best)
    gain, error = (model.card.metrics[name] for name in ("denoising_gain", "denoising_gain_se"))
    assert 0.4 * ideal_gain < gain < ideal_gain + 4 * error


@pytest.mark.parametrize("seed", range(3))
def test_a_network_is_dropped_where_the_law_is_gaussian(seed: int) -> None:
    how = replace(HARDER, updates=80, seed=seed)
    model = train(gaussian(256, seed=10 + seed), how, quiet)
    metrics = model.card.metrics
    assert not model.card.networked
    assert metrics["denoising_gain"] < 3 * metrics["denoising_gain_se"]
    # Wiener's error, exactly: the mean over levels of v/(ᾱv + 1 - ᾱ) in the model's unit.
    spread = 1 / FREE.eigenvalues.flatten() / float(model.scale) ** 2
    signals = training.SCHEDULE[((torch.arange(8) + 0.5) / 8 * 1000).long()][:, None]
    wanted = float((spread / (signals * spread + 1 - signals)).mean())
    assert metrics["denoising_error_gaussian"] == pytest.approx(wanted, rel=0.12)


def test_nothing_is_learned_from_what_is_held_out() -> None:
    """Other fields at the end change the judgement, not the law or the network."""
    data = gaussian(64)
    spoiled = replace(data, fields=torch.cat([data.fields[:-8], 9 * data.fields[-8:]]))
    one, other = (train(fields, SHORT, quiet) for fields in (data, spoiled))
    assert same(one, other)
    assert one.card.metrics != other.card.metrics


def test_signals_and_maps_are_learned_and_a_dull_one_does_no_harm() -> None:
    model, data = train(known(200), SHORT, quiet), known(200)
    assert data.signals is not None
    assert data.maps is not None
    asked = Context(data.signals[:3], data.maps[:3])
    mean = model.on((6, 6)).law(asked).mean
    wanted = 300 + 2 * data.signals[:3, :1, None] + 0.01 * data.maps[:3, 0]
    assert float((mean - wanted).abs().max()) < 0.4
    # A signal that never varied in training is another when it is used.
    other = data.signals[:3] + torch.tensor([0.0, 1.0], dtype=torch.float64)
    moved = model.on((6, 6)).law(Context(other, data.maps[:3]))
    assert_allclose(moved.mean, mean, atol=1e-6)
    assert bool(model.reverse_denoise(data.fields[:3, 0], Context(other, data.maps[:3]), 500).isfinite().all())
    told = model.standardise(Context(other, None)).signals
    assert told is not None
    assert float(told.abs().max()) < 10


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("part", ["fields", "signals", "maps"])
def test_sets_with_holes_are_refused(bad: float, part: str) -> None:
    data = known()
    getattr(data, part).flatten()[-1] = bad
    with pytest.raises(ValueError, match="not finite: leave those fields out"):
        train(data, SHORT, quiet)


def test_sets_that_are_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="15 fields are too few to learn from: give at least 16"):
        train(gaussian(15), SHORT, quiet)
    train(gaussian(16), replace(SHORT, updates=1), quiet)


def test_fields_that_never_vary_give_a_model_that_says_so() -> None:
    model = train(made(torch.full((32, 4, 4), 3.0, dtype=torch.float64)), SHORT, quiet)
    assert not model.card.networked
    law = model.on((4, 4)).law(None)
    assert_allclose(law.mean, torch.full((1, 4, 4), 3.0), atol=1e-6)
    assert 0 < float(law.variance.max()) < 1e-11
    assert all(bool(one.isfinite().all()) for one in weights(model))


# Sets.


@pytest.mark.parametrize("data", [gaussian(20), known()], ids=["fields alone", "with signals and maps"])
def test_a_set_is_read_as_it_was_written(tmp_path: Path, data: FieldSet) -> None:
    path = tmp_path / "deep" / "set.h5"
    datasets.write(path, data)
    again = datasets.read(path)
    assert again.about == data.about
    assert (again.names, again.signal_names, again.map_names) == (data.names, data.signal_names, data.map_names)
    for name in ("fields", "signals", "maps"):
        one, other = getattr(again, name), getattr(data, name)
        assert (one is None) == (other is None)
        assert one is None or (torch.equal(one, other) and one.dtype == torch.float64)
    assert again.digest() == data.digest()
    assert list(path.parent.iterdir()) == [path]


def changed(path: Path, change: Callable[[h5py.File], object]) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def about(file: h5py.File, **other: object) -> None:
    """Change what the set says of itself; None takes a line out."""
    told = {**json.loads(str(file.attrs["about"])), **other}
    file.attrs["about"] = json.dumps({name: value for name, value in told.items() if value is not None})


def nudged(file: h5py.File, name: str) -> None:
    values = file[name]
    assert isinstance(values, h5py.Dataset)
    values[(0,) * values.ndim] += 1e-12


def without(file: h5py.File, name: str) -> None:
    del file[name]


@pytest.mark.parametrize("name", ["fields", "signals"])
def test_a_set_that_was_altered_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "set.h5"
    datasets.write(path, replace(known(), fields=1e-3 * known().fields))
    with pytest.raises(ValueError, match="was altered"):
        datasets.read(changed(path, lambda file: nudged(file, name)))


def test_a_set_that_lost_a_part_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    for name, message in (("maps", "was altered"), ("fields", "no set of fields")):
        datasets.write(path, known())
        with pytest.raises(ValueError, match=message):
            datasets.read(changed(path, lambda file, name=name: without(file, name)))


@pytest.mark.parametrize("other", [{"names": None}, {"digest": None}, {"kt": None}, {"surprise": 1}])
def test_a_set_of_unknown_provenance_is_refused(tmp_path: Path, other: dict) -> None:
    path = tmp_path / "set.h5"
    datasets.write(path, gaussian(4))
    with pytest.raises(ValueError, match="no set of fields"):
        datasets.read(changed(path, lambda file: about(file, **other)))


def test_what_is_no_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.h5"
    with pytest.raises(ValueError, match="no set of fields"):
        datasets.read(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="no set of fields"):
        datasets.read(path)
    datasets.write(path, gaussian(30))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="no set of fields"):
        datasets.read(path)
    with h5py.File(path, "w") as file:
        file.attrs["about"] = "3"
    with pytest.raises(ValueError, match="no set of fields"):
        datasets.read(path)


def test_the_digest_is_of_all_values_and_parts_keep_together() -> None:
    data = known()
    digests = {data.digest(), data.part(slice(1, None)).digest(), replace(data, maps=None).digest()}
    assert len({*digests, replace(data, signals=data.fields[:, 0, 0, :2]).digest()}) == 4
    part = data.part(slice(3, 5))
    assert len(part) == 2
    assert part.signals is not None
    assert data.signals is not None
    assert torch.equal(part.signals, data.signals[3:5])


# Sets made from physics.


@pytest.fixture(scope="module")
def phi4() -> FieldSet:
    return physics_sets.SETS["phi4"](512, 1)


@pytest.mark.parametrize("name", ["gaussian_free_field", "rack_heat_map"])
def test_sets_of_physics_follow_from_their_seed(name: str) -> None:
    make = physics_sets.SETS[name]
    first, again, other = make(20, 1), make(20, 1), make(20, 2)
    assert first.digest() == again.digest() != other.digest()
    assert (first.about, len(first)) == (again.about, 20)
    # A longer set begins with the shorter one.
    assert torch.equal(make(25, 1).fields[:20], first.fields)


def test_phi4s_set_follows_from_its_seed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(physics_sets, "PHI4_CHAINS", 6)
    monkeypatch.setattr(physics_sets, "PHI4_BURN_IN", 3)
    first, again, other = (physics_sets.phi4(19, seed) for seed in (1, 1, 2))
    assert first.digest() == again.digest() != other.digest()
    assert first.fields.shape == (19, 1, 16, 16)


def test_the_free_fields_set_is_of_its_law() -> None:
    data = physics_sets.SETS["gaussian_free_field"](400, 3)
    energy = GaussianFreeField(physics_sets.FREE_SIDE, physics_sets.FREE_MASS2)
    energies = energy.energy(data.fields[:, 0])
    assert stats.kstest(energies.numpy(), stats.gamma(energy.size / 2).cdf).pvalue > 0.001
    assert data.about.energy == {"name": "gaussian_free_field", "side": 32, "mass2": 0.1}


def test_phi4s_set_keeps_the_virial_and_its_symmetry(phi4: FieldSet) -> None:
    """⟨φ∂E⟩ = N·kT; mirror images are no second sample."""
    energy = Phi4(physics_sets.PHI4_SIDE, physics_sets.PHI4_MASS2, physics_sets.PHI4_COUPLING)
    fields = phi4.fields[:, 0]
    assert torch.equal(fields[0::2], -fields[1::2])
    alone = fields[0::2]
    virial = (alone * energy.gradient(alone)).flatten(1).sum(1)
    assert abs(float(virial.mean()) - 256) < 4 * float(virial.std()) / 16
    assert float(fields.mean().abs()) < 1e-12


def test_phi4s_set_agrees_with_weighted_annealing_and_not_with_its_gaussian(phi4: FieldSet) -> None:
    """Energy and square against weights without any chain's burn-in; the Gaussian that it began from is wider."""
    energy = Phi4(physics_sets.PHI4_SIDE, physics_sets.PHI4_MASS2, physics_sets.PHI4_COUPLING)
    drafts, alone = sample(energy, Noise([5], [300]), steps=60, correction_steps=0), phi4.fields[0::2, 0]
    share = torch.softmax(drafts.log_weights, 0)
    for measure in (energy.energy, lambda x: x.square().flatten(1).mean(1), lambda x: (x**4).flatten(1).mean(1)):
        drawn, weighed = measure(alone), measure(drafts.maps)
        mean = share @ weighed
        error = math.hypot(float(drawn.std()) / 16, float((share**2 @ (weighed - mean) ** 2).sqrt()))
        assert abs(float(drawn.mean() - mean)) < 4 * error
    start = energy.energy(energy.reference.draw(4000, 1.0, seeded(8)))
    assert float(energy.energy(alone).std()) < 0.9 * float(start.std())


def test_the_racks_set_is_of_the_laws_that_its_signals_and_maps_name() -> None:
    """Energies of every field by what is known beside it: Gamma(N/2) in units of its regime's temperature."""
    data = physics_sets.SETS["rack_heat_map"](200, 4)
    assert data.signals is not None
    assert data.maps is not None
    regimes = data.signals[:, 4:]
    assert torch.equal(regimes.sum(1), torch.ones(200, dtype=torch.float64))
    kt = physics_sets.RACK_KT * (regimes * torch.tensor(list(physics_sets.REGIMES.values()))).sum(1)
    energies = []
    for field, power, told, hot in zip(data.fields[:, 0], data.maps[:, 0], data.signals, kt, strict=True):
        room = RackHeatMap(12, 16, power, fan_speed=float(told[2]), set_point_k=float(told[1]) + 273.15, limit_k=400.0)
        energies.append(float(room.energy(field[None])) / float(hot))
    assert stats.kstest(energies, stats.gamma(96).cdf).pvalue > 0.001
    assert sum(energies) / 200 == pytest.approx(96, abs=4 * math.sqrt(96 / 200))
    assert not data.about.periodic
    assert data.signal_names == physics_sets.RACK_SIGNALS
    usage, predicted = data.signals[:, 0], data.signals[:, 3]
    assert float((predicted / data.maps.sum((1, 2, 3)) - 1).std()) == pytest.approx(0.03, abs=0.006)
    assert 0.1 < float(usage.min()) < 0.2 < 0.9 < float(usage.max()) < 1.0


# Fidelity.


@pytest.fixture(scope="module")
def free_model() -> tuple[EnergyDiffusionModel, FieldSet]:
    data = made(FREE.draw(1500, 1.0, seeded(9)), energy=FREE_ENERGY)
    return train(data, replace(SHORT, updates=1), quiet), data


def test_fidelity_of_a_free_fields_model(free_model: tuple[EnergyDiffusionModel, FieldSet]) -> None:
    figures = fidelity(*free_model)
    assert all(math.isfinite(value) for value in figures.values())
    assert abs(figures["drift_percent"]) < 4 * figures["drift_se_percent"] < 8
    assert figures["ess_share"] > 0.9
    assert figures["log_z_error"] < 0.1
    assert abs(figures["log_z"] - FREE.log_z()) == pytest.approx(figures["log_z_error"])
    assert figures["log_z_se"] < 0.02


def test_fidelity_finds_a_model_of_another_law_out(free_model: tuple[EnergyDiffusionModel, FieldSet]) -> None:
    data = free_model[1]
    hot = train(replace(data, fields=1.1 * data.fields), replace(SHORT, updates=1), quiet)
    figures = fidelity(hot, data)
    assert figures["drift_percent"] == pytest.approx(21, abs=4 * figures["drift_se_percent"])
    assert figures["ess_share"] < 0.7
    # The weights still know log Z, where they have samples enough.
    assert figures["log_z_error"] < 5 * figures["log_z_se"]


def test_energies_are_taken_from_the_card_where_it_names_them_whole(
    free_model: tuple[EnergyDiffusionModel, FieldSet],
) -> None:
    found = energy_of(free_model[0])
    assert isinstance(found, GaussianFreeField)
    assert (found.side, found.mass2) == (8, 0.3)
    assert energy_of(train(made(coins(20)), replace(SHORT, updates=1), quiet)) is None
    assert energy_of(train(known(), replace(SHORT, updates=1), quiet)) is None


def test_fidelity_of_telemetry_is_of_its_squares() -> None:
    data = known(400)
    figures = fidelity(train(data, replace(SHORT, updates=1), quiet), data)
    assert set(figures) == {"drift_percent", "drift_se_percent"}
    assert abs(figures["drift_percent"]) < 4.5 * figures["drift_se_percent"] < 15


def test_fidelity_of_several_fields() -> None:
    fields = torch.stack([FREE.draw(200, 1.0, seeded(10)), 5 + FREE.draw(200, 1.0, seeded(11))], 1)
    data = FieldSet(fields, ("φ", "ψ"), Provenance("two", {}, 1.0, 0, "by hand"))
    model = train(data, replace(SHORT, updates=1), quiet)
    figures = fidelity(model, data)
    assert abs(figures["drift_percent"]) < 4.5 * figures["drift_se_percent"]
    assert evolution(model, data, steps=4, shown=3).fields.shape == (4, 3, 8, 8)


def test_evolution_shows_fields_that_appear_and_entropy_that_falls(
    free_model: tuple[EnergyDiffusionModel, FieldSet],
) -> None:
    """From that of noise, ½log 2πe a site, to that of the field."""
    shown = evolution(*free_model, steps=30, shown=4)
    assert shown.fields.shape == (30, 4, 8, 8)
    assert shown.signal.shape == shown.entropy.shape == (30,)
    assert bool((shown.signal.diff() > 0).all())
    assert float(shown.entropy[0]) == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=1e-6)
    assert bool((shown.entropy.diff() < 1e-9).all())
    model = free_model[0]
    spread = 1 / FREE.eigenvalues / float(model.scale) ** 2
    last = float(shown.signal[-1])
    wanted = 0.5 * float((2 * math.pi * math.e * (last * spread + 1 - last)).log().mean())
    assert float(shown.entropy[-1]) == pytest.approx(wanted, abs=0.02)
    assert float(shown.fields[-1].std()) > 3 * float(shown.fields[0].std())
