"""The network that learns what a Gaussian law cannot say: by how much the clean sample lies off Wiener's filter."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

DILATIONS = (1, 2, 4, 1)
FREQUENCIES = 6
"""Of the features of the noise level."""


class ResidualNetwork(nn.Module):
    """Convolutions with dilations 1, 2, 4, 1 around a residual stream, each scaled and shifted by noise level and signals (FiLM).

    Reads the noisy field, the filtered one and the known maps; answers the correction in units of the mean posterior deviation. Its
    last layer begins at zero: an untrained network changes nothing. Works on any grid; walls are closed by circular or replicated
    padding, the former of a grid narrower than a dilation by its repetition.
    """

    def __init__(self, fields: int, signals: int, maps: int, width: int, *, periodic: bool) -> None:
        super().__init__()
        mode = "circular" if periodic else "replicate"
        self.signals, self.maps, self.periodic = signals, maps, periodic
        self.stem = nn.Conv2d(2 * fields + maps, width, 3, padding=1, padding_mode=mode)
        self.layers = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, padding_mode=mode) for dilation in DILATIONS
        )
        self.mixes = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in DILATIONS)
        self.level = nn.Sequential(nn.Linear(2 * FREQUENCIES + 1 + signals, 2 * width), nn.SiLU())
        self.films = nn.ModuleList(nn.Linear(2 * width, 2 * width) for _ in DILATIONS)
        self.head = nn.Conv2d(width, fields, 1)
        nn.init.zeros_(self.head.weight)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def forward(
        self, noisy: Tensor, filtered: Tensor, log_snr: Tensor, signals: Tensor | None, maps: Tensor | None
    ) -> Tensor:
        """(batch, fields, rows, columns) from the same, with log_snr (batch,), signals (batch, signals) and maps (batch, maps,
        rows, columns).
        """
        known = noisy.new_zeros(len(noisy), self.maps, *noisy.shape[2:]) if maps is None else maps
        told = noisy.new_zeros(len(noisy), self.signals) if signals is None else signals
        level = self.level(torch.cat([_features(log_snr), told], 1))
        seen = torch.cat([noisy, filtered, known], 1)
        rows, columns = seen.shape[2:]
        if self.periodic:
            seen = seen.repeat(1, 1, *(math.ceil(max(DILATIONS) / side) for side in (rows, columns)))
        stream = self.stem(seen)
        for layer, mix, film in zip(self.layers, self.mixes, self.films, strict=True):
            scale, shift = film(level)[:, :, None, None].chunk(2, 1)
            stream = stream + mix(functional.silu(layer(stream) * (1 + scale) + shift))
        return self.head(functional.silu(stream))[:, :, :rows, :columns]


def _features(log_snr: Tensor) -> Tensor:
    """(batch, 2·FREQUENCIES + 1): waves over the range of levels, -20 to 20, and the level itself."""
    angle = log_snr[:, None] / 40 * math.pi * 2.0 ** torch.arange(FREQUENCIES, device=log_snr.device)
    return torch.cat([angle.sin(), angle.cos(), log_snr[:, None] / 20], 1)
