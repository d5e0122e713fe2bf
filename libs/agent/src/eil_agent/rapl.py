"""Processor and memory power from the RAPL energy counters in the kernel's powercap folder."""

import re
from dataclasses import dataclass
from pathlib import Path

from eil_agent.power import Method, PowerUnavailableError

# `intel-rapl-mmio:0` shows the package of `intel-rapl:0` a second time and must not match. AMD uses these names too.
_ZONE_FOLDER = re.compile(r"intel-rapl:\d+(:\d+)?")

# No processor package or its memory draws more. It tells a wrapped counter from a reset one, and how long a gap may
# be before a counter could have wrapped twice (a 65 kJ counter: 109 s).
MAX_ZONE_W = 600.0


@dataclass(frozen=True)
class _Zone:
    folder: Path
    name: str
    range_uj: int

    def energy_uj(self) -> int:
        return _read_int(self.folder / "energy_uj")


class Rapl:
    """Mean power of disjoint RAPL zones: all packages and their memory.

    Zones overlap: psys contains packages, and packages contain core and uncore. So only packages and DRAM, which lie
    side by side, are summed; psys stands alone where no package is shown. RAPL sees no mainboard, disk, fan or power
    supply: the scope says so. Its error against a meter at the package is a few percent (Khan et al. 2018, "RAPL in
    Action"); 5 % is claimed.
    """

    method: Method = "COUNTER"
    relative_uncertainty = 0.05

    def __init__(self, root: Path, now_s: float) -> None:
        """Finds the zones under `root` and reads their counters at time `now_s`.

        Raises:
            PowerUnavailableError: no zone is there, or one cannot be read.
        """
        zones = _find_zones(root)
        chosen = [zone for zone in zones if zone.name.startswith("package") or zone.name == "dram"]
        if not any(zone.name.startswith("package") for zone in chosen):
            chosen = [zone for zone in zones if zone.name == "psys"][:1]
        if not chosen:
            raise PowerUnavailableError(
                f"no RAPL package is shown under {root}: a virtual machine, a container or a processor without it"
            )
        self._zones = tuple(chosen)
        self.scope = "+".join(sorted({zone.name.split("-")[0] for zone in chosen}, reverse=True))
        self._read_s = now_s
        self._energy_uj = self._counters_uj()

    def power_w(self, now_s: float) -> float:
        """Mean power [W] since the counters were last read.

        Raises:
            PowerUnavailableError: the counters cannot be read, stood still, were reset or may have wrapped twice.
        """
        before_uj, interval_s = self._energy_uj, now_s - self._read_s
        self._energy_uj, self._read_s = self._counters_uj(), now_s
        total_j = sum(
            _counted_j(zone, before, after, interval_s)
            for zone, before, after in zip(self._zones, before_uj, self._energy_uj, strict=True)
        )
        if total_j == 0.0:
            raise PowerUnavailableError(
                f"the RAPL counters stood still for {interval_s:.1f} s: they do not count on this machine"
            )
        return total_j / interval_s

    def _counters_uj(self) -> tuple[int, ...]:
        return tuple(zone.energy_uj() for zone in self._zones)


def _find_zones(root: Path) -> list[_Zone]:
    if not root.is_dir():
        return []
    return [
        _Zone(folder, _read_text(folder / "name"), _read_int(folder / "max_energy_range_uj"))
        for folder in sorted(root.iterdir())
        if _ZONE_FOLDER.fullmatch(folder.name)
    ]


def _counted_j(zone: _Zone, before_uj: int, after_uj: int, interval_s: float) -> float:
    range_j = zone.range_uj * 1e-6
    if interval_s * MAX_ZONE_W > range_j:
        raise PowerUnavailableError(
            f"{interval_s:.0f} s passed between readings and {zone.folder / 'energy_uj'} may have wrapped more than "
            f"once: read at least every {range_j / MAX_ZONE_W:.0f} s"
        )
    counted_uj = after_uj - before_uj
    if counted_uj < 0:
        counted_uj += zone.range_uj
    if counted_uj * 1e-6 > interval_s * MAX_ZONE_W:
        raise PowerUnavailableError(
            f"{zone.folder / 'energy_uj'} went from {before_uj} to {after_uj} in {interval_s:.1f} s, more than "
            f"{MAX_ZONE_W:.0f} W: it was reset, so this interval has no figure"
        )
    return counted_uj * 1e-6


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise PowerUnavailableError(
            f"{path} cannot be read ({error.strerror}): kernels show RAPL energy to root alone; run as root or grant "
            f"read access to the file"
        ) from error


def _read_int(path: Path) -> int:
    text = _read_text(path)
    try:
        return int(text)
    except ValueError as error:
        raise PowerUnavailableError(f"{path} holds {text!r} where a whole number of microjoules belongs") from error
