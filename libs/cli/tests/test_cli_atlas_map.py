"""`eil atlas map` against a gateway that gives fixed answers."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from eil_cli.endpoint import Endpoint
from eil_cli.main import build
from typer.testing import CliRunner, Result

PICTURE = b"\x89PNG\r\n\x1a\n\x00\xff"
FRAME = {
    "start": "2026-01-01T00:00:00Z",
    "end": "2026-01-01T01:00:00Z",
    "nodes": [
        {"source": "a", "value": 100.0, "uncertainty": 0.0, "covered_s": 3600.0, "regime": "r1"},
        {"source": "b", "value": 300.0, "uncertainty": 5.0, "covered_s": 3000.0, "regime": "r2"},
    ],
    "missing": [{"source": "late", "covered_s": 60.0}],
    "values": [100.0, 150.0, 200.0, 300.0],
    "uncertainties": [1.0, 1.0, 95.0, 1.0],
}
GRID = {
    "form": "grid",
    "quantity": "power",
    "frame_unit": "W",
    "method": "heat kernel over 2 × 2 cells",
    "frames": [FRAME],
    "row_coordinates": [1, 2],
    "rack_coordinates": [1, 2],
    "unplaced": ["ups"],
}
GRAPH = {**GRID, "form": "graph", "row_coordinates": [], "frames": [{**FRAME, "values": []}], "unplaced": []}


@pytest.fixture
def asked() -> list[tuple[str, dict[str, list[str]]]]:
    return []


@pytest.fixture
def answers() -> dict[str, dict[str, Any]]:
    """The answer to each form that may be asked for."""
    return {"grid": GRID, "graph": GRAPH}


@pytest.fixture
def eil(asked, answers, tmp_path: Path) -> Iterator[Callable[..., Result]]:
    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            asked.append((url.path, parse_qs(url.query)))
            self.send_response(200)
            self.end_headers()
            picture = url.path.endswith((".png", ".svg"))
            self.wfile.write(PICTURE if picture else json.dumps(answers[parse_qs(url.query)["form"][0]]).encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    Endpoint(url=url, grpc="", ca="", admin_token="t", metrics={}, pid=1).save(tmp_path)

    def run(*arguments: str) -> Result:
        env = {"EIL_STATE": str(tmp_path), "COLUMNS": "80"}
        return CliRunner().invoke(build(), ["atlas", "map", *arguments], env=env)

    yield run
    server.shutdown()
    server.server_close()


def test_a_grid_is_drawn_in_blocks_with_its_scale_and_what_is_left_out(eil, asked):
    result = eil("--quantity", "power", "--resolution", "5m", "--rows", "2")
    assert result.exit_code == 0, result.output
    assert asked == [
        ("/v1/energy/map", {"form": ["grid"], "quantity": ["power"], "resolution_s": ["300"], "grid_rows": ["2"]})
    ]
    lines = result.stdout.splitlines()
    assert lines[0] == "power [W], 2026-01-01T00:00:00Z … 2026-01-01T01:00:00Z"
    assert lines[1].endswith(" 1   ░░"), "from little to much"
    assert lines[2].endswith(" 2 ··██"), "what is hardly known is dotted"
    assert "racks 1 … 2   100 " in lines[3]
    assert lines[3].endswith(" 300 W")
    assert "no data (samples cover under half the time): late" in result.stdout
    assert "no place known (channels row and rack): ups" in result.stdout


def test_without_places_the_sources_are_listed_largest_first(eil, asked, answers):
    answers["grid"] = {**GRID, "row_coordinates": [], "frames": [{**FRAME, "values": []}]}
    result = eil()
    assert [params["form"] for _, params in asked] == [["grid"], ["graph"]]
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[2][:4] == ["b", "300", "5", "3,000"]
    assert lines[3][:4] == ["a", "100", "0", "3,600"]
    asked.clear()
    assert eil("--form", "grid").exit_code == 0
    assert len(asked) == 1, "a form that was named is kept"


def test_a_map_of_more_racks_than_the_terminal_is_wide_stays_within_it(eil, answers):
    racks = list(range(1, 129))
    frame = {**FRAME, "values": [100.0] * 256, "uncertainties": [1.0] * 256}
    answers["grid"] = {**GRID, "rack_coordinates": racks, "frames": [frame]}
    assert max(len(line) for line in eil().stdout.splitlines()[1:3]) <= 80


def test_pictures_and_numbers_are_saved(eil, asked, tmp_path: Path):
    for ending in ("png", "svg"):
        assert eil("--out", str(tmp_path / f"map.{ending}")).exit_code == 0
        assert (tmp_path / f"map.{ending}").read_bytes() == PICTURE
    assert [path for path, _ in asked] == ["/v1/energy/map.png", "/v1/energy/map.svg"]
    assert eil("--out", str(tmp_path / "map.json")).exit_code == 0
    assert json.loads((tmp_path / "map.json").read_text()) == GRID
    assert json.loads(eil("--json").stdout) == GRID


def test_what_makes_no_sense_is_said(eil, tmp_path: Path):
    for words, arguments in (
        ("one of these endings", ("--out", str(tmp_path / "map.pdf"))),
        ("one frame", ("--out", str(tmp_path / "map.png"), "--resolution", "5m")),
        ("whole minutes", ("--resolution", "90s")),
        ("cannot be written", ("--out", str(tmp_path / "no" / "map.png"))),
    ):
        result = eil(*arguments)
        assert result.exit_code in (1, 2), result.output
        assert words in result.stderr


def test_before_the_first_state_there_is_nothing_to_show(eil, answers):
    answers["grid"] = {**GRID, "frames": []}
    assert "no state yet" in eil().stdout
