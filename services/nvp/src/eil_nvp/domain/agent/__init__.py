"""Between a prediction and an answer: robust ensembles, promotion on live error, questions, and the decision to speak."""

from .ace import ACEAgent
from .aspiration import Aspiration
from .calibration import Calibration
from .ensemble import Exclusion, Vote, aggregate, breakdown_point
from .execution import ACEConfig, Execution
from .live_error import LiveError
from .promotion import Promotion
from .questions import Bounds, Conservation, Ensemble, Persistence
from .socratic import Finding, Prediction, Question, Questioned, examine
from .stages import Event, PromotionConfig

__all__ = [
    "ACEAgent",
    "ACEConfig",
    "Aspiration",
    "Bounds",
    "Calibration",
    "Conservation",
    "Ensemble",
    "Event",
    "Exclusion",
    "Execution",
    "Finding",
    "LiveError",
    "Persistence",
    "Prediction",
    "Promotion",
    "PromotionConfig",
    "Question",
    "Questioned",
    "Vote",
    "aggregate",
    "breakdown_point",
    "examine",
]
