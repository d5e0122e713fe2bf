"""ClaSS (Ermshaus, Schäfer & Leser 2024), the strongest published streaming segmentation, in an environment of its own.

claspy needs an older numpy and scipy than this workspace, so it cannot be an extra of it: uv makes a passing environment for it, once,
from its cache afterwards.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eil_cli.bench import regime_class_worker as worker
from eil_cli.bench.regime_baselines import Guess, Values, causal

CLASPY = "claspy==0.2.8"
NAME = "class"
CONFIGURATION = f"{CLASPY}, window {worker.WINDOW_ROWS:,}, warm-up {worker.WARM_UP_ROWS:,} rows (by default it is silent for 10,000)"
SUITES = ("tssb", "utsa")


class ClassMissing(Exception):
    """ClaSS could not be run here; the message says why and what to do."""


@dataclass(frozen=True)
class ClassGuesses:
    """What ClaSS said."""

    guesses: dict[str, Guess]
    """By series."""
    seconds: float
    """That it took for all of them, without compiling [s]."""


def interpreter() -> list[str]:
    """Command that runs Python where claspy is installed.

    Raises:
        ClassMissing: there is no uv to make that environment.
    """
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        raise ClassMissing("there is no uv to make the environment of claspy: pip install uv")
    options = ["--quiet", "--no-project", "--isolated", "--python", sys.executable, "--with", CLASPY]
    return [uv, "run", *options, "python", "-I", "-W", "ignore"]


def segment(series: Mapping[str, Values], progress: Callable[[], None]) -> ClassGuesses:
    """Runs ClaSS on univariate series; `progress` is called after each.

    Raises:
        ClassMissing: claspy could not be installed or did not run.
    """
    with tempfile.TemporaryDirectory(prefix="eil-class-") as folder:
        names: dict[str, str] = {}
        for place, (name, values) in enumerate(series.items()):
            file = str(Path(folder) / f"{place}.npy")
            np.save(file, values[:, 0])
            names[file] = name
        return _collect([*interpreter(), str(Path(worker.__file__)), *names], names, series, progress)


def _collect(
    command: list[str], names: Mapping[str, str], series: Mapping[str, Values], progress: Callable[[], None]
) -> ClassGuesses:
    guesses: dict[str, Guess] = {}
    seconds = 0.0
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                told = json.loads(line)
                name = names[told["file"]]
                guesses[name] = causal([(row, onset) for row, onset in told["shifts"]], len(series[name]))
                seconds += told["seconds"]
                progress()
            if process.wait() != 0 or len(guesses) < len(names):
                errors.seek(0)
                why = errors.read().strip().splitlines() or ["it said nothing"]
                raise ClassMissing(f"{CLASPY} did not run in an environment of its own (uv run --isolated): {why[-1]}")
        finally:
            if process.poll() is None:
                process.terminate()  # uv passes it on to the worker
                process.wait()
    return ClassGuesses(guesses, seconds)
