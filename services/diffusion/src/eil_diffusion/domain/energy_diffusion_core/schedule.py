"""Noise schedules: forward diffusion, and the reverse step with diffusers' conventions."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

TRAINING_STEPS = 1000
# Nichol & Dhariwal (2021): the offset keeps the first steps from being vanishingly small, the cap the last from 1.
COSINE_OFFSET = 0.008
LARGEST_BETA = 0.999


def cosine_schedule(training_steps: int = TRAINING_STEPS) -> Tensor:
    """(training_steps,) cumulated signal share ᾱ_t of the cosine schedule (Nichol & Dhariwal, 2021), float64."""
    phase = torch.arange(training_steps + 1, dtype=torch.float64) / training_steps
    share = ((phase + COSINE_OFFSET) / (1 + COSINE_OFFSET) * math.pi / 2).cos() ** 2
    return (1 - share[1:] / share[:-1]).clamp(max=LARGEST_BETA).neg().add(1).cumprod(dim=0)


def linear_schedule(training_steps: int = TRAINING_STEPS) -> Tensor:
    """(training_steps,) ᾱ_t of noise that grows linearly, β from 0.1/T to 20/T (Ho et al., 2020, at T = 1000), float64."""
    betas = torch.linspace(0.1 / training_steps, 20.0 / training_steps, training_steps, dtype=torch.float64)
    return (1 - betas.clamp(max=LARGEST_BETA)).cumprod(dim=0)


def sigmoid_schedule(training_steps: int = TRAINING_STEPS) -> Tensor:
    """(training_steps,) ᾱ_t that falls as a sigmoid from 1 to 0 (Jabri et al., 2022, from -3 to 3), float64."""
    phase = torch.arange(training_steps + 1, dtype=torch.float64) / training_steps
    share = (3 - 6 * phase).sigmoid()
    share = (share - share[-1]) / (share[0] - share[-1])
    return (1 - share[1:] / share[:-1]).clamp(max=LARGEST_BETA).neg().add(1).cumprod(dim=0)


SCHEDULES: Mapping[str, Callable[[int], Tensor]] = MappingProxyType(
    {"cosine": cosine_schedule, "linear": linear_schedule, "sigmoid": sigmoid_schedule}
)
"""Name → signal shares."""


def forward_diffuse(
    x0: Tensor, t: int | Tensor, noise_schedule: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """x_t = √ᾱ_t·x₀ + √(1-ᾱ_t)·ε for `x0` (batch, *shape), with one step `t` or one per sample.

    `noise_schedule` is ᾱ (training steps,), as `cosine_schedule` gives it. Without a generator torch's own is used.
    """
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device)
    return _mixed(x0, noise, torch.as_tensor(t), noise_schedule)


@dataclass(frozen=True)
class SchedulerOutput:
    """What one reverse step gives."""

    prev_sample: Tensor
    """The sample one step nearer to the data."""
    pred_original_sample: Tensor
    """The clean sample that the model's noise estimate implies."""


class EnergyScheduler:
    """Ancestral (DDPM) sampling, with the names and conventions of the diffusers library.

    The model output is the predicted noise ε. With `posterior_variance`, Var(x₀|x_t) of the exact denoiser, a reverse
    step of any length is exact (Bao et al., Analytic-DPM, 2022); without it the variance is DDPM's smallest.
    """

    init_noise_sigma = 1.0

    def __init__(self, num_train_timesteps: int = TRAINING_STEPS, schedule: str = "cosine") -> None:
        if schedule not in SCHEDULES:
            raise ValueError(f"no schedule is called {schedule!r}: choose one of {', '.join(SCHEDULES)}")
        self.num_train_timesteps = num_train_timesteps
        self.alphas_cumprod = SCHEDULES[schedule](num_train_timesteps)
        self.timesteps = torch.arange(num_train_timesteps - 1, -1, -1)

    def set_timesteps(self, num_inference_steps: int, device: str = "cpu") -> None:
        """Choose `num_inference_steps` steps, descending, "trailing" spacing: the first is pure noise.

        Raises ValueError unless their number is between 1 and the number of training steps.
        """
        if not 1 <= num_inference_steps <= self.num_train_timesteps:
            raise ValueError(
                f"{num_inference_steps} inference steps: give between 1 and {self.num_train_timesteps} of them"
            )
        spaced = torch.arange(num_inference_steps, 0, -1, dtype=torch.float64) / num_inference_steps
        self.timesteps = ((spaced * self.num_train_timesteps).round().long() - 1).to(device)

    def scale_model_input(self, sample: Tensor, timestep: int | Tensor | None = None) -> Tensor:
        """The sample itself: a variance-preserving schedule needs no scaling. Present because callers expect it."""
        return sample

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Forward diffusion with a given noise; `timesteps` is one step or one per sample."""
        return _mixed(original_samples, noise, timesteps, self.alphas_cumprod)

    def posterior(
        self, model_output: Tensor, timestep: int | Tensor, sample: Tensor, posterior_variance: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance of the previous sample, and the clean sample implied."""
        t = int(timestep)
        signal, before = float(self.alphas_cumprod[t]), self.signal_before(t)
        kept = signal / before
        clean = (sample - math.sqrt(1 - signal) * model_output) / math.sqrt(signal)
        pull = math.sqrt(before) * (1 - kept) / (1 - signal)
        mean = pull * clean + math.sqrt(kept) * (1 - before) / (1 - signal) * sample
        variance = sample.new_tensor((1 - before) / (1 - signal) * (1 - kept))
        if posterior_variance is not None:
            variance = variance + pull**2 * posterior_variance
        return mean, variance, clean

    def step(
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Tensor,
        *,
        posterior_variance: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> SchedulerOutput:
        """One ancestral step from `timestep` to the next of `timesteps` (after the last: to the data)."""
        mean, variance, clean = self.posterior(model_output, timestep, sample, posterior_variance)
        noise = torch.randn(sample.shape, generator=generator, dtype=sample.dtype, device=sample.device)
        return SchedulerOutput(mean + variance.sqrt() * noise, clean)

    def signal_before(self, t: int) -> float:
        """ᾱ of the next step in `timesteps` after t; 1, the data, after the last."""
        places = (self.timesteps == t).nonzero()
        if len(places) == 0:
            raise ValueError(f"timestep {t} is not among the chosen timesteps: call set_timesteps first")
        after = int(places[0]) + 1
        return 1.0 if after == len(self.timesteps) else float(self.alphas_cumprod[self.timesteps[after]])


def _mixed(x0: Tensor, noise: Tensor, t: Tensor, noise_schedule: Tensor) -> Tensor:
    signal = noise_schedule.to(device=x0.device, dtype=x0.dtype)[t.to(x0.device)]
    signal = signal.reshape(signal.shape + (1,) * (x0.ndim - signal.ndim)) if signal.ndim else signal
    return signal.sqrt() * x0 + (1 - signal).sqrt() * noise
