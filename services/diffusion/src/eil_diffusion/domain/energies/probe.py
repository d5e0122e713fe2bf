"""A bounded look at an energy before work is spent on it: finite, differentiated rightly, and confining."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import Energy, SampledEnergy, clip, each_sum

# Distances from the centre. In plain units for what callers start from, in spreads for where samplers go.
UNITS = (1.0, 1e3)
RADII = (1.0, 10.0, 1e2, 1e3, 1e4)
FAR = 1e3
TURNS = 12
# Growth from the last but one to the last radius over that of the decade before it. A power r^a multiplies it by
# 10^a; what grows as a logarithm or saturates does not multiply it and cannot be normalised in many dimensions.
GROWTH = 1.5
STRIDE = 1e-4
DISAGREEMENT = 1e-3
ROUNDING = 1e-12


def probe(energy: Energy, generator: torch.Generator | None = None) -> None:
    """Raise ValueError, saying where, unless `energy` looks fit for use; at most 64 evaluations of 8 configurations.

    From the centre (of the reference, or of the box, or zero) along eight rays (random, corners, all coordinates alike,
    one alone; each both ways) it looks at: finite energies and gradients, 1 and 1000 units out and 1 to 10⁴ spreads
    out; gradients against central differences of the energy; and energies that grow ever more from decade to decade,
    also along rays that first turned downhill. An energy that cannot be sampled is looked at in its box only.
    These are necessary conditions, not proofs. `generator` chooses the random rays; without it they are always the same.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    view = _view(energy)
    names, rays = _rays(view, generator)
    _measure(view, names, torch.zeros_like(rays), "at the centre")
    for distance in UNITS:
        _measure(view, names, distance * rays, f"{distance:g} units from the centre")
    reached, energies = [], []
    for radius in RADII:
        x, values, _ = _measure(view, names, radius * view.spread * rays, f"{radius:g} spreads from the centre")
        reached.append((x - view.centre).flatten(1).norm(dim=1))
        energies.append(values)
        if radius == 1.0 or (radius == FAR and view.unfenced):
            _compare(view, names, x, radius, generator)
    _require_growth(names, reached[-3:], energies[-3:])
    if isinstance(energy, SampledEnergy):
        turned = _turned_downhill(view, rays)
        names = [f"{name}, turned downhill" for name in names]
        steps = [_measure(view, names, r * view.spread * turned, f"{r:g} spreads from the centre") for r in RADII[-3:]]
        away = [r * view.spread * turned.flatten(1).norm(dim=1) for r in RADII[-3:]]
        _require_growth(names, away, [values for _, values, _ in steps])


@dataclass(frozen=True)
class _View:
    """An energy with the centre (*shape) and the spread to look at it by, and the box to stay in, if any."""

    energy: Energy
    centre: Tensor
    spread: float
    lower: Tensor | None
    upper: Tensor | None

    @property
    def unfenced(self) -> bool:
        """Whether configurations may lie anywhere."""
        return self.lower is None and self.upper is None


def _view(energy: Energy) -> _View:
    if isinstance(energy, SampledEnergy):
        reference = energy.reference
        centre, spread, lower, upper = reference.mean, math.sqrt(reference.site_variance()), None, None
    else:
        lower, upper, spread = energy.lower, energy.upper, 1.0
        side = lower if lower is not None else upper
        device = "cpu" if side is None else side.device
        centre = clip(torch.zeros(energy.shape, dtype=torch.float64, device=device), lower, upper)
        if lower is not None and upper is not None and (upper - lower).isfinite().all():
            centre, spread = lower + (upper - lower) / 2, float((upper - lower).max()) / 2
    if not (centre.isfinite().all() and 0 <= spread < math.inf):
        raise ValueError(
            f"the energy's spread is {spread:g}, and its centre between {float(centre.min()):g} and "
            f"{float(centre.max()):g}: rescale its numbers"
        )
    return _View(energy, centre, spread, lower, upper)


def _rays(view: _View, generator: torch.Generator) -> tuple[list[str], Tensor]:
    """Names of eight rays and their directions (8, *shape): coordinates of size 1, or a single one of size 1."""
    shape, size = view.energy.shape, view.centre.numel()
    noise = torch.randn((2, *shape), generator=generator, dtype=torch.float64, device=generator.device)
    noise = noise.to(view.centre.device)
    alone = torch.zeros(size, dtype=torch.float64, device=view.centre.device)
    at = int(torch.randint(size, (1,), generator=generator, device=generator.device))
    alone[at] = 1.0
    corner = torch.where(noise[1] < 0, -1.0, 1.0).to(noise.dtype)
    ways = torch.stack([_unit(noise[:1])[0], corner, torch.ones_like(noise[0]), alone.reshape(shape)])
    names = ["a random direction", "a random corner", "all coordinates together", f"coordinate {at} alone"]
    return [f"{sign} {name}" for sign in "+-" for name in names], torch.cat([ways, -ways])


