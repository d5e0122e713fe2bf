"""The reverse process as a film: fields that come out of noise, and the entropy that is left."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from eil_diffusion.domain.energy_diffusion_core.datasets import FieldSet
from eil_diffusion.domain.energy_diffusion_core.denoiser import Context, Denoiser, GaussianLaw
from eil_diffusion.domain.energy_diffusion_core.fidelity import Evolution, evolution
from eil_diffusion.domain.energy_diffusion_core.model import EnergyDiffusionModel
from torch import Tensor

RATE = 12
"""Frames a second."""
HOLD = 12
"""Frames that the end is shown for."""
SHOWN = 3
"""Fields that are followed."""
SIZE_IN, DPI = (10.0, 5.5), 96
"""960 x 528 pixels: H.264 wants even sides."""
ROWS = ("noisy field", "its clean estimate")


@dataclass(frozen=True)
class Film:
    """What is drawn."""

    evolution: Evolution
    noisy: Tensor
    """(steps, shown, rows, columns) the fields that the process is at, in the unit of the clean ones."""
    name: str
    """Of the field, with its unit."""


def filmed(model: EnergyDiffusionModel, made: FieldSet) -> Film:
    """The reverse process of a few fields of a model, noise included; the set gives the contexts to draw under."""
    seen = _Watched(model)
    # `evolution` asks a model for nothing but its denoiser.
    evolved = evolution(cast(EnergyDiffusionModel, seen), made, shown=SHOWN)
    return Film(evolved, torch.stack(seen.noisy), made.names[0])


def write_video(path: Path, film: Film, title: str) -> None:
    """Write an MP4 (H.264): maps, or curves where a field has one column, beside the entropy of the noisy law.

    Raises:
        OSError: the file cannot be written.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.stem}.part{path.suffix}")
    steps = len(film.evolution.entropy)
    shown = _drawn(film, title)
    with av.open(str(aside), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.width, stream.height = (int(length * DPI) for length in SIZE_IN)
        stream.pix_fmt = "yuv420p"
        for step in [*range(steps), *[steps - 1] * HOLD]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown(step), format="rgb24")))
        container.mux(stream.encode())
    aside.replace(path)


@dataclass
class _Watched:
    """A model whose denoiser remembers the noisy fields that it is shown."""

    model: EnergyDiffusionModel
    noisy: list[Tensor] = field(default_factory=list)

    def on(self, shape: tuple[int, ...]) -> Denoiser:
        return _Remembering(self.model.on(shape), self.noisy)


@dataclass
class _Remembering:
    denoiser: Denoiser
    noisy: list[Tensor]
    corrects: bool = True
    """Else it would be shown nothing."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.denoiser.shape

    def law(self, context: Context | None) -> GaussianLaw:
        return self.denoiser.law(context)

    def correction(self, noisy: Tensor, filtered: Tensor, signal: float, context: Context | None) -> Tensor:
        law = self.law(context)
        self.noisy.append((law.mean + law.scale * noisy)[:, 0])
        if not self.denoiser.corrects:
            return torch.zeros_like(filtered)
        return self.denoiser.correction(noisy, filtered, signal, context)


Part = tuple[list[Any], Callable[[int], None]]
"""What moves in a part of the figure, and what brings it to a step."""


def _drawn(film: Film, title: str) -> Callable[[int], np.ndarray]:
    """What draws a step: pixels (rows, columns, 3). Only what moves is drawn anew."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_IN, dpi=DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    fields, curve = cast(Any, figure.subfigures(1, 2, width_ratios=(1.5, 1)))
    parts = [(_curves if film.noisy.shape[-1] == 1 else _maps)(fields, film), _entropy(curve, film)]
    heading, signal = figure.suptitle(title, fontsize=12), film.evolution.signal
    moving = [heading, *(artist for artists, _ in parts for artist in artists)]

    def put(step: int) -> None:
        heading.set_text(f"{title}, step {step + 1} of {len(signal)}, share of signal ᾱ = {float(signal[step]):.3f}")
        for _, update in parts:
            update(step)

    put(0)
    canvas.draw()  # with everything, so that there is room for everything
    figure.set_layout_engine("none")
    for artist in moving:
        artist.set_animated(True)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)

    def show(step: int) -> np.ndarray:
        canvas.restore_region(still)
        put(step)
        for artist in moving:
            figure.draw_artist(artist)
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])

    return show


def _pairs(film: Film) -> tuple[np.ndarray, np.ndarray]:
    """(2, steps, shown, rows, columns) noisy and clean, and the range of the fields' values at the end."""
    both = np.stack([film.noisy.numpy(), film.evolution.fields.numpy()])
    return both, np.quantile(both[1, -1], (0.01, 0.99))


def _maps(place: Any, film: Film) -> Part:
    both, (low, high) = _pairs(film)
    grid = place.subplots(2, both.shape[2], squeeze=False)
    images = []
    for row, name in enumerate(ROWS):
        for column, axes in enumerate(grid[row]):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            images.append((row, column, axes.imshow(both[row, 0, column], vmin=low, vmax=high, cmap="viridis")))
        grid[row, 0].set_ylabel(name)
    place.colorbar(images[0][2], ax=grid, location="bottom", label=film.name, shrink=0.6, aspect=40, extend="both")

    def update(step: int) -> None:
        for row, column, image in images:
            image.set_data(both[row, step, column])

    return [image for *_, image in images], update


def _curves(place: Any, film: Film) -> Part:
    both, _ = _pairs(film)
    grid = place.subplots(both.shape[2], 1, sharex=True, squeeze=False)[:, 0]
    lines = []
    for column, axes in enumerate(grid):
        for row, colour in enumerate(("0.75", "tab:blue")):
            (line,) = axes.plot(both[row, 0, column, :, 0], color=colour, label=ROWS[row])
            lines.append((row, column, line))
        axes.set(xlim=(0, both.shape[3] - 1), ylim=(both[:, :, column].min(), both[:, :, column].max()))
        axes.spines[["top", "right"]].set_visible(False)
    grid[0].legend(loc="upper right", frameon=False, ncols=2)
    grid[len(grid) // 2].set_ylabel(film.name)
    grid[-1].set_xlabel("row of the window")

    def update(step: int) -> None:
        for row, column, line in lines:
            line.set_ydata(both[row, step, column, :, 0])

    return [line for *_, line in lines], update


def _entropy(place: Any, film: Film) -> Part:
    entropy = film.evolution.entropy.numpy()
    axes = place.subplots()
    axes.plot(range(1, len(entropy) + 1), entropy, color="0.8")
    (line,) = axes.plot([], [], color="tab:blue", linewidth=2)
    (point,) = axes.plot([], [], "o", color="tab:blue", clip_on=False, zorder=3)
    axes.set(xlabel="step", ylabel="entropy of the noisy law [nat a site]", xlim=(1, len(entropy)))
    axes.margins(y=0.08)
    axes.spines[["top", "right"]].set_visible(False)

    def update(step: int) -> None:
        line.set_data(range(1, step + 2), entropy[: step + 1])
        point.set_data([step + 1], [entropy[step]])

    return [line, point], update
