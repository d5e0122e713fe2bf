"""Actions: enumerated, predicted, priced, constrained, committed. The library; the service is `eil_decision.main`."""

from eil_decision.domain.choice import Goal
from eil_decision.domain.plant import History
from eil_decision.optimizer import Decision, EILOptimizer

__all__ = ["Decision", "EILOptimizer", "Goal", "History"]
