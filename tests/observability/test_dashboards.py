"""Dashboards are those that the code writes, and each panel says what it shows, in which unit, and what to do about it."""

import subprocess
import sys

import pytest

from .content import ALERTS, CONTENT, DASHBOARDS, PANELS

NAMES = ("energy", "physics", "regimes", "decisions", "proofs", "health", "market")


def titled(part: tuple[str, dict]) -> str:
    return f"{part[0]}: {part[1]['title']}"


def test_the_committed_dashboards_are_those_that_the_code_writes(tmp_path):
    subprocess.run([sys.executable, "-B", CONTENT / "dashboards.py", tmp_path], check=True, timeout=60)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text() for path in (CONTENT / "dashboards").iterdir()}
    assert written == committed, "run `python deploy/observability/dashboards.py`"
    assert DASHBOARDS.keys() == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_can_be_found_and_has_one_time_range(name):
    board = DASHBOARDS[name]
    assert board["uid"] == f"eil-{name}"
    assert board["tags"] == ["eil"]
    assert board["schemaVersion"] >= 39
    assert board["description"]
    assert board["templating"]["list"][0]["type"] == "datasource"
    assert not [panel["title"] for panel in board["panels"] if panel.keys() & {"timeFrom", "timeShift"}]


@pytest.mark.parametrize("name", NAMES)
def test_panels_stand_beside_each_other(name):
    panels = DASHBOARDS[name]["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert cells
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.parametrize("part", PANELS, ids=titled)
def test_a_panel_says_what_it_shows(part):
    panel = part[1]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    references = [target["refId"] for target in panel["targets"]]
    assert len(set(references)) == len(references)
    sources = {panel["datasource"]["uid"], *(target["datasource"]["uid"] for target in panel["targets"])}
    assert sources == {"${datasource}"}


@pytest.mark.parametrize("part", PANELS, ids=titled)
def test_a_panel_links_to_runbooks_of_alerts_that_exist(part):
    pages = {link["url"].removeprefix("${runbooks}/").removesuffix(".md") for link in part[1]["links"]}
    assert pages <= ALERTS.keys()


def test_every_alert_is_linked_from_a_panel():
    pages = {link["url"].rpartition("/")[2] for _, panel in PANELS for link in panel["links"]}
    assert pages == {f"{alert}.md" for alert in ALERTS}


def test_latencies_of_calls_lead_to_traces():
    shown = [
        target["exemplar"]
        for _, panel in PANELS
        for target in panel["targets"]
        if "eil_request_duration_seconds_bucket" in target["expr"] and "histogram_quantile" in target["expr"]
    ]
    assert shown
    assert all(shown)
