"""Next-state prediction of telemetry: a linear forecaster, online conformal intervals, and a signal of being out of domain."""

from eil_nvp.domain.telemetry.forecaster import LinearConfig, LinearForecaster
from eil_nvp.domain.telemetry.intervals import ConformalConfig, OnlineConformal
from eil_nvp.domain.telemetry.novelty import Novelty, NoveltyConfig, Verdict
from eil_nvp.domain.telemetry.ridge_map import Choice

__all__ = [
    "Choice",
    "ConformalConfig",
    "LinearConfig",
    "LinearForecaster",
    "Novelty",
    "NoveltyConfig",
    "OnlineConformal",
    "Verdict",
]
