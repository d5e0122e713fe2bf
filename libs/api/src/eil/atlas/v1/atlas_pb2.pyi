import datetime

from buf.validate import validate_pb2 as _validate_pb2
from eil.common.v1 import access_pb2 as _access_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Resolution(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESOLUTION_UNSPECIFIED: _ClassVar[Resolution]
    RESOLUTION_MINUTE: _ClassVar[Resolution]
    RESOLUTION_HOUR: _ClassVar[Resolution]
    RESOLUTION_DAY: _ClassVar[Resolution]

class LinkKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LINK_KIND_UNSPECIFIED: _ClassVar[LinkKind]
    LINK_KIND_FEEDS: _ClassVar[LinkKind]
    LINK_KIND_CALLS: _ClassVar[LinkKind]
    LINK_KIND_ADJACENT: _ClassVar[LinkKind]
RESOLUTION_UNSPECIFIED: Resolution
RESOLUTION_MINUTE: Resolution
RESOLUTION_HOUR: Resolution
RESOLUTION_DAY: Resolution
LINK_KIND_UNSPECIFIED: LinkKind
LINK_KIND_FEEDS: LinkKind
LINK_KIND_CALLS: LinkKind
LINK_KIND_ADJACENT: LinkKind

class GetEnergyMapRequest(_message.Message):
    __slots__ = ("start", "end", "form", "resolution_s", "quantity", "grid_rows", "grid_racks", "diffusion_time")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_S_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    GRID_ROWS_FIELD_NUMBER: _ClassVar[int]
    GRID_RACKS_FIELD_NUMBER: _ClassVar[int]
    DIFFUSION_TIME_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    form: str
    resolution_s: int
    quantity: str
    grid_rows: int
    grid_racks: int
    diffusion_time: float
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., form: _Optional[str] = ..., resolution_s: _Optional[int] = ..., quantity: _Optional[str] = ..., grid_rows: _Optional[int] = ..., grid_racks: _Optional[int] = ..., diffusion_time: _Optional[float] = ...) -> None: ...

class DrawEnergyMapRequest(_message.Message):
    __slots__ = ("picture", "start", "end", "form", "quantity", "grid_rows", "grid_racks", "diffusion_time")
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    GRID_ROWS_FIELD_NUMBER: _ClassVar[int]
    GRID_RACKS_FIELD_NUMBER: _ClassVar[int]
    DIFFUSION_TIME_FIELD_NUMBER: _ClassVar[int]
    picture: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    form: str
    quantity: str
    grid_rows: int
    grid_racks: int
    diffusion_time: float
    def __init__(self, picture: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., form: _Optional[str] = ..., quantity: _Optional[str] = ..., grid_rows: _Optional[int] = ..., grid_racks: _Optional[int] = ..., diffusion_time: _Optional[float] = ...) -> None: ...

