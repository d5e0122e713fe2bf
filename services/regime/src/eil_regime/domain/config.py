"""Settings of the detector, one frozen value for every source, and their places in the vector that compiled code reads."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Evidence is in nats; "values" are samples of a channel; a window of L values is compared every L/4.

    Raises ValueError when a field is not finite.
    """

    step_evidence: float = 3.45
    """Evidence for a shift of level beyond the prior at which it is reported."""
    step_prior: float = 0.71
    """Weight of the prior: a shift within a window of L out of T rows so far costs this times log(T/L)."""
    step_memory: float = 38.0
    """Comparisons over which the usual difference of adjacent windows is averaged; also its most degrees of freedom."""
    step_floor: float = 0.003
    """Share of the plain mean square difference that is added to the winsorised one."""
    step_unanimity: float = 2.1
    """A shift counts for at most this times that of the least shifted block of either window: a burst moves some blocks only."""
    step_winsor: float = 7.5
    """Differences enter the usual one with at most this times its present square."""
    finer_share: float = 0.46
    """What the next finer level's mean square suggests for this one's, as a factor."""
    finer_weight: float = 3.6
    """Comparisons that this suggestion is worth."""
    step_least: float = 2.3
    """Comparisons before a level may report."""
    usual_step: float = 16.0
    """Statistics up to this size are usual for any channel; one whose usual is larger has its statistics scaled down."""
    usual_step_fading: float = 0.958
    """... which fades by this factor a comparison."""
    texture_evidence: float = 3.6
    """As `step_evidence`, for a change of texture."""
    texture_prior: float = 1.0
    """As `step_prior`."""
    texture_weight: float = 0.3
    """Independent features that one is worth: they overlap."""
    texture_left: float = 2.3
    """Windows of the regime that must lie before the one compared with them."""
    texture_winsor: float = 6.5
    """As `step_winsor`."""
    texture_memory: float = 20.0
    """As `step_memory`, in windows."""
    texture_floor: float = 0.006
    """Differences of a feature of this size count for nothing."""
    texture_finer_share: float = 0.41
    """As `finer_share`."""
    usual_texture: float = 3.9
    """Evidence for a change of texture up to this size is usual for any channel."""
    usual_texture_fading: float = 0.985
    """... which fades by this factor a comparison."""
    ramp_at: float = 0.2
    """Normalised difference at which a texture feature counts half."""
    ramp_gain: float = 2.8
    """Steepness of the soft count."""
    scale_memory: float = 2300.0
    """Values over which the usual size of differences is averaged."""
    base_own: float = 0.469
    """Rows within a horizon before a reported onset count so much towards the base rate of change."""
    base_prior_shifts: float = 1.278
    """Shifts that a source is assumed to have shown before its first row ..."""
    base_prior_rows: float = 96.4
    """... in so many rows ..."""
    established_rows: float = 187.0
    """... once about this many rows were seen: a regime has first to be established."""
    base_at: float = -0.267
    """Recalibration of the base rate's logit, ..."""
    base_age: float = 0.325
    """... its slope by the log of the regime's age over the usual age at a change, ..."""
    base_fresh: float = 2.0
    """... and what a new regime adds, fading: changes come in clusters."""
    episode_width: float = 0.06
    """Log durations of episodes are told apart to this width: the scale of the kernel that stands for one."""
    episode_prior: float = 0.51
    """Episodes that the base rate is worth."""
    episode_kind: float = 0.12
    """What another regime's episode of the same kind (level or departure) is worth."""
    episode_level: float = 0.154
    """Trust in the episodes of a level before they have proved regular; in those of departures it is 1."""
    episode_late: float = 26.0
    """Rows by which people place the end of a departure later than the first sign of it."""
    episode_ended: float = 0.72
    """Probability that they do, of a departure that ended like earlier ones."""

    def __post_init__(self) -> None:
        wrong = [field.name for field in fields(self) if not math.isfinite(getattr(self, field.name))]
        if wrong:
            raise ValueError(f"detector settings must be finite numbers: {', '.join(wrong)} are not")

    def vector(self) -> NDArray[np.float64]:
        """The fields in order, as compiled code reads them."""
        return np.array(astuple(self), np.float64)


_PLACES = {field.name: place for place, field in enumerate(fields(DetectorConfig))}
STEP_EVIDENCE = _PLACES["step_evidence"]
STEP_PRIOR = _PLACES["step_prior"]
STEP_MEMORY = _PLACES["step_memory"]
STEP_FLOOR = _PLACES["step_floor"]
STEP_UNANIMITY = _PLACES["step_unanimity"]
STEP_WINSOR = _PLACES["step_winsor"]
FINER_SHARE = _PLACES["finer_share"]
FINER_WEIGHT = _PLACES["finer_weight"]
STEP_LEAST = _PLACES["step_least"]
USUAL_STEP = _PLACES["usual_step"]
USUAL_STEP_FADING = _PLACES["usual_step_fading"]
TEXTURE_EVIDENCE = _PLACES["texture_evidence"]
TEXTURE_PRIOR = _PLACES["texture_prior"]
TEXTURE_WEIGHT = _PLACES["texture_weight"]
TEXTURE_LEFT = _PLACES["texture_left"]
TEXTURE_WINSOR = _PLACES["texture_winsor"]
TEXTURE_MEMORY = _PLACES["texture_memory"]
TEXTURE_FLOOR = _PLACES["texture_floor"]
TEXTURE_FINER_SHARE = _PLACES["texture_finer_share"]
USUAL_TEXTURE = _PLACES["usual_texture"]
USUAL_TEXTURE_FADING = _PLACES["usual_texture_fading"]
RAMP_AT = _PLACES["ramp_at"]
RAMP_GAIN = _PLACES["ramp_gain"]
SCALE_MEMORY = _PLACES["scale_memory"]
BASE_OWN = _PLACES["base_own"]
BASE_PRIOR_SHIFTS = _PLACES["base_prior_shifts"]
BASE_PRIOR_ROWS = _PLACES["base_prior_rows"]
ESTABLISHED_ROWS = _PLACES["established_rows"]
BASE_AT = _PLACES["base_at"]
BASE_AGE = _PLACES["base_age"]
BASE_FRESH = _PLACES["base_fresh"]
EPISODE_WIDTH = _PLACES["episode_width"]
EPISODE_PRIOR = _PLACES["episode_prior"]
EPISODE_KIND = _PLACES["episode_kind"]
EPISODE_LEVEL = _PLACES["episode_level"]
EPISODE_LATE = _PLACES["episode_late"]
EPISODE_ENDED = _PLACES["episode_ended"]
