"""The diffusion engine on fields whose truth is known: the Gaussian free field, and φ⁴ against annealing and long chains."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

import numpy as np
import torch
from eil_diffusion.domain.energies.free_field import GaussianFreeField
from eil_diffusion.domain.energies.ising import StationaryGaussian
from eil_diffusion.domain.energies.phi4 import Phi4
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context
from eil_diffusion.domain.energy_diffusion_core.model import EnergyDiffusionModel, loads
from eil_diffusion.domain.energy_diffusion_core.physics_sets import RACK_COLUMNS, RACK_ROWS, RackSituation
from eil_diffusion.domain.energy_diffusion_core.schedule import EnergyScheduler, cosine_schedule, forward_diffuse
from eil_diffusion.domain.energy_guided_sampler.annealing import anneal
from eil_diffusion.domain.energy_guided_sampler.moves import Hamiltonian, Langevin, Move, hamiltonian
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.reverse import flow, reverse_diffuse
from eil_diffusion.domain.energy_guided_sampler.sampler import corrected, device, sample
from eil_diffusion.domain.energy_guided_sampler.temperature import AceTemperature
from eil_diffusion.domain.energy_guided_sampler.weights import log_z
from scipy import stats
from torch import Tensor

from eil_cli.bench.progress import Begin
from eil_cli.bench.report import Measure
from eil_cli.bench.statistics import percentile

MASS2, CHAINS, SIDES = 0.1, 4096, (16, 64)
STEPS = 10
"""Of reverse diffusion, wherever a model drafts."""
SEED = 20_261_129
REPEATS = 16
"""Independent estimates of each log Z."""
BIAS = 1.02
"""Energy bias of the negative control."""
LEVELS = (50, 200, 350, 500, 650, 800, 950)
"""Steps of the schedule at which denoisers are compared."""
QUENCH_RUNGS, QUENCH_CHAINS = 4000, 6
"""Of annealing from mass² 1 to 0.1, and chains of each repeat."""
TIMED, WARM_UP = 200, 20
PHI4_SIDE, PHI4_MASS2, PHI4_COUPLING = 16, -1.0, 0.5
PHI4_CHAINS, PHI4_STEPS = 1024, 30
ROOMS, DRAFTS = 24, 128


@dataclass
class Found:
    """Measures, baselines and notes so far."""

    measures: dict[str, Measure]
    baselines: dict[str, dict[str, float]]
    notes: list[str]

    def beside(self, baseline: str, measure: str, value: float) -> None:
        """A baseline's value of a measure."""
        self.baselines.setdefault(baseline, {})[measure] = value


def field_measures(begin: Begin) -> tuple[dict[str, Measure], dict[str, dict[str, float]], list[str]]:
    """Every measure of the free field and φ⁴, on the checkpoints that `eil diffusion train` made."""
    found = Found({}, {}, [])
    free, phi4, racks = (checkpoint(name) for name in ("gaussian_free_field", "phi4", "rack_heat_map"))
    parts: tuple[Callable[[], None], ...] = (
        lambda: _distribution(found, free),
        lambda: _denoiser(found, free),
        lambda: _log_z(found, free),
        lambda: _quench(found),
        lambda: _others(found),
        lambda: _phi4(found, phi4),
        lambda: _rooms(found, racks),
        lambda: _speed(found, phi4),
    )
    step = begin("fields", len(parts))
    with torch.no_grad():
        for part in parts:
            part()
            step()
    return found.measures, found.baselines, found.notes


def checkpoint(name: str) -> EnergyDiffusionModel:
    """A model that comes with the package."""
    return loads(resources.files("eil_diffusion").joinpath("checkpoints", f"{name}.ckpt").read_bytes())


