"""Where a configuration may lie: a box and at most one weighted total, with the exact projection onto both."""

from dataclasses import dataclass

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import clip

# A total is met when it is off by no more than this share of the sum of its terms' sizes.
ROUNDING = 1e-14
# A total that the box misses by less than this share still passes for one at its edge.
SLACK = 1e-12


@dataclass(frozen=True, eq=False)
class Constraints:
    """{x: lower ≤ x ≤ upper, Σ weights·x = total}, or Σ weights·x ≤ total where `at_most`; None leaves a side open.

    Bounds may be infinite coordinate by coordinate; a coordinate of weight zero is bound by the box alone.
    Raises ValueError when the figures contradict each other or no configuration keeps them.
    """

    lower: Tensor | None = None
    """(*shape), as `upper` and `weights`."""
    upper: Tensor | None = None
    weights: Tensor | None = None
    """Weight of each coordinate in the total, of any sign and not all zero; None where there is no total."""
    total: float | None = None
    """In the unit of weights·x."""
    at_most: bool = False
    """The total is a limit instead of a level."""

    def __post_init__(self) -> None:
        shapes = {tuple(part.shape) for part in (self.lower, self.upper, self.weights) if part is not None}
        if len(shapes) > 1:
            raise ValueError(f"bounds and weights have shapes {sorted(shapes)}: give all of them one shape")
        if any(part is not None and bool(part.isnan().any()) for part in (self.lower, self.upper)):
            raise ValueError("a bound is not a number: give None, or an infinite bound, where a side is open")
        if self.lower is not None and self.upper is not None and bool((self.lower > self.upper).any()):
            most = float((self.lower - self.upper).max())
            raise ValueError(f"the box is empty: lower exceeds upper by up to {most:g}; raise upper or reduce lower")
        if (self.weights is None) != (self.total is None):
            raise ValueError("weights and total belong together: give both, or neither")
        if self.at_most and self.total is None:
            raise ValueError("at_most says how a total binds: give weights and total with it")
        if self.weights is not None and self.total is not None:
            self._check_total(self.weights, self.total)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of one configuration; None where nothing is bound."""
        known = next((part for part in (self.lower, self.upper, self.weights) if part is not None), None)
        return None if known is None else tuple(known.shape)

    def to(self, device: str) -> "Constraints":
        """The same constraints with their tensors on `device`, in float64."""
        lower, upper, weights = (
            None if part is None else part.to(device=device, dtype=torch.float64)
            for part in (self.lower, self.upper, self.weights)
        )
        return Constraints(lower, upper, weights, self.total, self.at_most)

    def narrowed(self, other: "Constraints") -> "Constraints":
        """What keeps both.

        Raises ValueError when the boxes do not meet, no configuration of the common box has the total, or both have one.
        """
        if self.weights is not None and other.weights is not None:
            raise ValueError("two totals are asked for: only one can be kept; drop one, or fold it into the energy")
        total = self if self.weights is not None else other
        lower, upper = _each(torch.maximum, self.lower, other.lower), _each(torch.minimum, self.upper, other.upper)
        return Constraints(lower, upper, total.weights, total.total, total.at_most)

    def project(self, x: Tensor) -> Tensor:
        """(batch, *shape) → the nearest admissible configurations, in Euclidean distance.

        The optimality conditions give clip(x - λ·weights) with one λ for each configuration, at which the total is met
        (Brucker 1984). A limit that the box alone keeps has λ = 0.
        """
        boxed = clip(x, self.lower, self.upper)
        if self.weights is None or self.total is None or self._met(boxed, self.weights, self.total):
            return boxed
        near = self._moved(x, self.weights, self.total)
        if self._met(near, self.weights, self.total):
            return near
        # From far away x - λ·weights cancels to a rounding of |x|; from near by it does not.
        return self._moved(near, self.weights, self.total)

    def violation(self, x: Tensor) -> Tensor:
        """(batch, *shape) → (batch,): how far outside, in the unit of x; zero inside.

        The larger of the worst coordinate's distance from the box and the distance from the total's hyperplane.
        """
        worst = (x - clip(x, self.lower, self.upper)).abs().flatten(1).amax(dim=1)
        if self.weights is None or self.total is None:
            return worst
        off = (_total(x, self.weights) - self.total) / float(self.weights.norm())
        return torch.maximum(worst, off.clamp(min=0.0) if self.at_most else off.abs())

    def _check_total(self, weights: Tensor, total: float) -> None:
        if not (bool(weights.isfinite().all()) and bool((weights != 0).any())):
            raise ValueError("weights must be finite and not all zero: with none the total says nothing")
        least, most = _reach(self.lower, self.upper, weights)
        slack = SLACK * max(1.0, abs(total))
        too_much = total > most + slack and not self.at_most
        # `not >=` refuses a total that is not a number as well.
        if not total >= least - slack or too_much or total in (float("inf"), float("-inf")):
            raise ValueError(
                f"no configuration in the box has a weighted total of {'at most ' * self.at_most}{total:g}: "
                f"it goes from {least:g} to {most:g}; change the total or widen the box"
            )

    def _met(self, x: Tensor, weights: Tensor, total: float) -> bool:
        terms = (x * weights).flatten(1)
        off = terms.sum(dim=1) - total
        off = off.clamp(min=0.0) if self.at_most else off.abs()
        return bool((off <= ROUNDING * (terms.abs().sum(dim=1) + abs(total))).all())

    def _moved(self, x: Tensor, weights: Tensor, total: float) -> Tensor:
        shift = self._root(x, weights, total)
        if self.at_most:
            shift = shift.clamp(min=0.0)
        return clip(x - shift.reshape((-1,) + (1,) * (x.ndim - 1)) * weights, self.lower, self.upper)

    def _root(self, x: Tensor, weights: Tensor, total: float) -> Tensor:
        """(batch,) λ at which Σ weights·clip(x - λ·weights) = total.

        A coordinate is free between the λ at which it leaves one bound and that at which it meets the other; there the
        total falls by weights² for each unit of λ. Sorted, these kinks give the total at each of them, and the root
        lies on the line behind the last at which the total is not yet below its level.
        """
        enter, leave = self._kinks(x, weights)
        bent = torch.stack([enter.isfinite(), leave.isfinite()], dim=1)
        kinks = torch.where(bent, torch.stack([enter, leave], dim=1), 0.0)
        # What never bends, for want of a bound, is put where it disturbs nothing: at the last kink, with no change of slope.
        last = torch.where(bent, kinks, -torch.inf).flatten(1).amax(dim=1)
        last = torch.where(last.isfinite(), last, 0.0)
        kinks = torch.where(bent, kinks, last[:, None, None]).flatten(1)
        square = (weights**2).flatten()
        bends = (torch.stack([square, -square]) * bent).flatten(1)
        kinks, order = kinks.sort(dim=1)
        before = (square * (enter == -torch.inf)).sum(dim=1)
        slopes = (before[:, None] + bends.gather(1, order).cumsum(dim=1)).clamp(min=0.0)
        first = clip(x - kinks[:, 0].reshape((-1,) + (1,) * (x.ndim - 1)) * weights, self.lower, self.upper)
        falls = (slopes[:, :-1] * kinks.diff(dim=1)).cumsum(dim=1)
        above = _total(first, weights)[:, None] - torch.cat([torch.zeros_like(before)[:, None], falls], dim=1) - total
        k = ((above >= 0).sum(dim=1) - 1).clamp(min=0)[:, None]
        left, slope = above.gather(1, k)[:, 0], slopes.gather(1, k)[:, 0]
        slope = torch.where(left < 0, before, slope)
        return kinks.gather(1, k)[:, 0] + torch.where(slope > 0, left / slope, 0.0)

    def _kinks(self, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, N) λ at which each coordinate leaves one bound, and meets the other; infinite where there is none."""
        low = torch.full_like(weights, -torch.inf) if self.lower is None else self.lower
        high = torch.full_like(weights, torch.inf) if self.upper is None else self.upper
        down, up = ((x - high) / weights).flatten(1), ((x - low) / weights).flatten(1)
        enter, leave = torch.minimum(down, up), torch.maximum(down, up)
        weightless = (weights == 0).flatten()
        return torch.where(weightless, torch.inf, enter), torch.where(weightless, torch.inf, leave)


def _total(x: Tensor, weights: Tensor) -> Tensor:
    return (x * weights).flatten(1).sum(dim=1)


def _reach(lower: Tensor | None, upper: Tensor | None, weights: Tensor) -> tuple[float, float]:
    """The least and the largest weighted total in the box."""
    low = torch.full_like(weights, -torch.inf) if lower is None else lower
    high = torch.full_like(weights, torch.inf) if upper is None else upper
    bound = weights != 0
    ends = torch.stack([(low * weights)[bound], (high * weights)[bound]])
    return float(ends.amin(dim=0).sum()), float(ends.amax(dim=0).sum())


def _each(which, one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """`which` of two bounds, the known one where the other is open."""
    if one is None or other is None:
        return other if one is None else one
    if one.shape != other.shape:
        raise ValueError(f"bounds have shapes {tuple(one.shape)} and {tuple(other.shape)}: give all of them one shape")
    return which(one, other.to(one))
