"""What a model is told beside the configuration: what the request names, what its energy says, what is known of its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eil.atlas.v1 import atlas_pb2, atlas_pb2_grpc
from eil.diffusion.v1 import diffusion_pb2
from eil.nvp.v1 import nvp_pb2, nvp_pb2_grpc
from eil_mesh.errors import NotFound

if TYPE_CHECKING:  # torch: loaded when first used
    from eil_diffusion.domain.energy_diffusion_core.denoiser import Context
    from eil_diffusion.domain.energy_diffusion_core.model import ModelCard

REGIMES = ("stable", "drifting", "transition", "critical")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a source."""

    signals: dict[str, float]
    regime: str = ""


class Sources:
    """Asks the Atlas for a source's newest state, and nvp for the next one."""

    def __init__(self, atlas: atlas_pb2_grpc.AtlasServiceAsyncStub, nvp: nvp_pb2_grpc.NvpServiceAsyncStub) -> None:
        self._atlas, self._nvp = atlas, nvp

    async def known(self, source: str) -> Known:
        """Mean power of the newest state and of the predicted one [W], and the regime.

        Raises:
            NotFound: the Atlas knows no state of it.
        """
        answer = await self._atlas.ListStates(atlas_pb2.ListStatesRequest(source=source, page_size=1))
        if not answer.states:
            raise NotFound(
                f"the Atlas knows no state of source {source!r}; a state needs about a minute of telemetry",
                reason="SOURCE_UNKNOWN",
            )
        state = answer.states[0]
        window_s = state.resolution_s or 60.0
        signals = {"power_draw": state.energy / (state.covered_s or window_s)}
        predicted = await self._nvp.Predict(nvp_pb2.PredictRequest(source=source, horizon=1))
        for one in predicted.predictions:
            if one.name == "energy" and one.point:
                signals["predicted_power_w"] = one.point[0] / window_s
        return Known(signals, state.regime if state.regime in REGIMES else "")


def context_of(
    card: ModelCard, request: diffusion_pb2.SampleRequest, source: Known | None
) -> tuple[Context, list[str]]:
    """The context that a model wants, and which of its signals nobody named: they are put at their mean in training, which is NaN here.

    The request goes before the source, the source before the energy.

    Raises:
        ValueError: the model wants a map that the energy does not have.
    """
    import torch

    from eil_diffusion.asked import known
    from eil_diffusion.domain.energy_diffusion_core.denoiser import Context

    signals, maps = known(request.energy)
    if source:
        signals |= source.signals
    if regime := request.context.regime or (source.regime if source else ""):
        signals |= {f"regime_{name}": float(name == regime) for name in REGIMES}
    signals |= request.context.signals
    if missing := [name for name in card.maps if name not in maps]:
        raise ValueError(
            f"the model {card.name} wants {', '.join(missing)} at every site, which this energy does not have"
        )
    assumed = [name for name in card.signals if name not in signals]
    values = torch.tensor([[signals.get(name, float("nan")) for name in card.signals]], dtype=torch.float64)
    given = torch.stack([maps[name] for name in card.maps])[None] if card.maps else None
    return Context(values if card.signals else None, given), assumed
