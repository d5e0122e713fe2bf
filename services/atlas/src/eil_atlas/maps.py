"""Energy maps: a question's frames, read from the layout, interpolated by the heat kernel."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from eil_mesh.clock import MICROSECONDS
from eil_mesh.errors import InvalidArgument, NotFound, as_invalid_argument

from eil_atlas.changes import Link
from eil_atlas.domain.field import Belief, Field, Readings, affordable, believe, estimate
from eil_atlas.domain.heat_kernel import Axis, GraphKernel, GridKernel, Kernel, Spots, Times
from eil_atlas.domain.readings import UNITS, Energy, Frames, Measured, Quantity, measure
from eil_atlas.domain.windows import WINDOW_US
from eil_atlas.layout import Layout, Place

MOST_FRAMES = 240
MOST_STEPS = 240
"""Steps of all frames that energies are read in."""
MOST_VALUES = 250_000
"""Readings and interpolated values of all frames in an answer: about 30 MB of JSON."""
MOST_AT_WORK = 2
"""Maps computed or drawn at a time; the next waits, at most as long as its deadline."""
Form = Literal["grid", "graph"]


@dataclass(frozen=True, slots=True)
class Question:
    """What map is asked for. An empty form is a grid where a source has a place, else a graph; 0 is the default everywhere."""

    start_us: int
    end_us: int
    from_first: bool
    """Whether the map begins with the first state in the window, not with the window."""
    form: Form | Literal[""] = ""
    quantity: Quantity = "energy"
    resolution_s: int = 0
    grid_rows: int = 0
    grid_racks: int = 0
    diffusion_time: float = 0.0


@dataclass(frozen=True, slots=True)
class MapFrame:
    """The map in a stretch of time. `field` is over the grid's cells, row by row, or over the graph's nodes; None without any reading."""

    start_us: int
    end_us: int
    measured: Measured
    field: Field | None
    fitted: int
    """Readings that the field rests on."""


@dataclass(frozen=True, slots=True)
class EnergyMap:
    """Frames of one scale, with what they lie on: `grid` or the graph of `nodes` and `links`."""

    form: Form
    quantity: Quantity
    frames: tuple[MapFrame, ...]
    belief: Belief | None
    """What the field's covariance may be; None where no frame has a field."""
    places: dict[str, Place]
    unplaced: tuple[str, ...]
    grid: GridKernel | None
    nodes: tuple[str, ...]
    links: tuple[Link, ...]
    """Each pair once, weights relative to their mean."""
    given_time: bool
    """Whether the diffusion time was asked for."""

    @property
    def unit(self) -> str:
        """Unit of values and uncertainties."""
        return UNITS[self.quantity]

    @property
    def method(self) -> str:
        """How it was interpolated, in words."""
        if self.belief is None:
            return "not interpolated: no source has both a reading and a place on the map"
        over = f"{self.grid.rows.cells} × {self.grid.racks.cells} cells" if self.grid else f"{len(self.nodes)} nodes"
        times = "the diffusion time given" if self.given_time else "diffusion times weighed by their likelihood"
        return f"Gaussian-process regression, heat kernel over {over}, {times}"


