"""`eil diffusion`."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eil_cli.atlas.commands import End, Start, parse_us
from eil_cli.terminal import AsJson, Failure, State, err, expected_errors, out, print_json, state_folder

if TYPE_CHECKING:
    from eil_diffusion.domain.energy_diffusion_core.datasets import FieldSet
    from eil_diffusion.domain.energy_diffusion_core.training import Training

HELP = """Energy-guided diffusion: train models, look at them, put them into service."""
ALL, TELEMETRY = "all", "telemetry"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""Of a model: part of file names, and at most as long as the service takes it."""

Folder = Annotated[Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Where everything is written.")]
Fields = Annotated[int, typer.Option(min=64, help="Fields to make; an eighth is held out.")]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="FILE", exists=True, dir_okay=False, help="Learn from this set (HDF5), not a new one."
    ),
]
Channels = Annotated[
    list[str] | None, typer.Option("--channel", metavar="NAME", help="telemetry: a channel; again for more.")
]
Sources = Annotated[
    list[str] | None, typer.Option("--source", metavar="NAME", help="telemetry: a source; again for more.")
]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    diffusion = typer.Typer(help=HELP, no_args_is_help=True)
    diffusion.command()(train)
    diffusion.command()(publish)
    app.add_typer(diffusion, name="diffusion", rich_help_panel="Run")


