"""Rules load, alerts fire when they should and not otherwise, and each has a page that says what to do."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from eil.decision.v1 import decision_pb2
from eil.proof.v1 import proof_pb2
from eil.regime.v1 import regime_pb2

from .content import (
    ALERTS,
    OTHERS,
    PANEL_EXPRESSIONS,
    RECORDS,
    RULE_EXPRESSIONS,
    RULE_FILES,
    RUNBOOKS,
    UNIT_TESTS,
    buckets,
    run,
    selectors_in,
    series_in,
    series_of_the_mesh,
)

SECTIONS = ["What users see", "Look at", "Do", "It is over when"]


def expectations(path: Any) -> Iterator[tuple[str, bool]]:
    """(alert, whether it is expected to fire) of each expectation in a file of unit tests."""
    for case in yaml.safe_load(path.read_text())["tests"]:
        for check in case["promql_expr_test"]:
            for alert in re.findall(r'alertname="(\w+)"', check["expr"]):
                yield alert, bool(check["exp_samples"])


def test_prometheus_takes_the_rules(promtool):
    run(promtool, "check", "rules", "--lint-fatal", *RULE_FILES)


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_not_otherwise(promtool, path):
    run(promtool, "test", "rules", path)


@pytest.mark.parametrize("fires", [True, False], ids=["fires", "does not fire"])
def test_every_alert_has_a_unit_test_in_which_it(fires):
    tested = {alert for path in UNIT_TESTS for alert, expected in expectations(path) if expected is fires}
    assert tested == ALERTS.keys()


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_happened_what_it_means_and_what_to_do(alert):
    body = ALERTS[alert].body
    assert body["labels"]["severity"] in {"critical", "warning", "info"}
    assert body["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert body["annotations"]["runbook_url"] == f"docs/runbooks/{alert}.md"
    assert not body["annotations"]["summary"].endswith(".")
    assert body["annotations"]["description"].endswith(".")


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_runbook(alert):
    page = (RUNBOOKS / f"{alert}.md").read_text()
    rule = ALERTS[alert]
    assert page.startswith(f"# {alert}\n\n*{rule.body['labels']['severity']}*, [`rules/{rule.file}.yaml`]")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == SECTIONS


def test_the_index_names_every_runbook_and_there_is_no_other():
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.md\) \| (\w+) \|", (RUNBOOKS / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted((alert, alert, rule.body["labels"]["severity"]) for alert, rule in ALERTS.items())
    assert {path.stem for path in RUNBOOKS.glob("*.md")} == {"README", *ALERTS}


@pytest.mark.parametrize("expression", [*RULE_EXPRESSIONS, *PANEL_EXPRESSIONS])
def test_every_series_that_is_asked_for_exists(expression):
    known = series_of_the_mesh().keys() | {rule.body["record"] for rule in RECORDS}
    unknown = {name for name in series_in(expression) - known if not OTHERS.fullmatch(name)}
    assert series_in(expression) or expression.startswith("vector(")
    assert not unknown, "neither the registry nor a recording rule has these"


def test_every_recorded_series_is_used():
    used = {name for expression in (*RULE_EXPRESSIONS, *PANEL_EXPRESSIONS) for name in series_in(expression)}
    assert not {rule.body["record"] for rule in RECORDS} - used


def test_every_metric_of_the_mesh_is_watched():
    exposed = series_of_the_mesh()
    used = {name for expression in (*RULE_EXPRESSIONS, *PANEL_EXPRESSIONS) for name in series_in(expression)}
    assert not set(exposed.values()) - {exposed[name] for name in used if name in exposed}


def test_thresholds_of_latency_are_buckets_that_exist():
    asked = [
        (series, bound)
        for expression in (*RULE_EXPRESSIONS, *PANEL_EXPRESSIONS)
        for series, labels in selectors_in(expression)
        for bound in re.findall(r'\ble="([^"]+)"', labels)
    ]
    known = buckets()
    assert asked
    assert not [(series, bound) for series, bound in asked if bound not in known[series]]


def test_methods_that_are_asked_for_are_in_the_contract():
    contract = {
        f"/{service.full_name}/{method.name}"
        for module in (decision_pb2, proof_pb2, regime_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    asked = {
        method
        for expression in (*RULE_EXPRESSIONS, *PANEL_EXPRESSIONS)
        for method in re.findall(r'method="([^"]+)"', expression)
    }
    assert asked
    assert asked <= contract


def test_rules_do_not_sum_over_what_every_process_shows_at_zero():
    """Gauges that one service sets stand at zero in all others: an alert must name the job, or it judges the others."""
    own = ("eil_entropy_coherence_ratio", "eil_proof_validation_rate", "eil_atlas_consistency_clean_timestamp_seconds")
    for expression in RULE_EXPRESSIONS:
        for series in series_in(expression) & set(own):
            assert all(labels.startswith("job=") for name, labels in selectors_in(expression) if name == series)
            assert f"{series}{{" in expression
