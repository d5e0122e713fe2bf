"""Energy maps through the door: numbers as JSON, pictures with their content types, and the command."""

import io
import time
from urllib.parse import urlencode

import pytest
from eil_cli.door import DoorError
from eil_cli.main import build
from PIL import Image
from typer.testing import CliRunner

ROWS, RACKS, MINUTES = 3, 6, 12


@pytest.fixture(scope="module")
def door(mesh):
    """A hall that sent its telemetry; row 2 draws twice of what the others do."""
    made = mesh.door("operator", tenant="maps")
    begin_us = (time.time_ns() // 60_000_000_000 - MINUTES - 1) * 60_000_000
    times_us = [begin_us + second * 1_000_000 for second in range(0, MINUTES * 60 + 1, 10)]
    for row in range(1, ROWS + 1):
        for rack in range(1, RACKS + 1, 2):
            columns = {"power_draw": 2000.0 if row == 2 else 1000.0, "row": row, "rack": rack}
            body = {
                "source": f"rack-{row}-{rack}",
                "times_us": times_us,
                "columns": [{"name": name, "values": [value] * len(times_us)} for name, value in columns.items()],
            }
            assert made.call("POST", "/v1/ingest", body)["accepted"] == len(times_us)
    made.call("POST", "/v1/ingest", {**body, "source": "ups", "columns": body["columns"][:1]})
    for _ in range(200):
        if len(made.call("GET", "/v1/energy/map")["nodes"]) == ROWS * RACKS // 2 + 1:
            return made
        time.sleep(0.05)
    raise AssertionError("the atlas does not follow")


def test_a_map_has_frames_with_places_values_and_uncertainties(door):
    answer = door.call("GET", "/v1/energy/map", params={"form": "grid", "quantity": "power", "resolution_s": "240"})
    assert answer["row_coordinates"] == [1, 2, 3]
    assert answer["rack_coordinates"] == [1, 2, 3, 4, 5]
    assert answer["unplaced"] == ["ups"]
    assert answer["frame_unit"] == "W"
    for frame in answer["frames"][-3:-1]:
        assert len(frame["nodes"]) == ROWS * RACKS // 2 + 1
        middle = frame["values"][5:10]
        assert middle == pytest.approx([2000.0] * 5, abs=300.0)
        assert len(frame["uncertainties"]) == 15
        assert min(frame["uncertainties"]) > 0


@pytest.mark.parametrize("form", ["grid", "graph"])
def test_a_picture_comes_as_an_image_of_its_type(door, form):
    for ending, media_type in (("png", "image/png"), ("svg", "image/svg+xml")):
        answer = door._client.get(f"/v1/energy/map.{ending}?{urlencode({'form': form, 'quantity': 'power'})}")
        assert answer.status_code == 200, answer.content[:200]
        assert answer.headers["content-type"] == media_type
        if ending == "png":
            assert Image.open(io.BytesIO(answer.content)).size == (1200, 640)
        else:
            assert answer.text.rstrip().endswith("</svg>")


def test_what_is_refused_is_json_as_everywhere(door, mesh):
    for query, status in (("form=torus", 400), ("resolution_s=60", 400), ("form=graph&end=1999-01-01T00:00:00Z", 404)):
        answer = door._client.get(f"/v1/energy/map.png?{query}")
        assert answer.status_code == status, answer.content[:200]
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["message"]
    with pytest.raises(DoorError, match="no source has a state yet"):
        mesh.door("viewer", tenant="empty").download("/v1/energy/map.svg")
    assert mesh.door("viewer", tenant="empty").get("/v1/energy/map.gif")[0] == 404


def test_the_command_shows_and_saves_the_map(door, mesh, tmp_path):
    runner, asked = CliRunner(), ["--state", str(mesh.state), "--token", mesh.token("viewer", tenant="maps")]
    shown = runner.invoke(build(), ["atlas", "map", "--quantity", "power", *asked], env={"COLUMNS": "100"})
    assert shown.exit_code == 0, shown.output
    assert "racks 1 … 5" in shown.output
    assert "ups" in shown.output
    saved = runner.invoke(build(), ["atlas", "map", "--out", str(tmp_path / "map.png"), *asked])
    assert saved.exit_code == 0, saved.output
    assert Image.open(tmp_path / "map.png").format == "PNG"