class Maps:
    """Makes maps from a layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._places = asyncio.Semaphore(MOST_AT_WORK)

    async def make(self, tenant: str, question: Question) -> EnergyMap:
        """The map of a tenant.

        Raises:
            InvalidArgument: it would have more frames, values or nodes than a map may.
        """
        frames = _frames(question)
        rows = await self._layout.energies(tenant, frames.start_us, frames.end_us, frames.step_us / MICROSECONDS)
        if question.from_first and rows:
            frames = _since(frames, min(row.start_us for row in rows), whole=not question.resolution_s)
        places = await self._layout.places(tenant)
        form: Form = question.form or ("grid" if places else "graph")
        links = await self._layout.links(tenant) if form == "graph" else []
        async with self._places:
            return await asyncio.to_thread(_map, question, form, frames, rows, places, links)

    async def draw(
        self, tenant: str, question: Question, transitions: Sequence[tuple[str, str, str, int]], kind: str
    ) -> bytes:
        """A picture of the map, `kind` png or svg; `transitions` are (source, regime left, regime entered, how often).

        Raises:
            InvalidArgument: as `make`.
            NotFound: no source has a state in the window.
        """
        made = await self.make(tenant, question)
        if not any(frame.measured.readings or frame.measured.gaps for frame in made.frames):
            raise NotFound(
                "no source has a state in this window: there is nothing to draw; choose another `start` or `end`"
            )
        async with self._places:
            return await asyncio.to_thread(_picture, made, transitions, kind)


def _frames(question: Question) -> Frames:
    """Whole frames that end at the question's end: the begin goes down as far as need be.

    Raises:
        InvalidArgument: the resolution is not in whole minutes, or there would be too many frames.
    """
    span_us, length_us = question.end_us - question.start_us, question.resolution_s * MICROSECONDS
    if length_us % WINDOW_US:
        raise InvalidArgument(
            f"frames of {question.resolution_s} s are no whole minutes: states last 60 s; ask for a multiple of 60",
            violations={"resolution_s": "must be a multiple of 60"},
        )
    count = -(-span_us // length_us) if length_us else 1
    if count > MOST_FRAMES:
        least_s = -(-span_us // (MOST_FRAMES * WINDOW_US)) * 60
        raise InvalidArgument(
            f"the window has {count} frames of {question.resolution_s} s and an answer at most {MOST_FRAMES}: ask for {least_s} s or more, "
            "or for a shorter window",
            violations={"resolution_s": f"must be at least {least_s} for this window"},
        )
    length_us = length_us or span_us
    windows = length_us // WINDOW_US
    steps = max(steps for steps in range(1, MOST_STEPS // count + 1) if windows % steps == 0)
    return Frames(question.end_us - count * length_us, length_us // steps, steps, count)


def _since(frames: Frames, first_us: int, *, whole: bool) -> Frames:
    """The frames without the time before the first state: a single frame begins with it, of several the empty ones go."""
    if whole:
        before = (first_us - frames.start_us) // frames.step_us
        return Frames(frames.start_us + before * frames.step_us, frames.step_us, frames.steps - before, 1)
    before = (first_us - frames.start_us) // frames.length_us
    return Frames(frames.begin_us(before), frames.step_us, frames.steps, frames.count - before)


def _map(
    question: Question,
    form: Form,
    frames: Frames,
    rows: list[Energy],
    places: dict[str, Place],
    links: list[Link],
) -> EnergyMap:
    """The map of rows. Blocks for as long as it computes."""
    known = sorted({row.source for row in rows} | (places.keys() if form == "grid" else set()))
    joined = _joined(links)
    nodes = sorted({*known, *(end for link in joined for end in (link.source, link.to_source))})
    with as_invalid_argument("grid_rows" if form == "grid" else "form"):
        if form == "graph":
            grid, kernel, spots = None, *_graph(nodes, joined)
        else:
            grid, spots = _grid(question, places)
            kernel = grid
    targets = np.arange(0 if kernel is None else grid.cells if grid else len(nodes))
    values = frames.count * (targets.size + len(known))
    if values > MOST_VALUES:
        raise InvalidArgument(
            f"the map would have {values:,} values and may have {MOST_VALUES:,}: ask for fewer frames (a larger `resolution_s`) or "
            "fewer cells",
            violations={"resolution_s": "too many frames for so many cells and sources"},
        )
    measured = measure(rows, frames, question.quantity, known)
    given = (question.diffusion_time, question.diffusion_time) if question.diffusion_time else None
    belief, fields = _interpolate(kernel, [_at_spots(each, spots) for each in measured], targets, given)
    made = tuple(
        MapFrame(frames.begin_us(number), frames.begin_us(number + 1), each, *fields[number])
        for number, each in enumerate(measured)
    )
    unplaced = tuple(name for name in known if name not in places) if form == "grid" else ()
    return EnergyMap(
        form, question.quantity, made, belief, places, unplaced, grid, tuple(nodes), tuple(joined), given is not None
    )


def _picture(made: EnergyMap, transitions: Sequence[tuple[str, str, str, int]], kind: str) -> bytes:
    from eil_atlas.drawing import draw  # matplotlib is loaded where it is used, in a thread: it takes a second

    return draw(made, transitions, kind)


def _interpolate(
    kernel: Kernel | None, frames: list[Readings], targets: Spots, times: Times | None
) -> tuple[Belief | None, list[tuple[Field | None, int]]]:
    """One belief for all frames; the field of each, and the readings it rests on. Without a kernel or readings, none."""
    usable = [readings for readings in frames if readings.values.size]
    if kernel is None or not usable:
        return None, [(None, 0)] * len(frames)
    belief = believe(kernel, usable, times)
    most = affordable(len(usable) * len(belief.members), targets.size)

    def field_of(readings: Readings) -> tuple[Field | None, int]:
        kept = readings.thinned(most)
        return (estimate(kernel, belief, kept, targets), kept.values.size) if kept.values.size else (None, 0)

    return belief, [field_of(readings) for readings in frames]


def _grid(question: Question, places: dict[str, Place]) -> tuple[GridKernel | None, dict[str, int]]:
    """The grid over all places, and the cell of each source; None without a place."""
    if not places:
        return None, {}
    rows, racks = [place.row for place in places.values()], [place.rack for place in places.values()]
    grid = GridKernel(Axis.over(rows, question.grid_rows), Axis.over(racks, question.grid_racks))
    # Readings are numbered along the hall, so that thinning them takes some of everywhere.
    cells = sorted(zip(grid.spots(rows, racks).tolist(), places, strict=True))
    return grid, {source: cell for cell, source in cells}


def _graph(nodes: list[str], links: list[Link]) -> tuple[Kernel | None, dict[str, int]]:
    """The kernel of the links, and the number of each node; None without a node."""
    numbers = {name: number for number, name in enumerate(nodes)}
    if not nodes:
        return None, numbers
    edges = [(numbers[link.source], numbers[link.to_source]) for link in links]
    return GraphKernel(len(nodes), edges, [link.weight for link in links]), numbers


def _joined(links: list[Link]) -> list[Link]:
    """Links of different ends and some weight, each pair once whatever its direction; weights in units of their mean."""
    weights: defaultdict[tuple[str, str], float] = defaultdict(float)
    kinds: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for link in links:
        if link.source != link.to_source and 0.0 < link.weight < float("inf"):
            pair = min(link.source, link.to_source), max(link.source, link.to_source)
            weights[pair] += link.weight
            kinds[pair].add(link.kind)
    mean = sum(weights.values()) / len(weights) if weights else 1.0
    return [Link(*pair, "+".join(sorted(kinds[pair])), weight / mean) for pair, weight in sorted(weights.items())]


def _at_spots(measured: Measured, spots: dict[str, int]) -> Readings:
    """Readings of the sources that stand on the map, in the order of spots."""
    found = {reading.source: reading for reading in measured.readings}
    on_map = [(spots[name], found[name]) for name in spots if name in found]
    return Readings(
        np.array([spot for spot, _ in on_map], dtype=np.intp),
        np.array([reading.value for _, reading in on_map], dtype=np.float64),
        np.array([reading.uncertainty for _, reading in on_map], dtype=np.float64),
    )
