"""How far a field lies outside what was learnt from: sizes, peaks and spectra of its channels against the training set's."""

from __future__ import annotations

import torch

BANDS = 6
_FLOOR = 1e-8  # share of a channel's energy below which a band counts as empty
_LEAST_SPREAD = 0.25  # in logs: what training hardly varied may vary as much as this
OUTSIDE, FAR = 3.0, 6.0
"""Spreads beyond the training range at which a field is out of domain, and at which no prediction is made."""


def signature(fields: torch.Tensor) -> torch.Tensor:
    """(B, C · (BANDS + 2)) of fields (B, C, *grid): logs of the root mean square, of peak over it, and of each octave's share of energy."""
    axes = tuple(range(2, fields.ndim))
    size = fields.square().mean(axes).sqrt().clamp_min(1e-30)
    peak = fields.abs().amax(axes) / size
    spectrum = torch.fft.fftn(fields, dim=axes).abs().square()
    radius = torch.zeros(fields.shape[2:], device=fields.device)
    for axis, n in enumerate(fields.shape[2:]):
        k = torch.fft.fftfreq(n, 1.0 / n, device=fields.device)
        radius = radius + k.square().reshape([-1 if i == axis else 1 for i in range(len(axes))])
    band = torch.log2(radius.sqrt().clamp_min(0.5)).floor().add(1.0).clamp(0, BANDS - 1).long()
    total = spectrum.sum(axes).clamp_min(1e-300)
    shares = [(spectrum * (band == b)).sum(axes) / total for b in range(BANDS)]
    parts = [size.log(), peak.log(), *(torch.log(share.clamp_min(_FLOOR)) for share in shares)]
    return torch.stack(parts, -1).flatten(1)


def training_range(signatures: torch.Tensor) -> torch.Tensor:
    """(3, S): lowest, highest and spread of each figure."""
    spread = signatures.std(0).clamp_min(_LEAST_SPREAD)
    return torch.stack([signatures.amin(0), signatures.amax(0), spread])


def novelty(signatures: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """(B,): spreads by which the strangest figure lies outside the training range; 0 inside."""
    lowest, highest, spread = known
    return (torch.maximum(lowest - signatures, signatures - highest) / spread).clamp_min(0.0).amax(1)
