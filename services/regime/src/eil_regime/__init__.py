"""Online detection of operating regimes: a library for the edge (`Detector`, `Bank`), and the service that takes telemetry in."""

from eil_regime.domain.bank import Bank, BankTrace
from eil_regime.domain.config import DetectorConfig
from eil_regime.domain.detector import Detector
from eil_regime.domain.verdict import LABELS, Shift, Trace, Verdict

__all__ = ["LABELS", "Bank", "BankTrace", "Detector", "DetectorConfig", "Shift", "Trace", "Verdict"]
