"""Simulated sources for a load of decisions: what each sends and asks, and how it follows what is decided."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eil_cli.feeds.times import rfc3339

SERVERS = 40
"""Installed in each source."""
IDLE_W, SLOPE_W = 150.0, 150.0
CAPACITY_PER_S = 100.0
SERVICE_MS, MAX_LATENCY_MS = 20.0, 80.0
AMBIENT_C = 22.0
DAY_S = 86_400.0
KEPT_ROWS = 12
"""Rows of the history between two changes of a fleet's size."""
CHANNELS = (
    "cpu_usage",
    "power_draw",
    "temperature",
    "ambient_temperature",
    "network_throughput",
    "request_rate",
    "latency_ms",
    "active_servers",
)


class Plants:
    """`count` fleets, each with a daily load of its own.

    Args:
        count: of sources.
        rows: samples that are known before the load.
        step_s: between these [s].
        later: samples that may come after them.
        period_s: between these [s].
        now_s: time of the last known sample [Unix s].
        seed: of loads and noise.
    """

    def __init__(
        self, count: int, *, rows: int, step_s: float, later: int, period_s: float, now_s: float, seed: int = 1
    ) -> None:
        rng = np.random.default_rng(seed)
        before_s, after_s = step_s * np.arange(1 - rows, 1), period_s * np.arange(1, later + 1)
        self._rows, self._time_s = rows, now_s + np.concatenate([before_s, after_s])
        phase, height = rng.uniform(0, DAY_S, (count, 1)), rng.uniform(0.2, 0.6, (count, 1))
        level = 0.5 + 0.4 * np.sin(2 * math.pi * (self._time_s + phase) / DAY_S)
        self._load = SERVERS * height * level * np.exp(rng.normal(0.0, 0.05, level.shape))
        self._noise = rng.normal(1.0, 0.01, level.shape)
        # What an operator with a rule of thumb did before: now and then a new size.
        wanted = np.ceil(self._load[:, :rows:KEPT_ROWS] / 0.6).clip(1, SERVERS)
        self._before = np.repeat(wanted, KEPT_ROWS, axis=1)[:, :rows]
        self._servers = self._before[:, -1].astype(int).tolist()
        self._sent = [rows] * count

    def history(self, source: int, batch: int) -> Iterator[tuple[list[int], dict[str, NDArray[np.float64]]]]:
        """Times [µs] and columns of what is known of a source, in batches of so many rows."""
        known = slice(self._rows)
        columns = self._telemetry(self._before[source], self._load[source, known], self._noise[source, known])
        for first in range(0, self._rows, batch):
            part = slice(first, min(first + batch, self._rows))
            times_us = (1e6 * self._time_s[part]).astype(np.int64)
            yield times_us.tolist(), {name: column[part] for name, column in columns.items()}

    def sample(self, source: int) -> dict[str, Any]:
        """The next telemetry of a source, as it is sent to /v1/sense."""
        row = self._sent[source]
        self._sent[source] = row + 1
        now = self._telemetry(float(self._servers[source]), self._load[source, row], self._noise[source, row])
        return {
            "timestamp": rfc3339(float(self._time_s[row])),
            "telemetry": {name: float(value) for name, value in now.items()},
            "context": {"power_kind": "mean"},
        }

    def question(self, source: int) -> dict[str, Any]:
        """What a source asks /v1/act after its newest sample."""
        load, servers = float(self._load[source, self._sent[source] - 1]), self._servers[source]
        return {
            "goal": "minimize_energy",
            "constraints": {"max_latency_ms": MAX_LATENCY_MS},
            "current_state": {"active_servers": servers, "avg_utilization": min(load / servers, 0.98)},
        }

    def follow(self, source: int, servers: int) -> None:
        """Let a source have so many servers from now on."""
        self._servers[source] = servers

    def _telemetry(self, servers: Any, load: Any, noise: Any) -> dict[str, Any]:
        used = np.minimum(load / servers, 0.98)
        served = used * servers
        power_w = servers * (IDLE_W + SLOPE_W * used) * noise
        columns = (
            used,
            power_w,
            AMBIENT_C + power_w / (30.0 * SERVERS),
            AMBIENT_C + 0.0 * used,
            1250.0 * CAPACITY_PER_S * served,
            CAPACITY_PER_S * served,
            SERVICE_MS / (1.0 - used) * noise,
            servers + 0.0 * used,
        )
        return dict(zip(CHANNELS, columns, strict=True))