class GetEnergyMapResponse(_message.Message):
    __slots__ = ("nodes", "edges", "start", "end", "unit", "total_energy", "resolution_s", "frames", "form", "quantity", "frame_unit", "method", "row_coordinates", "rack_coordinates", "places", "unplaced", "links")
    NODES_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ENERGY_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_S_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    FORM_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    FRAME_UNIT_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ROW_COORDINATES_FIELD_NUMBER: _ClassVar[int]
    RACK_COORDINATES_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    UNPLACED_FIELD_NUMBER: _ClassVar[int]
    LINKS_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[MapNode]
    edges: _containers.RepeatedCompositeFieldContainer[MapEdge]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    unit: str
    total_energy: float
    resolution_s: float
    frames: _containers.RepeatedCompositeFieldContainer[MapFrame]
    form: str
    quantity: str
    frame_unit: str
    method: str
    row_coordinates: _containers.RepeatedScalarFieldContainer[float]
    rack_coordinates: _containers.RepeatedScalarFieldContainer[float]
    places: _containers.RepeatedCompositeFieldContainer[MapPlace]
    unplaced: _containers.RepeatedScalarFieldContainer[str]
    links: _containers.RepeatedCompositeFieldContainer[MapLink]
    def __init__(self, nodes: _Optional[_Iterable[_Union[MapNode, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[MapEdge, _Mapping]]] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unit: _Optional[str] = ..., total_energy: _Optional[float] = ..., resolution_s: _Optional[float] = ..., frames: _Optional[_Iterable[_Union[MapFrame, _Mapping]]] = ..., form: _Optional[str] = ..., quantity: _Optional[str] = ..., frame_unit: _Optional[str] = ..., method: _Optional[str] = ..., row_coordinates: _Optional[_Iterable[float]] = ..., rack_coordinates: _Optional[_Iterable[float]] = ..., places: _Optional[_Iterable[_Union[MapPlace, _Mapping]]] = ..., unplaced: _Optional[_Iterable[str]] = ..., links: _Optional[_Iterable[_Union[MapLink, _Mapping]]] = ...) -> None: ...

class MapPlace(_message.Message):
    __slots__ = ("source", "row", "rack")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    RACK_FIELD_NUMBER: _ClassVar[int]
    source: str
    row: float
    rack: float
    def __init__(self, source: _Optional[str] = ..., row: _Optional[float] = ..., rack: _Optional[float] = ...) -> None: ...

class MapLink(_message.Message):
    __slots__ = ("source", "target", "kind", "weight")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    source: str
    target: str
    kind: str
    weight: float
    def __init__(self, source: _Optional[str] = ..., target: _Optional[str] = ..., kind: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class MapFrame(_message.Message):
    __slots__ = ("start", "end", "nodes", "missing", "values", "uncertainties", "estimates", "local_spread", "diffusion_time", "diffusion_time_racks", "amplitude", "fitted")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    UNCERTAINTIES_FIELD_NUMBER: _ClassVar[int]
    ESTIMATES_FIELD_NUMBER: _ClassVar[int]
    LOCAL_SPREAD_FIELD_NUMBER: _ClassVar[int]
    DIFFUSION_TIME_FIELD_NUMBER: _ClassVar[int]
    DIFFUSION_TIME_RACKS_FIELD_NUMBER: _ClassVar[int]
    AMPLITUDE_FIELD_NUMBER: _ClassVar[int]
    FITTED_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    nodes: _containers.RepeatedCompositeFieldContainer[MapReading]
    missing: _containers.RepeatedCompositeFieldContainer[MapGap]
    values: _containers.RepeatedScalarFieldContainer[float]
    uncertainties: _containers.RepeatedScalarFieldContainer[float]
    estimates: _containers.RepeatedCompositeFieldContainer[MapEstimate]
    local_spread: float
    diffusion_time: float
    diffusion_time_racks: float
    amplitude: float
    fitted: int
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., nodes: _Optional[_Iterable[_Union[MapReading, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[MapGap, _Mapping]]] = ..., values: _Optional[_Iterable[float]] = ..., uncertainties: _Optional[_Iterable[float]] = ..., estimates: _Optional[_Iterable[_Union[MapEstimate, _Mapping]]] = ..., local_spread: _Optional[float] = ..., diffusion_time: _Optional[float] = ..., diffusion_time_racks: _Optional[float] = ..., amplitude: _Optional[float] = ..., fitted: _Optional[int] = ...) -> None: ...

class MapReading(_message.Message):
    __slots__ = ("source", "value", "uncertainty", "covered_s", "regime")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    COVERED_S_FIELD_NUMBER: _ClassVar[int]
    REGIME_FIELD_NUMBER: _ClassVar[int]
    source: str
    value: float
    uncertainty: float
    covered_s: float
    regime: str
    def __init__(self, source: _Optional[str] = ..., value: _Optional[float] = ..., uncertainty: _Optional[float] = ..., covered_s: _Optional[float] = ..., regime: _Optional[str] = ...) -> None: ...

class MapGap(_message.Message):
    __slots__ = ("source", "covered_s")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    COVERED_S_FIELD_NUMBER: _ClassVar[int]
    source: str
    covered_s: float
    def __init__(self, source: _Optional[str] = ..., covered_s: _Optional[float] = ...) -> None: ...

class MapEstimate(_message.Message):
    __slots__ = ("name", "value", "uncertainty")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    uncertainty: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., uncertainty: _Optional[float] = ...) -> None: ...

class MapNode(_message.Message):
    __slots__ = ("source", "energy", "entropy", "regime", "states")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    REGIME_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    source: str
    energy: float
    entropy: float
    regime: str
    states: int
    def __init__(self, source: _Optional[str] = ..., energy: _Optional[float] = ..., entropy: _Optional[float] = ..., regime: _Optional[str] = ..., states: _Optional[int] = ...) -> None: ...

class MapEdge(_message.Message):
    __slots__ = ("source", "from_regime", "to_regime", "count")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FROM_REGIME_FIELD_NUMBER: _ClassVar[int]
    TO_REGIME_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    source: str
    from_regime: str
    to_regime: str
    count: int
    def __init__(self, source: _Optional[str] = ..., from_regime: _Optional[str] = ..., to_regime: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class ListStatesRequest(_message.Message):
    __slots__ = ("source", "page_size", "page_token", "start", "end", "resolution")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    source: str
    page_size: int
    page_token: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    resolution: Resolution
    def __init__(self, source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resolution: _Optional[_Union[Resolution, str]] = ...) -> None: ...

class ListStatesResponse(_message.Message):
    __slots__ = ("states", "next_page_token")
    STATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedCompositeFieldContainer[StateRecord]
    next_page_token: str
    def __init__(self, states: _Optional[_Iterable[_Union[StateRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StateRecord(_message.Message):
    __slots__ = ("id", "source", "timestamp", "energy", "entropy", "domain", "regime", "previous_id", "covered_s", "power_method", "resolution_s", "states")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    REGIME_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_ID_FIELD_NUMBER: _ClassVar[int]
    COVERED_S_FIELD_NUMBER: _ClassVar[int]
    POWER_METHOD_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_S_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    timestamp: _timestamp_pb2.Timestamp
    energy: float
    entropy: float
    domain: str
    regime: str
    previous_id: str
    covered_s: float
    power_method: str
    resolution_s: float
    states: int
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., energy: _Optional[float] = ..., entropy: _Optional[float] = ..., domain: _Optional[str] = ..., regime: _Optional[str] = ..., previous_id: _Optional[str] = ..., covered_s: _Optional[float] = ..., power_method: _Optional[str] = ..., resolution_s: _Optional[float] = ..., states: _Optional[int] = ...) -> None: ...

class ListShiftStatesRequest(_message.Message):
    __slots__ = ("source", "page_size", "page_token")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    source: str
    page_size: int
    page_token: str
    def __init__(self, source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListShiftStatesResponse(_message.Message):
    __slots__ = ("shifts", "next_page_token")
    SHIFTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    shifts: _containers.RepeatedCompositeFieldContainer[ShiftRecord]
    next_page_token: str
    def __init__(self, shifts: _Optional[_Iterable[_Union[ShiftRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ShiftRecord(_message.Message):
    __slots__ = ("id", "source", "onset", "from_regime", "to_regime", "state_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ONSET_FIELD_NUMBER: _ClassVar[int]
    FROM_REGIME_FIELD_NUMBER: _ClassVar[int]
    TO_REGIME_FIELD_NUMBER: _ClassVar[int]
    STATE_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    onset: _timestamp_pb2.Timestamp
    from_regime: str
    to_regime: str
    state_id: str
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., onset: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., from_regime: _Optional[str] = ..., to_regime: _Optional[str] = ..., state_id: _Optional[str] = ...) -> None: ...

class PutObjectRequest(_message.Message):
    __slots__ = ("content", "media_type")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    media_type: str
    def __init__(self, content: _Optional[bytes] = ..., media_type: _Optional[str] = ...) -> None: ...

class PutObjectResponse(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class GetObjectRequest(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class GetObjectResponse(_message.Message):
    __slots__ = ("content", "media_type")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    media_type: str
    def __init__(self, content: _Optional[bytes] = ..., media_type: _Optional[str] = ...) -> None: ...

class AnchorHeadRequest(_message.Message):
    __slots__ = ("head",)
    HEAD_FIELD_NUMBER: _ClassVar[int]
    head: JournalHead
    def __init__(self, head: _Optional[_Union[JournalHead, _Mapping]] = ...) -> None: ...

class JournalHead(_message.Message):
    __slots__ = ("journal", "offset", "hash", "public_key", "signature", "time")
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    journal: str
    offset: int
    hash: bytes
    public_key: bytes
    signature: bytes
    time: _timestamp_pb2.Timestamp
    def __init__(self, journal: _Optional[str] = ..., offset: _Optional[int] = ..., hash: _Optional[bytes] = ..., public_key: _Optional[bytes] = ..., signature: _Optional[bytes] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AnchorHeadResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListHeadsRequest(_message.Message):
    __slots__ = ("journal", "page_size")
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    journal: str
    page_size: int
    def __init__(self, journal: _Optional[str] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListHeadsResponse(_message.Message):
    __slots__ = ("heads",)
    HEADS_FIELD_NUMBER: _ClassVar[int]
    heads: _containers.RepeatedCompositeFieldContainer[JournalHead]
    def __init__(self, heads: _Optional[_Iterable[_Union[JournalHead, _Mapping]]] = ...) -> None: ...

class GetStateRequest(_message.Message):
    __slots__ = ("source", "time")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    source: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, source: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetStateResponse(_message.Message):
    __slots__ = ("state", "age_s")
    STATE_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    state: StateRecord
    age_s: float
    def __init__(self, state: _Optional[_Union[StateRecord, _Mapping]] = ..., age_s: _Optional[float] = ...) -> None: ...

class ListRegimePathRequest(_message.Message):
    __slots__ = ("source", "start", "end", "page_size", "page_token")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    source: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, source: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRegimePathResponse(_message.Message):
    __slots__ = ("stretches", "next_page_token")
    STRETCHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    stretches: _containers.RepeatedCompositeFieldContainer[RegimeStretch]
    next_page_token: str
    def __init__(self, stretches: _Optional[_Iterable[_Union[RegimeStretch, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RegimeStretch(_message.Message):
    __slots__ = ("regime", "start", "end", "energy", "states", "covered_s")
    REGIME_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    COVERED_S_FIELD_NUMBER: _ClassVar[int]
    regime: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    energy: float
    states: int
    covered_s: float
    def __init__(self, regime: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., energy: _Optional[float] = ..., states: _Optional[int] = ..., covered_s: _Optional[float] = ...) -> None: ...

class TraceShiftRequest(_message.Message):
    __slots__ = ("source", "shift_id", "within_s", "hops", "limit")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SHIFT_ID_FIELD_NUMBER: _ClassVar[int]
    WITHIN_S_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    source: str
    shift_id: str
    within_s: float
    hops: int
    limit: int
    def __init__(self, source: _Optional[str] = ..., shift_id: _Optional[str] = ..., within_s: _Optional[float] = ..., hops: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class TraceShiftResponse(_message.Message):
    __slots__ = ("shift", "origins", "explanation", "complete")
    SHIFT_FIELD_NUMBER: _ClassVar[int]
    ORIGINS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    shift: ShiftRecord
    origins: _containers.RepeatedCompositeFieldContainer[ShiftOrigin]
    explanation: str
    complete: bool
    def __init__(self, shift: _Optional[_Union[ShiftRecord, _Mapping]] = ..., origins: _Optional[_Iterable[_Union[ShiftOrigin, _Mapping]]] = ..., explanation: _Optional[str] = ..., complete: _Optional[bool] = ...) -> None: ...

class ShiftOrigin(_message.Message):
    __slots__ = ("shift", "before_s", "hops", "score")
    SHIFT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_S_FIELD_NUMBER: _ClassVar[int]
    HOPS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    shift: ShiftRecord
    before_s: float
    hops: int
    score: float
    def __init__(self, shift: _Optional[_Union[ShiftRecord, _Mapping]] = ..., before_s: _Optional[float] = ..., hops: _Optional[int] = ..., score: _Optional[float] = ...) -> None: ...

class GetEnergyFlowRequest(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetEnergyFlowResponse(_message.Message):
    __slots__ = ("flows", "start", "end")
    FLOWS_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    flows: _containers.RepeatedCompositeFieldContainer[EnergyFlow]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    def __init__(self, flows: _Optional[_Iterable[_Union[EnergyFlow, _Mapping]]] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EnergyFlow(_message.Message):
    __slots__ = ("link", "energy")
    LINK_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    link: Link
    energy: float
    def __init__(self, link: _Optional[_Union[Link, _Mapping]] = ..., energy: _Optional[float] = ...) -> None: ...

class Link(_message.Message):
    __slots__ = ("from_source", "to_source", "kind", "weight")
    FROM_SOURCE_FIELD_NUMBER: _ClassVar[int]
    TO_SOURCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    from_source: str
    to_source: str
    kind: LinkKind
    weight: float
    def __init__(self, from_source: _Optional[str] = ..., to_source: _Optional[str] = ..., kind: _Optional[_Union[LinkKind, str]] = ..., weight: _Optional[float] = ...) -> None: ...

class ListTopConsumersRequest(_message.Message):
    __slots__ = ("start", "end", "limit")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    limit: int
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class ListTopConsumersResponse(_message.Message):
    __slots__ = ("consumers", "total_energy", "start", "end")
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ENERGY_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    consumers: _containers.RepeatedCompositeFieldContainer[Consumer]
    total_energy: float
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    def __init__(self, consumers: _Optional[_Iterable[_Union[Consumer, _Mapping]]] = ..., total_energy: _Optional[float] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Consumer(_message.Message):
    __slots__ = ("source", "energy", "share", "trend", "covered_s")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    TREND_FIELD_NUMBER: _ClassVar[int]
    COVERED_S_FIELD_NUMBER: _ClassVar[int]
    source: str
    energy: float
    share: float
    trend: float
    covered_s: float
    def __init__(self, source: _Optional[str] = ..., energy: _Optional[float] = ..., share: _Optional[float] = ..., trend: _Optional[float] = ..., covered_s: _Optional[float] = ...) -> None: ...

class FindSimilarStatesRequest(_message.Message):
    __slots__ = ("source", "time", "among", "start", "end", "limit", "resolution")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    AMONG_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_FIELD_NUMBER: _ClassVar[int]
    source: str
    time: _timestamp_pb2.Timestamp
    among: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    limit: int
    resolution: Resolution
    def __init__(self, source: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., among: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., limit: _Optional[int] = ..., resolution: _Optional[_Union[Resolution, str]] = ...) -> None: ...

class FindSimilarStatesResponse(_message.Message):
    __slots__ = ("state", "similar", "scanned", "complete")
    STATE_FIELD_NUMBER: _ClassVar[int]
    SIMILAR_FIELD_NUMBER: _ClassVar[int]
    SCANNED_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    state: StateRecord
    similar: _containers.RepeatedCompositeFieldContainer[SimilarState]
    scanned: int
    complete: bool
    def __init__(self, state: _Optional[_Union[StateRecord, _Mapping]] = ..., similar: _Optional[_Iterable[_Union[SimilarState, _Mapping]]] = ..., scanned: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class SimilarState(_message.Message):
    __slots__ = ("state", "distance")
    STATE_FIELD_NUMBER: _ClassVar[int]
    DISTANCE_FIELD_NUMBER: _ClassVar[int]
    state: StateRecord
    distance: float
    def __init__(self, state: _Optional[_Union[StateRecord, _Mapping]] = ..., distance: _Optional[float] = ...) -> None: ...

class PutLinksRequest(_message.Message):
    __slots__ = ("links",)
    LINKS_FIELD_NUMBER: _ClassVar[int]
    links: _containers.RepeatedCompositeFieldContainer[Link]
    def __init__(self, links: _Optional[_Iterable[_Union[Link, _Mapping]]] = ...) -> None: ...

class PutLinksResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListLinksRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListLinksResponse(_message.Message):
    __slots__ = ("links", "next_page_token")
    LINKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    links: _containers.RepeatedCompositeFieldContainer[Link]
    next_page_token: str
    def __init__(self, links: _Optional[_Iterable[_Union[Link, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteLinksRequest(_message.Message):
    __slots__ = ("links",)
    LINKS_FIELD_NUMBER: _ClassVar[int]
    links: _containers.RepeatedCompositeFieldContainer[Link]
    def __init__(self, links: _Optional[_Iterable[_Union[Link, _Mapping]]] = ...) -> None: ...

class DeleteLinksResponse(_message.Message):
    __slots__ = ("deleted",)
    DELETED_FIELD_NUMBER: _ClassVar[int]
    deleted: int
    def __init__(self, deleted: _Optional[int] = ...) -> None: ...
