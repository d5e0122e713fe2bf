"""The Gaussian law that a model learns of its fields: a mean that is linear in what is known, and a variance for every wavelength.

Both are smooth functions of a mode's eigenvalue ℓ of minus the lattice Laplacian, so that what was learned on one grid holds on
every other: Chebyshev polynomials in u = log(ℓ + ℓ₀). The mean is found by least squares, the spectrum by maximum likelihood
(Whittle 1953), both less a penalty on roughness; neither knows an equation.
"""

import math

import torch
from torch import Tensor, nn

from eil_diffusion.domain.lattice import Lattice

DEGREE = 10
"""Of the polynomials."""
SOFTENING = 0.05
"""ℓ₀: wavelengths much longer than 2π/√ℓ₀ ≈ 28 sites look alike to the polynomial."""
RIDGE = 1e-8
"""Penalty of the mean's weights, as a share of the mean power of their features."""
ROUGHNESS = 1e-7
"""Penalty of a polynomial's weight of degree d, times d⁶, beside the mean power of its features or twice the log likelihood a mode.

Between the mean and the longest wave a grid has no mode, and a polynomial that only fits the others may run off there by e²⁵; a
larger grid does have some.
"""
LEAST = 1e-12
"""Variance of a mode in standardised units that is not told from none."""


class LearnedLaw(nn.Module):
    """Mean and spectrum of standardised fields (batch, fields, rows, columns), given signals and maps.

    Args:
        fields, signals, maps: how many of each.
        periodic: whether the lattice closes on itself.
    """

    def __init__(self, fields: int, signals: int, maps: int, *, periodic: bool) -> None:
        super().__init__()
        self.fields, self.signals, self.maps, self.periodic = fields, signals, maps, periodic
        terms = 1 + 2 * signals
        self.filters: Tensor
        self.levels: Tensor
        self.spectrum: Tensor
        self.register_buffer("filters", torch.zeros(fields, maps, DEGREE + 1, dtype=torch.float64))
        self.register_buffer("levels", torch.zeros(fields, terms, dtype=torch.float64))
        self.register_buffer("spectrum", torch.zeros(fields, terms, DEGREE + 1, dtype=torch.float64))

    def mean(self, lattice: Lattice, signals: Tensor | None, maps: Tensor | None) -> Tensor:
        """(batch or 1, fields, rows, columns)."""
        level = _terms(signals, self.levels) @ self.levels.T
        mean = level[:, :, None, None].expand(*level.shape, *lattice.shape)
        if self.maps and maps is not None:
            shapes = torch.einsum("fmd,dij->fmij", self.filters, _basis(lattice).to(self.filters))
            mean = mean + lattice.from_modes(torch.einsum("fmij,bmij->bfij", shapes, lattice.to_modes(maps)))
        return mean

    def log_variance(self, lattice: Lattice, signals: Tensor | None) -> Tensor:
        """(batch or 1, fields, rows, columns) of each mode."""
        weights = torch.einsum("bt,ftd->bfd", _terms(signals, self.spectrum), self.spectrum)
        return torch.einsum("bfd,dij->bfij", weights, _basis(lattice).to(weights))

    def fit(self, fields: Tensor, signals: Tensor | None, maps: Tensor | None) -> None:
        """Learn from standardised fields (n, fields, rows, columns), n > 1, with their signals (n, signals) and maps (n, maps,
        rows, columns).
        """
        lattice = Lattice((fields.shape[2], fields.shape[3]), self.periodic)
        self._fit_mean(lattice, fields, signals, maps)
        residual = lattice.to_modes(fields - self.mean(lattice, signals, maps))
        self._fit_spectrum(lattice, residual, signals)

    def _fit_mean(self, lattice: Lattice, fields: Tensor, signals: Tensor | None, maps: Tensor | None) -> None:
        terms, basis = _terms(signals, self.levels).expand(len(fields), -1), _basis(lattice)
        known = self.maps * (DEGREE + 1)
        gram = torch.zeros(known + terms.shape[1], known + terms.shape[1], dtype=torch.float64)
        wanted = torch.zeros(known + terms.shape[1], self.fields, dtype=torch.float64)
        constant = torch.zeros(lattice.shape, dtype=torch.float64)
        constant[0, 0] = math.sqrt(lattice.size)
        for begin in range(0, len(fields), 64):
            part = slice(begin, begin + 64)
            features = [terms[part, :, None, None] * constant]
            if self.maps and maps is not None:
                filtered = torch.einsum("bmij,dij->bmdij", lattice.to_modes(maps[part]), basis)
                features.insert(0, filtered.flatten(1, 2))
            table = torch.cat(features, 1).transpose(0, 1).flatten(1)
            target = lattice.to_modes(fields[part]).transpose(0, 1).flatten(1)
            gram += table @ table.T
            wanted += table @ target.T
        penalty = torch.full((len(gram),), RIDGE, dtype=torch.float64)
        penalty[:known] += _roughness().repeat(self.maps)
        gram += torch.diag(penalty * gram.diagonal().mean())
        weights = torch.linalg.solve(gram, wanted).T
        self.filters.copy_(weights[:, :known].reshape(self.filters.shape))
        self.levels.copy_(weights[:, known:])

    def _fit_spectrum(self, lattice: Lattice, residual: Tensor, signals: Tensor | None) -> None:
        """Penalised likelihood of Gaussian modes by L-BFGS; modes of one eigenvalue are summed first."""
        values, group = lattice.eigenvalues().round(decimals=9).unique(return_inverse=True)
        counts = torch.bincount(group.flatten()).to(torch.float64)
        power = torch.zeros(len(residual), self.fields, len(values), dtype=torch.float64)
        power.index_add_(2, group.flatten(), residual.square().flatten(2))
        # Of modes without any, as where the mean explains all, the likelihood would have no maximum.
        power = power + LEAST * counts
        terms = _terms(signals, self.spectrum).expand(len(residual), -1)
        if not self.signals:
            power, terms = power.mean(0, keepdim=True), terms[:1]
        basis = _chebyshev(values)
        weights = torch.zeros_like(self.spectrum, requires_grad=True)
        with torch.no_grad():
            weights[:, 0, 0] = (power.mean(0).sum(1) / lattice.size).clamp_min(1e-12).log()
        search = torch.optim.LBFGS(
            [weights], max_iter=400, tolerance_grad=1e-10, tolerance_change=1e-13, line_search_fn="strong_wolfe"
        )

        def misfit() -> Tensor:
            search.zero_grad()
            log_variance = torch.einsum("bt,ftd,dv->bfv", terms, weights, basis)
            loss = (counts * log_variance + power * (-log_variance).exp()).mean(0).sum() / lattice.size
            loss = loss + (_roughness() * weights.square()).sum()
            loss.backward()
            return loss

        with torch.enable_grad():
            search.step(misfit)
        self.spectrum.copy_(weights.detach())


