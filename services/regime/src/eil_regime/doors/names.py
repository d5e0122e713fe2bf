"""One table of names for every door: which metric of which agent is what of a source.

What overlaps is never summed. Of a channel's ranks the best that a source has is used alone; of the families (metrics) that speak of one
zone the first alone. Zones of a rank and parts of a family are disjoint, and are combined. What is not in the table is not read.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from eil_regime.domain.bounds import BOUNDS, POWER, TEMPERATURE, UTILISATION

NETWORK = "network_throughput"
GPU_UTILISATION = "gpu_usage"
MEANS = frozenset({TEMPERATURE, UTILISATION, GPU_UTILISATION})
"""Channels whose parts are averaged; those of others are summed."""
OWN, WALL, PLATFORM, COMPONENTS = range(4)
"""Ranks of power: said to be it; what mains or chassis see; what the processor sees of the whole board; the sum of what components see."""
MAX_PART = 256
"""Longest that the labels which tell a part from others may be together [characters]."""


@dataclass(frozen=True, slots=True)
class Metric:
    """How one metric is read."""

    family: str
    """Its name, dots as underscores."""
    channel: str
    rank: int = OWN
    """Smaller is better; ranks of a channel overlap."""
    zone: str = ""
    """What of the source it covers."""
    parts: tuple[str, ...] = ()
    """Labels that tell its parts apart; without any it is one part."""
    factor: float = 1.0
    """Turns its unit into the channel's."""
    counter: bool = False
    """It counts up: its growth per second is the value."""
    idle: bool = False
    """It is the share of time in which nothing ran: 1 less it is the value."""
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Labels that must have one of these values, "" if absent."""
    never: re.Pattern[str] | None = None
    """Parts that another part holds already."""

    @property
    def key(self) -> str:
        """What it is called in a source's state."""
        return f"{self.family}|{self.zone}"

    @property
    def draws(self) -> bool:
        """It is the power of something that runs, as an agent reads it: 0 W says that it could not."""
        return self.channel == POWER and self.rank != OWN


def _either(*values: str) -> frozenset[str]:
    return frozenset(values)


_HW_ZONES: Mapping[str, str] = {
    "cpu": "package",
    "memory": "dram",
    "gpu": "gpu",
    "physical_disk": "disk",
    "network": "network",
    "fan": "fan",
}
"""Components by OpenTelemetry's `hw.type` that do not hold each other; power supplies, batteries and enclosures hold others."""
_VIRTUAL = re.compile(
    r"lo|(veth|docker|br-|virbr|cni|cali|cilium|flannel|lxc|vnet|kube|tun|tap|wg|dummy|ifb|bond|team).*"
)
"""Network devices whose traffic another device carries as well."""
_GPU = ("UUID", "gpu")
_KEPLER_GPU = ("gpu_uuid", "gpu")


def _hw() -> Iterator[Metric]:
    for kind, zone in _HW_ZONES.items():
        only = {"hw_type": _either(kind)}
        yield Metric("hw_energy", POWER, COMPONENTS, zone, ("hw_id",), counter=True, only=only)
        yield Metric("hw_power", POWER, COMPONENTS, zone, ("hw_id",), only=only)


def _kepler() -> Iterator[Metric]:
    for zone, rank in (("psys", PLATFORM), ("package", COMPONENTS), ("dram", COMPONENTS)):
        only = {"zone": _either(zone)}
        yield Metric("kepler_node_cpu_joules_total", POWER, rank, zone, ("path",), counter=True, only=only)
        yield Metric("kepler_node_cpu_watts", POWER, rank, zone, ("path",), only=only)


def _network() -> Iterator[Metric]:
    for zone, direction in (("in", "receive"), ("out", "transmit")):
        only = {"direction": _either(direction)}
        for family, conditions in (("system_network_io", only), (f"node_network_{direction}_bytes_total", {})):
            yield Metric(family, NETWORK, 1, zone, ("device",), counter=True, only=conditions, never=_VIRTUAL)


