"""How far the mesh may go with a source: observe, advise, approve, auto."""

import json
import ssl
import threading
import time

import httpx
import pytest
from support.plant import Plant


@pytest.fixture
def plant(mesh, stamp):
    made = Plant(mesh.door("operator", tenant="modes"), stamp)
    made.sense(30)
    return made


def set_mode(plant, mode):
    plant.door.call("PUT", f"/v1/modes/{plant.source}", {"mode": mode})


def test_a_new_source_is_advised_and_nothing_is_emitted(plant):
    decision = plant.act()
    assert decision["mode"] == "advise"
    assert not decision["emitted"]


@pytest.mark.parametrize(
    ("own", "asked", "in_force"),
    [
        ("auto", "", "auto"),
        ("auto", "observe", "observe"),
        ("observe", "auto", "observe"),
        ("approve", "auto", "approve"),
    ],
)
def test_a_request_can_only_lower_the_mode(plant, own, asked, in_force):
    set_mode(plant, own)
    decision = plant.act(mode=asked)
    assert decision["mode"] == in_force
    assert decision["emitted"] == (in_force == "auto")


def test_an_approved_decision_is_emitted_once(plant):
    set_mode(plant, "approve")
    decision = plant.act()
    path = f"/v1/decisions/{decision['prediction_id']}:approve"
    for _ in range(2):
        assert plant.door.call("POST", path, {})["action"] == decision["action"]
    stored = plant.door.call("GET", f"/v1/decisions/{decision['prediction_id']}")["decision"]
    assert stored["response"]["emitted"]
    assert stored["approved_by"] == "tester"
    advised = Plant(plant.door, plant._stamp)
    advised.sense(10)
    status, answer = plant.door.post(f"/v1/decisions/{advised.act()['prediction_id']}:approve", {})
    assert status == 400
    assert "approve" in answer["message"]


def test_actuators_hear_of_emitted_actions_alone(mesh, plant):
    heard: list[dict] = []

    def listen() -> None:
        headers = {"authorization": f"Bearer {mesh.token('agent', tenant='modes')}", "accept": "application/x-ndjson"}
        context = ssl.create_default_context(cafile=mesh.endpoint.ca)
        with httpx.stream(
            "GET",
            f"{mesh.endpoint.url}/v1/actions",
            params={"source": plant.source},
            headers=headers,
            verify=context,
            timeout=20,
        ) as response:
            for line in response.iter_lines():
                heard.append(json.loads(line))
                return

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    plant.act()  # advised: nobody hears of it
    set_mode(plant, "auto")
    deadline = time.monotonic() + 60
    emitted = []
    while (
        listener.is_alive() and time.monotonic() < deadline
    ):  # whoever listens from now on hears what comes from now on
        plant.sense()
        emitted.append(plant.act()["prediction_id"])
        listener.join(0.5)
    assert heard
    assert heard[0]["prediction_id"] in emitted
    assert heard[0]["source"] == plant.source
    assert heard[0]["action"]["target_servers"] >= 1
