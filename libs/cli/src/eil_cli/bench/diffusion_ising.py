"""The Ising model at 16 x 16: effective chains, log Z against Kaufman's, and what gradients and single spins reach for the same sweeps."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass

import torch
from eil_diffusion.domain.energies.ising import IsingField
from eil_diffusion.domain.energies.kaufman import log_z, mean_energy
from eil_diffusion.domain.energy_guided_sampler import annealing, weights
from eil_diffusion.domain.energy_guided_sampler.cluster import SWEEPS_A_STEP, AnnealedSpins, anneal, pilot
from eil_diffusion.domain.energy_guided_sampler.moves import Langevin, hamiltonian
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.temperature import AceTemperature
from torch import Tensor

from eil_cli.bench.progress import Begin, Step
from eil_cli.bench.report import Measure

SIDE = 16
SITES = SIDE**2
GROUPS, GROUP = 16, 64
"""Independent estimates of log Z, and the chains of each."""
SEED = 1949
SPIN_CHAINS, FIELD_CHAINS, LANGEVIN_CHAINS = 256, 64, 16
"""Chains of the baselines: heat bath, Hamiltonian, Langevin. Shares and means do not depend on their number, only their errors do."""
LANGEVIN_STEP = 0.1
"""In the metric of A, in which the field's curvature is at most 1: a twentieth of the longest stable step."""
EQUILIBRATION, APART, LOOKS = 300, 30, 4
"""Steps of the long references from ordered spins, steps between two looks at them, and looks."""
PUBLISHED = "MDNS, published"


@dataclass(frozen=True)
class Case:
    """A temperature."""

    beta: float
    aim: float
    """Share of effective chains that the number of steps is chosen for, by the pilot; beyond the published one."""
    gate: float
    published: float
    """Effective share of the Masked Diffusion Neural Sampler, and the goal."""


CASES = {
    "028": Case(0.28, 0.967, 0.8, 0.962),
    "critical": Case(0.5 * math.log1p(math.sqrt(2)), 0.943, 0.6, 0.933),
    "060": Case(0.6, 0.983, 0.8, 0.981),
}

Found = tuple[dict[str, Measure], dict[str, dict[str, float]], list[str]]


def ising_measures(begin: Begin) -> Found:
    """Measures of the cluster sampler, baselines by name, and notes."""
    measures: dict[str, Measure] = {}
    names = ("HMC on the field", "heat bath", "uniform, weighted", "Langevin, unadjusted", PUBLISHED)
    baselines: dict[str, dict[str, float]] = {name: {} for name in names}
    notes = [
        f"Ising: {GROUPS} x {GROUP} chains of {SIDE} x {SIDE} spins; a step is a Swendsen-Wang and a heat-bath sweep, and every baseline"
        " makes as many sweeps, or gradients, a chain, its pilot not counted; a heat-bath sweep costs a third of a Swendsen-Wang one,"
        " so compare the time per effective chain as well, which counts pilots and uses all cores where spins are moved, one for HMC."
        " Steps buy any share, as log weights vary by a constant over their number: the share was asked for, its price is the figure."
        f" {PUBLISHED}: a network trained for its temperature, at a cost that no figure counts, instead of sweeps."
    ]
    step = begin("ising", 6 * len(CASES))
    for place, (name, case) in enumerate(CASES.items()):
        at = _Temperature(case, SEED + place)
        drawn, took_s = at.clusters()
        step()
        long, down = at.references()
        step()
        measures |= _measures(at, name, drawn, took_s, long, down)
        notes.append(_note(at, drawn, long, down))
        notes.append(_compare(at, name, drawn.steps, baselines, step))
        baselines[PUBLISHED][f"ising_ess_{name}"] = case.published
    return measures, baselines, notes


def _measures(
    at: _Temperature, name: str, drawn: AnnealedSpins, took_s: float, long: Tensor, down: weights.LogZ
) -> dict[str, Measure]:
    groups = [weights.log_z(part).value for part in drawn.log_weights.split(GROUP)]
    up = SITES * math.log(2) + sum(groups) / len(groups)
    magnetisation = abs(drawn.mean(_magnetisation(drawn.spins).abs()) - float(_magnetisation(long).abs().mean()))
    chains = len(drawn.log_weights)
    return {
        f"ising_ess_{name}": Measure(drawn.ess, "", at.case.gate, at.case.published, "higher"),
        f"ising_log_z_error_{name}": Measure(abs(up - at.exact), "", 0.2, 0.05),
        f"ising_log_z_gap_{name}": Measure(abs(SITES * math.log(2) - down.value - up), "", 0.2, 0.05),
        f"ising_energy_error_{name}": Measure(at.energy_error(at.energy(drawn)), "", 0.02, 0.01),
        f"ising_magnetisation_error_{name}": Measure(magnetisation, "", 0.03, 0.015),
        f"ising_effective_chain_{name}": Measure(1e3 * took_s / (chains * drawn.ess), "ms"),
    }


