"""Values that are misspelt, or that contradict each other, are refused with a word on what to do."""

import json
from typing import Any

import pytest

from .helm import CHART, FULL, TRIAL, manifests, template

REAL = ("--set", "ephemeral=false,postgres.url=postgresql://eil@db/eil,objects.url=s3://eil")
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
FREE_FORM = {"global", "nodeAffinity", "podAffinity", "podAntiAffinity"}
"""Objects of Helm's and Kubernetes' own, which others check."""


def open_objects(node: Any, path: str = "") -> list[str]:
    """Where the schema takes keys that it does not know."""
    if isinstance(node, list):
        return [found for number, one in enumerate(node) for found in open_objects(one, f"{path}/{number}")]
    if not isinstance(node, dict):
        return []
    found = (
        []
        if node.get("type") != "object" or "additionalProperties" in node or path.split("/")[-1] in FREE_FORM
        else [path]
    )
    return found + [one for key, value in node.items() for one in open_objects(value, f"{path}/{key}")]


def test_no_object_of_the_schema_is_open():
    assert open_objects(SCHEMA) == []


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("imagee.tag=1", "imagee"),
        ("image.tagg=1", "tagg"),
        ("secrets.prefixx=eil", "prefixx"),
        ("door.prot=443", "prot"),
        ("postgres.uri=x", "uri"),
        ("kafka.server=x", "server"),
        ("services.regmie.replicas=1", "regmie"),
        ("services.regime.replcas=1", "replcas"),
        ("services.regime.resources.request.cpu=1", "request"),
        ("services.regime.resources.requests.cpus=1", "cpus"),
        ("services.bridge.autoscaling.max=3", "max"),
        ("services.regime.settings.windows_s=30", "windows_s"),
        ("services.economy.settings.window_s=30", "window_s"),
        ("services.gateway.settings.log_level=debug", "log_level"),
        ("settings.log_levl=debug", "log_levl"),
        ("settings.window_s=30", "window_s"),
        ("defaults.toleration[0].key=a", "toleration"),
        ("defaults.tolerations[0].keyy=a", "keyy"),
        ("keda.services.economy.lag=1", "economy"),
        ("networkPolicy.enable=false", "enable"),
        ("networkPolicy.clients[0].ipblock.cidr=10.0.0.0/8", "ipblock"),
        ("serviceMonitor.enable=true", "enable"),
    ],
)
def test_a_misspelt_value_is_refused_by_name(value: str, named: str):
    done = template(*TRIAL, "--set", value)
    assert done.returncode != 0
    assert f"{named}'" in done.stderr


@pytest.mark.parametrize(
    "value",
    [
        "services.regime.settings.listen=[::]:1",  # the chart's own
        "services.regime.settings.database_url=postgresql://x@y/z",
        "services.gateway.settings.port=1",
        "postgres.url=postgresql://eil:secret@db/eil",  # a password
        "postgres.url=postgresql://eil@db/eil?password=secret",
        "objects.endpoint=https://key:secret@s3",
        "services.regime.replicas=-1",
        "services.regime.replicas=two",
        "services.regime.settings.window_s.a=1",
        "settings.core_w[0]=1",
        "door.type=ExternalName",
        "image.pullPolicy=Sometimes",
        "networkPolicy.clients[0]=10.0.0.0/8",
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(value: str):
    assert template(*TRIAL, "--set", value).returncode != 0


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ((), "Set postgres.url and objects.url, or for a trial ephemeral: true"),
        (("--set", "postgres.url=postgresql://eil@db/eil"), "Set postgres.url and objects.url"),
        ((*REAL, "--set", "ephemeral=true"), "set one or the other"),
        ((*TRIAL, "--set", "services.regime.replicas=2"), "services.regime.replicas is 2: its state is in its pod"),
        ((*REAL, "--set", "services.proof.autoscaling.maxReplicas=3,services.proof.autoscaling.cpu=70"), "one writer"),
        ((*REAL, "--set", "services.bridge.autoscaling.maxReplicas=1"), "1 <= replicas <= maxReplicas"),
        ((*REAL, "--set", "services.bridge.replicas=0,services.bridge.autoscaling.maxReplicas=3"), "1 <= replicas"),
        ((*REAL, "--set", "services.market.gpu=1"), "it computes nothing on GPUs"),
        ((*REAL, "--set", "postgres.tls=true"), "name that secret"),
        ((*REAL, "--set", "kafka.servers=k:9092,kafka.user=eil"), "kafka.secret: name that secret"),
        ((*REAL, "--set", "kafka.servers=k:9092,kafka.secret=k,kafka.clientCertificate=true"), "kafka.tls to true"),
        ((*TRIAL, "--set", "objects.endpoint=https://s3"), "set objects.url to s3://BUCKET"),
        ((*REAL, "--set", "keda.services.atlas.lag=9,keda.services.atlas.maxReplicas=2"), "set kafka.servers and keda"),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_advice(values: tuple[str, ...], advice: str):
    done = template(*values)
    assert done.returncode != 0
    assert advice in done.stderr


@pytest.mark.parametrize("values", [TRIAL, FULL, REAL], ids=["trial", "full", "real"])
def test_values_that_make_sense_are_taken(values: tuple[str, ...]):
    assert len(manifests(*values, kind="Deployment")) == 10


def test_a_chart_that_holds_this_one_may_have_globals():
    assert template(*TRIAL, "--set", "global.site=north").returncode == 0
