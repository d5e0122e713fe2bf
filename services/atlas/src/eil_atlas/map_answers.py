"""Energy maps ⇄ the contract."""

from typing import Any

from eil.atlas.v1 import atlas_pb2
from eil_mesh.clock import from_us, to_us
from eil_mesh.errors import InvalidArgument, NotFound

from eil_atlas.maps import EnergyMap, MapFrame, Question

NEED_A_FORM = ("resolution_s", "quantity", "grid_rows", "grid_racks", "diffusion_time")
MEDIA_TYPES = {"png": "image/png", "svg": "image/svg+xml"}


def check_form(request: atlas_pb2.GetEnergyMapRequest) -> None:
    """Refuse what only frames have, where no form of frames is asked for.

    Raises:
        InvalidArgument: a field is set that would do nothing.
    """
    if not request.form and (idle := [name for name in NEED_A_FORM if getattr(request, name)]):
        raise InvalidArgument(
            f"{', '.join(idle)} speak of frames, and without a `form` the map has none: ask for form=grid or form=graph",
            violations={"form": "must be grid or graph beside these fields"},
        )


def question_of(
    request: atlas_pb2.GetEnergyMapRequest | atlas_pb2.DrawEnergyMapRequest, answer: atlas_pb2.GetEnergyMapResponse
) -> Question:
    """What a request asks, over the whole windows of its answer. A picture shows one frame.

    Raises:
        NotFound: no source has a state yet, and the answer is empty.
    """
    if not answer.HasField("end"):
        raise NotFound("no source has a state yet: there is no map; a state needs about a minute of samples")
    asked: Any = request  # the two requests have these fields in common
    return Question(
        to_us(answer.start),
        to_us(answer.end),
        from_first=not request.HasField("start"),
        form=asked.form,
        quantity=asked.quantity or "energy",
        resolution_s=request.resolution_s if isinstance(request, atlas_pb2.GetEnergyMapRequest) else 0,
        grid_rows=request.grid_rows,
        grid_racks=request.grid_racks,
        diffusion_time=request.diffusion_time,
    )


def picture_kind(picture: str) -> str:
    """png or svg, by the ending of a picture's name."""
    return picture.rpartition(".")[2] or "png"


def add_frames(answer: atlas_pb2.GetEnergyMapResponse, made: EnergyMap) -> None:
    """Write a map's frames, and what they lie on, into the answer."""
    answer.form, answer.quantity, answer.frame_unit, answer.method = made.form, made.quantity, made.unit, made.method
    if made.grid:
        answer.row_coordinates.extend(made.grid.rows.centres.tolist())
        answer.rack_coordinates.extend(made.grid.racks.centres.tolist())
        for source, place in sorted(made.places.items()):
            answer.places.add(source=source, row=place.row, rack=place.rack)
    answer.unplaced.extend(made.unplaced)
    for link in made.links:
        answer.links.add(source=link.source, target=link.to_source, kind=link.kind, weight=link.weight)
    for frame in made.frames:
        _write_frame(answer.frames.add(), frame, made)


def _write_frame(written: atlas_pb2.MapFrame, frame: MapFrame, made: EnergyMap) -> None:
    written.start.CopyFrom(from_us(frame.start_us))
    written.end.CopyFrom(from_us(frame.end_us))
    for reading in frame.measured.readings:
        written.nodes.add(
            source=reading.source,
            value=reading.value,
            uncertainty=reading.uncertainty,
            covered_s=reading.covered_s,
            regime=reading.regime,
        )
    for gap in frame.measured.gaps:
        written.missing.add(source=gap.source, covered_s=gap.covered_s)
    if frame.field is None or made.belief is None:
        return
    values, uncertainties = frame.field.values.tolist(), frame.field.uncertainties.tolist()
    if made.grid:
        written.values.extend(values)
        written.uncertainties.extend(uncertainties)
    else:
        for name, value, uncertainty in zip(made.nodes, values, uncertainties, strict=True):
            written.estimates.add(name=name, value=value, uncertainty=uncertainty)
    written.local_spread, written.amplitude = made.belief.local_spread, made.belief.amplitude
    written.diffusion_time, written.diffusion_time_racks = made.belief.times
    written.fitted = frame.fitted
