"""A direct multi-horizon linear forecaster: closed form, chosen by validation, refined by every new row."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np

from eil_nvp.domain.telemetry.gaps import checked, filled
from eil_nvp.domain.telemetry.moments import Array, Layout, Moments
from eil_nvp.domain.telemetry.ridge_map import Choice, RidgeMap, average, mean_square, solve


@dataclass(frozen=True)
class LinearConfig:
    """What validation may choose from, and what is fixed."""

    lookbacks: tuple[int, ...] = (24, 48, 96, 168, 336)
    """Memories in samples; the forecast is the mean over those that the history bears, for one memory alone is a bet."""
    penalties: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0)
    """See Choice."""
    decays: tuple[float, ...] = (0.0, 1.0)
    """See Choice."""
    periods: tuple[int, ...] = (0, 24)
    """See Choice."""
    reversible: tuple[bool, ...] = (False, True)
    """See Choice. Ignored where there are inputs."""
    individual: tuple[bool, ...] = (False, True)
    """See Choice. With inputs always True: an input acts on each channel in its own way."""
    coupled: tuple[bool, ...] = (False,)
    """See Choice."""
    shortest: tuple[int, ...] = (0, 96)
    """See Choice. One of them must not exceed the longest lookback that the history bears."""
    input_lags: int = 24
    """Samples of a planned input, or of another channel, that bear on one step."""
    forgetting: float = 1.0
    """A row of `update` counts this much times the one after it."""
    max_gap: int = 6
    """Longest run of missing values that is interpolated; windows over a longer one teach nothing."""
    min_windows: int = 8
    """Training windows per lookback sample/100 below which a lookback is dropped; and at least so many windows in all."""


@dataclass
class LinearForecaster:
    """Fitted state. Make one with `fit` or `from_arrays`."""

    config: LinearConfig
    choice: Choice
    moments: Moments
    mean: Array
    """(d,) of the training rows; values are standardised by it and `std`."""
    std: Array
    """(d,), 1 where a channel never changed."""
    tail: Array
    """(span - 1, d) newest standardised rows, NaN where missing: the windows of new rows begin there."""
    plan_tail: Array
    """(span - 1, p)."""
    validation: Mapping[Choice, float] = field(default_factory=dict)
    """Mean squared error on the validation rows, in training standard deviations squared, by choice."""
    _solved: list[list[RidgeMap]] | None = None
    _averaged: dict[int, list[RidgeMap]] = field(default_factory=dict)

    @classmethod
    def fit(
        cls,
        history: np.ndarray,
        horizon: int,
        *,
        plan: np.ndarray | None = None,
        validation: int | None = None,
        refit: bool = True,
        config: LinearConfig | None = None,
    ) -> "LinearForecaster":
        """Learn from `history` (T, d), equally spaced, oldest first, NaN where missing, to forecast `horizon` steps.

        `plan` (T, p) holds what the planned inputs were. Choices are made on the newest `validation` rows (a quarter
        unless given), of which training sees nothing; the choice made, `refit` adds them to the training data. Standard
        deviations are always of the training rows alone.

        Raises ValueError on wrong shapes, infinite values, a channel without a value, and a history too short for a
        window of the shortest lookback in each part.
        """
        config = config or LinearConfig()
        raw, inputs = checked(history, plan, horizon)
        held = len(raw) // 4 if validation is None else validation
        lookbacks = _bearable(config, len(raw) - held, held, horizon)
        config = replace(config, lookbacks=lookbacks)
        train = raw[: len(raw) - held]
        mean = np.nanmean(train, axis=0)
        spread = np.nanstd(train, axis=0)
        std = np.where(spread > 1e-12 * np.maximum(np.abs(mean), 1e-300), spread, 1.0)
        values = (filled(raw, config.max_gap) - mean) / std
        layout = _layout(config, horizon, values.shape[1], inputs.shape[1])
        matrices = values.shape[1] if layout.extras or True in config.individual else 1
        learned, judged = Moments.empty(layout, matrices), Moments.empty(layout, matrices)
        learned.add(values[: len(train)], inputs[: len(train)])
        judged.add(values[len(train) - layout.lookback :], inputs[len(train) - layout.lookback :])
        scores: dict[Choice, float] = {}
        for choice in _choices(config, layout):
            scores.update(_scores(learned, judged, choice, config))
        best = min(scores, key=lambda choice: scores[choice])
        if refit:
            # The windows that reach over the border are in neither part, so all rows are read once more.
            learned = Moments.empty(layout, matrices)
            learned.add(values, inputs)
        seen = len(values) if refit else len(train)
        first = seen - layout.span + 1
        return cls(config, best, learned, mean, std, values[first:seen], inputs[first:seen], scores)

    @property
    def horizon(self) -> int:
        """Steps it was trained for."""
        return self.moments.layout.horizon

    @property
    def needed(self) -> int:
        """Samples of history that the shortest lookback needs."""
        return max(min(self.config.lookbacks), self.moments.layout.lags)

    def maps(self, available: int | None = None) -> list[RidgeMap]:
        """The map of each channel (one for all where they are shared) from `available` samples of history.

        Raises ValueError when the shortest lookback needs more.
        """
        layout = self.moments.layout
        usable = [i for i, L in enumerate(self.config.lookbacks) if available is None or available >= L]
        if not usable or (available is not None and available < self.needed):
            raise ValueError(f"the history has {available} samples: this forecaster needs at least {self.needed}")
        if self._solved is None:
            means = _shared(self.moments.means, self.choice)
            self._solved = [[solve(layout, J, L, self.choice) for L in self.config.lookbacks] for J in means]
        if len(usable) not in self._averaged:
            long = [i for i in usable if self.config.lookbacks[i] >= self.choice.shortest] or usable[-1:]
            self._averaged[len(usable)] = [average(layout, [per[i] for i in long]) for per in self._solved]
        return self._averaged[len(usable)]

    def predict(self, history: np.ndarray, horizon: int | None = None, *, plan: np.ndarray | None = None) -> Array:
        """(horizon, d) forecast after `history` (n, d), in its units; `plan` is (n + horizon, p) with inputs.

        Missing values are interpolated, at the newest end held. Beyond the trained horizon the forecast is fed back as
        history. Raises ValueError on wrong shapes, a missing or incomplete plan, infinite values, a channel without a
        value, and less history than `needed`.
        """
        steps = self.horizon if horizon is None else horizon
        raw, inputs = checked(history, plan, steps, ahead=steps if plan is not None else 0)
        self._check(raw, inputs)
        values = (filled(raw, len(raw)) - self.mean) / self.std
        maps, start = self.maps(len(values)), len(values)
        while len(values) < start + steps:
            values = np.vstack([values, self._ahead(maps, values, inputs)])
        return values[start : start + steps] * self.std + self.mean

    def predict_windows(self, values: Array) -> Array:
        """(m, horizon, d) forecasts from every window of `values` (n, d) in units of the data; without inputs only.

        m = n - lookback + 1, the first from the first `lookback` rows. Raises ValueError with inputs or NaN.
        """
        if self.moments.layout.extras or not np.isfinite(values).all():
            raise ValueError("windows are predicted together only without inputs and without missing values")
        maps = self.maps()
        lookback = len(maps[0].lags)
        scaled = (values - self.mean) / self.std
        rows = np.lib.stride_tricks.sliding_window_view(scaled, lookback, axis=0)
        out = np.empty((len(rows), self.horizon, values.shape[1]))
        for channel in range(values.shape[1]):
            out[:, :, channel] = rows[:, channel] @ maps[channel % len(maps)].lags
        return out * self.std + self.mean

    def update(self, rows: np.ndarray, *, plan: np.ndarray | None = None) -> None:
        """Learn from `rows` (n, d), with `plan` (n, p), that follow the newest one seen. The choices stay.

        With forgetting 1 the state equals that of a fit on all rows. Cost: n·width² per channel, plus one solve at the
        next forecast. Raises ValueError as `fit`.
        """
        raw, inputs = checked(rows, plan, 1, complete=False)
        self._check(raw, inputs)
        whole = np.vstack([self.tail, (raw - self.mean) / self.std])
        values, inputs = filled(whole, self.config.max_gap), np.vstack([self.plan_tail, inputs])
        self.moments.add(values, inputs, self.config.forgetting)
        keep = self.moments.layout.span - 1
        self.tail, self.plan_tail = whole[len(whole) - keep :], inputs[len(inputs) - keep :]
        self._solved, self._averaged = None, {}

    def arrays(self) -> dict[str, np.ndarray]:
        """All state as arrays; `from_arrays` continues bit-exactly."""
        layout, choice = self.moments.layout, self.choice
        return {
            "layout": np.array([layout.lookback, layout.horizon, layout.inputs, layout.others, layout.lags]),
            "choice": np.array([choice.penalty, choice.decay, choice.period, *_flags(choice), choice.shortest]),
            "lookbacks": np.array(self.config.lookbacks),
            "fixed": np.array([self.config.input_lags, self.config.forgetting, self.config.max_gap], dtype=np.float64),
            "sums": self.moments.sums,
            "rows": np.array(self.moments.rows),
            "mean": self.mean,
            "std": self.std,
            "tail": self.tail,
            "plan_tail": self.plan_tail,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "LinearForecaster":
        """The forecaster whose `arrays` these are. Raises KeyError when one is missing."""
        penalty, decay, period, *flags, shortest = arrays["choice"].tolist()
        choice = Choice(penalty, decay, int(period), *(bool(flag) for flag in flags), shortest=int(shortest))
        lags, forgetting, gap = arrays["fixed"].tolist()
        config = LinearConfig(
            lookbacks=tuple(arrays["lookbacks"].tolist()),
            input_lags=int(lags),
            forgetting=forgetting,
            max_gap=int(gap),
        )
        moments = Moments(Layout(*arrays["layout"].tolist()), np.array(arrays["sums"]), float(arrays["rows"]))
        mean, std, tail, plan_tail = (np.array(arrays[name]) for name in ("mean", "std", "tail", "plan_tail"))
        return cls(config, choice, moments, mean, std, tail, plan_tail)

    def _ahead(self, maps: list[RidgeMap], values: Array, plan: Array) -> Array:
        """(H, d) forecast in standard deviations after `values`; the plan beyond its end is held."""
        layout, origin = self.moments.layout, len(values)
        lookback = len(maps[0].lags)
        out = np.empty((layout.horizon, values.shape[1]))
        for channel in range(values.shape[1]):
            one = maps[channel % len(maps)]
            out[:, channel] = values[origin - lookback :, channel] @ one.lags
            if layout.extras:
                out[:, channel] += self._extras(values, plan, channel) @ one.inputs
        return out

    def _extras(self, values: Array, plan: Array, channel: int) -> Array:
        """(extras,) of the newest origin, relative to the mean over as much of the lookback as there is."""
        layout, origin = self.moments.layout, len(values)
        first, window = origin - layout.lags, slice(max(0, origin - layout.lookback), origin)
        held = np.vstack([plan, np.repeat(plan[-1:], max(0, origin + layout.horizon - len(plan)), axis=0)])
        parts = [held[first : origin + layout.horizon, i] - held[window, i].mean() for i in range(layout.inputs)]
        rest = [c for c in range(values.shape[1]) if c != channel] if layout.others else []
        parts += [values[first:, c] - values[window, c].mean() for c in rest]
        return np.concatenate(parts)

    def _check(self, raw: Array, inputs: Array) -> None:
        if raw.shape[1] != len(self.mean) or inputs.shape[1] != self.moments.layout.inputs:
            raise ValueError(
                f"{raw.shape[1]} channels and {inputs.shape[1]} planned inputs were given: this forecaster was trained on "
                f"{len(self.mean)} and {self.moments.layout.inputs}"
            )


def _flags(choice: Choice) -> tuple[bool, bool, bool]:
    return choice.reversible, choice.individual, choice.coupled


def _bearable(config: LinearConfig, train: int, held: int, horizon: int) -> tuple[int, ...]:
    """The lookbacks, shortest first, for which the training rows hold enough windows."""
    windows = {L: train - L - horizon + 1 for L in sorted(set(config.lookbacks))}
    usable = tuple(L for L, count in windows.items() if count >= config.min_windows * max(1.0, L / 100) and train >= L)
    if not usable or held < horizon:
        shortest = min(windows)
        rows = shortest + horizon - 1 + int(np.ceil(config.min_windows * max(1.0, shortest / 100)))
        raise ValueError(
            f"{train} training and {held} validation rows are too few: a lookback of {shortest} and a horizon of {horizon} "
            f"need {rows} and {horizon}"
        )
    return usable


def _layout(config: LinearConfig, horizon: int, channels: int, inputs: int) -> Layout:
    others = channels - 1 if True in config.coupled else 0
    lags = min(config.input_lags, min(config.lookbacks)) if inputs or others else 0
    return Layout(max(config.lookbacks), horizon, inputs, others, lags)


def _choices(config: LinearConfig, layout: Layout) -> list[Choice]:
    individual = (True,) if layout.extras else config.individual
    reversible = (False,) if layout.extras else config.reversible
    coupled = config.coupled if layout.others else (False,)
    grid = product(config.penalties, config.decays, config.periods, reversible, individual, coupled)
    return [Choice(*one) for one in grid]


def _shared(means: Array, choice: Choice) -> Array:
    return means if choice.individual else means.mean(axis=0, keepdims=True)


def _scores(learned: Moments, judged: Moments, choice: Choice, config: LinearConfig) -> dict[Choice, float]:
    """Mean squared error of the averaged forecast on the judged rows, for each shortest lookback."""
    layout = learned.layout
    errors: dict[Choice, list[float]] = {}
    for fitted, held in zip(_shared(learned.means, choice), _shared(judged.means, choice), strict=True):
        maps = [solve(layout, fitted, L, choice) for L in config.lookbacks]
        for shortest in config.shortest:
            long = [one for L, one in zip(config.lookbacks, maps, strict=True) if shortest <= L]
            if long:
                error = float(mean_square(layout, held, average(layout, long)).mean())
                errors.setdefault(replace(choice, shortest=shortest), []).append(error)
    return {choice: float(np.mean(each)) for choice, each in errors.items()}
