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

class ProveRequest(_message.Message):
    __slots__ = ("prediction_id", "predicted_state", "actual_state", "timestamp", "request_id")
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_STATE_FIELD_NUMBER: _ClassVar[int]
    ACTUAL_STATE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    predicted_state: State
    actual_state: State
    timestamp: _timestamp_pb2.Timestamp
    request_id: str
    def __init__(self, prediction_id: _Optional[str] = ..., predicted_state: _Optional[_Union[State, _Mapping]] = ..., actual_state: _Optional[_Union[State, _Mapping]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class State(_message.Message):
    __slots__ = ("energy", "entropy")
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    energy: float
    entropy: float
    def __init__(self, energy: _Optional[float] = ..., entropy: _Optional[float] = ...) -> None: ...

class ProveResponse(_message.Message):
    __slots__ = ("valid", "energy_error", "entropy_error", "pft_minted", "confidence_score", "prediction_id", "evidence", "checks", "measured_energy", "measured_entropy", "expected_energy_savings", "reason", "already_proven")
    VALID_FIELD_NUMBER: _ClassVar[int]
    ENERGY_ERROR_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_ERROR_FIELD_NUMBER: _ClassVar[int]
    PFT_MINTED_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_SCORE_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    MEASURED_ENERGY_FIELD_NUMBER: _ClassVar[int]
    MEASURED_ENTROPY_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ENERGY_SAVINGS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ALREADY_PROVEN_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    energy_error: float
    entropy_error: float
    pft_minted: float
    confidence_score: float
    prediction_id: str
    evidence: str
    checks: TriCheck
    measured_energy: float
    measured_entropy: float
    expected_energy_savings: float
    reason: str
    already_proven: bool
    def __init__(self, valid: _Optional[bool] = ..., energy_error: _Optional[float] = ..., entropy_error: _Optional[float] = ..., pft_minted: _Optional[float] = ..., confidence_score: _Optional[float] = ..., prediction_id: _Optional[str] = ..., evidence: _Optional[str] = ..., checks: _Optional[_Union[TriCheck, _Mapping]] = ..., measured_energy: _Optional[float] = ..., measured_entropy: _Optional[float] = ..., expected_energy_savings: _Optional[float] = ..., reason: _Optional[str] = ..., already_proven: _Optional[bool] = ...) -> None: ...

class TriCheck(_message.Message):
    __slots__ = ("energy", "entropy", "feasibility", "untested")
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    FEASIBILITY_FIELD_NUMBER: _ClassVar[int]
    UNTESTED_FIELD_NUMBER: _ClassVar[int]
    energy: bool
    entropy: bool
    feasibility: bool
    untested: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, energy: _Optional[bool] = ..., entropy: _Optional[bool] = ..., feasibility: _Optional[bool] = ..., untested: _Optional[_Iterable[str]] = ...) -> None: ...

class GetProofRequest(_message.Message):
    __slots__ = ("prediction_id",)
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    def __init__(self, prediction_id: _Optional[str] = ...) -> None: ...

class GetProofResponse(_message.Message):
    __slots__ = ("verdict",)
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    verdict: Verdict
    def __init__(self, verdict: _Optional[_Union[Verdict, _Mapping]] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("response", "source", "time", "settled_by_mesh", "window_start", "window_end", "predicted_energy", "winkler", "winkler_baseline", "minted_u", "earned_u")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    SETTLED_BY_MESH_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_ENERGY_FIELD_NUMBER: _ClassVar[int]
    WINKLER_FIELD_NUMBER: _ClassVar[int]
    WINKLER_BASELINE_FIELD_NUMBER: _ClassVar[int]
    MINTED_U_FIELD_NUMBER: _ClassVar[int]
    EARNED_U_FIELD_NUMBER: _ClassVar[int]
    response: ProveResponse
    source: str
    time: _timestamp_pb2.Timestamp
    settled_by_mesh: bool
    window_start: _timestamp_pb2.Timestamp
    window_end: _timestamp_pb2.Timestamp
    predicted_energy: float
    winkler: float
    winkler_baseline: float
    minted_u: int
    earned_u: int
    def __init__(self, response: _Optional[_Union[ProveResponse, _Mapping]] = ..., source: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., settled_by_mesh: _Optional[bool] = ..., window_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., predicted_energy: _Optional[float] = ..., winkler: _Optional[float] = ..., winkler_baseline: _Optional[float] = ..., minted_u: _Optional[int] = ..., earned_u: _Optional[int] = ...) -> None: ...

class ListProofsRequest(_message.Message):
    __slots__ = ("source", "page_size", "page_token")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    source: str
    page_size: int
    page_token: str
    def __init__(self, source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListProofsResponse(_message.Message):
    __slots__ = ("verdicts", "next_page_token")
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedCompositeFieldContainer[Verdict]
    next_page_token: str
    def __init__(self, verdicts: _Optional[_Iterable[_Union[Verdict, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetRecordRequest(_message.Message):
    __slots__ = ("source",)
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    source: str
    def __init__(self, source: _Optional[str] = ...) -> None: ...

class GetRecordResponse(_message.Message):
    __slots__ = ("measured", "valid", "minted_u", "valid_savings_j")
    MEASURED_FIELD_NUMBER: _ClassVar[int]
    VALID_FIELD_NUMBER: _ClassVar[int]
    MINTED_U_FIELD_NUMBER: _ClassVar[int]
    VALID_SAVINGS_J_FIELD_NUMBER: _ClassVar[int]
    measured: int
    valid: int
    minted_u: int
    valid_savings_j: float
    def __init__(self, measured: _Optional[int] = ..., valid: _Optional[int] = ..., minted_u: _Optional[int] = ..., valid_savings_j: _Optional[float] = ...) -> None: ...
