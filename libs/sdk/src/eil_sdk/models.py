"""Methods about maps, predictions and energy-guided samples."""

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

from eil.atlas.v1 import atlas_pb2
from eil.diffusion.v1 import diffusion_pb2 as pb
from eil.nvp.v1 import nvp_pb2

from eil_sdk.calls import unary
from eil_sdk.errors import InvalidArgument
from eil_sdk.values import Time, Values, numbers, timestamp

Kind: TypeAlias = (
    pb.GaussianFreeField
    | pb.RackHeatMap
    | pb.Phi4
    | pb.Ising
    | pb.HeatPlate
    | pb.FleetPlacement
    | pb.Quadratic
    | pb.Graph
)
"""An energy by itself; an `Energy` holds one of them, and observations."""


class Models:
    """What the atlas, nvp and diffusion services do."""

    @unary(lambda to: to.atlas.GetEnergyMap)
    def energy_map(
        self,
        *,
        start: Time | None = None,
        end: Time | None = None,
        form: str = "",
        resolution_s: int = 0,
        quantity: str = "",
    ) -> atlas_pb2.GetEnergyMapRequest:
        """The energy of every source in a window, and its regimes; with a form, interpolated frames as well.

        Args:
            start: begin; absent is an hour before the newest state.
            end: end; absent is the newest state.
            form: "grid" (rows × racks) or "graph" (links between sources); empty answers no frames.
            resolution_s: length of a frame [s], whole minutes; 0 is one frame of the whole window.
            quantity: energy [J] (default), power [W] or entropy [J/K].
        """
        return atlas_pb2.GetEnergyMapRequest(
            start=timestamp(start, "start"),
            end=timestamp(end, "end"),
            form=form,
            resolution_s=resolution_s,
            quantity=quantity,
        )

    @unary(lambda to: to.nvp.Predict)
    def predict(
        self,
        history: Mapping[str, Values] | None = None,
        *,
        source: str = "",
        horizon: int = 1,
        level: float = 0.9,
        planned: Mapping[str, Values] | None = None,
    ) -> nvp_pb2.PredictRequest:
        """Predict the next rows of a history, or of a source's states in the Atlas, with calibrated intervals.

        Args:
            history: channels of equal length at even steps, oldest first, NaN where a value is missing.
            source: whose states are used, if no history is given.
            horizon: rows to predict.
            level: of the intervals.
            planned: inputs known in advance: the history's rows followed by the horizon's.

        Raises:
            ResourceExhausted: compute credits are used up.
        """
        return nvp_pb2.PredictRequest(
            history=_series(history), source=source, horizon=horizon, level=level, planned=_series(planned)
        )

    @unary(lambda to: to.diffusion.Sample)
    def sample(
        self,
        energy: pb.Energy | Kind,
        *,
        count: int = 1,
        steps: int = 50,
        seed: int = 0,
        kt: float = 1.0,
        model: str = "",
        context: pb.Context | None = None,
    ) -> pb.SampleRequest:
        """Draw configurations of an energy's Boltzmann law, with weights that say how far to trust them.

        Args:
            energy: the energy, or its kind by itself, e.g. Ising(side=32, beta=0.4).
            count: configurations.
            steps: of diffusion, or of annealing.
            seed: of the random numbers.
            kt: temperature in units of the energy.
            model: that drafts, by name; empty is the energy's own way.
            context: what a model is told beside.

        Raises:
            ResourceExhausted: compute credits are used up.
        """
        return pb.SampleRequest(
            energy=_energy(energy), count=count, steps=steps, seed=seed, kt=kt, model=model, context=context
        )

    @unary(lambda to: to.diffusion.Optimize)
    def optimize(
        self,
        energy: pb.Energy | Kind,
        *,
        start: Values = (),
        steps: int = 100,
        seed: int = 0,
        constraints: pb.Constraints | None = None,
    ) -> pb.OptimizeRequest:
        """Search for a configuration of least energy.

        Args:
            energy: as of `sample`.
            start: to search from, row by row; empty is the energy's default.
            steps: at most.
            seed: of the random numbers.
            constraints: bounds beyond those of the energy.

        Raises:
            ResourceExhausted: compute credits are used up.
        """
        return pb.OptimizeRequest(
            energy=_energy(energy), start=numbers(start, "start"), steps=steps, seed=seed, constraints=constraints
        )


def _series(channels: Mapping[str, Values] | None) -> list[nvp_pb2.Series]:
    return [nvp_pb2.Series(name=name, values=numbers(values, name)) for name, values in (channels or {}).items()]


def _energy(given: pb.Energy | Kind) -> pb.Energy:
    if isinstance(given, pb.Energy):
        return given
    for field in pb.Energy.DESCRIPTOR.oneofs_by_name["kind"].fields:
        if field.message_type is given.DESCRIPTOR:
            return pb.Energy(**cast(Any, {field.name: given}))
    raise InvalidArgument(f"{type(given).__name__} is no energy", violations={"energy": "is none of the contract's"})
