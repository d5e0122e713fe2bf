"""A model of fields: a Gaussian law, and a network where the fields earn one; in a file that says what it is."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from eil_diffusion.domain.energy_diffusion_core.denoiser import Context, GaussianLaw
from eil_diffusion.domain.energy_diffusion_core.network import ResidualNetwork
from eil_diffusion.domain.energy_diffusion_core.schedule import cosine_schedule
from eil_diffusion.domain.energy_diffusion_core.spectrum import LearnedLaw
from eil_diffusion.domain.lattice import Lattice

FORMAT = 1
"""Of checkpoints; the release before reads the same."""
WIDEST = 1024
"""Channels of a network that is loaded: what a card asks for is not made unseen."""
_COMPILED: WeakKeyDictionary[ResidualNetwork, Callable[..., Tensor]] = WeakKeyDictionary()


@dataclass(frozen=True)
class ModelCard:
    """What a model is, and where it comes from."""

    name: str
    energy: Mapping[str, Any]
    """Name and parameters of the energy whose Boltzmann law was learned, as `build_energy` takes them; empty for telemetry."""
    kt: float
    fields: tuple[str, ...]
    signals: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    periodic: bool = True
    width: int = 24
    networked: bool = True
    """Whether the network is used: it must lower the error on held-out fields by more than its uncertainty."""
    data_digest: str = ""
    code: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


class EnergyDiffusionModel(nn.Module):
    """Denoises fields (batch, *shape) given a context; shape is (rows, columns), or (fields, rows, columns) of any grid."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card
        sizes = len(card.fields), len(card.signals), len(card.maps)
        self.gaussian = LearnedLaw(*sizes, periodic=card.periodic)
        self.network = ResidualNetwork(*sizes, card.width, periodic=card.periodic)
        self.centre: Tensor
        self.scale: Tensor
        self.signal_centre: Tensor
        self.signal_scale: Tensor
        self.map_centre: Tensor
        self.map_scale: Tensor
        for name, size in (("", sizes[0]), ("signal_", sizes[1]), ("map_", sizes[2])):
            self.register_buffer(f"{name}centre", torch.zeros(size, dtype=torch.float64))
            self.register_buffer(f"{name}scale", torch.ones(size, dtype=torch.float64))

    def standardise(self, context: Context | None) -> Context:
        """The context in units of the training set; a signal that is not finite is put at its mean there.

        Raises:
            ValueError: it has other signals or maps than the model.
        """
        signals = maps = None
        if context is not None and context.signals is not None:
            self._require("signals", context.signals, len(self.card.signals), 2)
            signals = (context.signals - self.signal_centre) / self.signal_scale
            signals = torch.where(signals.isfinite(), signals, 0.0)
        if context is not None and context.maps is not None:
            self._require("maps", context.maps, len(self.card.maps), 4)
            maps = (context.maps - self.map_centre[:, None, None]) / self.map_scale[:, None, None]
        return Context(signals, maps)

    def _require(self, name: str, given: Tensor, wanted: int, axes: int) -> None:
        if given.ndim != axes or given.shape[1] != wanted:
            raise ValueError(
                f"the model {self.card.name} knows {wanted} {name}, and the context's have shape {tuple(given.shape)}: give (batch,"
                f" {wanted}{', rows, columns' if axes == 4 else ''}), in the order of its card"
            )

    def on(self, shape: tuple[int, ...]) -> "ModelDenoiser":
        """The denoiser of configurations of a shape.

        Raises:
            ValueError: the model has other fields than the shape.
        """
        fields = shape[0] if len(shape) == 3 else 1
        if len(shape) not in (2, 3) or fields != len(self.card.fields):
            raise ValueError(
                f"the model {self.card.name} is of {len(self.card.fields)} field(s) on a grid, not of configurations {shape}"
            )
        return ModelDenoiser(self, shape)

    @torch.no_grad()
    def reverse_denoise(
        self, xt: Tensor, context: Context | None, t: int | Tensor, noise_schedule: Tensor | None = None
    ) -> Tensor:
        """E[x₀ | x_t] of xt (batch, *shape), as `forward_diffuse` made it with the same schedule (the cosine by default) at step t."""
        signal = float((cosine_schedule() if noise_schedule is None else noise_schedule)[int(t)])
        denoiser = self.on(tuple(xt.shape[1:]))
        law = denoiser.law(context)
        # The noise of forward_diffuse is 1 in the fields' unit, the model's is 1 in its own.
        own = signal / (signal + (1 - signal) / law.scale**2)
        noisy = (xt - math.sqrt(signal) * law.mean) / law.scale * math.sqrt(own / signal)
        spread = law.variance / law.scale**2
        filtered = law.from_modes(math.sqrt(own) * spread / (own * spread + 1 - own) * law.to_modes(noisy))
        if denoiser.corrects:
            filtered = filtered + denoiser.correction(noisy, filtered, own, context)
        return law.mean + law.scale * filtered


