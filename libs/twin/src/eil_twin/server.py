"""One server: the power it draws and how fast it answers."""

from dataclasses import dataclass

# A queue has no mean latency at full load; a server sheds what would take it beyond this utilisation.
MAX_UTILIZATION = 0.98


@dataclass(frozen=True)
class Server:
    """A server as its power curve, its queue and its start.

    Power follows Fan, Weber and Barroso (2007), "Power provisioning for a warehouse-sized computer":
    P(u) = idle + (peak − idle)(2u − u^h). Latency is that of an M/M/1 queue, S/(1 − u).
    """

    idle_w: float = 40.0
    peak_w: float = 90.0
    shape: float = 1.4
    """The exponent h; 1.4 is the value the paper calibrated."""
    capacity_per_s: float = 200.0
    """Requests per second at utilisation 1."""
    service_ms: float = 20.0
    """Latency S of a request that never waits."""
    boot_s: float = 20.0
    """Time from the start command until it serves; it draws its peak power meanwhile."""

    def power_w(self, utilization: float) -> float:
        """Power [W] at a utilisation in [0, 1]."""
        return self.idle_w + (self.peak_w - self.idle_w) * (2.0 * utilization - utilization**self.shape)

    def latency_ms(self, utilization: float) -> float:
        """Mean latency [ms] at a utilisation in [0, 1)."""
        return self.service_ms / (1.0 - utilization)
