"""What a benchmark found: measures with their gates, as JSON and as a table."""

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

Better = Literal["lower", "higher"]


@dataclass(frozen=True)
class Measure:
    """One figure. A gate that is missed fails the benchmark; a goal says where it should go. None: there is none."""

    value: float
    unit: str
    gate: float | None = None
    goal: float | None = None
    better: Better = "lower"

    @property
    def strain(self) -> float:
        """Value over gate (or gate over value, where higher is better): above 1 the gate is missed. -1 without a gate."""
        if self.gate is None:
            return -1.0
        if math.isnan(self.value):
            return math.inf
        worse, limit = (self.value, self.gate) if self.better == "lower" else (self.gate, self.value)
        if limit > 0.0:
            return worse / limit
        return 0.0 if worse <= limit else math.inf

    @property
    def missed(self) -> bool:
        """Whether it misses its gate."""
        return self.strain > 1.0

    @property
    def reached(self) -> bool:
        """Whether it reaches its goal."""
        if self.goal is None:
            return False
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


@dataclass(frozen=True)
class Report:
    """A benchmark's outcome."""

    bench: str
    measures: Mapping[str, Measure]
    baselines: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Value of a measure by the name of what it is compared with."""
    notes: tuple[str, ...] = ()
    """What a reader of the table must know; not in the JSON."""

    @property
    def passed(self) -> bool:
        """Whether no gate is missed."""
        return not any(measure.missed for measure in self.measures.values())

    def as_json(self, *, commit: str, machine: str, date: str) -> dict[str, Any]:
        """The report in the form that every benchmark writes."""
        return {
            "bench": self.bench,
            "commit": commit,
            "machine": machine,
            "date": date,
            "measures": {name: asdict(measure) for name, measure in self.measures.items()},
            "baselines": {name: dict(values) for name, values in self.baselines.items()},
        }

    def table(self) -> Table:
        """Measures, worst against its gate first, with the baselines beside them."""
        table = Table(
            title=f"eil bench {self.bench}", title_justify="left", title_style="bold", box=None, pad_edge=False
        )
        table.add_column("measure", no_wrap=True)
        for name in ("value", "gate", "goal", *self.baselines):
            table.add_column(name, justify="right")
        table.add_column("verdict")
        for name, measure in sorted(self.measures.items(), key=lambda item: -item[1].strain):
            baselines = (figure(values.get(name), measure.unit) for values in self.baselines.values())
            table.add_row(
                name,
                Text(figure(measure.value, measure.unit), style="bold"),
                figure(measure.gate, measure.unit),
                figure(measure.goal, measure.unit),
                *baselines,
                verdict(measure),
            )
        return table


def verdict(measure: Measure) -> Text:
    """How a measure stands against gate and goal."""
    if measure.missed:
        return Text("MISSED", style="bold red")
    if measure.reached:
        return Text("goal reached", style="bold green")
    return Text("passed", style="green") if measure.gate is not None else Text("–", style="dim")


def figure(value: float | None, unit: str) -> str:
    """A figure with its unit; three or more digits."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return f"{value} {unit}".rstrip()
    size = abs(value)
    if 0.0 < size < 1e-3:
        return f"{value:.1e} {unit}".rstrip()
    digits = 0 if value == int(value) or size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f} {unit}".rstrip()


def write(report: Report, path: Path) -> None:
    """Writes the report of this commit on this machine.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    content = report.as_json(commit=commit(), machine=machine(), date=now)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def commit() -> str:
    """The commit of the working copy that this code runs from, marked if it was changed; "unknown" outside of one."""
    git = ("git", "-C", str(Path(__file__).parent))
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty" if changed.strip() else head


def machine() -> str:
    """Processor, cores and memory."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {os.cpu_count()} CPUs, {memory_gib:.0f} GiB, {platform.system()} {platform.machine()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
