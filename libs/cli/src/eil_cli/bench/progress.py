"""One bar on a terminal, for what a benchmark does now."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from eil_cli.terminal import err

Step = Callable[[], None]
"""To be called after each part."""
Begin = Callable[[str, int], Step]
"""Says what is done next and in how many parts."""


@contextmanager
def progress() -> Iterator[Begin]:
    """A bar that shows the newest thing begun; silent where there is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bars:

        def begin(what: str, parts: int) -> Step:
            for task in bars.task_ids:
                bars.remove_task(task)
            task = bars.add_task(what, total=parts)
            return lambda: bars.advance(task)

        yield begin
