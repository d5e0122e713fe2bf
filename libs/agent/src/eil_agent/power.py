"""What is said of a power figure: how it was got, and the curve that stands in where nothing measures."""

from dataclasses import dataclass
from typing import Literal

Method = Literal["METERED", "COUNTER", "MODELLED"]
"""METERED: a power sensor was read; COUNTER: the difference of an energy counter; MODELLED: from utilisation."""


class PowerUnavailableError(Exception):
    """A power source does not exist, cannot be read, or has no figure for this interval; the message says which."""


@dataclass(frozen=True)
class PowerCurve:
    """Power from utilisation: P(u) = idle + (peak − idle)(2u − u^h).

    The form is that of Fan, Weber and Barroso (2007), "Power provisioning for a warehouse-sized computer". A curve that
    was not fitted to a meter on the machine itself is a guess: its relative uncertainty is 30 %.
    """

    idle_w: float
    peak_w: float
    shape: float = 1.4
    relative_uncertainty: float = 0.3

    @classmethod
    def of_cpus(cls, logical_cpus: int) -> "PowerCurve":
        """The default for a machine known only by its number of logical CPUs.

        0.64 W idle and 3.80 W busy for each: Intel Cascade Lake in the coefficients that the Cloud Carbon Footprint
        project derives from SPECpower results of whole servers. A virtual machine gets its share of such a server.
        """
        return cls(idle_w=0.64 * logical_cpus, peak_w=3.80 * logical_cpus)

    def power_w(self, utilization: float) -> float:
        """Power [W] at a utilisation in [0, 1]."""
        return self.idle_w + (self.peak_w - self.idle_w) * (2.0 * utilization - utilization**self.shape)
