"""Sensors as part of an energy: any energy with a quadratic pull towards what was read, and its exact law where that is Gaussian."""

import copy
import math
from collections.abc import Sequence
from typing import Protocol, Self, runtime_checkable

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import Energy, SampledEnergy
from eil_diffusion.domain.energies.quadratic import InModes

# Numbers in one weight per sensor and site: 256 MiB in float64.
MOST_WEIGHTS = 2**25


@runtime_checkable
class Gaussian(Energy, Protocol):
    """An energy E = ½(x - mean)ᵀH(x - mean) that can be drawn from and inverted; every `QuadraticEnergy` is one."""

    @property
    def mean(self) -> Tensor:
        """(*shape) where the energy is least."""
        ...

    def precondition(self, gradient: Tensor) -> Tensor:
        """H⁻¹·gradient, (batch, *shape) both."""
        ...

    def draw(self, count: int, kt: float, generator: torch.Generator) -> Tensor:
        """(count, *shape) independent, exact samples of exp(-E/kT)."""
        ...

    def log_z(self, kt: float = 1.0) -> float:
        """log ∫exp(-E/kT) dx, exact."""
        ...


class Observed:
    """E(x) + Σ_i w_i(x_i - y_i)²/2 with w_i = kT₀/σ_i²: an energy and the readings y of sensors at some of its sites.

    w is in the energy's unit over the field's unit squared. exp(-E/kT) at kT = kT₀ is Bayes' posterior: the energy's own Boltzmann
    law is the prior, σ the sensors' standard deviation. At another kT both widen alike, the sensors' to σ√(kT/kT₀).

    `reference` is Gaussian in the normal modes of the energy's own reference: its mean is that reference's, conditioned on the
    readings exactly, its precision the conditioned one's diagonal; of all Gaussians with these modes it is the nearest, in relative
    entropy, to that conditioned law.

    Args:
        energy: the prior.
        where: (sensors, axes) whole numbers, a site's place on each axis; two sensors may share a site.
        values: (sensors,) what they read, in the field's unit.
        sigma: their standard deviation, positive; one number or (sensors,).
        kt: kT₀, the temperature at which `sigma` holds.
    Raises ValueError on sites that are not there, figures that make no sense, or more sensors times sites than 2²⁵.
    """

    def __init__(
        self,
        energy: SampledEnergy,
        where: Tensor | Sequence[Sequence[int]],
        values: Tensor | Sequence[float],
        sigma: Tensor | Sequence[float] | float,
        *,
        kt: float = 1.0,
    ) -> None:
        self.prior, self.kt = energy, kt
        self.where, self.values, self.sigma = _readings(energy, where, values, sigma, kt)
        self.weights = kt / self.sigma**2
        """(sensors,) w."""
        base = energy.reference
        mean, _ = _condition(base, self.where, self.values, 1 / self.weights)
        pull = torch.einsum("s,s...->...", self.weights, base.to_modes(_places(base, self.where)) ** 2)
        self.reference = InModes(base, mean, base.eigenvalues + pull)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one configuration."""
        return self.prior.shape

    @property
    def lower(self) -> Tensor | None:
        """The prior's."""
        return self.prior.lower

    @property
    def upper(self) -> Tensor | None:
        """The prior's."""
        return self.prior.upper

    def energy(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch,)."""
        return self.prior.energy(x) + 0.5 * (self.weights * self._misfit(x) ** 2).sum(dim=1)

    def gradient(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch, *shape)."""
        return self.prior.gradient(x) + self.pull(x)

    def pull(self, x: Tensor) -> Tensor:
        """The sensors' part of the gradient, (batch, *shape)."""
        pull = torch.zeros_like(x).flatten(1).index_add_(1, self.where, self.weights * self._misfit(x))
        return pull.reshape(x.shape)

    def to(self, device: str) -> Self:
        """The same energy with its tensors on `device`."""
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        moved.prior, moved.reference = self.prior.to(device), self.reference.to(device)
        return moved

    def _misfit(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.where] - self.values