def _terms(signals: Tensor | None, like: Tensor) -> Tensor:
    """(batch or 1, 1 + 2·signals): one, the signals and their squares."""
    if signals is None:
        return torch.cat([like.new_ones(1, 1), like.new_zeros(1, like.shape[1] - 1)], 1)
    given = signals.to(like)
    return torch.cat([given.new_ones(len(given), 1), given, given.square()], 1)


def _roughness() -> Tensor:
    """(DEGREE + 1,) penalties of weights."""
    return ROUGHNESS * torch.arange(DEGREE + 1, dtype=torch.float64) ** 6


def _basis(lattice: Lattice) -> Tensor:
    """(DEGREE + 1, *shape)."""
    return _chebyshev(lattice.eigenvalues().flatten()).reshape(DEGREE + 1, *lattice.shape)


def _chebyshev(eigenvalues: Tensor) -> Tensor:
    """(DEGREE + 1, n) polynomials in u, which runs from -1 at ℓ = 0 to 1 at ℓ = 8."""
    low, high = math.log(SOFTENING), math.log(8 + SOFTENING)
    u = (2 * ((eigenvalues + SOFTENING).log() - low) / (high - low) - 1).clamp(-1, 1)
    return torch.stack([(degree * u.acos()).cos() for degree in range(DEGREE + 1)])
