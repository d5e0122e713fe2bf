"""Random numbers for chains that several requests share a batch with."""

from collections.abc import Sequence

import torch
from torch import Tensor


class Noise:
    """Each request's chains draw from a generator of their own, so that what a request gets does not depend on its company.

    Args:
        seeds: of the requests.
        counts: chains of each request; their sum is the batch.
        device: where numbers are made. The same seed gives the same numbers on the same kind of device and version of torch.
    """

    def __init__(self, seeds: Sequence[int], counts: Sequence[int], device: str = "cpu") -> None:
        self.parts = [
            (count, torch.Generator(device).manual_seed(seed)) for seed, count in zip(seeds, counts, strict=True)
        ]
        """Chains and generator of each request."""
        self.count = sum(counts)
        """Chains of the batch."""
        self.device = device

    def normal(self, *shape: int) -> Tensor:
        """(count, *shape) standard normal numbers, float64."""
        return self._drawn(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """(count, *shape) numbers between 0 and 1, float64."""
        return self._drawn(torch.rand, shape)

    def _drawn(self, make, shape: tuple[int, ...]) -> Tensor:
        drawn = [
            make((count, *shape), generator=generator, dtype=torch.float64, device=self.device)
            for count, generator in self.parts
        ]
        return drawn[0] if len(drawn) == 1 else torch.cat(drawn)
