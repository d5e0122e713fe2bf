"""`eil nvp`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eil_cli.terminal import AsJson, Failure, State, err, expected_errors, out, print_json, state_folder

if TYPE_CHECKING:
    from eil_nvp.domain.fields.model import FieldModel, FieldTraining

HELP = """Models of next states: make data, train, put into service."""
ALL = "all"

Folder = Annotated[
    Path, typer.Option("--out", metavar="DIR", file_okay=False, help="Folder of data sets and checkpoints.")
]
Trajectories = Annotated[int, typer.Option(min=4, help="Trajectories to learn from; a quarter is held out.")]
Steps = Annotated[int, typer.Option(min=2, help="Steps in a trajectory.")]
Points = Annotated[int, typer.Option(min=16, max=256, help="Points on a side of the grid.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of data and training.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    nvp = typer.Typer(help=HELP, no_args_is_help=True)
    nvp.command()(train)
    nvp.command()(publish)
    app.add_typer(nvp, name="nvp", rich_help_panel="Run")


def train(
    domain: Annotated[
        list[str], typer.Argument(metavar="DOMAIN...", help="heat, wave, fluid, power, relaxation, or all.")
    ],
    folder: Folder = Path("models"),
    trajectories: Trajectories = 24,
    steps: Steps = 20,
    points: Points = 64,
    seed: Seed = 0,
    updates: Annotated[int, typer.Option(min=1, help="Updates of the convolution network.")] = 400,
    boltzmann: Annotated[
        float, typer.Option(min=0.0, help="Weigh samples by exp(-E/T), T in spreads of the energy; 0 does not.")
    ] = 0.0,
    noise: Annotated[
        float, typer.Option(min=0.0, help="First noise on the network's input, falling to 0; in spreads of the state.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Train field models on trajectories made by trusted solvers.

    DIR gets DOMAIN.h5, the data with where they come from, and DOMAIN.safetensors, the checkpoint with the data's digest, the version of
    the code and figures on held-out steps. Data that are there are used again; a training that was interrupted goes on where it was.

    Put a model into service with: eil nvp publish models/heat.safetensors
    """
    with expected_errors():
        from eil_nvp.domain.fields.model import FieldTraining
        from eil_nvp.domain.fields.network import NetworkTraining

        how = NetworkTraining(updates=updates, seed=seed, boltzmann=boltzmann, noise=noise)
        folder.mkdir(parents=True, exist_ok=True)
        models = {
            name: _train(FieldTraining(name, seed, trajectories, steps, points, how), folder) for name in _named(domain)
        }
        if as_json:
            print_json({name: _summary(model, folder) for name, model in models.items()})
        else:
            _print(models, folder)


def publish(
    checkpoint: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", exists=True, dir_okay=False, help="Checkpoints of `eil nvp train`."),
    ],
    state: State = None,
) -> None:
    """Store checkpoints in the Atlas of a running mesh and put them into service there."""
    with expected_errors():
        from eil_nvp.domain.fields.model import load

        from eil_cli.endpoint import Endpoint
        from eil_cli.published import put_into_service

        endpoint = Endpoint.load(state_folder(state))
        for path in checkpoint:
            try:
                load(path)
            except ValueError as error:
                raise Failure(str(error)) from None
        for model, digest in put_into_service(endpoint, "nvp", (path.read_bytes() for path in checkpoint)):
            out.print(f"{model['domain']} is served by {digest}")


def _named(domains: list[str]) -> list[str]:
    from eil_nvp.domain.fields.registry import DOMAINS

    if domains == [ALL]:
        return list(DOMAINS)
    if unknown := [name for name in domains if name not in DOMAINS]:
        raise Failure(f"{', '.join(unknown)}: no such domain; there are {', '.join(DOMAINS)}, or {ALL}", exit_code=2)
    return domains


def _train(how: "FieldTraining", folder: Path) -> "FieldModel":
    from eil_nvp.domain.fields.model import dumps, train
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bars:
        task = bars.add_task(f"{how.domain}: data", total=1.0)
        made, digest = _data(how, folder)

        def progress(what: str, share: float) -> None:
            bars.update(task, description=f"{how.domain}: {what}", completed=share)

        model = train(how, made, digest, progress, kept=folder / f"{how.domain}.training")
    aside = folder / f"{how.domain}.part"
    aside.write_bytes(dumps(model))
    aside.replace(folder / f"{how.domain}.safetensors")
    return model


def _data(how: "FieldTraining", folder: Path):
    """Trajectories and their digest: those of the folder if they are the very ones, else new ones."""
    from eil_nvp.domain.fields import datasets
    from eil_nvp.domain.fields.registry import DOMAINS

    path = folder / f"{how.domain}.h5"
    wanted = (how.domain, how.seed, how.trajectories, how.steps, how.points)
    if path.exists():
        made, about = datasets.read(path)
        if (about.domain, about.seed, about.trajectories, about.steps, about.points) == wanted:
            return made, about.digest
    made, about = datasets.generate(
        DOMAINS[how.domain], seed=how.seed, trajectories=how.trajectories, steps=how.steps, points=how.points
    )
    datasets.write(path, made, about)
    return made, about.digest


def _summary(model: "FieldModel", folder: Path) -> dict[str, object]:
    return {
        "checkpoint": str(folder / f"{model.domain.name}.safetensors"),
        "data_digest": model.data_digest,
        "code": model.code,
        "members": {name: dict(figures) for name, figures in model.metrics.items()},
    }


def _print(models: dict[str, "FieldModel"], folder: Path) -> None:
    from rich.table import Table

    table = Table(title="Held-out steps", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("domain", "member"):
        table.add_column(name)
    for name in ("nRMSE", "90 % quantile", "skill over persistence"):
        table.add_column(name, justify="right")
    for domain, model in models.items():
        for place, (member, figures) in enumerate(model.metrics.items()):
            numbers = (f"{figures['error']:.2e}", f"{figures['error_90']:.2e}", f"{figures['skill']:.4f}")
            table.add_row("" if place else domain, member, *numbers)
    out.print(table)
    out.print(f"checkpoints in {folder}; put one into service with `eil nvp publish FILE`", markup=False)
