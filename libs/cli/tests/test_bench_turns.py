"""Turns of two meshes: who begins changes, the first turn warms up, and the shares are those of the same turn."""

from pathlib import Path

from eil_cli.bench import turns
from eil_cli.bench.load_tools import Load
from eil_cli.bench.mesh import MeasuredMesh
from eil_cli.bench.progress import Step
from eil_cli.endpoint import Endpoint
from eil_gateway.keys import ensure_keys


def test_meshes_take_turns(tmp_path: Path, monkeypatch) -> None:
    meshes = []
    for name in ("one", "other"):
        ensure_keys(tmp_path / name)
        Endpoint(f"https://{name}", "", "", "", {}, 0).save(tmp_path / name)
        meshes.append(MeasuredMesh(tmp_path / name, None))
    order: list[str] = []

    def load(endpoint: Endpoint, token: str, seconds: float, *, prefix: str) -> Load:
        assert token
        order.append(f"{endpoint.url.removeprefix('https://')} {prefix} {seconds:g}")
        slow = 2.0 if "other" in endpoint.url else 1.0
        return Load(100.0 * slow * (1 + int(prefix[1:])), 0.0, 0.0, 1, 0)

    monkeypatch.setattr(turns, "rest_load", load)
    said: list[str] = []

    def begin(what: str, _: int | None) -> Step:
        said.append(what)
        return lambda *_: None

    shares = turns.take_turns(begin, "with and without", meshes, turns=2, turn_s=5.0)
    assert shares == [0.5, 0.5]
    assert order == ["other t0 5", "one t0 5", "one t1 5", "other t1 5", "other t2 5", "one t2 5"]
    assert said[-1] == "with and without, turn 2 of 2"
