"""What this process itself draws: modelled from its processor time, since no meter sees one process.

E = P_core · t_cpu. P_core is what one core draws when it is busy, idle share included: 3.5 W a virtual core, the mean of the servers of
public clouds at full load (Cloud Carbon Footprint, methodology, appendix I: 3.5 W AWS, 3.76 W Azure, 4.26 W Google); within ±50 % for
others. Processors alone: no memory, disk, fan, or GPU.
"""

import os
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import REGISTRY, Collector

NAME = "eil_self_energy_joules"


class SelfEnergy(Collector):
    """Joules of this process since its start, asked for at each scrape. `core_w`: power of one busy core [W]."""

    def __init__(self, service: str, core_w: float) -> None:
        self._service, self._core_w = service, core_w

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The one family."""
        found = CounterMetricFamily(
            NAME, "Energy that EIL itself has drawn, modelled from processor time.", labels=["service"]
        )
        used = os.times()
        found.add_metric([self._service], self._core_w * (used.user + used.system))
        yield found


def watch(service: str, core_w: float) -> None:
    """Show it among this process's metrics."""
    REGISTRY.register(SelfEnergy(service, core_w))
