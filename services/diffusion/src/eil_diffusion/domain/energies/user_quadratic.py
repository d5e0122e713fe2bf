"""Quadratic energies given as a matrix: exact modes where it is positive definite, a proven bound in a box where not."""

import copy
import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from eil_diffusion.domain.energies.energy import each_sum
from eil_diffusion.domain.energies.quadratic import QuadraticEnergy

Table = Sequence[Sequence[float]] | Sequence[float] | Tensor
"""(n, n) numbers, as rows or as one row-major list."""
Vector = float | Sequence[float] | Tensor
"""One number for all coordinates, or one for each."""

MOST_COORDINATES = 512
# A matrix that differs from its transpose by more than this share of its largest entry is a mistake, not rounding.
ASYMMETRY = 1e-9
EPSILON = torch.finfo(torch.float64).eps
BOUND_STEPS = 1000
BOUND_TOLERANCE = 1e-10


class DenseQuadratic(QuadraticEnergy):
    """E(x) = offset + ½(x - mean)ᵀA(x - mean), A (n, n) dense, positive definite, x (n,)."""

    def __init__(self, matrix: Tensor, load: Tensor, lower: Tensor | None, upper: Tensor | None, remedy: str) -> None:
        """The energy with A = `matrix` and A·mean = `load`; raises ValueError, ending in `remedy`, unless A is positive."""
        values, self.basis = spectrum(matrix)
        if not definite(values):
            raise ValueError(
                f"the smallest eigenvalue is {float(values[0]):.3g} beside a largest of {float(values[-1]):.3g}, so the "
                f"energy is flat or falls without bound: {remedy}"
            )
        mean = torch.linalg.solve(matrix, load)
        if not mean.isfinite().all():
            raise ValueError("the lowest configuration overflows: rescale the numbers")
        super().__init__(mean, values)
        self.matrix = matrix
        """(n, n) A."""
        self.offset = 0.0
        """Energy at `mean`."""
        self.lower, self.upper = lower, upper

    def energy(self, x: Tensor) -> Tensor:
        """(batch, n) → (batch,)."""
        return self.offset + 0.5 * each_sum((x - self.mean) * self.gradient(x))

    def gradient(self, x: Tensor) -> Tensor:
        """A(x - mean), (batch, n)."""
        return (x - self.mean) @ self.matrix

    def to_modes(self, displacement: Tensor) -> Tensor:
        """Coordinates in the eigenvectors of A."""
        return displacement @ self.basis

    def from_modes(self, modes: Tensor) -> Tensor:
        """The inverse of `to_modes`."""
        return modes @ self.basis.T


class UserQuadratic(DenseQuadratic):
    """E(x) = ½xᵀQx + bᵀx + c, x (n,), n ≤ 512, in whatever unit the numbers have; Q symmetric, positive definite.

    `matrix` is Q, `linear` b, `constant` c; `lower` and `upper` close the box for optimisation alone. Raises ValueError on
    wrong shapes, non-finite numbers, an asymmetric Q, a box with its sides swapped, or a Q that is not positive definite.
    """

    def __init__(
        self,
        matrix: Table,
        linear: Vector = 0.0,
        constant: float = 0.0,
        *,
        lower: Vector | None = None,
        upper: Vector | None = None,
    ) -> None:
        quadratic = symmetric(matrix)
        size = len(quadratic)
        slope = per_coordinate("linear", linear, size)
        level = float(per_coordinate("constant", constant, 1))
        remedy = "add more than its size to the diagonal, or only optimise, in a box closed on both sides"
        super().__init__(quadratic, -slope, *box(lower, upper, size), remedy)
        self.offset = level + 0.5 * float(slope @ self.mean)


