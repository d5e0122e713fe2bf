"""A saving, from the commitment through the door to a record that the command recomputes."""

import time

import numpy as np
import pytest
from eil_cli.door import DoorError
from support.mesh import eil

BASELINE, LENGTH, STEP_S = 600, 60, 60


def pft_of(door) -> tuple[int, int]:
    """What the meter's owner has, and what is set aside for it [10⁻⁶ PFT]."""
    balances = door.call("GET", "/v1/economy/balances", params={"owner": "meter"})["balances"]
    held = next(balance for balance in balances if balance["token"] == "PFT")
    return int(held["balance_u"]), int(held["incoming_u"])


def test_a_saving_is_proven_and_its_record_recomputed(mesh, tmp_path):
    door = mesh.door("operator", tenant="savers", subject="meter")
    door.call("PUT", "/v1/sources/rack-1", {"kind": "metered", "credential": "meter"})
    rng = np.random.default_rng(0)
    end_us = (int(time.time()) // STEP_S - 90) * STEP_S * 1_000_000

    def send(first: int, last: int, share: float) -> None:
        """Minutes counted from the end of the baseline."""
        minutes = np.arange(first + 1, last + 1)
        load = 100 + 40 * np.sin(minutes / 20)
        watts = share * (500 + 3 * load + 20 * rng.normal(size=minutes.size))
        body = {
            "source": "rack-1",
            "times_us": (end_us + minutes * STEP_S * 1_000_000).tolist(),
            "columns": [
                {"name": "power_draw", "values": watts.tolist()},
                {"name": "request_rate", "values": load.tolist()},
            ],
            "power_kind": "mean",
        }
        assert door.call("POST", "/v1/ingest", body)["accepted"] == minutes.size

    send(-BASELINE, 0, 1.0)
    stamp = lambda us: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(us // 1_000_000))  # noqa: E731
    what = {
        "source": "rack-1",
        "boundary": "feeder of rack 1",
        "ipmvp_option": "B",
        "method": "regression",
        "model": "change_point",
        "driver": "request_rate",
        "interval_s": STEP_S,
        "baseline_start": stamp(end_us - BASELINE * STEP_S * 1_000_000),
        "baseline_end": stamp(end_us),
        "reporting_intervals": LENGTH,
    }
    begun = door.call("POST", "/v1/verifications", what)["verification"]
    assert begun["state"] == "BASELINE_FITTED", begun["reason"]
    assert pft_of(door) == (0, 10_000_000_000), "set aside: what the policy pays at most"
    path = f"/v1/verifications/{begun['verification_id']}"
    with pytest.raises(DoorError) as early:
        door.call("POST", f"{path}:evaluate", {})
    assert (early.value.status, early.value.reason) == (400, "NOT_YET_MEASURED")
    send(0, LENGTH + 11, 0.9)
    found = door.call("POST", f"{path}:evaluate", {})["verification"]
    assert found["state"] == "PROVEN", found["reason"]
    assert found["saving"]["creditable"] == found["saving"]["saving_low"] > 0
    assert pft_of(door) == (int(found["saving"]["creditable"]), 0), (
        "a millionth of a PFT for each joule of the proven lower bound"
    )
    assert door.call("GET", path)["verification"] == found
    file, rows = tmp_path / "record.json", tmp_path / "rows.csv"
    who = ("--state", str(mesh.state), "--token", mesh.token("viewer", tenant="savers"))
    eil("verification", "export", begun["verification_id"], str(file), "--csv", str(rows), *who)
    assert "holds" in eil("proof", "verify", str(file)).stdout
    assert len(rows.read_text().splitlines()) == 1 + BASELINE + LENGTH
    file.write_bytes(file.read_bytes().replace(b"feeder of rack 1", b"feeder of rack 2"))
    assert eil("proof", "verify", str(file), check=False).returncode == 1