def _note(at: _Temperature, drawn: AnnealedSpins, long: Tensor, down: weights.LogZ) -> str:
    groups = torch.tensor([weights.log_z(part).value for part in drawn.log_weights.split(GROUP)], dtype=torch.float64)
    free, error = SITES * math.log(2), float(groups.std()) / math.sqrt(GROUPS)
    positive = float((_magnetisation(drawn.spins) > 0).double().mean())
    long_energy = float(at.field.spin_energy(long).mean())
    return (
        f"β {at.case.beta:.4f}, {drawn.steps:,} steps: log Z {free + float(groups.mean()):.4f} ± {error:.4f} upwards, "
        f"{free - down.value:.4f} ± {down.error:.4f} downwards from {SPIN_CHAINS} long chains, exact {at.exact:.4f}; effective "
        f"share {drawn.ess:.3f} upwards, {at.forward_ess:.3f} by the downward chains, which see what upward ones miss; "
        f"{positive:.1%} of the upward chains end with positive magnetisation; energy {at.energy(drawn):.2f}, of long chains "
        f"{long_energy:.2f}, exact {at.exact_energy:.2f}"
    )


def _compare(at: _Temperature, name: str, steps: int, baselines: dict[str, dict[str, float]], step: Step) -> str:
    """Fill in the baselines of one temperature."""
    for baseline, run in (("heat bath", at.heat_bath), ("uniform, weighted", at.uniform)):
        began_s = time.perf_counter()
        drawn = run(steps)
        took_ms = 1e3 * (time.perf_counter() - began_s)
        baselines[baseline] |= {
            f"ising_ess_{name}": drawn.ess,
            f"ising_log_z_error_{name}": abs(drawn.log_z - at.exact),
            f"ising_energy_error_{name}": at.energy_error(at.energy(drawn)),
        }
        # A share of one over their number says nothing of a price: no uniform sample counts but the luckiest.
        if run == at.heat_bath:
            baselines[baseline][f"ising_effective_chain_{name}"] = took_ms / (len(drawn.spins) * drawn.ess)
        step()
    began_s = time.perf_counter()
    z, energy, gradients = at.hamiltonian(steps * SWEEPS_A_STEP)
    took_ms = 1e3 * (time.perf_counter() - began_s)
    baselines["HMC on the field"] |= {
        f"ising_ess_{name}": z.ess / FIELD_CHAINS,
        f"ising_log_z_error_{name}": abs(at.field.log_z_spins(z.value) - at.exact),
        f"ising_energy_error_{name}": at.energy_error(energy),
        f"ising_effective_chain_{name}": took_ms / z.ess,
    }
    step()
    energy, error = at.langevin(steps * SWEEPS_A_STEP)
    baselines["Langevin, unadjusted"][f"ising_energy_error_{name}"] = at.energy_error(energy)
    step()
    return (
        f"β {at.case.beta:.4f}: HMC took {gradients:.1f} gradients a step, {FIELD_CHAINS} chains; unadjusted Langevin of step "
        f"{LANGEVIN_STEP} has the mean energy {energy:.2f} ± {error:.2f} over {LANGEVIN_CHAINS} chains"
    )


