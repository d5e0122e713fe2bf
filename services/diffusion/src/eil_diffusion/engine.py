"""Runs requests on tensors. Importing this module imports torch: the service does so with its first request.

Requests for the same energy under the same settings share passes; each draws from its own seed, so that what it gets does not
depend on its company. A pass holds a bounded number of numbers. Where the accelerator's memory does not suffice even so, it is
tried again with half the chains.
"""

import hashlib
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from eil.diffusion.v1 import diffusion_pb2
from torch import Tensor

from eil_diffusion.asked import energy_of, energy_to_optimise, sampled
from eil_diffusion.defaults import OPTIMISE_STEPS, SAMPLE_STEPS
from eil_diffusion.domain.energies.energy import SampledEnergy
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context, Denoiser
from eil_diffusion.domain.energy_diffusion_core.model import EnergyDiffusionModel
from eil_diffusion.domain.energy_guided_sampler.laws import EnergyLaws, energy_laws
from eil_diffusion.domain.energy_guided_sampler.noise import Noise
from eil_diffusion.domain.energy_guided_sampler.sampler import CORRECTION_STEPS, Samples, device, known_log_z, sample
from eil_diffusion.domain.energy_guided_sampler.watch import Stage
from eil_diffusion.domain.energy_guided_sampler.weights import log_z
from eil_diffusion.domain.memory import keep_memory
from eil_diffusion.domain.optimise import Optimum, optimise

NUMBERS = 2**22
"""Values of configurations that one pass holds: 32 MiB in float64, some ten times that with what is between."""


class Cancelled(Exception):
    """Nobody waits for the work any more."""


class DeviceFull(Exception):
    """The accelerator has not enough memory for one configuration."""


@dataclass(frozen=True)
class Told:
    """Hears of steps, every so many, in the engine's thread."""

    every: int
    tell: Callable[[diffusion_pb2.SampleStage | diffusion_pb2.OptimizeStage], None]


@dataclass(frozen=True, eq=False)
class SampleJob:
    """A request of Sample."""

    request: diffusion_pb2.SampleRequest
    model: EnergyDiffusionModel | None = None
    context: Context | None = None
    told: Told | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, eq=False)
class OptimizeJob:
    """A request of Optimize."""

    request: diffusion_pb2.OptimizeRequest
    told: Told | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)


Job = SampleJob | OptimizeJob
Answer = diffusion_pb2.SampleResponse | diffusion_pb2.OptimizeResponse


def prepare(threads: int) -> None:
    """Set torch up for this process."""
    keep_memory()
    torch.set_num_threads(threads)


def check(job: Job) -> int:
    """Make the energy of a request, to be found again by `run`; returns the values of one configuration.

    Raises:
        ValueError: the request cannot be run.
    """
    if isinstance(job, OptimizeJob):
        energy, _ = energy_to_optimise(job.request)
        return math.prod(energy.shape)
    request = job.request
    energy = sampled(energy_of(request.energy, request.kt or 1.0), str(request.energy.WhichOneof("kind")))
    if job.model is not None:
        job.model.on(energy.shape)
    return math.prod(energy.shape)


def run(key: object, jobs: Sequence[Job]) -> list[Answer]:
    """Answers of jobs that differ in seed and count alone; a stream comes alone.

    Raises:
        ValueError: a request cannot be run.
        Cancelled: nobody waits.
        DeviceFull: the accelerator's memory does not suffice.
    """
    if isinstance(jobs[0], OptimizeJob):
        return [_optimise(job) for job in jobs if isinstance(job, OptimizeJob)]
    return list(_sample([job for job in jobs if isinstance(job, SampleJob)]))


@dataclass(frozen=True)
class _Part:
    """Chains of one job that run in one pass."""

    job: int
    seed: int
    count: int

    def halves(self) -> list["_Part"]:
        """The same chains in two parts, each of which draws from a seed of its own."""
        counts = self.count - self.count // 2, self.count // 2
        return [_Part(self.job, _derived(self.seed, f"half {half}"), count) for half, count in enumerate(counts)]


def _sample(jobs: Sequence[SampleJob]) -> Iterator[diffusion_pb2.SampleResponse]:
    first = jobs[0].request
    kt, where = first.kt or 1.0, device()
    energy = sampled(energy_of(first.energy, kt), str(first.energy.WhichOneof("kind")))
    model = None if jobs[0].model is None else jobs[0].model.to(where)
    denoiser = None if model is None else model.on(energy.shape)
    made: list[list[Samples]] = [[] for _ in jobs]
    for parts in _passes(jobs, math.prod(energy.shape)):
        for part, samples in _run_pass(jobs, parts, energy, denoiser, kt, where):
            made[part.job].append(samples)
    exact = known_log_z(energy, kt)
    return (_answer(pieces, exact, where) for pieces in made)


