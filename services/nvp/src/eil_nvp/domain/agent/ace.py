"""ACE: aspiration, calibration, execution. It learns from realised errors what to expect where, how wide to be, and when not to speak.

Aspiration: `aspiration.py`. Calibration: `calibration.py` on top of `context_model.py`. Execution: `execution.py`.

Assumptions: one scalar error for a prediction (root mean square over elements, or one channel's), in one unit throughout; the context is
what is known before the truth is, and holds what makes errors differ (disagreement, volatility, hour, horizon). All state is bounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .aspiration import Aspiration, AspirationTracker, Mixer
from .calibration import Calibration, Calibrator
from .context_model import ContextModel
from .execution import DEFAULTS, ACEConfig, Execution, verdict

Array = npt.NDArray[np.float64]


class ACEAgent:
    """One agent for one stream of predictions. Not thread-safe; no clock; deterministic from its seed.

    Args:
        latent_dim: features of the context map, >= 8; memory is 16 · latent_dim² bytes and a few thousand, half of that stored.
        asked: error asked for, in units of the error; None: the best baseline's.
        seed: of the map.
        config: when to doubt.
    """

    def __init__(
        self,
        latent_dim: int = 128,
        *,
        asked: float | None = None,
        seed: int = 0,
        config: ACEConfig = DEFAULTS,
    ) -> None:
        if asked is not None and not asked > 0:
            raise ValueError(
                f"the error asked for is {asked}: no prediction is exact; ask for one above 0, or None for the best baseline's"
            )
        self.asked, self.config = asked, config
        self._model = ContextModel(latent_dim, 2, seed)
        self._aspiration, self._mixer = AspirationTracker(), Mixer()
        self._calibrator = Calibrator(config)

    @property
    def aspiration(self) -> Aspiration:
        """Target, bound and distance."""
        return self._aspiration.state(self.asked)

    @property
    def calibration(self) -> Calibration:
        """Width, temperature, trust and their evidence."""
        return self._calibrator.state(self._mixer.temperature, self._model.lessons)

    @property
    def weights(self) -> Array:
        """(M,) soft weights of the members of `learn_members`; empty before."""
        return self._mixer.weights()

    def decide(self, context: npt.ArrayLike, *, base: float = 1.0) -> Execution:
        """What to do with a prediction made in `context` (d,), whose own error scale (say, a conformal half-width) is `base` > 0.

        A context that is not finite abstains. Raises ValueError for one of another length than before, or base <= 0.
        """
        values = self._model.check(context)
        _positive(base, "base")
        temperature = self._mixer.temperature
        if not np.isfinite(values).all():
            return Execution(
                "abstain", "the context is not finite", math.inf, math.nan, math.nan, 0.0, math.inf, temperature
            )
        if not self._model.ready:
            reason = f"only {self._model.lessons} lessons so far: nothing is known yet of errors by context"
            return Execution("fall_back", reason, math.inf, math.nan, math.nan, 0.0, math.inf, temperature)
        logs, leverage, novelty = self._model.look(values)
        calibrator = self._calibrator
        expected = base * math.exp(calibrator.expected(float(logs[0]), novelty))
        baseline = base * math.exp(calibrator.expected(float(logs[1]), novelty)) if calibrator.compares else math.nan
        reliability = calibrator.reliability
        action, reason = verdict(self.config, novelty, reliability, expected, baseline)
        radius = base * math.exp(calibrator.log_radius(float(logs[0]), leverage, novelty))
        trust = reliability * min(1.0, 1.0 / novelty)
        return Execution(action, reason, radius, expected, baseline, trust, novelty, temperature)

    def learn(
        self,
        context: npt.ArrayLike,
        error: float,
        *,
        base: float = 1.0,
        baseline_error: float | None = None,
        member_errors: npt.ArrayLike | None = None,
    ) -> None:
        """Take the realised absolute `error` of the model's prediction in `context`, whatever was done with it.

        Args:
            context: (d,), as given to `decide`.
            error: >= 0 (a sign is dropped), finite.
            base: as given to `decide`.
            baseline_error: of the best baseline for the same truth.
            member_errors: (M,) of the members, not finite for those that failed.

        Raises ValueError for a context of another length or not finite, an error not finite, or base <= 0.
        """
        values = self._model.check(context)
        _positive(base, "base")
        size, other = abs(float(error)), None if baseline_error is None else abs(float(baseline_error))
        if not np.isfinite(values).all() or not math.isfinite(size) or (other is not None and not math.isfinite(other)):
            raise ValueError(
                f"error {error} or its context is not finite: nothing can be learnt from it; count it as a failure of the model"
            )
        logs = self._calibrator.logs(size / base, None if other is None else other / base)
        before = self._model.learn(values, logs)
        if before is not None:
            predicted, leverage, novelty = before
            self._calibrator.judge(size / base, self._calibrator.log_radius(float(predicted[0]), leverage, novelty))
        elif self._model.ready:
            self._calibrator.start()
        members = None if member_errors is None else np.abs(np.asarray(member_errors, np.float64))
        self._aspiration.learn(size, other, members)

    def learn_members(
        self, members: Sequence[npt.ArrayLike] | Array, truth: npt.ArrayLike, scale: npt.ArrayLike = 1.0
    ) -> float:
        """Take the members' predictions (M, ...) and the truth (...); gives the temperature then in force. Errors: `Mixer.learn`."""
        return self._mixer.learn(members, truth, scale)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The state, without settings; `from_arrays` goes on exactly as this would have."""
        parts = {"model": self._model, "aspiration": self._aspiration, "mixer": self._mixer}
        arrays = {f"{name}.{key}": value for name, part in parts.items() for key, value in part.to_arrays().items()}
        return arrays | {"calibration": self._calibrator.numbers.copy()}

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, npt.NDArray[Any]],
        *,
        asked: float | None = None,
        config: ACEConfig = DEFAULTS,
    ) -> ACEAgent:
        """What `to_arrays` gave, with the settings to go on with. Raises ValueError when arrays are missing."""
        try:
            model = ContextModel.from_arrays(_part(arrays, "model."))
            aspiration, mixer = (
                AspirationTracker.from_arrays(_part(arrays, "aspiration.")),
                Mixer.from_arrays(_part(arrays, "mixer.")),
            )
            numbers = np.array(arrays["calibration"], np.float64)
        except KeyError as missing:
            raise ValueError(
                f"the state lacks {missing}: it cannot go on as it was; restore a whole copy or start afresh"
            ) from missing
        agent = cls(model.latent_dim, asked=asked, seed=model.seed, config=config)
        agent._model, agent._aspiration, agent._mixer, agent._calibrator.numbers = model, aspiration, mixer, numbers
        return agent


def _part(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> dict[str, npt.NDArray[Any]]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def _positive(value: float, name: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(
            f"{name} is {value}: half-widths are multiples of it, so it must be above 0; give the prediction's own error scale, or 1"
        )
