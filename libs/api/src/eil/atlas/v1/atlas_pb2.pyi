import datetime

from buf.validate import validate_pb2 as _validate_pb2
from eil.common.v1 import access_pb2 as _access_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetEnergyMapRequest(_message.Message):
    __slots__ = ("start", "end")
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetEnergyMapResponse(_message.Message):
    __slots__ = ("nodes", "edges", "start", "end", "unit", "total_energy", "resolution_s")
    NODES_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_ENERGY_FIELD_NUMBER: _ClassVar[int]
    RESOLUTION_S_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[MapNode]
    edges: _containers.RepeatedCompositeFieldContainer[MapEdge]
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    unit: str
    total_energy: float
    resolution_s: float
    def __init__(self, nodes: _Optional[_Iterable[_Union[MapNode, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[MapEdge, _Mapping]]] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., unit: _Optional[str] = ..., total_energy: _Optional[float] = ..., resolution_s: _Optional[float] = ...) -> None: ...

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
    __slots__ = ("source", "page_size", "page_token")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    source: str
    page_size: int
    page_token: str
    def __init__(self, source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListStatesResponse(_message.Message):
    __slots__ = ("states", "next_page_token")
    STATES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedCompositeFieldContainer[StateRecord]
    next_page_token: str
    def __init__(self, states: _Optional[_Iterable[_Union[StateRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StateRecord(_message.Message):
    __slots__ = ("id", "source", "timestamp", "energy", "entropy", "domain", "regime", "previous_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    REGIME_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    timestamp: _timestamp_pb2.Timestamp
    energy: float
    entropy: float
    domain: str
    regime: str
    previous_id: str
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., energy: _Optional[float] = ..., entropy: _Optional[float] = ..., domain: _Optional[str] = ..., regime: _Optional[str] = ..., previous_id: _Optional[str] = ...) -> None: ...

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