def _passes(jobs: Sequence[SampleJob], size: int) -> Iterator[list[_Part]]:
    """All chains in order, in passes of at most NUMBERS values; how a job is cut follows from its own count alone."""
    most = max(1, NUMBERS // size)
    parts: list[_Part] = []
    for place, job in enumerate(jobs):
        left, chunk = job.request.count or 1, 0
        while left:
            count = min(left, most)
            if parts and sum(part.count for part in parts) + count > most:
                yield parts
                parts = []
            seed = _derived(job.request.seed, f"chunk {chunk}") if chunk else job.request.seed
            parts.append(_Part(place, seed, count))
            left, chunk = left - count, chunk + 1
    yield parts


def _derived(seed: int, part: str) -> int:
    """The seed of a part."""
    return int.from_bytes(hashlib.sha256(f"{seed}, {part}".encode()).digest()[:8], "little") >> 1


def _run_pass(
    jobs: Sequence[SampleJob],
    parts: list[_Part],
    energy: SampledEnergy,
    denoiser: Denoiser | None,
    kt: float,
    where: str,
) -> list[tuple[_Part, Samples]]:
    try:
        whole = _draw(jobs, parts, energy, denoiser, kt, where)
    except torch.OutOfMemoryError:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if len(parts) > 1:
            split = [parts[: len(parts) // 2], parts[len(parts) // 2 :]]
        elif parts[0].count > 1:
            split = [[half] for half in parts[0].halves()]
        else:
            raise DeviceFull(
                f"{where} has not enough memory for one configuration of {math.prod(energy.shape)} values"
            ) from None
        return [one for half in split for one in _run_pass(jobs, half, energy, denoiser, kt, where)]
    ends = np.cumsum([part.count for part in parts]).tolist()
    return [(part, whole.part(end - part.count, end)) for part, end in zip(parts, ends, strict=True)]


def _draw(
    jobs: Sequence[SampleJob],
    parts: Sequence[_Part],
    energy: SampledEnergy,
    denoiser: Denoiser | None,
    kt: float,
    where: str,
) -> Samples:
    first = jobs[parts[0].job]
    request = first.request
    return sample(
        energy,
        Noise([part.seed for part in parts], [part.count for part in parts], where),
        steps=request.steps or SAMPLE_STEPS,
        kt=kt,
        denoiser=denoiser,
        context=None if first.context is None else first.context.to(where),
        schedule=request.schedule or "cosine",
        correction_steps=request.corrections if request.HasField("corrections") else CORRECTION_STEPS,
        watch=_watch([jobs[part.job] for part in parts], energy, first.told),
    )


def _watch(jobs: Sequence[SampleJob], energy: SampledEnergy, told: Told | None) -> Callable[[Stage], None]:
    def watch(stage: Stage) -> None:
        if all(job.cancelled.is_set() for job in jobs):
            raise Cancelled
        if told and (stage.done % told.every == 0 or stage.done == stage.total):
            energies = energy.to(str(stage.x.device)).energy(stage.x)
            first = diffusion_pb2.Configuration(values=_float32(stage.x[0]), energy=float(energies[0]))
            told.tell(
                diffusion_pb2.SampleStage(
                    name=stage.name, done=stage.done, total=stage.total, first=first, mean_energy=float(energies.mean())
                )
            )

    return watch


def _answer(pieces: Sequence[Samples], exact_log_z: float | None, where: str) -> diffusion_pb2.SampleResponse:
    maps, energies = (torch.cat([getattr(piece, name) for piece in pieces]).cpu() for name in ("maps", "energies"))
    log_weights = torch.cat([piece.log_weights for piece in pieces]).cpu()
    laws = energy_laws(
        log_weights, exact_log_z=exact_log_z, imbalance=float(np.max([piece.imbalance for piece in pieces]))
    )
    weighed, count = log_z(log_weights), len(energies)
    return diffusion_pb2.SampleResponse(
        configurations=[
            diffusion_pb2.Configuration(values=_float32(one), energy=energy)
            for one, energy in zip(maps, energies.tolist(), strict=True)
        ],
        shape=list(maps.shape[1:]),
        mean_energy=float(energies.mean()),
        # A single map has no standard error; 0 samples of spread are reported as infinite.
        mean_energy_se=float(energies.std()) / math.sqrt(count) if count > 1 else math.inf,
        acceptance=float(
            np.average([piece.acceptance for piece in pieces], weights=[len(piece.energies) for piece in pieces])
        ),
        ess=weighed.ess,
        device=where,
        log_z=weighed.value,
        log_z_se=weighed.error,
        laws=_laws(laws),
        method=pieces[0].method,
    )


def _laws(laws: EnergyLaws) -> diffusion_pb2.EnergyLaws:
    return diffusion_pb2.EnergyLaws(
        verdict=laws.verdict,
        imbalance=laws.imbalance,
        entropy_production=laws.entropy_production,
        entropy_production_se=laws.entropy_production_se,
        jarzynski=laws.jarzynski,
        jarzynski_se=laws.jarzynski_se,
    )


def _optimise(job: OptimizeJob) -> diffusion_pb2.OptimizeResponse:
    request, where = job.request, device()
    energy, constraints = energy_to_optimise(request)
    start = None
    if request.start:
        size = math.prod(energy.shape)
        if len(request.start) != size:
            raise ValueError(f"start has {len(request.start)} values; the energy has {size}, row by row")
        start = torch.tensor(list(request.start), dtype=torch.float64).reshape(energy.shape)

    def watch(done: int, total: int, best: float) -> None:
        if job.cancelled.is_set():
            raise Cancelled
        if job.told and (done % job.told.every == 0 or done == total):
            job.told.tell(diffusion_pb2.OptimizeStage(done=done, total=total, best_energy=best))

    steps = request.steps or OPTIMISE_STEPS
    best = optimise(energy, start, seed=request.seed, steps=steps, device=where, constraints=constraints, watch=watch)
    return diffusion_pb2.OptimizeResponse(
        best=diffusion_pb2.Configuration(values=_float32(best.x), energy=best.energy),
        shape=list(energy.shape),
        start_energy=best.start_energy,
        lower_bound=best.lower_bound or 0.0,
        bounded=best.lower_bound is not None,
        device=where,
        gap=_relative_gap(best),
    )


def _relative_gap(best: Optimum) -> float:
    return 0.0 if best.gap is None else best.gap / max(abs(best.energy), 1e-12)


def _float32(x: Tensor) -> list[float]:
    return x.flatten().to(torch.float32).tolist()
