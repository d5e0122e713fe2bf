"""Settings of the detector, one frozen value for every source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Lengths count samples (updates); "sd" are standard deviations of a channel within its present regime.

    Raises ValueError when a field lies outside the range in which the statistics mean anything.
    """

    burn_in: int = 64
    """Values per channel from which location, scale and autocorrelation are learnt before it may report a shift."""
    mean_samples_between_false_alarms: float = 100_000.0
    """Design run length to a false shift of the whole source, split evenly over its channels (Bonferroni)."""
    winsor_sd: float = 3.0
    """Residuals of independent noise are clipped here, so that a spike weighs no more; of autocorrelated noise, later."""
    min_effect_sd: float = 1.0
    """A shift moves the mean by at least this much; less is drift, however significant."""
    min_effect_spread: float = 0.05
    """... and by at least this share of the channel's spread over all regimes: slow wander is no string of regimes."""
    min_after: int = 6
    """Values a new regime must have shown before it is reported; shorter bursts are no regime."""
    memory: int = 2000
    """Samples over which scale and autocorrelation of a standing regime are averaged."""
    relative_floor: float = 1e-3
    """Smallest scale believed in, as a share of the channel's level: constants and quantised sensors."""
    max_channels: int = 64
    """Channels followed; further names are counted and ignored."""
    forget_after: int = 2000
    """Updates without a value after which a channel is forgotten."""
    max_regimes: int = 64
    """Regimes remembered; the least recently seen is forgotten."""
    match_distance: float = 1.5
    """Standardised distance up to which a stretch is a known regime that came back."""
    match_spread: float = 0.05
    """Share of a channel's spread over all regimes that is added to the scale by which regimes are told apart."""
    horizon: int = 60
    """Samples ahead of which regime and confidence speak."""
    prior_dwell: float = 1000.0
    """Mean stay in a regime assumed before any shift was seen."""
    trend_z: float = 4.5
    """Significance of a linear trend over the last `burn_in` values that counts as drifting."""
    range_margin: float = 1.0
    """Values beyond the range seen by this share of its span are critical."""

    def __post_init__(self) -> None:
        checks = {
            "burn_in": self.burn_in >= 16,
            "mean_samples_between_false_alarms": self.mean_samples_between_false_alarms >= 100.0,
            "winsor_sd": self.winsor_sd >= 1.0,
            "min_effect_sd": self.min_effect_sd >= 0.0,
            "min_after": 2 <= self.min_after <= self.burn_in // 2,
            "memory": self.memory >= self.burn_in,
            "relative_floor": 0.0 < self.relative_floor < 1.0,
            "max_channels": self.max_channels >= 1,
            "forget_after": self.forget_after >= self.burn_in,
            "max_regimes": self.max_regimes >= 2,
            "match_distance": self.match_distance > 0.0,
            "horizon": self.horizon >= 1,
            "prior_dwell": self.prior_dwell >= 1.0,
            "trend_z": self.trend_z > 0.0,
            "range_margin": self.range_margin > 0.0,
        }
        wrong = [name for name, fine in checks.items() if not fine]
        if wrong:
            raise ValueError(
                f"detector settings out of range: {', '.join(wrong)}; see DetectorConfig for their meaning"
            )
