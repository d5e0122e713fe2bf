import datetime

from buf.validate import validate_pb2 as _validate_pb2
from eil.common.v1 import access_pb2 as _access_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FindingKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINDING_KIND_UNSPECIFIED: _ClassVar[FindingKind]
    FINDING_KIND_SAMPLES_MISSING: _ClassVar[FindingKind]
    FINDING_KIND_SAMPLES_ALTERED: _ClassVar[FindingKind]
    FINDING_KIND_STATES_MISSING: _ClassVar[FindingKind]
    FINDING_KIND_STATES_SURPLUS: _ClassVar[FindingKind]
    FINDING_KIND_STATES_DIFFER: _ClassVar[FindingKind]
    FINDING_KIND_SEGMENT_DAMAGED: _ClassVar[FindingKind]
FINDING_KIND_UNSPECIFIED: FindingKind
FINDING_KIND_SAMPLES_MISSING: FindingKind
FINDING_KIND_SAMPLES_ALTERED: FindingKind
FINDING_KIND_STATES_MISSING: FindingKind
FINDING_KIND_STATES_SURPLUS: FindingKind
FINDING_KIND_STATES_DIFFER: FindingKind
FINDING_KIND_SEGMENT_DAMAGED: FindingKind

class VerifyRequest(_message.Message):
    __slots__ = ("source", "repair", "deep")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REPAIR_FIELD_NUMBER: _ClassVar[int]
    DEEP_FIELD_NUMBER: _ClassVar[int]
    source: str
    repair: bool
    deep: bool
    def __init__(self, source: _Optional[str] = ..., repair: _Optional[bool] = ..., deep: _Optional[bool] = ...) -> None: ...

class VerifyResponse(_message.Message):
    __slots__ = ("progress", "finding", "summary")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    FINDING_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    progress: VerifyProgress
    finding: Finding
    summary: VerifySummary
    def __init__(self, progress: _Optional[_Union[VerifyProgress, _Mapping]] = ..., finding: _Optional[_Union[Finding, _Mapping]] = ..., summary: _Optional[_Union[VerifySummary, _Mapping]] = ...) -> None: ...

class VerifyProgress(_message.Message):
    __slots__ = ("stage", "done", "total")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    stage: str
    done: int
    total: int
    def __init__(self, stage: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("kind", "source", "hour", "expected", "found", "message", "repaired")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    HOUR_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    kind: FindingKind
    source: str
    hour: _timestamp_pb2.Timestamp
    expected: int
    found: int
    message: str
    repaired: bool
    def __init__(self, kind: _Optional[_Union[FindingKind, str]] = ..., source: _Optional[str] = ..., hour: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expected: _Optional[int] = ..., found: _Optional[int] = ..., message: _Optional[str] = ..., repaired: _Optional[bool] = ...) -> None: ...

class VerifySummary(_message.Message):
    __slots__ = ("entries", "sources", "hours", "samples", "states", "unknown_hours", "findings", "repaired")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_HOURS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    REPAIRED_FIELD_NUMBER: _ClassVar[int]
    entries: int
    sources: int
    hours: int
    samples: int
    states: int
    unknown_hours: int
    findings: int
    repaired: int
    def __init__(self, entries: _Optional[int] = ..., sources: _Optional[int] = ..., hours: _Optional[int] = ..., samples: _Optional[int] = ..., states: _Optional[int] = ..., unknown_hours: _Optional[int] = ..., findings: _Optional[int] = ..., repaired: _Optional[int] = ...) -> None: ...