@dataclass(frozen=True)
class ModelDenoiser:
    """A model on configurations of one shape; see `Denoiser`. Fields of one model share a unit of noise."""

    model: EnergyDiffusionModel
    shape: tuple[int, ...]

    @property
    def _lattice(self) -> Lattice:
        return Lattice((self.shape[-2], self.shape[-1]), self.model.card.periodic)

    def law(self, context: Context | None) -> GaussianLaw:
        """The learned Gaussian law."""
        model, lattice = self.model, self._lattice
        known = model.standardise(context)
        scale = model.scale[:, None, None]
        mean = model.centre[:, None, None] + scale * model.gaussian.mean(lattice, known.signals, known.maps)
        variance = scale**2 * model.gaussian.log_variance(lattice, known.signals).exp()
        unit = float(model.scale.square().mean().sqrt())
        return GaussianLaw(self._shaped(mean), self._shaped(variance), lattice.to_modes, lattice.from_modes, unit)

    @property
    def corrects(self) -> bool:
        """Whether the model has a network."""
        return self.model.card.networked

    def correction(self, noisy: Tensor, filtered: Tensor, signal: float, context: Context | None) -> Tensor:
        """The network's."""
        known = self.model.standardise(context)
        # In a unit of millions the share of noise rounds to nothing.
        level = noisy.new_full((len(noisy),), math.log(signal) - math.log(max(1 - signal, 2.0**-53)))
        added = denoised(self.model, self._stacked(noisy), self._stacked(filtered), level, known)
        return self._shaped(added).to(noisy.dtype)

    def _stacked(self, x: Tensor) -> Tensor:
        return x[:, None] if len(self.shape) == 2 else x

    def _shaped(self, x: Tensor) -> Tensor:
        return x[:, 0] if len(self.shape) == 2 else x


def denoised(model: EnergyDiffusionModel, noisy: Tensor, filtered: Tensor, log_snr: Tensor, known: Context) -> Tensor:
    """(batch, fields, rows, columns) the network's correction in the unit of `noisy`; on CUDA in bfloat16."""
    signals, maps = (
        None if one is None else one.float().expand(len(noisy), *one.shape[1:]) for one in (known.signals, known.maps)
    )
    given = [one.float().contiguous(memory_format=_layout(one)) for one in (noisy, filtered)]
    with torch.autocast("cuda", torch.bfloat16, enabled=noisy.is_cuda):
        answer = _step(model.network)(*given, log_snr.float(), signals, maps).float()
    # The posterior deviation of white fields of unit spread: what is left to say at this noise.
    return answer * (1 + log_snr.float().exp()).rsqrt()[:, None, None, None]


def _step(network: ResidualNetwork) -> Callable[..., Tensor]:
    """The network; on CUDA, when it does not learn, compiled into graphs whose kernels are launched at once."""
    if network.training or not next(network.parameters()).is_cuda:
        return network
    if network not in _COMPILED:
        _COMPILED[network] = torch.compile(network, mode="reduce-overhead")
    return _COMPILED[network]


def _layout(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.is_cuda else torch.contiguous_format


def reverse_denoise(xt: Tensor, context: Context | None, *, model: EnergyDiffusionModel, t: int | Tensor) -> Tensor:
    """E[x₀ | x_t] by a model; see `EnergyDiffusionModel.reverse_denoise`."""
    return model.reverse_denoise(xt, context, t)


def dumps(model: EnergyDiffusionModel) -> bytes:
    """A checkpoint: safetensors with the card in its header."""
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    if not model.card.networked:
        tensors = {name: value for name, value in tensors.items() if not name.startswith("network.")}
    card = json.dumps({"format": FORMAT, **asdict(model.card)}, sort_keys=True)
    return save_tensors(tensors, {"card": card})


def loads(content: bytes) -> EnergyDiffusionModel:
    """The model of a checkpoint.

    Raises:
        ValueError: it is none, of a later format, or holds values that are not finite.
    """
    try:
        size = int.from_bytes(content[:8], "little")
        card: dict[str, Any] = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["card"])
        if card.pop("format") > FORMAT:
            raise ValueError("it was written by a later release")
        known = ModelCard(**{**card, **{name: tuple(card[name]) for name in ("fields", "signals", "maps")}})
        if not 1 <= known.width <= WIDEST:
            raise ValueError(f"its network is {known.width} wide, and at most {WIDEST} is")
        # A network begins at random, and reading one must not move what others draw.
        with torch.random.fork_rng(devices=[]):
            model = EnergyDiffusionModel(known)
        tensors = load_tensors(content)
        missing, unknown = model.load_state_dict(tensors, strict=False)
        missing = [name for name in missing if known.networked or not name.startswith("network.")]
        if missing or unknown:
            raise ValueError(f"its tensors are not those of its card: {[*missing, *unknown][:3]}")
        if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
            raise ValueError("some of its values are not finite")
    except Exception as error:
        raise ValueError(
            f"this is no checkpoint of a diffusion model: {error}; make one with `eil diffusion train`"
        ) from error
    return model.eval().requires_grad_(False)


def load(path: Path) -> EnergyDiffusionModel:
    """The model of a file; see `loads`."""
    return loads(path.read_bytes())


def digest(content: bytes) -> str:
    """SHA-256 of a checkpoint."""
    return hashlib.sha256(content).hexdigest()
