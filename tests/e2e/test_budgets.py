"""Energy budgets through the door: who has none left is refused with 429 before anything is stored, and served again once topped up."""

import json
import ssl
import time

import httpx
import pytest
import typer
from eil_cli import budget
from typer.testing import CliRunner

TENANT = "budgets"


@pytest.fixture
def command(mesh):
    """`eil budget …` as an operator of the tenant; answers its JSON."""
    app = typer.Typer()
    budget.register(app)
    token = mesh.token("operator", tenant=TENANT, subject="boss")

    def run(*arguments, **options):
        asked = ["budget", *arguments, "--state", str(mesh.state), "--token", options.get("token", token)]
        done = CliRunner().invoke(app, asked if options.get("text") else [*asked, "--json"], env={"COLUMNS": "200"})
        assert done.exit_code == options.get("exit_code", 0), done.output
        return done.stdout if options.get("text") else json.loads(done.stdout)

    return run


@pytest.fixture
def meter(mesh):
    """An agent's client, with headers to look at."""
    token = mesh.token("agent", tenant=TENANT, subject="meter-1")
    with httpx.Client(
        base_url=mesh.endpoint.url,
        verify=ssl.create_default_context(cafile=mesh.endpoint.ca),
        headers={"authorization": f"Bearer {token}"},
    ) as client:
        yield client


def test_a_budget_runs_out_is_answered_429_and_topped_up(mesh, command, meter, stamp):
    assert command("set", "meter-1", "--capacity", "0.00001", "--refill", "0.0036")["left_u"] == "10"
    sample = {"source": "rack-1", "telemetry": {"power_draw": 100.0}}
    answers = [meter.post("/v1/sense", json={**sample, "timestamp": stamp(number - 60)}) for number in range(40)]
    accepted = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(accepted) + len(refused) == 40
    assert 10 <= len(accepted) < 40
    last = refused[-1]
    assert int(last.headers["retry-after"]) >= 1
    assert float(last.headers["x-eil-budget-left"]) == 0
    assert last.json()["details"][0]["reason"] == "BUDGET_EXHAUSTED"
    history = mesh.door("viewer", tenant=TENANT).call("GET", "/v1/regime/status", params={"source": "rack-1"})
    assert len(history["sources"]) == 1
    batch = {"source": "rack-2", "timestamps": [stamp(0)], "columns": [{"name": "power_draw", "values": [1.0]}]}
    command("set", "meter-1", "--capacity", "0", "--refill", "0")
    time.sleep(1.1)  # for so long a refusal may stand, or what was refilled may be spent
    while meter.get("/v1/regime/status").status_code == 200:
        pass
    answer = meter.post("/v1/ingest", json=batch)
    assert answer.status_code == 429
    assert "retry-after" not in answer.headers  # refill never covers it
    sources = mesh.door("viewer", tenant=TENANT).call("GET", "/v1/regime/status")["sources"]
    assert [source["source"] for source in sources] == ["rack-1"]
    assert meter.get("/v1/economy/budget").json()["budget"]["principal"] == "meter-1"
    paid = command("top-up", "meter-1", "0.5", "--id", "t1")
    assert paid["transfer"]["credit_owner"] == "@budget/meter-1"
    assert command("top-up", "meter-1", "0.5", "--id", "t1")["replayed"]
    time.sleep(1.1)
    assert meter.post("/v1/ingest", json=batch).status_code == 200


def test_budgets_are_shown_and_listed(mesh, command):
    assert command("show")["principal"] == "boss"
    assert command("show", "*")["capacity_u"] == str(1000 * 10**6)
    command("set", "ann", "--capacity", "12.5", "--refill", "0")
    listed = {one["principal"]: one for one in command("list")["budgets"]}
    assert listed["ann"]["left_u"] == "12500000"
    text = command("list", text=True)
    assert "ann" in text
    assert "12.5" in text
    viewer = mesh.token("viewer", tenant=TENANT, subject="vic")
    assert command("show", token=viewer)["principal"] == "vic"
    command("list", token=viewer, text=True, exit_code=1)
    command("set", "ann", "--capacity", "x", "--refill", "0", text=True, exit_code=1)


def test_inference_is_paid_by_whoever_asked_for_it(mesh, command):
    door = mesh.door("operator", tenant=TENANT, subject="ida")
    wanted = {"history": [{"name": "energy", "values": [1.0, 2.0, 3.0, 4.0]}], "horizon": 3}
    before = command("show", "ida")
    door.call("POST", "/v1/nvp/predict", wanted)
    after = command("show", "ida")
    assert int(after["leased_u"]) >= int(before["leased_u"]) + 3000
