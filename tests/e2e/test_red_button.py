"""The red button by REST: nothing is emitted until it is released, and every answer says so."""

from support.plant import Plant


def test_stop_and_release_by_rest(mesh, stamp):
    operator = mesh.door("operator", tenant="button")
    plant = Plant(operator, stamp)
    plant.sense(30)
    operator.call("PUT", f"/v1/modes/{plant.source}", {"mode": "auto"})
    assert plant.act()["emitted"]
    stops = operator.call("POST", "/v1/actions:stop", {"reason": "drill"})["stops"]
    assert [(stop["source"], stop["reason"]) for stop in stops] == [("", "drill")]
    assert mesh.door("viewer", tenant="button").call("GET", "/v1/stops")["stops"] == stops
    plant.sense()
    stopped = plant.act()
    assert (stopped["mode"], stopped["emitted"]) == ("advise", False)
    assert "drill" in stopped["reason"]
    tree = operator.call("GET", f"/v1/decisions/{stopped['prediction_id']}/tree")["root"]
    assert [(node["kind"], node["outcome"]) for node in tree["children"]] == [
        ("choice", "kept"),
        ("emission", "withheld"),
    ]
    status, refused = mesh.door("agent", tenant="button").post("/v1/actions:release", {})
    assert status == 403, refused
    assert operator.call("POST", "/v1/actions:release", {})["stops"] == []
    plant.sense()
    released = plant.act()
    assert released["emitted"]
    assert released["action"]["lease_s"] > 0
    assert released["action"]["revert_to_servers"] >= released["action"]["target_servers"]
