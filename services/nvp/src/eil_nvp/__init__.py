"""Next-state prediction that knows when it does not know: the library. The service is `eil_nvp.main`."""

from eil_nvp.domain.agent import ACEAgent
from eil_nvp.domain.predictor import NVPPredictor, TelemetryForecast

__all__ = ["ACEAgent", "NVPPredictor", "TelemetryForecast"]
