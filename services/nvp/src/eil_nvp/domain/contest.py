"""Which method forecasts a channel: whichever erred least on the same held-out origins, persistence unless another clearly did."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
STILL = "persistence"


class Contest:
    """Which method each channel takes, by squared errors on the same held-out origins; persistence unless another errs less.

    Args:
        still: (blocks, m, horizon, d) errors of persistence.
        others: errors of the other methods, by name.
        win_ratio: what another must bring the mean squared error below, as a share of persistence's.
    """

    def __init__(self, still: Array, others: dict[str, Array], win_ratio: float) -> None:
        self._errors = {STILL: still, **others}
        self.winner = [STILL] * still.shape[-1]
        squares = {name: _mean_square(errors) for name, errors in self._errors.items()}
        for name in others:
            wins = _wins(squares[name], squares[STILL], win_ratio)
            for channel in np.flatnonzero(wins):
                best = squares[self.winner[channel]][:, channel].mean()
                if squares[name][:, channel].mean() < best:
                    self.winner[channel] = name

    def strike(self, paths: dict[str, Array]) -> None:
        """Channels whose winner's path is not finite go back to persistence."""
        for channel, name in enumerate(self.winner):
            if name != STILL and not np.isfinite(paths[name][:, channel]).all():
                self.winner[channel] = STILL

    def residuals(self) -> Array:
        """(n, horizon, d) held-out errors of the winners."""
        chosen = np.stack([self._errors[name][..., channel] for channel, name in enumerate(self.winner)], axis=-1)
        return chosen.reshape(-1, *chosen.shape[2:])

    def sentence(self) -> str:
        """Who won, for people."""
        origins = self._errors[STILL].shape[0] * self._errors[STILL].shape[1]
        names = sorted(set(self.winner) - {STILL})
        if not names:
            return f"persistence: nothing erred less on {origins} held-out origins"
        still = ", ".join(str(channel) for channel, name in enumerate(self.winner) if name == STILL)
        but = f", but persistence for channels {still}" if still else ""
        return f"{' and '.join(names)}: errs least on {origins} held-out origins{but}"


def _mean_square(errors: Array) -> Array:
    """(n, d) mean squared error of each origin over the horizon."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.mean(errors.reshape(-1, *errors.shape[2:]) ** 2, axis=1)


def _wins(other: Array, still: Array, win_ratio: float) -> np.ndarray:
    """(d,) whether a method errs less than persistence, overall by the margin and in each half of the held-out stretch.

    The halves keep one lucky excursion of a random walk from passing for skill.
    """
    middle = len(still) // 2
    wins = other.mean(axis=0) < win_ratio * still.mean(axis=0)
    wins &= other[:middle].mean(axis=0) < still[:middle].mean(axis=0)
    return wins & (other[middle:].mean(axis=0) < still[middle:].mean(axis=0))