def train(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="SET...", help="gaussian_free_field, phi4, rack_heat_map, telemetry, or all but telemetry."
        ),
    ],
    folder: Folder = Path(),
    data: Data = None,
    fields: Fields = 4096,
    updates: Annotated[int, typer.Option(min=1, help="Updates of the network.")] = 6000,
    batch: Annotated[int, typer.Option(min=1, help="Fields in an update.")] = 32,
    rate: Annotated[float, typer.Option(min=0.0, help="Largest rate of learning.")] = 1e-4,
    width: Annotated[int, typer.Option(min=4, max=512, help="Channels of the network.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Seed of fields and training.")] = 0,
    device: Annotated[str, typer.Option(help="Where the network learns: cpu, or cuda.")] = "cpu",
    source: Sources = None,
    channel: Channels = None,
    start: Start = "",
    end: End = "",
    length: Annotated[int, typer.Option(min=8, max=4096, help="telemetry: rows of a window.")] = 64,
    video: Annotated[bool, typer.Option(help="Draw the reverse process as a film.")] = True,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Train models: a Gaussian law by likelihood, a network by denoising where it earns its place.

    DIR gets diffusion_sets/SET.h5, the fields with where they come from; diffusion_checkpoints/SET.ckpt, the model;
    metrics/energy_fidelity.json, how true its drafts are; visuals/entropy_evolution.mp4, how they come out of noise. Sets that are
    there are used again; a training that was interrupted goes on where it was.

    telemetry learns windows of samples in the Atlas of a running mesh: give --source, --channel, --start and --end.

    Put a model into service with: eil diffusion publish diffusion_checkpoints/phi4.ckpt
    """
    with expected_errors(), _files():
        from eil_diffusion.domain.energy_diffusion_core.training import Training
        from eil_diffusion.domain.memory import keep_memory

        keep_memory()
        _require(device)
        how = Training(updates=updates, batch=batch, rate=rate, width=width, seed=seed)
        known, found = _known(folder), {}
        for name in _named(names, data):
            if name == TELEMETRY and data is None:
                made = _telemetry(state, source or [], channel or [], start, end, length, seed, folder)
            else:
                made = _set(name, fields, seed, folder, data)
            found[name] = _train(name, made, how, folder, device, video=video)
            _record(known | found, folder)
        if as_json:
            print_json(found)
        else:
            _print(found, folder)


def publish(
    checkpoint: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Checkpoints of `eil diffusion train`."),
    ],
    state: State = None,
) -> None:
    """Store checkpoints in the Atlas of a running mesh and put them into service there."""
    with expected_errors():
        from eil_diffusion.domain.energy_diffusion_core.model import loads

        from eil_cli.endpoint import Endpoint
        from eil_cli.published import put_into_service

        contents = [path.read_bytes() for path in checkpoint]
        for path, content in zip(checkpoint, contents, strict=True):
            try:
                loads(content)
            except ValueError as error:
                raise Failure(f"{path}: {error}") from None
        for model, digest in put_into_service(Endpoint.load(state_folder(state)), "diffusion", contents):
            out.print(f"{model['name']} is served by {digest}")


def _named(names: list[str], data: Path | None) -> list[str]:
    from eil_diffusion.domain.energy_diffusion_core.physics_sets import SETS

    if data is not None:
        if len(names) != 1 or names == [ALL]:
            raise Failure("one file of fields is one set: name one model with --data", exit_code=2)
        if not NAME.fullmatch(names[0]):
            raise Failure(
                f"{names[0]!r} cannot name a model: take up to 64 letters, digits, '_', '-' and '.', a letter or digit first",
                exit_code=2,
            )
        return names
    if names == [ALL]:
        return list(SETS)
    known = (*SETS, TELEMETRY)
    if unknown := [name for name in names if name not in known]:
        raise Failure(f"{', '.join(unknown)}: no such set; there are {', '.join(known)}, or {ALL}", exit_code=2)
    return names


def _set(name: str, count: int, seed: int, folder: Path, data: Path | None) -> "FieldSet":
    """The given set; that of the folder if it is the very one; else a new one."""
    from eil_diffusion.domain.energy_diffusion_core import datasets
    from eil_diffusion.domain.energy_diffusion_core.physics_sets import SETS

    if data is not None:
        with _refusals():
            made = datasets.read(data)
        return replace(made, about=replace(made.about, name=name))
    path = folder / "diffusion_sets" / f"{name}.h5"
    if path.exists():
        with _refusals():
            made = datasets.read(path)
        if (made.about.name, made.about.seed, len(made)) == (name, seed, count):
            return made
    with err.status(f"{name}: {count} fields"):
        made = SETS[name](count, seed)
    datasets.write(path, made)
    return made


def _telemetry(
    state: Path | None,
    sources: list[str],
    channels: list[str],
    start: str,
    end: str,
    length: int,
    seed: int,
    folder: Path,
) -> "FieldSet":
    """The windows that the archive has now; never those of the folder, for they may be others."""
    from eil_diffusion.domain.energy_diffusion_core import datasets

    from eil_cli.diffusion.telemetry_set import telemetry_set
    from eil_cli.endpoint import Endpoint

    if not (sources and channels and start and end):
        raise Failure("telemetry needs --source, --channel, --start and --end", exit_code=2)
    endpoint = Endpoint.load(state_folder(state))
    start_us, end_us = parse_us(start), parse_us(end)
    with err.status("telemetry: windows from the Atlas"):
        made = telemetry_set(endpoint, sources, start_us, end_us, channels, length, seed)
    datasets.write(folder / "diffusion_sets" / f"{TELEMETRY}.h5", made)
    return made


def _train(
    name: str, made: "FieldSet", how: "Training", folder: Path, device: str, *, video: bool
) -> dict[str, float | str | bool]:
    """Train, write what came of it, and say how good it is."""
    from eil_diffusion.domain.energy_diffusion_core.fidelity import fidelity
    from eil_diffusion.domain.energy_diffusion_core.model import digest, dumps
    from eil_diffusion.domain.energy_diffusion_core.training import train as learn
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    target = folder / "diffusion_checkpoints" / f"{name}.ckpt"
    target.parent.mkdir(parents=True, exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    began_s = time.monotonic()
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bars:
        task = bars.add_task(name, total=None)

        def progress(what: str, done: int, total: int, loss: float) -> None:
            bars.update(task, description=f"{name}: {what}, loss {loss:.4f}", completed=done, total=total)

        kept = target.with_suffix(".training")
        with _refusals():
            model = learn(made, how, progress, device=device, kept=kept)
    train_s = time.monotonic() - began_s
    content = dumps(model)
    aside = target.with_suffix(".part")
    aside.write_bytes(content)
    aside.replace(target)
    kept.unlink(missing_ok=True)
    if video:
        from eil_cli.diffusion.video import filmed, write_video

        write_video(folder / "visuals" / "entropy_evolution.mp4", filmed(model, made), f"{name}: reverse diffusion")
    return {
        "checkpoint": str(target),
        "digest": digest(content),
        "data_digest": made.digest(),
        "network": model.card.networked,
        "train_s": round(train_s, 1),
        **{key: float(value) for key, value in {**model.card.metrics, **fidelity(model, made)}.items()},
    }


def _known(folder: Path) -> dict[str, dict]:
    """What metrics/energy_fidelity.json has: models that are not trained now keep their figures."""
    path = _figures(folder)
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise Failure(f"{path} has the figures of other models and is no JSON ({error}): move it away") from None


def _record(figures: dict[str, dict], folder: Path) -> None:
    path = _figures(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    aside.replace(path)


def _figures(folder: Path) -> Path:
    return folder / "metrics" / "energy_fidelity.json"


def _require(device: str) -> None:
    """Raises Failure unless torch has the device."""
    import torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        why = str(error).partition("\n")[0]
        raise Failure(f"there is no device {device} ({why}): learn on --device cpu", exit_code=2) from None


@contextmanager
def _refusals() -> Iterator[None]:
    """Sets that are refused, as failures."""
    try:
        yield
    except ValueError as error:
        raise Failure(str(error)) from None


@contextmanager
def _files() -> Iterator[None]:
    """What the disk refuses, as failures."""
    try:
        yield
    except OSError as error:
        raise Failure(f"a file cannot be read or written: {error}") from None


def _print(found: dict[str, dict], folder: Path) -> None:
    from rich.table import Table

    table = Table(title="Drafts of 20 steps", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("set", "network", "gain of the network", "energy drift", "effective drafts", "trained in"):
        table.add_column(name, justify="left" if name == "set" else "right", no_wrap=name == "set")
    for name, figures in found.items():
        share = figures.get("ess_share")
        table.add_row(
            name,
            "yes" if figures["network"] else "no: the law is enough",
            f"{figures['denoising_gain'] / figures['denoising_error_gaussian']:.2%}",
            f"{figures['drift_percent']:+.2f} ± {figures['drift_se_percent']:.2f} %",
            "–" if share is None else f"{share:.0%}",
            f"{figures['train_s']:.0f} s",
        )
    out.print(table)
    out.print(
        f"checkpoints in {folder / 'diffusion_checkpoints'}; put one into service with `eil diffusion publish FILE`",
        markup=False,
        soft_wrap=True,
    )
