"""The reverse process as a film: fields that come out of noise, and the entropy that is left."""

from pathlib import Path

import numpy as np
from eil_diffusion.domain.energy_diffusion_core.fidelity import Evolution

RATE = 12
"""Frames a second."""
HOLD = 12
"""Frames that the end is shown for."""


def write_video(path: Path, evolution: Evolution, title: str) -> None:
    """Write an MP4 (H.264) of a reverse process.

    Raises:
        OSError: the file cannot be written.
    """
    import av
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = evolution.fields.shape[1]
    figure = pyplot.figure(figsize=(10, 5.6), dpi=96, layout="constrained")
    maps, curve = np.ravel(figure.subfigures(1, 2, width_ratios=(1.2, 1)))
    rows = 2 if shown > 3 else 1
    low, high = np.quantile(evolution.fields[-1].numpy(), (0.01, 0.99))
    images = []
    for place, axes in enumerate(np.ravel(maps.subplots(rows, -(-shown // rows), squeeze=False))):
        axes.set_axis_off()
        if place < shown:
            images.append(axes.imshow(evolution.fields[0, place], vmin=low, vmax=high, cmap="viridis"))
    axes = curve.subplots()
    axes.plot(evolution.entropy, color="0.8")
    (line,) = axes.plot([], [], color="tab:blue", linewidth=2)
    axes.set(xlabel="step", ylabel="entropy of the noisy law [nat a site]", xlim=(0, len(evolution.entropy) - 1))
    axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.stem}.part{path.suffix}")
    with av.open(str(aside), "w") as film:
        stream = film.add_stream("libx264", rate=RATE)
        stream.pix_fmt = "yuv420p"
        for step in [*range(len(evolution.entropy)), *[len(evolution.entropy) - 1] * HOLD]:
            for place, image in enumerate(images):
                image.set_data(evolution.fields[step, place])
            line.set_data(range(step + 1), evolution.entropy[: step + 1])
            figure.canvas.draw()
            pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # pyright: ignore[reportAttributeAccessIssue]
            even = np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])
            if step == 0:
                stream.width, stream.height = even.shape[1], even.shape[0]
            film.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        film.mux(stream.encode())
    pyplot.close(figure)
    aside.replace(path)