def _unit(directions: Tensor) -> Tensor:
    """(batch, *shape) scaled to a root mean square of one each."""
    flat = directions.flatten(1)
    scale = flat.norm(dim=1, keepdim=True).clamp_min(1e-300) / math.sqrt(flat.shape[1])
    return (flat / scale).reshape(directions.shape)


def _measure(view: _View, names: list[str], shift: Tensor, where: str) -> tuple[Tensor, Tensor, Tensor]:
    """The configurations at centre + shift, their energies and gradients; raises ValueError unless all are finite."""
    x = clip(view.centre + shift, view.lower, view.upper)
    energies, gradients = view.energy.energy(x), view.energy.gradient(x)
    if energies.shape != (len(x),) or gradients.shape != x.shape:
        raise ValueError(
            f"{len(x)} configurations of shape {view.energy.shape} got energies of shape {tuple(energies.shape)} and "
            f"gradients of shape {tuple(gradients.shape)}: give one energy each, and gradients shaped as they are"
        )
    for what, finite in (("energy", energies.isfinite()), ("gradient", gradients.flatten(1).isfinite().all(dim=1))):
        if not bool(finite.all()):
            name = names[int((~finite).nonzero()[0])]
            raise ValueError(f"the {what} is not finite {where} along {name}: its numbers overflow; rescale them")
    return x, energies, gradients


def _compare(view: _View, names: list[str], x: Tensor, radius: float, generator: torch.Generator) -> None:
    """Raises ValueError unless central differences of the energy around x agree with the gradient."""
    noise = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=generator.device).to(x.device)
    stride = STRIDE * radius * view.spread * noise
    ahead, behind = (clip(x + way * stride, view.lower, view.upper) for way in (1, -1))
    gradients = view.energy.gradient((ahead + behind) / 2)
    high, low = view.energy.energy(ahead), view.energy.energy(behind)
    step = ahead - behind
    expected, found = each_sum(gradients * step), high - low
    size = gradients.flatten(1).norm(dim=1) * step.flatten(1).norm(dim=1) / math.sqrt(step[0].numel())
    # All rays are rounded alike: one along which nothing changes still differs by the rounding of its coordinates.
    allowed = DISAGREEMENT * size + ROUNDING * float(torch.maximum(high.abs(), low.abs()).max())
    apart = (found - expected).abs() - allowed
    if float(apart.max()) > 0:
        at = int(apart.argmax())
        raise ValueError(
            f"the gradient is not that of the energy, {radius:g} spreads from the centre along {names[at]}: it "
            f"foretells a change of {float(expected[at]):.6g}, and the energy changes by {float(found[at]):.6g}"
        )


def _require_growth(names: list[str], reached: list[Tensor], energies: list[Tensor]) -> None:
    """Raises ValueError unless energies rise over two decades of distance, the second time more; stopped rays pass."""
    before, rise = energies[1] - energies[0], energies[2] - energies[1]
    least = GROWTH * before.clamp_min(0) + ROUNDING * energies[2].abs()
    moving = (reached[2] > 5 * reached[1]) & (reached[1] > 5 * reached[0])
    loose = moving & ~(rise > least)
    if bool(loose.any()):
        at = int(loose.nonzero()[0])
        how = "falls" if float(rise[at]) < 0 else "hardly grows"
        raise ValueError(
            f"the energy {how} along {names[at]}: {float(energies[1][at]):.6g} at {RADII[-2]:g} spreads from the centre and "
            f"{float(energies[2][at]):.6g} at {RADII[-1]:g}; it does not confine, so it has no Boltzmann law: add a "
            "positive quadratic term, or close the box on both sides and optimise"
        )


def _turned_downhill(view: _View, rays: Tensor) -> Tensor:
    """The rays after steps of projected gradient descent over directions, on the sphere of radius FAR.

    For a quadratic these are power iterations towards its softest mode.
    """
    radius = FAR * view.spread
    centred = view.energy.gradient(view.centre[None])
    stiffest = 0.0
    turned = _unit(rays)
    for _ in range(TURNS):
        force = (view.energy.gradient(view.centre + radius * turned) - centred) / radius
        stiffest = max(stiffest, float((force.flatten(1).norm(dim=1) / turned.flatten(1).norm(dim=1)).max()))
        if not 0 < stiffest < math.inf:
            break
        moved = turned - force / stiffest
        # A ray on the stiffest mode vanishes; it stays, for its direction would be that of rounding.
        wide = (-1,) + (1,) * (rays.ndim - 1)
        kept = (moved.flatten(1).norm(dim=1) < 1e-6 * turned.flatten(1).norm(dim=1)).reshape(wide)
        turned = torch.where(kept, turned, _unit(moved))
    return turned
