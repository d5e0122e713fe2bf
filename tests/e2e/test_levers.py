"""Levers beside the size of the fleet, goals beside energy, and telemetry too old to act on: through the door."""

import math

import pytest
from support.plant import STEP_S, Plant

CRAC = {"name": "crac", "kind": "cooling", "low": 18, "high": 27, "step": 1, "channel": "supply_temperature"}
SERVERS = {"name": "servers", "kind": "servers", "low": 2, "high": 12, "step": 1}


class CooledPlant(Plant):
    """A fleet whose cooling takes 40 W for every kelvin below 27 °C, and whose temperature follows it at once."""

    supply_c = 20.0
    skipped: tuple[str, ...] = ()

    def telemetry(self):
        sent = super().telemetry()
        power_w = sent["power_draw"] + 40.0 * (27.0 - self.supply_c)
        sent |= {
            "power_draw": power_w,
            "supply_temperature": self.supply_c,
            "temperature": self.supply_c + power_w / 200,
        }
        return {name: value for name, value in sent.items() if name not in self.skipped}


@pytest.fixture
def plant(mesh, stamp):
    made = CooledPlant(mesh.door("operator", tenant="levers"), stamp)
    for k in range(60):
        made.supply_c = 20.0 + (k // 10) % 2
        made.sense()
    return made


def wanted(decision):
    return {setting["lever"]: setting for setting in decision["action"]["settings"]}


def test_a_cooling_set_point_is_learned_and_raised_as_far_as_the_temperature_allows(plant):
    plant.door.call("PUT", f"/v1/levers/{plant.source}", {"levers": [SERVERS, CRAC]})
    assert [lever["name"] for lever in plant.door.call("GET", f"/v1/levers/{plant.source}")["levers"]] == [
        "servers",
        "crac",
    ]
    free = plant.act(mode="observe", constraints={"max_latency_ms": 20.0})
    assert wanted(free)["crac"]["value"] == 22.0, "a step beyond the 20 and 21 °C that were seen"
    assert wanted(free)["crac"]["revert_to"] == 18.0
    bound = plant.act(constraints={"max_latency_ms": 20.0, "max_temperature_c": 30.0})
    assert wanted(bound)["crac"]["value"] < 22.0
    assert bound["proof"]["feasibility_check"]
    settings = [other["settings"]["crac"] for other in bound["alternatives"]]
    assert len(set(settings)) > 1, "other settings were weighed too"
    tree = plant.door.call("GET", f"/v1/decisions/{bound['prediction_id']}/tree")["root"]
    assert "crac" in tree["children"][0]["children"][0]["label"]


def test_where_only_the_cooling_is_declared_the_fleet_is_left_alone(plant):
    plant.door.call("PUT", f"/v1/levers/{plant.source}", {"levers": [CRAC]})
    decision = plant.act()
    assert decision["action"]["type"] == "adjust"
    assert decision["action"]["target_servers"] == 10


def test_contradictory_levers_are_refused_and_change_nothing(plant):
    plant.door.call("PUT", f"/v1/levers/{plant.source}", {"levers": [CRAC]})
    both = [SERVERS, {"name": "pack", "kind": "consolidation", "low": 1, "high": 9, "step": 1}]
    status, answer = plant.door.put(f"/v1/levers/{plant.source}", {"levers": both})
    assert status == 400
    assert "levers[1].kind" in str(answer["details"])
    assert plant.door.call("GET", f"/v1/levers/{plant.source}")["levers"][0]["name"] == "crac"


def test_a_setting_of_no_declared_lever_is_refused(plant):
    status, answer = plant.door.post(
        "/v1/act",
        {
            "source": plant.source,
            "goal": "minimize_energy",
            "current_state": {"active_servers": 10, "avg_utilization": 0.4, "settings": {"kiln": 150}},
        },
    )
    assert status == 400
    assert "kiln" in answer["message"]


@pytest.mark.parametrize(
    ("goal", "needed"),
    [("minimize_cost", "price_per_kwh"), ("minimize_carbon", "carbon_g_per_kwh"), ("custom", "weights")],
)
def test_a_goal_says_what_it_needs(plant, goal, needed):
    state = {"active_servers": 10, "avg_utilization": 0.4}
    status, answer = plant.door.post("/v1/act", {"goal": goal, "current_state": state})
    assert status == 400
    assert needed in answer["message"]
    given = {
        "price_per_kwh": [0.3, 0.1],
        "carbon_g_per_kwh": [400.0],
        "weights": {"energy": 1.0, "irreversibility": 2.0},
    }
    assert plant.act(goal=goal, mode="observe", **{needed: given[needed]})["action"]["target_servers"] >= 1


def test_work_waits_for_the_cheap_hour(plant):
    later = {"name": "later", "kind": "deferral", "low": 0, "high": 0.3, "step": 0.1, "within_s": 7200}
    plant.door.call("PUT", f"/v1/levers/{plant.source}", {"levers": [SERVERS, later]})
    state = {"active_servers": 10, "avg_utilization": plant.utilisation, "settings": {"later": 0.0}}
    dear_now = plant.act(goal="minimize_cost", price_per_kwh=[0.5, 0.05], mode="observe", current_state=state)
    dear_soon = plant.act(goal="minimize_cost", price_per_kwh=[0.05, 0.5], mode="observe", current_state=state)
    assert wanted(dear_now)["later"]["value"] == pytest.approx(0.3)
    assert wanted(dear_soon)["later"]["value"] == 0.0


def test_what_rests_on_old_telemetry_is_advice_only(plant):
    plant.door.call("PUT", f"/v1/modes/{plant.source}", {"mode": "auto"})
    assert plant.act()["emitted"]
    plant.skipped = ("power_draw",)
    plant.sense(math.ceil(60 / STEP_S) + 1)
    old = plant.act()
    assert (old["mode"], old["emitted"]) == ("advise", False)
    assert "'power_draw' was last sent 70 s ago" in old["reason"]
    plant.skipped = ()
    plant.sense(2)
    assert plant.act()["emitted"]
