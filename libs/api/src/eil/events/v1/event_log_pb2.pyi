import datetime

from buf.validate import validate_pb2 as _validate_pb2
from eil.common.v1 import access_pb2 as _access_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubscribeRequest(_message.Message):
    __slots__ = ("from_offset", "topics", "pages", "gather_ms")
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    GATHER_MS_FIELD_NUMBER: _ClassVar[int]
    from_offset: int
    topics: _containers.RepeatedScalarFieldContainer[str]
    pages: bool
    gather_ms: int
    def __init__(self, from_offset: _Optional[int] = ..., topics: _Optional[_Iterable[str]] = ..., pages: _Optional[bool] = ..., gather_ms: _Optional[int] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ("event", "events")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    event: Event
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, event: _Optional[_Union[Event, _Mapping]] = ..., events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("offset", "time", "tenant", "topic", "key", "payload", "hash", "traceparent")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    offset: int
    time: _timestamp_pb2.Timestamp
    tenant: str
    topic: str
    key: str
    payload: bytes
    hash: bytes
    traceparent: str
    def __init__(self, offset: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., tenant: _Optional[str] = ..., topic: _Optional[str] = ..., key: _Optional[str] = ..., payload: _Optional[bytes] = ..., hash: _Optional[bytes] = ..., traceparent: _Optional[str] = ...) -> None: ...

class GetBacklogRequest(_message.Message):
    __slots__ = ("from_offset", "topics")
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    from_offset: int
    topics: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, from_offset: _Optional[int] = ..., topics: _Optional[_Iterable[str]] = ...) -> None: ...

class GetBacklogResponse(_message.Message):
    __slots__ = ("head", "entries", "oldest")
    HEAD_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    head: int
    entries: int
    oldest: _timestamp_pb2.Timestamp
    def __init__(self, head: _Optional[int] = ..., entries: _Optional[int] = ..., oldest: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListFollowedRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListFollowedResponse(_message.Message):
    __slots__ = ("followed",)
    FOLLOWED_FIELD_NUMBER: _ClassVar[int]
    followed: _containers.RepeatedCompositeFieldContainer[Followed]
    def __init__(self, followed: _Optional[_Iterable[_Union[Followed, _Mapping]]] = ...) -> None: ...

class Followed(_message.Message):
    __slots__ = ("service", "position", "head", "entries", "oldest", "dead_letters", "problem")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    service: str
    position: int
    head: int
    entries: int
    oldest: _timestamp_pb2.Timestamp
    dead_letters: int
    problem: str
    def __init__(self, service: _Optional[str] = ..., position: _Optional[int] = ..., head: _Optional[int] = ..., entries: _Optional[int] = ..., oldest: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., dead_letters: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...

class AuditRecord(_message.Message):
    __slots__ = ("method", "subject", "roles", "service", "request_id", "offsets", "baggage")
    class BaggageEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METHOD_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    BAGGAGE_FIELD_NUMBER: _ClassVar[int]
    method: str
    subject: str
    roles: _containers.RepeatedScalarFieldContainer[str]
    service: str
    request_id: str
    offsets: _containers.RepeatedScalarFieldContainer[int]
    baggage: _containers.ScalarMap[str, str]
    def __init__(self, method: _Optional[str] = ..., subject: _Optional[str] = ..., roles: _Optional[_Iterable[str]] = ..., service: _Optional[str] = ..., request_id: _Optional[str] = ..., offsets: _Optional[_Iterable[int]] = ..., baggage: _Optional[_Mapping[str, str]] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("service", "topic", "offset", "key", "tenant", "time", "payload", "reason")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    service: str
    topic: str
    offset: int
    key: str
    tenant: str
    time: _timestamp_pb2.Timestamp
    payload: bytes
    reason: str
    def __init__(self, service: _Optional[str] = ..., topic: _Optional[str] = ..., offset: _Optional[int] = ..., key: _Optional[str] = ..., tenant: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., payload: _Optional[bytes] = ..., reason: _Optional[str] = ...) -> None: ...

class StoredDeadLetter(_message.Message):
    __slots__ = ("id", "time", "letter")
    ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    LETTER_FIELD_NUMBER: _ClassVar[int]
    id: int
    time: _timestamp_pb2.Timestamp
    letter: DeadLetter
    def __init__(self, id: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., letter: _Optional[_Union[DeadLetter, _Mapping]] = ...) -> None: ...

class ListDeadLettersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDeadLettersResponse(_message.Message):
    __slots__ = ("dead_letters", "next_page_token")
    DEAD_LETTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    dead_letters: _containers.RepeatedCompositeFieldContainer[StoredDeadLetter]
    next_page_token: str
    def __init__(self, dead_letters: _Optional[_Iterable[_Union[StoredDeadLetter, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReplayDeadLettersRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, ids: _Optional[_Iterable[int]] = ...) -> None: ...

class ReplayDeadLettersResponse(_message.Message):
    __slots__ = ("replayed", "failed")
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    replayed: _containers.RepeatedScalarFieldContainer[int]
    failed: _containers.RepeatedCompositeFieldContainer[FailedReplay]
    def __init__(self, replayed: _Optional[_Iterable[int]] = ..., failed: _Optional[_Iterable[_Union[FailedReplay, _Mapping]]] = ...) -> None: ...

class FailedReplay(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: int
    reason: str
    def __init__(self, id: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...
