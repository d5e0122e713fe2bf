"""A small plant that tests drive through the door: a fleet whose power follows its load exactly."""

import itertools
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from eil_cli.door import Door

STEP_S = 10.0
AMBIENT_C = 21.85  # 295 K
_names = itertools.count(1)


def stamps() -> Callable[[float], str]:
    """RFC 3339 of now plus some seconds; "now" stands still."""
    now = datetime.now(UTC)
    return lambda seconds: (now + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


class Plant:
    """Sends mean power every 10 s of its own clock, which begins in the past, and obeys actions."""

    def __init__(
        self, door: Door, stamp: Callable[[float], str], *, source: str = "", begin_s: float = -3000.0
    ) -> None:
        self.door, self._stamp, self.now_s = door, stamp, begin_s
        self.source = source or f"plant-{next(_names)}-{id(self)}"
        self.servers, self.energy_j = 10, 0.0

    @property
    def utilisation(self) -> float:
        return (4.0 + 0.5 * math.sin(self.now_s / 500.0)) / self.servers

    def sense(self, steps: int = 1) -> dict[str, Any]:
        """Let time pass; returns the last answer."""
        answer: dict[str, Any] = {}
        for _ in range(steps):
            self.now_s += STEP_S
            telemetry = self.telemetry()
            self.energy_j += telemetry.get("power_draw", 0.0) * STEP_S
            body = {
                "source": self.source,
                "timestamp": self._stamp(self.now_s),
                "telemetry": telemetry,
                "context": {"power_kind": "mean"},
            }
            answer = self.door.call("POST", "/v1/sense", body)
        return answer

    def telemetry(self) -> dict[str, float]:
        """What is sent of the step that ends now."""
        return {
            "power_draw": self.servers * (120.0 + 180.0 * self.utilisation),
            "cpu_usage": self.utilisation,
            "active_servers": self.servers,
            "ambient_temperature": AMBIENT_C,
            "request_rate": self.servers * self.utilisation * 100.0,
            "latency_ms": 8.0 / (1 - self.utilisation),
        }

    def act(self, *, horizon_s: float = 60.0, **more: Any) -> dict[str, Any]:
        """Ask, obey, and begin to meter anew."""
        body = {
            "source": self.source,
            "goal": "minimize_energy",
            "horizon_s": horizon_s,
            "constraints": {"max_latency_ms": 20.0},
            "current_state": {"active_servers": self.servers, "avg_utilization": self.utilisation},
            **more,
        }
        answer = self.door.call("POST", "/v1/act", body)
        self.servers, self.energy_j = answer["action"]["target_servers"], 0.0
        return answer

    def proof_of(self, decision: dict[str, Any], **change: Any) -> dict[str, Any]:
        """The body of an honest proof, before any change."""
        predicted = decision["predicted_state"]
        return {
            "prediction_id": decision["prediction_id"],
            "predicted_state": {"energy": predicted["energy"], "entropy": predicted["entropy"]},
            "actual_state": {"energy": self.energy_j, "entropy": self.energy_j / 295.0},
            "timestamp": self._stamp(self.now_s),
            **change,
        }
