"""Actions: enumerated, predicted, priced, constrained, committed. The library; the service is `eil_decision.main`."""

from eil_decision.domain.goal import Goal
from eil_decision.domain.levers import Lever
from eil_decision.domain.plant import History
from eil_decision.optimizer import Decision, EILOptimizer

__all__ = ["Decision", "EILOptimizer", "Goal", "History", "Lever"]