class ObservedGaussian(Observed):
    """Observations of a Gaussian energy: Gaussian again, with mean, draws, inverse and log Z exact; itself a `Gaussian`.

    With C = H⁻¹ the gain K = C_{·s}(C_ss + 1/w)⁻¹ (kriging) takes as many inversions of H as there are sensors, once.
    """

    def __init__(
        self,
        energy: SampledEnergy,
        where: Tensor | Sequence[Sequence[int]],
        values: Tensor | Sequence[float],
        sigma: Tensor | Sequence[float] | float,
        *,
        kt: float = 1.0,
    ) -> None:
        if not isinstance(energy, Gaussian):
            raise ValueError(f"{type(energy).__name__} is not Gaussian: observe it with Observed, and sample it")
        super().__init__(energy, where, values, sigma, kt=kt)
        self.gaussian: Gaussian = energy
        self.mean, self.gain = _condition(energy, self.where, self.values, 1 / self.weights)
        """(*shape) the conditional mean, and (sensors, *shape) by how much a site follows a sensor's surprise."""
        self.reference = InModes(self.reference.basis, self.mean, self.reference.eigenvalues)

    def to(self, device: str) -> Self:
        """The same energy with its tensors on `device`."""
        moved = super().to(device)
        moved.gaussian = self.gaussian.to(device)
        return moved

    def draw(self, count: int, kt: float, generator: torch.Generator) -> Tensor:
        """(count, *shape) independent, exact samples by Matheron's rule: x + K(y - x_s - ε), x a draw of the prior, ε of the sensors."""
        x = self.gaussian.draw(count, kt, generator)
        noise = torch.randn(
            (count, len(self.values)), generator=generator, dtype=self.mean.dtype, device=self.mean.device
        )
        return self.conditioned(x, kt, noise)

    def conditioned(self, x: Tensor, kt: float, noise: Tensor) -> Tensor:
        """Draws x (batch, *shape) of the prior made draws given the readings; `noise` (batch, sensors) standard normal."""
        surprise = -self._misfit(x) - noise * (kt / self.weights).sqrt()
        return x + torch.einsum("bs,s...->b...", surprise, self.gain)

    def precondition(self, gradient: Tensor) -> Tensor:
        """(H + w)⁻¹·gradient = C·gradient - K(C·gradient)_s (Woodbury)."""
        newton = self.gaussian.precondition(gradient)
        return newton - torch.einsum("bs,s...->b...", newton.flatten(1)[:, self.where], self.gain)

    def log_evidence(self, kt: float = 1.0) -> float:
        """log density of the readings under the prior, sensors' noise included: N(y; mean_s, kT(C_ss + 1/w))."""
        spread = _covariance(self.gaussian, self.where)[0] + torch.diag(1 / self.weights)
        surprise = self.values - self.gaussian.mean.flatten()[self.where]
        root = torch.linalg.cholesky(kt * spread)
        white = torch.linalg.solve_triangular(root, surprise[:, None], upper=False)
        return float(-0.5 * (white**2).sum() - root.diagonal().log().sum()) - len(surprise) / 2 * math.log(2 * math.pi)

    def log_z(self, kt: float = 1.0) -> float:
        """log ∫exp(-E/kT) dx: the prior's, the evidence, and the sensors' own normalisation; exact."""
        sensors = 0.5 * float((2 * math.pi * kt / self.weights).log().sum())
        return self.gaussian.log_z(kt) + self.log_evidence(kt) + sensors


def observe(
    energy: SampledEnergy,
    where: Tensor | Sequence[Sequence[int]],
    values: Tensor | Sequence[float],
    sigma: Tensor | Sequence[float] | float,
    *,
    kt: float = 1.0,
) -> Observed:
    """`ObservedGaussian` where the energy allows it, else `Observed`; arguments and errors as there."""
    kind = ObservedGaussian if isinstance(energy, Gaussian) else Observed
    return kind(energy, where, values, sigma, kt=kt)


def _condition(energy: Gaussian, where: Tensor, values: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (*shape) and gain (sensors, *shape) of a Gaussian law given readings; `noise` (sensors,) σ²/kT."""
    spread, columns = _covariance(energy, where)
    # The spread is symmetric, so solving against the columns gives the transposed gain.
    root = torch.linalg.cholesky(spread + torch.diag(noise))
    gain = torch.cholesky_solve(columns.flatten(1), root).reshape(columns.shape)
    surprise = values - energy.mean.flatten()[where]
    return energy.mean + torch.einsum("s,s...->...", surprise, gain), gain


def _covariance(energy: Gaussian, where: Tensor) -> tuple[Tensor, Tensor]:
    """C_ss (sensors, sensors) and C_s· (sensors, *shape) at kT = 1."""
    columns = energy.precondition(_places(energy, where))
    return columns.flatten(1)[:, where], columns


def _places(energy: Gaussian, where: Tensor) -> Tensor:
    """(sensors, *shape) one where a sensor is, zero elsewhere."""
    marks = energy.mean.new_zeros(len(where), energy.mean.numel())
    marks[torch.arange(len(where), device=where.device), where] = 1.0
    return marks.reshape(len(where), *energy.mean.shape)


def _readings(
    energy: SampledEnergy,
    where: Tensor | Sequence[Sequence[int]],
    values: Tensor | Sequence[float],
    sigma: Tensor | Sequence[float] | float,
    kt: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Flat sites (sensors,), values and standard deviations (sensors,), checked, beside the energy's tensors."""
    like, shape = energy.reference.mean, energy.shape
    sites = torch.as_tensor(where, device=like.device)
    read = torch.as_tensor(values, dtype=like.dtype, device=like.device)
    spread = torch.as_tensor(sigma, dtype=like.dtype, device=like.device)
    if sites.ndim != 2 or sites.shape[1] != len(shape) or sites.is_floating_point() or len(sites) == 0:
        raise ValueError(f"where has shape {tuple(sites.shape)}: give whole numbers as (sensors, {len(shape)})")
    if (sites < 0).any() or (sites >= torch.tensor(shape, device=like.device)).any():
        raise ValueError(f"a sensor is outside of the field of shape {shape}: give places from 0 on")
    if read.shape != (len(sites),) or spread.shape not in ((), (len(sites),)):
        raise ValueError(
            f"{len(sites)} sensors, values of shape {tuple(read.shape)}, sigma of {tuple(spread.shape)}: give one value each"
        )
    if not (read.isfinite().all() and spread.isfinite().all() and (spread > 0).all() and 0 < kt < math.inf):
        raise ValueError("give finite values, and positive, finite sigma and kt")
    if len(sites) * like.numel() > MOST_WEIGHTS:
        raise ValueError(f"{len(sites)} sensors on {like.numel()} sites: their product must not exceed {MOST_WEIGHTS}")
    flat = torch.zeros(len(sites), dtype=torch.long, device=like.device)
    for axis, length in enumerate(shape):
        flat = flat * length + sites[:, axis]
    return flat, read, spread.expand(len(sites)).clone()