TABLE: tuple[Metric, ...] = (
    *(Metric(channel, channel, zone="own") for channel in BOUNDS),
    Metric("hw_host_energy", POWER, WALL, "host", counter=True),
    Metric("hw_host_power", POWER, WALL, "host"),
    Metric("kepler_platform_watts", POWER, WALL, "host", ("bmc_id", "chassis_id", "source_id")),
    Metric("ipmi_dcmi_power_consumption_watts", POWER, WALL, "host"),
    *_kepler(),
    Metric("node_rapl_psys_joules_total", POWER, PLATFORM, "psys", counter=True),
    Metric("scaph_host_power_microwatts", POWER, PLATFORM, "psys", factor=1e-6),
    *_hw(),
    Metric("node_rapl_package_joules_total", POWER, COMPONENTS, "package", ("index",), counter=True),
    Metric("node_rapl_dram_joules_total", POWER, COMPONENTS, "dram", ("index",), counter=True),
    Metric("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", POWER, COMPONENTS, "gpu", _GPU, 1e-3, counter=True),
    Metric("DCGM_FI_DEV_POWER_USAGE", POWER, COMPONENTS, "gpu", _GPU),
    Metric("kepler_node_gpu_joules_total", POWER, COMPONENTS, "gpu", _KEPLER_GPU, counter=True),
    Metric("kepler_node_gpu_watts", POWER, COMPONENTS, "gpu", _KEPLER_GPU),
    Metric("hw_temperature", TEMPERATURE, 1, parts=("hw_id",)),
    Metric("node_hwmon_temp_celsius", TEMPERATURE, 2, parts=("chip", "sensor")),
    Metric("DCGM_FI_DEV_GPU_TEMP", TEMPERATURE, 3, parts=_GPU),
    Metric("system_cpu_utilization", UTILISATION, 1, parts=("cpu",), idle=True, only={"state": _either("idle")}),
    Metric("system_cpu_time", UTILISATION, 1, parts=("cpu",), counter=True, idle=True, only={"state": _either("idle")}),
    Metric(
        "node_cpu_seconds_total",
        UTILISATION,
        1,
        parts=("cpu",),
        counter=True,
        idle=True,
        only={"mode": _either("idle")},
    ),
    Metric("hw_gpu_utilization", GPU_UTILISATION, 1, parts=("hw_id",), only={"hw_gpu_task": _either("", "general")}),
    Metric("DCGM_FI_DEV_GPU_UTIL", GPU_UTILISATION, 1, parts=_GPU, factor=0.01),
    *_network(),
)
"""Of one zone the better family comes first."""
PLACES: Mapping[str, int] = {metric.key: place for place, metric in enumerate(TABLE)}
"""Place in the table by key."""
_BY_FAMILY: Mapping[str, tuple[Metric, ...]] = {
    family: tuple(metric for metric in TABLE if metric.family == family) for family in {m.family for m in TABLE}
}
_TRANSLATED = re.compile(r"((?:hw|system)_.+?)_(?:joules_total|watts|celsius|ratio|seconds_total|bytes_total)")
"""OpenTelemetry's names as its translation to Prometheus writes them, with unit and type behind."""
_SOURCE_LABELS = (
    "eil_source",
    "host_name",
    "k8s_node_name",
    "node",
    "node_name",
    "Hostname",
    "service_instance_id",
    "instance",
)
_ADDRESSES = _either("service_instance_id", "instance")
_ADDRESS = re.compile(r"(?:\[(.+)\]|([^:]+)):\d+")
"""A host, or an IPv6 address in brackets, with its port."""
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
"""The contract's pattern of a source's name."""


def metrics_of(name: str) -> tuple[Metric, ...]:
    """How a metric of this name, dots as underscores, is read; its labels choose. Empty if it is not in the table."""
    found = _BY_FAMILY.get(name)
    if found is None and (translated := _TRANSLATED.fullmatch(name)):
        found = _BY_FAMILY.get(translated[1])
    return found or ()


def chosen(metrics: Iterable[Metric], labels: Mapping[str, str]) -> tuple[Metric, str] | None:
    """The one of the metrics that the labels mean, and which part of it; None if they mean none.

    Raises:
        ValueError: the part's labels are too long.
    """
    for metric in metrics:
        if all(labels.get(name, "") in values for name, values in metric.only.items()):
            part = "|".join(labels.get(name, "") for name in metric.parts)
            if len(part) > MAX_PART:
                raise ValueError(
                    f"labels {', '.join(metric.parts)} of {metric.family} are {len(part)} characters long, which is over {MAX_PART}"
                )
            return None if metric.never and metric.never.fullmatch(part) else (metric, part)
    return None


def source_of(labels: Mapping[str, str]) -> str:
    """The source that labels, dots as underscores, speak of.

    Raises:
        ValueError: no label says so, or what it says is no name of a source.
    """
    for label in _SOURCE_LABELS:
        if name := labels.get(label):
            if label in _ADDRESSES and (address := _ADDRESS.fullmatch(name)):
                name = address[1] or address[2]
            if not _SOURCE.fullmatch(name):
                raise ValueError(
                    f"{label} is {name[:140]!r}, which is no name of a source: 1 to 128 letters, digits and ._:/-, the first no sign; "
                    "set the label eil_source"
                )
            return name
    raise ValueError("no label says which source it is: set host.name on the resource, or the label eil_source")