class _Temperature:
    """All runs at one temperature, from one seed."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case, self._seed = case, seed
        self._generator = torch.Generator().manual_seed(seed)
        self.field = IsingField(SIDE, case.beta)
        self.exact, self.exact_energy = log_z(SIDE, SIDE, case.beta), mean_energy(SIDE, SIDE, case.beta)
        self._threads = len(os.sched_getaffinity(0))
        self._path = torch.empty(0)
        self.forward_ess = math.nan

    def energy(self, drawn: AnnealedSpins) -> float:
        """Weighted mean of the spins' energy."""
        return drawn.mean(self.field.spin_energy(drawn.spins))

    def energy_error(self, energy: float) -> float:
        """Relative error of a mean energy."""
        return abs(energy / self.exact_energy - 1)

    def clusters(self) -> tuple[AnnealedSpins, float]:
        """What is measured, and the seconds it took with its pilot."""
        began_s = time.perf_counter()
        found = pilot(self.field, generator=self._generator, threads=self._threads)
        self._path = found.schedule(found.steps_for(self.case.aim))
        drawn = anneal(self.field, GROUPS * GROUP, self._path, generator=self._generator, threads=self._threads)
        return drawn, time.perf_counter() - began_s

    def references(self) -> tuple[Tensor, weights.LogZ]:
        """Spins of long chains at β, and the log of Z(0)/Z(β) when some of them are annealed back to β = 0.

        They start ordered, half of them down, so that no magnetisation is missed, and never change their temperature before.
        """
        spins, looks = torch.ones(GROUPS * GROUP, SIDE, SIDE), []
        spins[::2] = -1
        for look in range(LOOKS):
            still = torch.full(((APART if look else EQUILIBRATION) + 1,), self.case.beta, dtype=torch.float64)
            spins = self._anneal(self.field, still, spins)
            looks.append(spins)
        cooled = anneal(
            IsingField(SIDE, 0.0),
            SPIN_CHAINS,
            self._path.flip(0),
            generator=self._generator,
            start=spins[:SPIN_CHAINS],
            threads=self._threads,
        )
        # Of a chain from the target the upward weight is 1/w; its mean over Z(β)/Z(0) is one over the share.
        surplus = weights.log_z(-cooled.log_weights).value
        self.forward_ess = math.exp(self.exact - SITES * math.log(2) - surplus)
        return torch.cat(looks), weights.log_z(cooled.log_weights)

    def _anneal(self, field: IsingField, path: Tensor, start: Tensor) -> Tensor:
        return anneal(field, len(start), path, generator=self._generator, start=start, threads=self._threads).spins

    def heat_bath(self, steps: int) -> AnnealedSpins:
        """Two heat-bath sweeps a step, on the schedule that suits them."""
        found = pilot(self.field, generator=self._generator, moves="single", threads=self._threads)
        path = found.schedule(steps)
        return anneal(self.field, SPIN_CHAINS, path, generator=self._generator, moves="single", threads=self._threads)

    def uniform(self, steps: int) -> AnnealedSpins:
        """Uniform spins, weighed without any move on the way; a sample counts as a step."""
        path = torch.tensor([0.0, self.case.beta], dtype=torch.float64)
        return anneal(self.field, steps, path, generator=self._generator, threads=self._threads)

    def hamiltonian(self, evaluations: int) -> tuple[weights.LogZ, float, float]:
        """log Z of the field, mean energy of its spins, and gradients a step, annealed from the field's Gaussian reference."""
        field, move, control = self.field, hamiltonian(self.field.reference), AceTemperature(seed=self._seed)
        trial = control.ladder(field.reference, field, move, 100)
        gradients = sum(move.sized(rung.step).leaps for rung in trial) / len(trial)
        ladder = control.ladder(field.reference, field, move, round(evaluations / gradients))
        drawn = annealing.anneal(field.reference, field, ladder, move, Noise([self._seed + 1], [FIELD_CHAINS]))
        energy = field.spin_energy(field.spins(drawn.x, self._generator))
        weighted = torch.softmax(drawn.log_weights, 0) * energy
        return weights.log_z(drawn.log_weights), float(weighted.sum()), gradients

    def langevin(self, evaluations: int) -> tuple[float, float]:
        """Mean energy of the spins, and its standard error, over the second half of chains from the Gaussian part of the field."""
        move, noise = Langevin(self.field.bare, LANGEVIN_STEP, adjusted=False), Noise([self._seed], [LANGEVIN_CHAINS])
        x = self.field.bare.draw(LANGEVIN_CHAINS, 1.0, self._generator)
        seen = torch.zeros(LANGEVIN_CHAINS, dtype=torch.float64)
        half = evaluations // 2
        for k in range(evaluations):
            x, _ = move(self.field, x, 1.0, noise)
            if k >= half:
                # Neighbours are independent given x, so this is the mean of their energy.
                seen += self.field.spin_energy(x.tanh())
        means = seen / (evaluations - half)
        return float(means.mean()), float(means.std()) / math.sqrt(LANGEVIN_CHAINS)


def _magnetisation(spins: Tensor) -> Tensor:
    """(n,) mean spin."""
    return spins.mean((1, 2))
