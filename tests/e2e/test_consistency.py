"""`eil atlas verify` on a whole mesh: through the door, as the command and as REST."""

import json
import sqlite3
from contextlib import closing

from support.mesh import eil

TENANT = "consistency"


def test_what_was_lost_is_found_and_mended_through_the_door(mesh, stamp):
    door, auth = mesh.door("operator", tenant=TENANT), mesh.token("operator", tenant=TENANT)
    run = lambda *given: eil("atlas", "verify", *given, "--token", auth, "--state", str(mesh.state), check=False)  # noqa: E731
    for hour in range(-4, 0):
        sent = [(stamp(hour * 3600 + minute * 60), 100.0 + minute % 7) for minute in range(60)]
        columns = [{"name": "power_draw", "values": [watts for _, watts in sent]}]
        door.call("POST", "/v1/ingest", {"source": "dc", "timestamps": [at for at, _ in sent], "columns": columns})
    sound = run("--json")
    assert sound.returncode == 0, sound.stdout + sound.stderr
    summary = json.loads(sound.stdout)
    assert (summary["samples"], summary["findings"], summary["sources"]) == (240, [], 1)
    assert summary["hours"] >= 2
    assert "agree" in run("--deep", "--source", "dc").stdout
    with closing(sqlite3.connect(mesh.state / "atlas.db", timeout=10.0)) as conn, conn:
        lost = "SELECT start_us FROM states WHERE tenant = ? ORDER BY start_us LIMIT 2"
        gone = conn.execute(f"DELETE FROM states WHERE tenant = ? AND start_us IN ({lost})", (TENANT, TENANT)).rowcount
        assert gone == 2
    broken = run("--json")
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert [(one["kind"], one["source"]) for one in json.loads(broken.stdout)["findings"]] == [("states_missing", "dc")]
    assert "stays" in run().stdout
    mended = run("--repair")
    assert (mended.returncode, "repaired" in mended.stdout) == (0, True), mended.stdout + mended.stderr
    parts = door.call("POST", "/v1/atlas:verify", {"source": "dc"})
    assert int(parts[-1]["summary"]["samples"]) == 240
    assert not [part for part in parts if "finding" in part]
