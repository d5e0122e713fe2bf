"""A set of fields from the Atlas: windows of telemetry, with their regimes as signals."""

from collections.abc import Sequence

import numpy as np
import torch
from eil_diffusion.domain.energy_diffusion_core.datasets import FieldSet, Provenance

from eil_cli.atlas.client import Archive
from eil_cli.atlas.loader import Windows
from eil_cli.endpoint import Endpoint
from eil_cli.terminal import Failure

FEWEST = 16
"""Windows below which nothing can be learned."""


def telemetry_set(
    endpoint: Endpoint,
    sources: Sequence[str],
    start_us: int,
    end_us: int,
    channels: Sequence[str],
    length: int,
    seed: int,
) -> FieldSet:
    """Windows of `length` rows as fields (n, channels, length, 1), each channel standardised over the span.

    What is known beside a window is the hour of the day at its begin (as cosine and sine, UTC). A window with a missing value is
    left out.

    Raises:
        Failure: there are too few windows, or a channel has no samples in the span.
    """
    try:
        windows = Windows(
            lambda: Archive.at(endpoint),
            sources,
            start_us,
            end_us,
            channels,
            length=length,
            stride=max(1, length // 2),
            seed=seed,
        )
    except ValueError as error:
        raise Failure(f"{error}; `eil atlas segments` shows what is archived of {', '.join(sources)}") from None
    whole = [window for window in windows if np.isfinite(window.values).all()]
    if len(whole) < FEWEST:
        raise Failure(
            f"the span has {len(whole)} whole windows of {length} rows of {', '.join(channels)}; at least {FEWEST} are needed: "
            "take a longer span, shorter windows, or fewer channels"
        )
    fields = torch.from_numpy(np.stack([window.values.T for window in whole]).astype(np.float64))[..., None]
    angle = np.array([window.times_us[0] for window in whole]) / 86_400e6 * 2 * np.pi
    signals = torch.from_numpy(np.stack([np.cos(angle), np.sin(angle)], 1))
    about = Provenance(
        "telemetry",
        {},
        1.0,
        seed,
        f"windows of {length} rows of {', '.join(sources)}, standardised over [{start_us}, {end_us}) µs",
        periodic=False,
    )
    return FieldSet(fields, tuple(channels), about, signals, ("day_cos", "day_sin"))
