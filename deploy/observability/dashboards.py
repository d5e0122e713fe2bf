"""Writes the dashboards: `python deploy/observability/dashboards.py [FOLDER]`; they lie in `dashboards` beside this file."""

import json
import sys
from pathlib import Path
from typing import Final

from boards import decisions, energy, health, market, physics, proofs, regimes
from panels import Json, written

BOARDS: Final = tuple(module.BOARD for module in (energy, physics, regimes, decisions, proofs, health, market))
SERVED_AT: Final = "/docs/runbooks"
"""Where docs/runbooks can be read: panels' links begin with it. Name your own and write the dashboards anew."""
RUNBOOKS: Final = "${runbooks}"
VARIABLES: Final[tuple[Json, ...]] = (
    {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "refresh": 1,
        "hide": 0,
    },
    {
        "name": "runbooks",
        "label": "Runbooks",
        "type": "textbox",
        "query": SERVED_AT,
        "current": {"text": SERVED_AT, "value": SERVED_AT},
        "hide": 2,
    },
)


def main(folder: Path) -> None:
    """Write a file for each dashboard."""
    folder.mkdir(parents=True, exist_ok=True)
    for dashboard in BOARDS:
        text = json.dumps(written(dashboard, VARIABLES, RUNBOOKS), indent=1, ensure_ascii=False)
        (folder / f"{dashboard.name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "dashboards")