class BoxQuadratic:
    """E(x) = ½xᵀQx + bᵀx + c, x (n,), n ≤ 512, Q any symmetric matrix, for optimisation in a box closed on both sides.

    Not a `QuadraticEnergy`: it may have many minima and no Boltzmann law. Raises ValueError as `UserQuadratic` does,
    and when the box is open.
    """

    def __init__(
        self, matrix: Table, linear: Vector = 0.0, constant: float = 0.0, *, lower: Vector, upper: Vector
    ) -> None:
        self.matrix = symmetric(matrix)
        size = len(self.matrix)
        slope, level = per_coordinate("linear", linear, size), float(per_coordinate("constant", constant, 1))
        least, most = box(lower, upper, size)
        if least is None or most is None:
            raise ValueError("an indefinite quadratic has its minimum on the box's edge: give both lower and upper")
        self.lower, self.upper = least, most
        # Around the centre of the box, far from which bᵀx and xᵀQx would cancel.
        self.centre = least + (most - least) / 2
        self.slope = self.matrix @ self.centre + slope
        self.level = level + float(self.centre @ (slope + 0.5 * (self.matrix @ self.centre)))
        if not (self.slope.isfinite().all() and math.isfinite(self.level)):
            raise ValueError("the energy overflows inside the box: rescale the numbers")

    @property
    def shape(self) -> tuple[int, ...]:
        """(n,)."""
        return tuple(self.centre.shape)

    def energy(self, x: Tensor) -> Tensor:
        """(batch, n) → (batch,)."""
        shift = x - self.centre
        return self.level + (shift * (self.slope + 0.5 * (shift @ self.matrix))).sum(dim=1)

    def gradient(self, x: Tensor) -> Tensor:
        """Qx + b, (batch, n)."""
        return self.slope + (x - self.centre) @ self.matrix

    def to(self, device: str) -> Self:
        """The same energy with its tensors on `device`."""
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        return moved

    def lower_bound(self, x: Tensor) -> float:
        """A proven lower bound of the energy over the box, sought from x (n,).

        αBB (Androulakis, Maranas & Floudas 1995) with one α in the units of the box, u = (x - centre)/width: where H
        is Q in these units and κ = -λ_min(H), C(u) = E + ½κΣ(u² - ¼) is convex and nowhere in the box above E. Its
        tangent at any u is below it, so each of the points met while C is minimised gives a bound: level - κn/8 -
        ½uᵀ(H+κI)u - ½|∇C|₁. What is lost is κn/8 at most, and nothing where the lowest corner also minimises C.
        """
        width = self.upper - self.lower
        scaled = width[:, None] * self.matrix * width
        slope = self.slope * width
        values = torch.linalg.eigvalsh(scaled)
        guard = 8 * len(values) * EPSILON * float(values.abs().max())
        lift = max(0.0, -float(values[0])) + guard
        convex = scaled + lift * torch.eye(len(values), dtype=scaled.dtype, device=scaled.device)
        steepest = max(float(values[-1]) + lift, guard, 1e-300)
        point = torch.where(width > 0, (x - self.centre) / width.clamp_min(1e-300), torch.zeros_like(width))
        lead, momentum, best = point, 1.0, -math.inf
        for _ in range(BOUND_STEPS):
            bend = convex @ lead
            gradient = slope + bend
            bend_energy, reach = 0.5 * float(lead @ bend), 0.5 * float(gradient.abs().sum())
            best = max(best, -bend_energy - reach)
            if float(slope @ lead) + 2 * bend_energy + reach <= BOUND_TOLERANCE * (bend_energy + reach):
                break
            moved = (lead - gradient / steepest).clamp(-0.5, 0.5)
            after = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            lead = (moved + (momentum - 1) / after * (moved - point)).clamp(-0.5, 0.5)
            point, momentum = moved, after
        return self.level - lift * len(values) / 8 + best


