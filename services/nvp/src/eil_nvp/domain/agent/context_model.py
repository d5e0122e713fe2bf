"""What error to expect in which context: recursive ridge on a fixed random feature map, with the leverage that says how new a context is.

Features (latent_dim in all): 1, the standardised context z (its first latent_dim // 4 elements), and random Fourier features √(2/R)
cos(ωᵀz + b), ω normal over the median distance of the first contexts (Rahimi and Recht 2007), seeded. The linear part lets leverage grow
with distance, the Fourier part sees holes. Ridge with forgetting that does not forget the prior,

    A <- γ A + (1 - γ) λ I + φφᵀ,   B <- γ B + φ yᵀ,   weights = A⁻¹B,   leverage = φᵀA⁻¹φ,

so directions no longer visited become new again instead of exploding (the wind-up of plain recursive least squares). A is refactored
every BATCH lessons; between, the lessons wait. Centre and spread are the median and interquartile range of the first WARM contexts and
then fixed.

Assumptions: the context has a fixed length; the target's level in one context changes slowly against 1 / (1 - γ) lessons.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

WARM = 64
"""Contexts before the map is fixed."""
BATCH = 16
"""Lessons between two factorisations."""
FORGET = 0.997
"""γ."""
RIDGE = 1.0
"""λ: the variance of ln|normal| is 1.2, that of the function about 1."""
LOW, HIGH = 1.0, 3.0
"""Cut of a lesson's surprise (Huber 1964), tighter below: how near zero a lucky error came says little of the width needed. On hourly
ETTh2 the mean half-width of persistence one step ahead, at coverage .90, is 1.78 with 1 and over 4 with 5."""
FAR = 50.0
"""Largest standardised element: beyond, farther is not newer, and squares would hurt the matrix."""
TYPICAL = 0.95
"""Novelty 1 is this quantile of the leverages met."""


class ContextModel:
    """Predicts `heads` targets from a context. Not thread-safe; memory is 2 · latent_dim² floats and a little.

    Args:
        latent_dim: features in all, >= 8.
        heads: targets.
        seed: of ω and b.
    """

    def __init__(self, latent_dim: int, heads: int, seed: int) -> None:
        if latent_dim < 8 or heads < 1:
            raise ValueError(
                f"latent_dim is {latent_dim}, heads {heads}: no map of a context fits; give at least 8 and 1, for example 128 and 1"
            )
        self.latent_dim, self.heads, self.seed = latent_dim, heads, seed
        self.lessons = 0
        self._contexts, self._targets = np.empty((0, 0)), np.empty((0, heads))
        """Waiting lessons: raw contexts (n, d) until WARM, then features (n < BATCH, L); targets (n, heads)."""
        self._centre, self._spread, self._length = np.empty(0), np.empty(0), 1.0
        self._gram, self._moment = RIDGE * np.eye(latent_dim), np.zeros((latent_dim, heads))
        self._typical = 0.0
        """Logarithm of the TYPICAL leverage."""

    @property
    def ready(self) -> bool:
        """Whether the map is fixed."""
        return len(self._centre) > 0

    def check(self, context: npt.ArrayLike) -> Array:
        """The context as (d,). Raises ValueError when its length is not that of those before."""
        values = np.asarray(context, np.float64)
        length = len(self._centre) if self.ready else self._contexts.shape[1]
        if values.ndim != 1 or not len(values) or (self.lessons and len(values) != length):
            raise ValueError(
                f"the context has shape {values.shape}, those before ({length},): they cannot be compared; give one fixed vector"
            )
        return values

    def look(self, context: Array) -> tuple[Array, float, float]:
        """Of a context (d,): predicted targets (heads,), leverage, novelty (1 is the edge of the usual). Needs `ready`."""
        features = self._features(context)
        leverage = float(features @ self._inverse @ features)
        return features @ self._weights, leverage, self._novelty(leverage)

    def learn(self, context: Array, targets: Array) -> tuple[Array, float, float] | None:
        """Take a lesson: targets (heads,), NaN where unknown. Gives what `look` would have said before, None until `ready`."""
        self.lessons += 1
        if not self.ready:
            self._contexts = np.vstack([self._contexts.reshape(-1, len(context)), context])
            self._targets = np.vstack([self._targets, targets])
            if self.lessons >= WARM:
                self._fix()
            return None
        features = self._features(context)
        leverage = float(features @ self._inverse @ features)
        novelty = self._novelty(leverage)
        step = 1.0 / np.sqrt(self.lessons) if self.lessons < 400 else 0.05
        self._typical += step * (TYPICAL - float(np.log(leverage) <= self._typical))
        predicted = features @ self._weights
        self._contexts = np.vstack([self._contexts, features])
        self._targets = np.vstack(
            [
                self._targets,
                np.where(np.isfinite(targets), np.clip(targets, predicted - LOW, predicted + HIGH), predicted),
            ]
        )
        if len(self._contexts) >= BATCH:
            self._absorb()
        return predicted, leverage, novelty

    def _novelty(self, leverage: float) -> float:
        return float(np.exp(min(np.log(leverage) - self._typical, 50.0)))

    def _fix(self) -> None:
        """Fix the map on the first contexts and learn them."""
        contexts, targets = self._contexts, self._targets
        low, self._centre, high = np.quantile(contexts, [0.25, 0.5, 0.75], axis=0)
        spread = np.maximum((high - low) / 1.349, 0.1 * contexts.std(axis=0))
        still = spread <= 1e-9 * np.maximum(np.abs(self._centre), 1e-300)
        self._spread = np.where(still, np.where(self._centre == 0, 1.0, 0.1 * np.abs(self._centre)), spread)
        z = self._standardised(contexts)
        apart = np.sqrt(((z[:, None] - z[None]) ** 2).sum(axis=2))[np.triu_indices(len(z), 1)]
        self._length = max(float(np.median(apart)), 1e-3)
        self._draw()
        self._targets = np.where(np.isfinite(targets), targets, 0.0)
        self._contexts = self._features(contexts)
        self._absorb()
        leverages = np.einsum("ij,jk,ik->i", features := self._features(contexts), self._inverse, features)
        # Of contexts already learned the leverage is h, of the same before they were it was h / (1 - h).
        self._typical = float(np.log(np.quantile(leverages / np.maximum(1 - leverages, 0.05), TYPICAL)))

    def _draw(self) -> None:
        rng = np.random.default_rng(self.seed)
        linear = min(len(self._centre), self.latent_dim // 4)
        count = self.latent_dim - 1 - linear
        self._linear = linear
        self._frequencies = rng.normal(size=(len(self._centre), count)) / self._length
        self._phases = rng.uniform(0.0, 2 * np.pi, count)

    def _standardised(self, contexts: Array) -> Array:
        return np.clip((contexts - self._centre) / self._spread, -FAR, FAR)

    def _features(self, contexts: Array) -> Array:
        """(..., d) to (..., L)."""
        z = self._standardised(contexts)
        waves = np.sqrt(2.0 / len(self._phases)) * np.cos(z @ self._frequencies + self._phases)
        return np.concatenate([np.ones((*z.shape[:-1], 1)), z[..., : self._linear], waves], axis=-1)

    def _absorb(self) -> None:
        """Let the waiting lessons in, the newest forgotten least."""
        age = FORGET ** np.arange(len(self._contexts) - 1, -1, -1.0)
        kept = FORGET ** len(self._contexts)
        weighted = age[:, None] * self._contexts
        self._gram = kept * self._gram + (1 - kept) * RIDGE * np.eye(self.latent_dim) + weighted.T @ self._contexts
        self._gram = 0.5 * (self._gram + self._gram.T)
        self._moment = kept * self._moment + weighted.T @ self._targets
        self._contexts, self._targets = np.empty((0, self.latent_dim)), np.empty((0, self.heads))
        self._solve()

    def _solve(self) -> None:
        self._inverse = np.linalg.inv(self._gram)
        self._weights = self._inverse @ self._moment

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The state; what follows from the seed is not stored."""
        upper = self._gram[np.triu_indices(self.latent_dim)]
        scalars = np.array([self._length, self._typical])
        counts = np.array([self.latent_dim, self.heads, self.seed, self.lessons], np.int64)
        parts = (self._contexts, self._targets, self._centre, self._spread, self._moment)
        return {"counts": counts, "scalars": scalars, "gram": upper} | dict(
            zip(_PARTS, (part.copy() for part in parts), strict=True)
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> ContextModel:
        """What `to_arrays` gave; goes on exactly as that would have."""
        latent_dim, heads, seed, lessons = (int(count) for count in arrays["counts"])
        model = cls(latent_dim, heads, seed)
        model.lessons = lessons
        model._length, model._typical = (float(value) for value in arrays["scalars"])
        for name in _PARTS:
            setattr(model, f"_{name}", np.array(arrays[name], np.float64))
        upper = np.zeros((latent_dim, latent_dim))
        upper[np.triu_indices(latent_dim)] = arrays["gram"]
        model._gram = upper + np.triu(upper, 1).T
        if model.ready:
            model._draw()
            model._solve()
        return model


_PARTS = ("contexts", "targets", "centre", "spread", "moment")
