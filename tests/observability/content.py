"""What lies in deploy/observability, and which series the mesh shows: what the tests of both ask."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml
from eil_mesh import metrics, self_energy
from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

ROOT: Final = Path(__file__).parents[2]
CONTENT: Final = ROOT / "deploy/observability"
RUNBOOKS: Final = ROOT / "docs/runbooks"
RULE_FILES: Final = sorted((CONTENT / "rules").glob("*.yaml"))
UNIT_TESTS: Final = sorted((CONTENT / "rules/tests").glob("*.yaml"))
OTHERS: Final = re.compile(r"envoy_\w+|up|process_\w+|ALERTS")
"""Series that are not the mesh's own: Envoy's, the scrape's, Python's, and alerts themselves."""
WORDS: Final = {"and", "or", "unless", "bool", "offset"}
GROUPING: Final = re.compile(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)")
QUOTED: Final = re.compile(r'"[^"]*"')
SELECTOR: Final = re.compile(r"([a-zA-Z_:][\w:]*)?\{([^}]*)\}")


class Rule(NamedTuple):
    """A rule, and the file that it stands in."""

    file: str
    body: dict[str, Any]


def _rules() -> list[Rule]:
    return [
        Rule(path.stem, rule)
        for path in RULE_FILES
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    ]


ALERTS: Final = {rule.body["alert"]: rule for rule in _rules() if "alert" in rule.body}
RECORDS: Final = [rule for rule in _rules() if "record" in rule.body]
DASHBOARDS: Final[dict[str, Any]] = {
    path.stem: json.loads(path.read_text()) for path in sorted((CONTENT / "dashboards").glob("*.json"))
}
PANELS: Final = [
    (name, panel) for name, board in DASHBOARDS.items() for panel in board["panels"] if panel["type"] != "row"
]
RULE_EXPRESSIONS: Final = [rule.body["expr"] for rule in (*ALERTS.values(), *RECORDS)]
PANEL_EXPRESSIONS: Final = [target["expr"] for _, panel in PANELS for target in panel["targets"]]


def series_of_the_mesh() -> dict[str, str]:
    """The metric by each name that it is exposed under."""
    exposed = {f"{self_energy.NAME}_total": f"{self_energy.NAME}_total"}
    for one in vars(metrics).values():
        if isinstance(one, Histogram):
            exposed |= {f"{one._name}{end}": one._name for end in ("_bucket", "_sum", "_count")}
        elif isinstance(one, MetricWrapperBase):
            name = f"{one._name}_total" if one._type == "counter" else one._name
            exposed[name] = name
    return exposed


def buckets() -> dict[str, set[str]]:
    """Upper bounds of each histogram's buckets, by the name of their series."""
    found = [one for one in vars(metrics).values() if isinstance(one, Histogram)]
    return {f"{one._name}_bucket": {str(float(bound)) for bound in one._kwargs["buckets"]} for one in found}


def series_in(expression: str) -> set[str]:
    """Names of series that an expression asks for."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", QUOTED.sub("", expression))
    bare = GROUPING.sub(" ", bare)
    return set(re.findall(r"(?<![\w.$:])[a-zA-Z_:][\w:]*(?![\w:]|\s*\()", bare)) - WORDS


def selectors_in(expression: str) -> list[tuple[str, str]]:
    """(series, what its labels must be) of each selector with labels."""
    return SELECTOR.findall(expression)


def run(*command: object) -> None:
    """Run a command that must succeed; what it said is the failure's message."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
