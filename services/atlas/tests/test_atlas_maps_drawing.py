"""Pictures: what they are, what they say, and that no name spoils them. SVG keeps each drawn text as a comment beside its paths."""

import io
import xml.etree.ElementTree as ET
from typing import cast

import numpy as np
import pytest
from eil_atlas.changes import Link
from eil_atlas.domain.readings import Energy
from eil_atlas.domain.springs import spring_layout
from eil_atlas.drawing import DPI, INCHES, draw
from eil_atlas.layout import Layout, Place
from eil_atlas.maps import EnergyMap, Maps, Question
from PIL import Image

MINUTE = 60_000_000
T0 = 29_500_000 * MINUTE


class Hall:
    """A layout of sources that draw a constant power for an hour."""

    def __init__(
        self, watts: dict[str, float], places: dict[str, Place] | None = None, links: list[Link] | None = None
    ) -> None:
        self.watts, self._places, self._links = watts, places or {}, links or []

    async def energies(self, tenant: str, start_us: int, end_us: int, step_s: float) -> list[Energy]:
        return [
            Energy(source, T0 + minute * MINUTE, watts * 60.0, 60.0, watts * 0.2, "r1")
            for source, watts in self.watts.items()
            for minute in range(60)
            if start_us <= T0 + minute * MINUTE < end_us
        ]

    async def places(self, tenant: str) -> dict[str, Place]:
        return self._places

    async def links(self, tenant: str) -> list[Link]:
        return self._links

    async def map(self, **asked) -> EnergyMap:
        return await Maps(cast(Layout, self)).make("t", Question(T0, T0 + 60 * MINUTE, from_first=True, **asked))


def grid(rows: int = 5, racks: int = 12) -> Hall:
    places = {f"rack-{row}-{rack}": Place(row, rack) for row in range(rows) for rack in range(0, racks, 2)}
    return Hall({name: 500.0 + 90.0 * place.row + 7.0 * place.rack for name, place in places.items()}, places)


def texts(svg: bytes) -> str:
    """Everything written in a picture."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    root = ET.fromstring(svg, parser)
    return "\n".join(node.text or "" for node in root.iter() if node.tag is ET.Comment)


async def test_a_picture_is_of_the_size_promised_light_and_in_colour():
    picture = Image.open(io.BytesIO(draw(await grid().map(), [], "png")))
    assert picture.size == (int(INCHES[0] * DPI), int(INCHES[1] * DPI))
    pixels = np.asarray(picture.convert("RGB"))
    assert pixels[:20].min() == 255, "paper"
    assert len(np.unique(pixels[200:400, 100:500].reshape(-1, 3), axis=0)) > 20, "a map"


async def test_the_same_map_is_the_same_file():
    made = await grid().map()
    for kind in ("png", "svg"):
        assert draw(made, [("a", "r1", "r2", 1)], kind) == draw(made, [("a", "r1", "r2", 1)], kind)


async def test_a_grid_says_what_it_shows_with_units_time_and_what_is_left_out():
    hall = grid()
    hall.watts["ups"] = 4000.0
    said = texts(draw(await hall.map(quantity="power"), [], "svg"))
    for words in (
        "Mean power map, 2026-02-02 02:40",
        "03:40 UTC",
        "[kW]",
        "Standard uncertainty",
        "no place known: ups",
        "60 min",
    ):
        assert words in said, words
    assert "<text" not in draw(await hall.map(), [], "svg").decode(), "letters are paths: no font is needed to see them"


async def test_few_sources_are_named_and_many_are_not():
    assert "rack-0-0" in texts(draw(await grid(2, 6).map(), [], "svg"))
    assert "rack-0-0" not in texts(draw(await grid(8, 20).map(), [], "svg"))


async def test_what_is_hardly_known_is_hatched_and_only_that():
    everywhere = grid()
    corner = {"a": Place(0, 0), "b": Place(0, 1), "c": Place(1, 0), "d": Place(2, 0), "far": Place(40, 60)}
    lonely = Hall({"a": 100.0, "b": 140.0, "c": 90.0, "d": 130.0, "far": 110.0}, corner)
    assert b"<pattern" not in draw(await everywhere.map(), [], "svg")
    assert b"<pattern" in draw(await lonely.map(), [], "svg")


async def test_no_data_is_drawn_as_such():
    placeless = Hall({"a": 100.0})
    assert "no data: no source with a place" in texts(draw(await placeless.map(form="grid"), [], "svg"))
    silent = Hall({"a": 100.0}, {"a": Place(1, 1), "quiet": Place(1, 2)})
    assert "half the time): quiet" in texts(draw(await silent.map(), [], "svg"))


async def test_a_graph_has_its_nodes_their_values_and_the_transitions():
    links = [Link(f"srv-{i}", "pdu", "power", 1.0) for i in range(5)]
    hall = Hall({f"srv-{i}": 200.0 + i for i in range(5)}, links=links)
    said = texts(draw(await hall.map(quantity="power"), [("srv-3", "calm", "busy", 4)], "svg"))
    for words in ("srv-3", "203", "pdu", "≈ 202", "calm", "busy", "× 4", "Mean power [W]"):
        assert words in said, words
    assert "none in this window" in texts(draw(await hall.map(), [], "svg"))


@pytest.mark.parametrize("name", ["$x_{", "<b>&amp;", "a--b", "ж" * 200, "\\frac", "line\nline", "\x01\x1f"])
async def test_any_name_can_be_drawn(name):
    hall = Hall({name: 100.0, "b": 120.0}, {name: Place(1, 1), "b": Place(1, 2)}, [Link(name, "b", "x", 1.0)])
    for form in ("grid", "graph"):
        made = await hall.map(form=form)
        texts(draw(made, [(name, name, name, 1)], "svg"))
        Image.open(io.BytesIO(draw(made, [(name, name, name, 1)], "png"))).verify()


async def test_a_graph_of_very_many_nodes_is_drawn_by_those_that_read_most():
    hall = Hall(
        {f"n{i:04d}": float(i) for i in range(600)},
        links=[Link(f"n{i:04d}", f"n{i // 2:04d}", "x", 1.0) for i in range(600)],
    )
    Image.open(io.BytesIO(draw(await hall.map(quantity="power"), [], "png"))).verify()


def test_springs_keep_linked_nodes_near_and_everything_on_the_picture():
    edges = [(i, i + 1) for i in range(9)] + [(10, i) for i in range(11, 18)]
    at = spring_layout(20, edges)
    assert np.abs(at).max() <= 1.0 + 1e-9
    np.testing.assert_array_equal(at, spring_layout(20, edges))
    length = np.linalg.norm(at[:, None] - at[None], axis=2)
    linked = np.mean([length[i, j] for i, j in edges])
    assert linked < 0.6 * length[np.triu_indices(18, 1)].mean()
    assert length[np.triu_indices(20, 1)].min() > 0.02, "no two nodes lie on each other"
    assert spring_layout(1, []).tolist() == [[0.0, 0.0]]
    assert spring_layout(3, []).shape == (3, 2)
