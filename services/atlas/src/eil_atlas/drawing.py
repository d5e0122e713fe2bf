"""Pictures of energy maps: PNG or SVG, by matplotlib's objects without its global figures. It is slow to import: do so where it is used.

A grid is a heat map beside the map of its uncertainty; a graph is laid out by springs from a circle, so that the same links always lie
the same, beside the regime transitions. Colours are ordered by brightness and hold for the colour-blind; hatching is what no reading tells.
"""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from eil_atlas.domain.readings import Reading
from eil_atlas.domain.springs import spring_layout
from eil_atlas.maps import EnergyMap, MapFrame

matplotlib.rcParams["svg.hashsalt"] = "eil"  # the same map is the same file
matplotlib.rcParams["hatch.linewidth"] = 0.6

INCHES, DPI = (12.0, 6.4), 100
"""Size of every picture: 1200 × 640 pixels."""
VALUES, DOUBT = "cividis", "Purples"
INK, FAINT, PAPER = "#1b1f24", "#6b7280", "#ffffff"
MOST_NAMES = 24
"""Sources that get their names written."""
MOST_DRAWN = 200
"""Nodes of a graph that are laid out."""
MOST_TRANSITIONS = 14
LITTLE_KNOWN = 0.8
"""Share of the spread of all readings above which an uncertainty is hatched: the field there is known hardly better than by their mean."""
PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
NAMES = {"energy": "Energy", "power": "Mean power", "entropy": "Entropy generated"}

Transition = tuple[str, str, str, int]
"""Source, regime left, regime entered, how often."""
Scale = tuple[float, str]
"""What values are divided by, and the unit that they then have."""


def draw(made: EnergyMap, transitions: Sequence[Transition], kind: str) -> bytes:
    """The last frame of a map, `kind` png or svg."""
    figure = Figure(figsize=INCHES, dpi=DPI, facecolor=PAPER)
    canvas = FigureCanvasSVG(figure) if kind == "svg" else FigureCanvasAgg(figure)
    frame = made.frames[-1]
    bottom = 0.20 if made.form == "grid" else 0.11  # a grid has ticks and more to explain
    left, right = (figure.add_axes((x, bottom, width, 0.81 - bottom)) for x, width in ((0.055, 0.46), (0.60, 0.335)))
    scale = _scale(frame, made.unit)
    if made.form == "grid":
        _draw_grid(figure, left, right, made, frame, scale)
    else:
        _draw_graph(figure, left, made, frame, scale)
        _draw_transitions(right, transitions)
    _write_title(figure, made, frame)
    _write_gaps(figure, made, frame)
    for axes in (left, right):
        axes.tick_params(colors=INK, labelsize=9, length=3)
        for spine in axes.spines.values():
            spine.set_color(FAINT)
    written = io.BytesIO()
    if isinstance(canvas, FigureCanvasSVG):
        canvas.print_svg(written, metadata={"Date": None})
    else:
        canvas.print_png(written)
    return written.getvalue()


def _draw_grid(figure: Figure, left: Any, right: Any, made: EnergyMap, frame: MapFrame, scale: Scale) -> None:
    if made.grid is None or made.belief is None or frame.field is None:
        _write_nothing(left, "no data: no source with a place\nhas a reading in this window")
        right.set_visible(False)
        return
    rows, racks = made.grid.rows, made.grid.racks
    shape, (divisor, unit) = (rows.cells, racks.cells), scale
    extent = (racks.begin, racks.begin + racks.cells * racks.step, rows.begin + rows.cells * rows.step, rows.begin)
    values = frame.field.values.reshape(shape) / divisor
    doubts = frame.field.uncertainties.reshape(shape) / divisor
    for axes, field, colours, title in (
        (left, values, VALUES, f"{NAMES[made.quantity]} of a source standing there [{unit}]"),
        (right, doubts, DOUBT, f"Standard uncertainty [{unit}]"),
    ):
        low, high = (0.0, float(field.max())) if field is doubts else (float(field.min()), float(field.max()))
        image = axes.imshow(
            field,
            cmap=colours,
            norm=Normalize(low, max(high, low + 1e-9)),
            extent=extent,
            aspect="auto",
            interpolation="nearest",
        )
        axes.set_title(title, fontsize=11, color=INK, loc="left", pad=8)
        axes.set_xlabel("rack", color=INK)
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
        _colour_bar(figure, axes, image)
    left.set_ylabel("row", color=INK)  # on the right it would stand in the left one's colour bar
    spread = float(np.std([reading.value for reading in frame.measured.readings])) / divisor
    _hatch(left, doubts > LITTLE_KNOWN * spread, made)
    _mark_sources(left, made, frame, names=True)
    _mark_sources(right, made, frame, names=False)