def quadratic_to_optimise(
    matrix: Table,
    linear: Vector = 0.0,
    constant: float = 0.0,
    *,
    lower: Vector | None = None,
    upper: Vector | None = None,
) -> UserQuadratic | BoxQuadratic:
    """½xᵀQx + bᵀx + c for the optimiser: a `UserQuadratic` where Q is positive definite, else a `BoxQuadratic`.

    Raises ValueError as they do.
    """
    quadratic = symmetric(matrix)
    if lower is None or upper is None or definite(spectrum(quadratic)[0]):
        return UserQuadratic(quadratic, linear, constant, lower=lower, upper=upper)
    return BoxQuadratic(quadratic, linear, constant, lower=lower, upper=upper)


def numbers(name: str, value: Any) -> Tensor:
    """A float64 copy of nested lists, an array or a tensor. Raises ValueError unless rectangular, real and finite."""
    try:
        if isinstance(value, Tensor) and value.is_complex():
            raise TypeError("must be real numbers, not complex")
        table = torch.as_tensor(value, dtype=torch.float64).clone()
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(f"{name} is no table of numbers ({error}): give plain numbers, all rows as long") from error
    if not table.isfinite().all():
        raise ValueError(f"{name} holds NaN or infinity: give finite numbers")
    return table


def per_coordinate(name: str, value: Any, size: int) -> Tensor:
    """`value` as (size,) finite float64: one number for all, or one for each."""
    vector = numbers(name, value)
    if vector.ndim != 0 and vector.shape != (size,):
        raise ValueError(f"{name} has shape {tuple(vector.shape)}: give one number or {size} in a row")
    return vector.expand(size).clone()


def box(lower: Any, upper: Any, size: int) -> tuple[Tensor | None, Tensor | None]:
    """Both sides of a box as (size,), None where open. Raises ValueError where the lower side lies above the upper."""
    least = None if lower is None else per_coordinate("lower", lower, size)
    most = None if upper is None else per_coordinate("upper", upper, size)
    if least is not None and most is not None and bool((least > most).any()):
        at = int((least > most).nonzero()[0])
        raise ValueError(f"lower {least[at]:g} lies above upper {most[at]:g} at coordinate {at}: swap them")
    return least, most


def symmetric(matrix: Any) -> Tensor:
    """`matrix` as (n, n), row-major if flat, made exactly symmetric; raises ValueError when it is not nearly so."""
    table = numbers("matrix", matrix)
    size = math.isqrt(table.numel())
    if not 1 <= size <= MOST_COORDINATES:
        raise ValueError(f"matrix has {table.numel()} entries: give between 1 and {MOST_COORDINATES} coordinates")
    if tuple(table.shape) not in {(size, size), (size * size,)}:
        raise ValueError(f"matrix has shape {tuple(table.shape)}: give n rows of n numbers, or n² in one row")
    square = table.reshape(size, size)
    # Halves first: a sum of two entries may overflow where their mean does not.
    half = square / 2
    if float((half - half.T).abs().max()) > ASYMMETRY * float(half.abs().max()):
        row, column = divmod(int((half - half.T).abs().argmax()), size)
        raise ValueError(
            f"matrix is not symmetric: entry ({row}, {column}) is {float(square[row, column]):g} and ({column}, {row}) "
            f"{float(square[column, row]):g}; give their mean in both places, which leaves the energy as it is"
        )
    return half + half.T


def spectrum(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors of a symmetric matrix; raises ValueError when they overflow."""
    try:
        values, basis = torch.linalg.eigh(matrix)
    except RuntimeError as error:
        raise ValueError(
            f"the matrix has no eigenvalues that can be computed ({error}): rescale the numbers"
        ) from error
    if not (values.isfinite().all() and basis.isfinite().all()):
        raise ValueError("the eigenvalues of the matrix overflow: rescale the numbers")
    return values, basis


def definite(values: Tensor) -> bool:
    """Whether ascending eigenvalues are all positive beyond doubt, that is by more than the rounding of the largest."""
    return float(values[0]) > len(values) * EPSILON * float(values[-1])