def _distribution(found: Found, model: EnergyDiffusionModel) -> None:
    """Mean energy, law of the energies and spectrum of samples that the learned model drafted."""
    worst, energy_p, spectrum_p, control = 0.0, 1.0, 1.0, 0.0
    for side in SIDES:
        field = GaussianFreeField(side, MASS2)
        maps = torch.cat(
            [
                sample(field, Noise([SEED + part], [CHAINS // 8]), steps=STEPS, denoiser=model.on((side, side))).maps
                for part in range(8)
            ]
        )
        energies = field.energy(maps).numpy()
        half = field.size / 2
        worst = max(worst, abs(energies.mean() / half - 1))
        energy_p = min(energy_p, float(stats.kstest(energies, stats.gamma(half).cdf).pvalue))
        spectrum_p = min(spectrum_p, _spectrum_p(field, maps))
        biased = maps * math.sqrt(BIAS)
        control = max(
            control,
            float(stats.kstest(field.energy(biased).numpy(), stats.gamma(half).cdf).pvalue),
            _spectrum_p(field, biased),
        )
        exact = field.draw(CHAINS, 1.0, torch.Generator().manual_seed(SEED))
        found.beside("exact sampler", f"free_field_energy_{side}", abs(float(field.energy(exact).mean()) / half - 1))
        found.measures[f"free_field_energy_{side}"] = Measure(
            abs(energies.mean() / half - 1), "", max(0.003, 4 * math.sqrt(half / CHAINS) / half), 0.001
        )
    found.measures["free_field_energies_ks_p"] = Measure(energy_p, "", 1e-4, better="higher")
    found.measures["free_field_spectrum_p"] = Measure(spectrum_p, "", 1e-4, better="higher")
    found.measures["free_field_control_p"] = Measure(control, "", 1e-4)
    found.notes.append(
        f"free field: mass² {MASS2}, {CHAINS} independent chains at {' and '.join(f'{side}²' for side in SIDES)}, drafted by the "
        f"learned model in {STEPS} steps, 16 Langevin moves; a standard error of the mean is {math.sqrt(2 / CHAINS / 256):.2%} at 16²; "
        f"the control has {BIAS - 1:.0%} more energy and must fail both tests"
    )


def _spectrum_p(field: GaussianFreeField, maps: Tensor) -> float:
    """χ² of the power in shells of equal eigenvalue, each of which has ν·χ² with as many degrees as it has numbers."""
    power = (field.to_modes(maps).square() * field.eigenvalues).sum(0).flatten()
    shells, group = field.eigenvalues.flatten().round(decimals=9).unique(return_inverse=True)
    total = torch.zeros(len(shells), dtype=torch.float64).index_add_(0, group, power)
    degrees = torch.bincount(group) * len(maps)
    # Tens of thousands of degrees each: a cube root makes χ² normal (Wilson and Hilferty 1931).
    spread = 2 / (9 * degrees)
    z = ((total / degrees).pow(1 / 3) - (1 - spread)) / spread.sqrt()
    return float(stats.chi2(len(shells)).sf(float(z.square().sum())))


def _denoiser(found: Found, model: EnergyDiffusionModel) -> None:
    """Mean squared error over the exact Wiener filter's, at the worst noise level."""
    field = GaussianFreeField(64, MASS2)
    clean = field.draw(256, 1.0, torch.Generator().manual_seed(SEED + 1))
    schedule, variance = cosine_schedule(), 1 / field.eigenvalues
    learned, white = [], []
    for t in LEVELS:
        noisy = forward_diffuse(clean, t, schedule, generator=torch.Generator().manual_seed(SEED + t))
        share = float(schedule[t])
        gain = math.sqrt(share) * variance / (share * variance + 1 - share)
        least = float((field.from_modes(gain * field.to_modes(noisy)) - clean).square().mean())
        level = float(variance.mean())
        flat = math.sqrt(share) * level / (share * level + 1 - share)
        learned.append(float((model.reverse_denoise(noisy, None, t) - clean).square().mean()) / least)
        white.append(float((flat * noisy - clean).square().mean()) / least)
    found.measures["denoiser_over_wiener"] = Measure(max(learned), "", 1.05, 1.01)
    found.beside("white prior", "denoiser_over_wiener", max(white))
    found.notes.append(
        f"denoiser: worst of {len(LEVELS)} noise levels, 64², trained at 32²; network in use: {'yes' if model.card.networked else 'no'} "
        f"(held-out gain {model.card.metrics['denoising_gain']:.1e} ± {model.card.metrics['denoising_gain_se']:.1e})"
    )


def _log_z(found: Found, model: EnergyDiffusionModel) -> None:
    """log Z from the weights of reverse paths."""
    for side, count, gate, goal in ((32, 64, 0.5, 0.1), (256, 6, 2.0, 0.5)):
        field, scheduler = GaussianFreeField(side, MASS2), EnergyScheduler()
        scheduler.set_timesteps(STEPS)
        estimates, shares = [], []
        for repeat in range(REPEATS):
            drafts = reverse_diffuse(model.on((side, side)), scheduler, Noise([SEED + repeat], [count]))
            one = log_z(drafts.log_ratio - field.energy(drafts.x))
            estimates.append(one.value)
            shares.append(one.ess / count)
        error = abs(float(np.mean(estimates)) - field.log_z())
        found.measures[f"log_z_error_{side}"] = Measure(error, "nat", gate, goal)
        found.notes.append(
            f"log Z at {side}²: {np.mean(estimates):.4f} ± {np.std(estimates, ddof=1) / math.sqrt(REPEATS):.4f} from {REPEATS} repeats "
            f"of {count}, exact {field.log_z():.4f}; effective share {np.mean(shares):.2f} (blind to what all drafts miss)"
        )


def _quench(found: Found) -> None:
    """Δlog Z from mass² 1 to 0.1 at 64² by annealing, from the work done."""
    torch.set_num_threads(2)
    start, target = GaussianFreeField(64, 1.0), GaussianFreeField(64, MASS2)
    move = hamiltonian(start)
    ladder = AceTemperature().ladder(start, target, move, QUENCH_RUNGS)
    noise = Noise([SEED + repeat for repeat in range(REPEATS)], [QUENCH_CHAINS] * REPEATS)
    made = anneal(start, target, ladder, move, noise)
    torch.set_num_threads(1)
    exact = target.log_z() - start.log_z()
    pieces = (made.log_weights - start.log_z()).reshape(REPEATS, QUENCH_CHAINS)
    estimates = [log_z(piece).value for piece in pieces]
    whole = log_z(pieces.flatten())
    found.measures["quench_error_64"] = Measure(abs(float(np.mean(estimates)) - exact), "nat", 0.5, 0.1)
    found.notes.append(
        f"quench: Δlog Z {np.mean(estimates):.3f} ± {np.std(estimates, ddof=1) / math.sqrt(REPEATS):.3f} from {REPEATS} repeats of "
        f"{QUENCH_CHAINS} chains, {QUENCH_RUNGS} rungs of {move.leaps} leaps; exact {exact:.4f}; effective share "
        f"{whole.ess / made.x.shape[0]:.2f}; moves taken {made.acceptance:.0%}"
    )


def _others(found: Found) -> None:
    """Long chains at as many energy evaluations as the sampler's, from white noise."""
    field = GaussianFreeField(64, MASS2)
    evaluations = STEPS + 2 * 16
    plain = StationaryGaussian(torch.ones(64, 64, dtype=torch.float64))
    moves: dict[str, tuple[Move, int]] = {
        "HMC": (Hamiltonian(plain, 0.1, 14), evaluations // 14),
        "HMC, Fourier mass": (hamiltonian(field), max(1, evaluations // hamiltonian(field).leaps)),
        "unadjusted Langevin": (Langevin(plain, 0.05, adjusted=False), evaluations),
        "unadjusted, Fourier": (Langevin(field, 0.1, adjusted=False), evaluations),
    }
    for name, (move, count) in moves.items():
        noise = Noise([SEED], [256])
        x, _ = corrected(field, noise.normal(64, 64), move, count, 1.0, noise)
        found.beside(name, "free_field_energy_64", abs(float(field.energy(x).mean()) / (field.size / 2) - 1))


def _phi4(found: Found, model: EnergyDiffusionModel) -> None:
    """A field with no closed form: drafts of the learned model, weighed, against annealing and a long chain."""
    energy, shape = Phi4(PHI4_SIDE, PHI4_MASS2, PHI4_COUPLING), (PHI4_SIDE, PHI4_SIDE)
    noise = Noise([SEED], [PHI4_CHAINS])
    drafted = sample(energy, noise, steps=PHI4_STEPS, denoiser=model.on(shape))
    annealed = sample(energy, Noise([SEED + 1], [PHI4_CHAINS]), steps=400)
    long, _ = corrected(energy, annealed.maps, hamiltonian(energy.reference), 60, 1.0, Noise([SEED + 2], [PHI4_CHAINS]))
    truth = energy.energy(long)
    found.measures["phi4_ess_share"] = Measure(drafted.ess / PHI4_CHAINS, "", better="higher")
    found.measures["phi4_log_z_error"] = Measure(abs(drafted.log_z.value - annealed.log_z.value), "nat")
    found.measures["phi4_energy_error"] = Measure(abs(drafted.mean_energy / float(truth.mean()) - 1), "")
    found.beside("annealing", "phi4_ess_share", annealed.ess / PHI4_CHAINS)
    bare = model.on(shape)
    card, model.card = model.card, _without_network(model)
    gaussian = sample(energy, Noise([SEED], [PHI4_CHAINS]), steps=PHI4_STEPS, denoiser=bare, correction_steps=0)
    model.card = card
    found.beside("Gaussian law alone", "phi4_ess_share", gaussian.ess / PHI4_CHAINS)
    for steps in (3, 10):
        scheduler = EnergyScheduler()
        scheduler.set_timesteps(steps)
        few = sample(energy, Noise([SEED], [PHI4_CHAINS]), steps=steps, denoiser=model.on(shape), correction_steps=0)
        flowed = energy.energy(flow(model.on(shape), scheduler, Noise([SEED], [PHI4_CHAINS])))
        away = [mean / float(truth.mean()) - 1 for mean in (few.mean_energy, float(flowed.mean()))]
        found.notes.append(
            f"φ⁴ in {steps} steps without correction: mean energy {away[0]:+.1%} by ancestral steps, effective share "
            f"{few.ess / PHI4_CHAINS:.2f}; {away[1]:+.1%} by the probability flow"
        )
    found.notes.append(
        f"φ⁴: {PHI4_SIDE}², m² {PHI4_MASS2}, λ {PHI4_COUPLING}, {PHI4_CHAINS} chains; log Z {drafted.log_z.value:.3f} ± "
        f"{drafted.log_z.error:.3f} in {PHI4_STEPS} steps of the model, {annealed.log_z.value:.3f} ± {annealed.log_z.error:.3f} annealed "
        f"in 400; mean energy {drafted.mean_energy:.2f} ± {drafted.mean_energy_se:.2f}, long chain {float(truth.mean()):.2f} ± "
        f"{float(truth.std()) / math.sqrt(PHI4_CHAINS):.2f}; energy laws {drafted.laws.verdict}"
    )


def _without_network(model: EnergyDiffusionModel):
    from dataclasses import replace

    return replace(model.card, networked=False)


def _rooms(found: Found, model: EnergyDiffusionModel) -> None:
    """Conditional drafts of rooms that were not trained on: the effective share under each room's own law."""
    generator = torch.Generator().manual_seed(SEED)
    shares: dict[bool, list[float]] = {True: [], False: []}
    scheduler, card = EnergyScheduler(), model.card
    scheduler.set_timesteps(STEPS)
    for room in range(ROOMS):
        situation = RackSituation(generator)
        context = Context(situation.signals[None], situation.power_w[None, None])
        for networked in (True, False):
            model.card = card if networked else _without_network(model)
            drafts = reverse_diffuse(
                model.on((RACK_ROWS, RACK_COLUMNS)), scheduler, Noise([room], [DRAFTS]), context=context
            )
            weights = log_z(drafts.log_ratio - situation.energy.energy(drafts.x) / situation.kt)
            shares[networked].append(weights.ess / DRAFTS)
        model.card = card
    found.measures["room_ess_share"] = Measure(float(np.mean(shares[True])), "", better="higher")
    found.beside("Gaussian law alone", "room_ess_share", float(np.mean(shares[False])))
    found.notes.append(
        f"rooms: {ROOMS} of random load, fans, ambient and regime, {RACK_ROWS} x {RACK_COLUMNS} racks, {DRAFTS} drafts each in {STEPS} "
        f"steps; worst effective share {min(shares[True]):.3f}"
    )


def _speed(found: Found, phi4: EnergyDiffusionModel) -> None:
    """One sample, batch 1, from the call to the values, with weights, correction and laws."""
    torch.set_num_threads(2)
    field = GaussianFreeField(64, MASS2)
    denoiser = phi4.on((64, 64))
    interacting = Phi4(64, PHI4_MASS2, PHI4_COUPLING)
    found.measures["sample_64_p99"] = Measure(_p99_ms(lambda seed: sample(field, Noise([seed], [1]))), "ms", 250, 60)
    found.measures["sample_64_network_p99"] = Measure(
        _p99_ms(
            lambda seed: sample(interacting, Noise([seed], [1]), steps=STEPS, denoiser=denoiser, correction_steps=4)
        ),
        "ms",
        250,
    )
    torch.set_num_threads(1)
    if device() != "cuda":
        found.notes.append("no CUDA device: 256² on a GPU was not measured")
        return
    large = GaussianFreeField(256, MASS2).to("cuda")
    found.measures["sample_256_gpu_p99"] = Measure(
        _p99_ms(lambda seed: sample(large, Noise([seed], [1], "cuda")).maps.cpu()), "ms", 10, 2
    )
    found.notes.append(f"GPU: {torch.cuda.get_device_name()}")


def _p99_ms(work: Callable[[int], object]) -> float:
    times = []
    for seed in range(WARM_UP + TIMED):
        began_s = time.perf_counter()
        work(seed)
        times.append(1e3 * (time.perf_counter() - began_s))
    return percentile(times[WARM_UP:], 0.99)