def _hatch(axes: Any, unknown: NDArray[np.bool_], made: EnergyMap) -> None:
    """Hatch the cells that readings say next to nothing of."""
    if made.grid is None or not unknown.any():
        return
    rows, racks = made.grid.rows, made.grid.racks
    corners = []
    for row, flags in enumerate(unknown):
        turns = np.flatnonzero(np.diff(flags, prepend=False, append=False))
        top, bottom = rows.begin + row * rows.step, rows.begin + (row + 1) * rows.step
        for left, right in (racks.begin + turns.reshape(-1, 2) * racks.step).tolist():
            corners.append([(left, top), (right, top), (right, bottom), (left, bottom)])
    axes.add_collection(PolyCollection(corners, facecolors="none", edgecolors=PAPER, hatch="////", linewidths=0))


def _mark_sources(axes: Any, made: EnergyMap, frame: MapFrame, *, names: bool) -> None:
    """A dot for each source with a reading, a cross for one without; few are named."""
    read = [reading.source for reading in frame.measured.readings if reading.source in made.places]
    silent = [gap.source for gap in frame.measured.gaps if gap.source in made.places]
    for sources, marker, fill in ((read, "o", PAPER), (silent, "X", "#d1495b")):
        x, y = [made.places[name].rack for name in sources], [made.places[name].row for name in sources]
        axes.scatter(x, y, s=26 if names else 12, marker=marker, c=fill, edgecolors=INK, linewidths=0.8, zorder=3)
    if names and len(read) + len(silent) <= MOST_NAMES:
        for name in (*read, *silent):
            place = made.places[name]
            _write_label(axes, _short(name), place.rack, place.row)


def _write_label(axes: Any, text: str, x: float, y: float, *, drop: float = 9.0, colour: str = INK) -> None:
    """A text beneath a point, so many 1/72 inch lower."""
    axes.annotate(
        text,
        (x, y),
        xytext=(0, -drop),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=7.5,
        linespacing=1.05,
        color=colour,
        bbox={"boxstyle": "round,pad=0.15", "facecolor": PAPER, "alpha": 0.75, "linewidth": 0},
        zorder=4,
    )


def _draw_graph(figure: Figure, axes: Any, made: EnergyMap, frame: MapFrame, scale: Scale) -> None:
    axes.set_title(f"{NAMES[made.quantity]} [{scale[1]}]", fontsize=11, color=INK, loc="left", pad=8)
    axes.set_xticks([])
    axes.set_yticks([])
    read = {reading.source: reading.value / scale[0] for reading in frame.measured.readings}
    nodes = _shown(made, read)
    if not nodes:
        _write_nothing(axes, "no data: no source has a state\nin this window")
        return
    numbers = {name: number for number, name in enumerate(nodes)}
    links = [link for link in made.links if link.source in numbers and link.to_source in numbers]
    at = spring_layout(len(nodes), [(numbers[link.source], numbers[link.to_source]) for link in links])
    lines = [(at[numbers[link.source]], at[numbers[link.to_source]]) for link in links]
    widths = [0.8 + 1.2 * min(link.weight, 3.0) for link in links]
    axes.add_collection(LineCollection(lines, linewidths=widths, colors="#9aa3ad", zorder=1))
    size = float(np.clip(6000 / len(nodes), 30, 260))
    where = at[[number for name, number in numbers.items() if name not in read]]
    axes.scatter(*where.T, s=size, c=PAPER, edgecolors=FAINT, linewidths=1.2, linestyles="dashed", zorder=2)
    where = at[[number for name, number in numbers.items() if name in read]]
    values = [value for name, value in sorted(read.items()) if name in numbers]
    drawn = axes.scatter(*where.T, s=size, c=values, cmap=VALUES, edgecolors=INK, linewidths=0.9, zorder=3)
    if values:
        _colour_bar(figure, axes, drawn)
    axes.set_xlim(-1.2, 1.2)
    axes.set_ylim(-1.3, 1.12)
    if len(nodes) <= MOST_NAMES:
        _write_values(axes, made, frame, dict(zip(nodes, at, strict=True)), read, scale, size)


def _write_values(
    axes: Any,
    made: EnergyMap,
    frame: MapFrame,
    at: dict[str, NDArray[np.float64]],
    read: dict[str, float],
    scale: Scale,
    size: float,
) -> None:
    """Names and values beneath the nodes; where nothing was read, the field there with its uncertainty."""
    field = frame.field
    figures = zip(field.values / scale[0], field.uncertainties / scale[0], strict=True) if field else ()
    told = {
        name: f"≈ {_digits(value)} ± {_digits(doubt)}"
        for name, (value, doubt) in zip(made.nodes, figures, strict=False)
    }
    for name, (x, y) in at.items():
        figure = _digits(read[name]) if name in read else told.get(name, "no data")
        _write_label(
            axes, f"{_short(name)}\n{figure}", x, y, drop=(size**0.5) / 2 + 2, colour=INK if name in read else FAINT
        )


def _shown(made: EnergyMap, read: dict[str, float]) -> list[str]:
    """Nodes that are drawn: all, or of many those that read most."""
    if len(made.nodes) <= MOST_DRAWN:
        return list(made.nodes)
    return sorted(sorted(made.nodes, key=lambda name: -read.get(name, float("-inf")))[:MOST_DRAWN])


def _draw_transitions(axes: Any, transitions: Sequence[Transition]) -> None:
    """A line for each kind of regime transition, the most frequent first: the wider the arrow, the more often."""
    axes.set_title("Regime transitions", fontsize=11, color=INK, loc="left", pad=8)
    axes.set_xlim(0, 1)
    axes.set_ylim(MOST_TRANSITIONS + 0.5, -0.5)
    axes.set_axis_off()
    if not transitions:
        _write_nothing(axes, "none in this window")
        return
    often = sorted(transitions, key=lambda each: (-each[3], *each[:3]))
    most = often[0][3]
    for line, (source, left, entered, count) in enumerate(often[:MOST_TRANSITIONS]):
        y = line + 0.3
        axes.text(0.0, y, _short(source), ha="left", va="center", fontsize=9, color=INK)
        for x, regime in ((0.47, left), (0.80, entered or "?")):
            axes.text(
                x, y, _short(regime, 8), ha="center", va="center", fontsize=8.5, color=INK,
                bbox={"boxstyle": "round,pad=0.3", "facecolor": "#e8ecf1", "edgecolor": FAINT, "linewidth": 0.6},
            )  # fmt: skip
        arrow = {
            "arrowstyle": "-|>",
            "color": "#00204d",
            "linewidth": 0.8 + 2.4 * count / most,
            "shrinkA": 0,
            "shrinkB": 0,
        }
        axes.annotate("", xy=(0.715, y), xytext=(0.555, y), arrowprops=arrow)
        axes.text(1.0, y, f"× {count}", ha="right", va="center", fontsize=9, color=INK)
    if len(often) > MOST_TRANSITIONS:
        axes.text(
            0.0, MOST_TRANSITIONS + 0.3, f"and {len(often) - MOST_TRANSITIONS} kinds more", fontsize=8.5, color=FAINT
        )


def _colour_bar(figure: Figure, axes: Any, mapped: Any) -> None:
    place = axes.get_position()
    bar = figure.colorbar(mapped, cax=figure.add_axes((place.x1 + 0.008, place.y0, 0.012, place.height)))
    bar.ax.tick_params(colors=INK, labelsize=9, length=3)
    bar.outline.set_edgecolor(FAINT)  # pyright: ignore[reportCallIssue]


def _write_title(figure: Figure, made: EnergyMap, frame: MapFrame) -> None:
    start, end = (datetime.fromtimestamp(time_us / 1e6, UTC) for time_us in (frame.start_us, frame.end_us))
    until = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M}"
    minutes = (frame.end_us - frame.start_us) / 60e6
    title = f"{NAMES[made.quantity]} map, {start:%Y-%m-%d %H:%M} – {until} UTC"
    figure.text(0.055, 0.93, title, fontsize=15, color=INK, weight="bold")
    told = f"one frame of {minutes:,.0f} min from states of 1 min; {len(frame.measured.readings)} sources read"
    if made.belief:
        told += f", field by {frame.fitted} of them"
        times = made.belief.times
        spread = " × ".join(f"{(2 * time) ** 0.5:.2g}" for time in (times if made.grid else times[:1]))
        told += f"; heat kernel, reach {spread} steps; single sources ± {_number(made.belief.local_spread, made.unit)}"
    figure.text(0.055, 0.89, told, fontsize=9.5, color=FAINT)


def _write_gaps(figure: Figure, made: EnergyMap, frame: MapFrame) -> None:
    """What is not on the map, and what the marks mean."""
    told = []
    if made.form == "grid":
        told.append(
            "○ source with a reading   × source without one   hatched: known hardly better than by the mean of all"
        )
    else:
        told.append("dashed: nothing read there; ≈ is the field, ± its standard uncertainty")
    if frame.measured.gaps:
        told.append(
            "no data (samples cover under half the time): " + _listed([gap.source for gap in frame.measured.gaps])
        )
    if made.unplaced:
        told.append("no place known: " + _listed(list(made.unplaced)))
    figure.text(0.055, 0.02, "\n".join(told), fontsize=8.5, color=FAINT, va="bottom")


def _write_nothing(axes: Any, text: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=13, color=FAINT)


def _listed(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(_short(name) for name in names[:most]) + more


def _short(name: str, most: int = 18) -> str:
    """A name in few letters that can be seen, which matplotlib is not to read as mathematics."""
    text = "".join(letter if letter.isprintable() else "·" for letter in name)
    text = text if len(text) <= most else f"{text[: most // 2]}…{text[-(most // 2 - 1) :]}"
    return text.replace("$", r"\$")


def _scale(frame: MapFrame, unit: str) -> Scale:
    """The prefix in which the frame's largest reading has one to three digits before the point."""
    readings: Sequence[Reading] = frame.measured.readings
    return _prefix(max((abs(reading.value) for reading in readings), default=0.0), unit)


def _prefix(size: float, unit: str) -> Scale:
    return next(((divisor, f"{letter}{unit}") for divisor, letter in PREFIXES if size >= divisor), (1.0, unit))


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _number(value: float, unit: str) -> str:
    divisor, text = _prefix(abs(value), unit)
    return f"{_digits(value / divisor)} {text}"
