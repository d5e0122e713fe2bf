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

class SenseRequest(_message.Message):
    __slots__ = ("source", "timestamp", "telemetry", "context", "request_id")
    class TelemetryEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ContextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    TELEMETRY_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    source: str
    timestamp: _timestamp_pb2.Timestamp
    telemetry: _containers.ScalarMap[str, float]
    context: _containers.ScalarMap[str, str]
    request_id: str
    def __init__(self, source: _Optional[str] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., telemetry: _Optional[_Mapping[str, float]] = ..., context: _Optional[_Mapping[str, str]] = ..., request_id: _Optional[str] = ...) -> None: ...

class SenseResponse(_message.Message):
    __slots__ = ("status", "energy_state", "regime_prediction", "conflicting")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ENERGY_STATE_FIELD_NUMBER: _ClassVar[int]
    REGIME_PREDICTION_FIELD_NUMBER: _ClassVar[int]
    CONFLICTING_FIELD_NUMBER: _ClassVar[int]
    status: str
    energy_state: EnergyState
    regime_prediction: RegimePrediction
    conflicting: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, status: _Optional[str] = ..., energy_state: _Optional[_Union[EnergyState, _Mapping]] = ..., regime_prediction: _Optional[_Union[RegimePrediction, _Mapping]] = ..., conflicting: _Optional[_Iterable[str]] = ...) -> None: ...

class EnergyState(_message.Message):
    __slots__ = ("total_energy", "entropy", "regime", "regime_id", "window_s", "covered_s", "energy_uncertainty", "power_method", "entropy_method", "power", "temperature", "missing", "time")
    TOTAL_ENERGY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    REGIME_FIELD_NUMBER: _ClassVar[int]
    REGIME_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    COVERED_S_FIELD_NUMBER: _ClassVar[int]
    ENERGY_UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    POWER_METHOD_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_METHOD_FIELD_NUMBER: _ClassVar[int]
    POWER_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    total_energy: float
    entropy: float
    regime: str
    regime_id: str
    window_s: float
    covered_s: float
    energy_uncertainty: float
    power_method: str
    entropy_method: str
    power: float
    temperature: float
    missing: _containers.RepeatedScalarFieldContainer[str]
    time: _timestamp_pb2.Timestamp
    def __init__(self, total_energy: _Optional[float] = ..., entropy: _Optional[float] = ..., regime: _Optional[str] = ..., regime_id: _Optional[str] = ..., window_s: _Optional[float] = ..., covered_s: _Optional[float] = ..., energy_uncertainty: _Optional[float] = ..., power_method: _Optional[str] = ..., entropy_method: _Optional[str] = ..., power: _Optional[float] = ..., temperature: _Optional[float] = ..., missing: _Optional[_Iterable[str]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RegimePrediction(_message.Message):
    __slots__ = ("current", "next_likely", "confidence", "regime_id", "next_regime_id", "reason", "physics")
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    NEXT_LIKELY_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    REGIME_ID_FIELD_NUMBER: _ClassVar[int]
    NEXT_REGIME_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PHYSICS_FIELD_NUMBER: _ClassVar[int]
    current: str
    next_likely: str
    confidence: float
    regime_id: str
    next_regime_id: str
    reason: str
    physics: PhysicsEvidence
    def __init__(self, current: _Optional[str] = ..., next_likely: _Optional[str] = ..., confidence: _Optional[float] = ..., regime_id: _Optional[str] = ..., next_regime_id: _Optional[str] = ..., reason: _Optional[str] = ..., physics: _Optional[_Union[PhysicsEvidence, _Mapping]] = ...) -> None: ...

class PhysicsEvidence(_message.Message):
    __slots__ = ("level", "sentence", "entropy_rate", "residual", "residual_uncertainty", "psi", "phi", "chi")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_RATE_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    PSI_FIELD_NUMBER: _ClassVar[int]
    PHI_FIELD_NUMBER: _ClassVar[int]
    CHI_FIELD_NUMBER: _ClassVar[int]
    level: str
    sentence: str
    entropy_rate: float
    residual: float
    residual_uncertainty: float
    psi: float
    phi: float
    chi: float
    def __init__(self, level: _Optional[str] = ..., sentence: _Optional[str] = ..., entropy_rate: _Optional[float] = ..., residual: _Optional[float] = ..., residual_uncertainty: _Optional[float] = ..., psi: _Optional[float] = ..., phi: _Optional[float] = ..., chi: _Optional[float] = ...) -> None: ...

class IngestRequest(_message.Message):
    __slots__ = ("source", "timestamps", "columns", "power_kind", "request_id", "times_us")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMPS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    POWER_KIND_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TIMES_US_FIELD_NUMBER: _ClassVar[int]
    source: str
    timestamps: _containers.RepeatedCompositeFieldContainer[_timestamp_pb2.Timestamp]
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    power_kind: str
    request_id: str
    times_us: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, source: _Optional[str] = ..., timestamps: _Optional[_Iterable[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]]] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., power_kind: _Optional[str] = ..., request_id: _Optional[str] = ..., times_us: _Optional[_Iterable[int]] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ("accepted", "duplicates", "conflicting", "rejected", "rejected_count", "energy_state", "regime_prediction", "shifts")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    CONFLICTING_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    ENERGY_STATE_FIELD_NUMBER: _ClassVar[int]
    REGIME_PREDICTION_FIELD_NUMBER: _ClassVar[int]
    SHIFTS_FIELD_NUMBER: _ClassVar[int]
    accepted: int
    duplicates: int
    conflicting: int
    rejected: _containers.RepeatedCompositeFieldContainer[RejectedRow]
    rejected_count: int
    energy_state: EnergyState
    regime_prediction: RegimePrediction
    shifts: _containers.RepeatedCompositeFieldContainer[RegimeShift]
    def __init__(self, accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., conflicting: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[RejectedRow, _Mapping]]] = ..., rejected_count: _Optional[int] = ..., energy_state: _Optional[_Union[EnergyState, _Mapping]] = ..., regime_prediction: _Optional[_Union[RegimePrediction, _Mapping]] = ..., shifts: _Optional[_Iterable[_Union[RegimeShift, _Mapping]]] = ...) -> None: ...

class IngestStreamRequest(_message.Message):
    __slots__ = ("sequence", "batches")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    batches: _containers.RepeatedCompositeFieldContainer[IngestRequest]
    def __init__(self, sequence: _Optional[int] = ..., batches: _Optional[_Iterable[_Union[IngestRequest, _Mapping]]] = ...) -> None: ...

class IngestStreamResponse(_message.Message):
    __slots__ = ("sequences", "accepted", "duplicates", "rejected_count", "rejected")
    SEQUENCES_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    sequences: _containers.RepeatedScalarFieldContainer[int]
    accepted: int
    duplicates: int
    rejected_count: int
    rejected: _containers.RepeatedCompositeFieldContainer[RejectedBatch]
    def __init__(self, sequences: _Optional[_Iterable[int]] = ..., accepted: _Optional[int] = ..., duplicates: _Optional[int] = ..., rejected_count: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[RejectedBatch, _Mapping]]] = ...) -> None: ...

class RejectedBatch(_message.Message):
    __slots__ = ("sequence", "source", "row")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    source: str
    row: RejectedRow
    def __init__(self, sequence: _Optional[int] = ..., source: _Optional[str] = ..., row: _Optional[_Union[RejectedRow, _Mapping]] = ...) -> None: ...

class RejectedRow(_message.Message):
    __slots__ = ("row", "reason", "message")
    ROW_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    row: int
    reason: str
    message: str
    def __init__(self, row: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ("source", "page_size", "page_token")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    source: str
    page_size: int
    page_token: str
    def __init__(self, source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("sources", "next_page_token")
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[SourceStatus]
    next_page_token: str
    def __init__(self, sources: _Optional[_Iterable[_Union[SourceStatus, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SourceStatus(_message.Message):
    __slots__ = ("source", "energy_state", "regime_prediction", "kind", "samples", "shifts", "conflicts")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ENERGY_STATE_FIELD_NUMBER: _ClassVar[int]
    REGIME_PREDICTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SHIFTS_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    source: str
    energy_state: EnergyState
    regime_prediction: RegimePrediction
    kind: str
    samples: int
    shifts: int
    conflicts: int
    def __init__(self, source: _Optional[str] = ..., energy_state: _Optional[_Union[EnergyState, _Mapping]] = ..., regime_prediction: _Optional[_Union[RegimePrediction, _Mapping]] = ..., kind: _Optional[str] = ..., samples: _Optional[int] = ..., shifts: _Optional[int] = ..., conflicts: _Optional[int] = ...) -> None: ...

class ListShiftsRequest(_message.Message):
    __slots__ = ("source", "page_size", "page_token")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    source: str
    page_size: int
    page_token: str
    def __init__(self, source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListShiftsResponse(_message.Message):
    __slots__ = ("shifts", "next_page_token")
    SHIFTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    shifts: _containers.RepeatedCompositeFieldContainer[RegimeShift]
    next_page_token: str
    def __init__(self, shifts: _Optional[_Iterable[_Union[RegimeShift, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RegimeShift(_message.Message):
    __slots__ = ("id", "source", "onset", "detected", "from_regime", "to_regime", "channels", "statistic", "threshold", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ONSET_FIELD_NUMBER: _ClassVar[int]
    DETECTED_FIELD_NUMBER: _ClassVar[int]
    FROM_REGIME_FIELD_NUMBER: _ClassVar[int]
    TO_REGIME_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    STATISTIC_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    source: str
    onset: _timestamp_pb2.Timestamp
    detected: _timestamp_pb2.Timestamp
    from_regime: str
    to_regime: str
    channels: _containers.RepeatedScalarFieldContainer[str]
    statistic: float
    threshold: float
    reason: str
    def __init__(self, id: _Optional[str] = ..., source: _Optional[str] = ..., onset: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., detected: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., from_regime: _Optional[str] = ..., to_regime: _Optional[str] = ..., channels: _Optional[_Iterable[str]] = ..., statistic: _Optional[float] = ..., threshold: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class TelemetryRecord(_message.Message):
    __slots__ = ("source", "times_us", "columns", "energy_state", "power_kind", "own_credential")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TIMES_US_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ENERGY_STATE_FIELD_NUMBER: _ClassVar[int]
    POWER_KIND_FIELD_NUMBER: _ClassVar[int]
    OWN_CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    source: str
    times_us: _containers.RepeatedScalarFieldContainer[int]
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    energy_state: EnergyState
    power_kind: str
    own_credential: bool
    def __init__(self, source: _Optional[str] = ..., times_us: _Optional[_Iterable[int]] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., energy_state: _Optional[_Union[EnergyState, _Mapping]] = ..., power_kind: _Optional[str] = ..., own_credential: _Optional[bool] = ...) -> None: ...

class MeasureRequest(_message.Message):
    __slots__ = ("source", "start", "end", "received_after")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AFTER_FIELD_NUMBER: _ClassVar[int]
    source: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    received_after: _timestamp_pb2.Timestamp
    def __init__(self, source: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., received_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MeasureResponse(_message.Message):
    __slots__ = ("energy", "energy_uncertainty", "entropy", "entropy_uncertainty", "entropy_method", "covered_s", "window_s", "complete", "settled", "samples", "kind", "power_method", "own_credential", "largest_delay_s", "checks", "clock")
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    ENERGY_UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_METHOD_FIELD_NUMBER: _ClassVar[int]
    COVERED_S_FIELD_NUMBER: _ClassVar[int]
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    POWER_METHOD_FIELD_NUMBER: _ClassVar[int]
    OWN_CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    LARGEST_DELAY_S_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    energy: float
    energy_uncertainty: float
    entropy: float
    entropy_uncertainty: float
    entropy_method: str
    covered_s: float
    window_s: float
    complete: bool
    settled: bool
    samples: int
    kind: str
    power_method: str
    own_credential: bool
    largest_delay_s: float
    checks: PhysicsChecks
    clock: _timestamp_pb2.Timestamp
    def __init__(self, energy: _Optional[float] = ..., energy_uncertainty: _Optional[float] = ..., entropy: _Optional[float] = ..., entropy_uncertainty: _Optional[float] = ..., entropy_method: _Optional[str] = ..., covered_s: _Optional[float] = ..., window_s: _Optional[float] = ..., complete: _Optional[bool] = ..., settled: _Optional[bool] = ..., samples: _Optional[int] = ..., kind: _Optional[str] = ..., power_method: _Optional[str] = ..., own_credential: _Optional[bool] = ..., largest_delay_s: _Optional[float] = ..., checks: _Optional[_Union[PhysicsChecks, _Mapping]] = ..., clock: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PhysicsChecks(_message.Message):
    __slots__ = ("energy_conservation", "entropy_valid", "feasibility_check", "untested", "residual", "residual_uncertainty")
    ENERGY_CONSERVATION_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_VALID_FIELD_NUMBER: _ClassVar[int]
    FEASIBILITY_CHECK_FIELD_NUMBER: _ClassVar[int]
    UNTESTED_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_FIELD_NUMBER: _ClassVar[int]
    RESIDUAL_UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    energy_conservation: bool
    entropy_valid: bool
    feasibility_check: bool
    untested: _containers.RepeatedScalarFieldContainer[str]
    residual: float
    residual_uncertainty: float
    def __init__(self, energy_conservation: _Optional[bool] = ..., entropy_valid: _Optional[bool] = ..., feasibility_check: _Optional[bool] = ..., untested: _Optional[_Iterable[str]] = ..., residual: _Optional[float] = ..., residual_uncertainty: _Optional[float] = ...) -> None: ...

class MeasureIntervalsRequest(_message.Message):
    __slots__ = ("source", "start", "interval_s", "intervals", "channels", "received_after")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    INTERVALS_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AFTER_FIELD_NUMBER: _ClassVar[int]
    source: str
    start: _timestamp_pb2.Timestamp
    interval_s: int
    intervals: int
    channels: _containers.RepeatedScalarFieldContainer[str]
    received_after: _timestamp_pb2.Timestamp
    def __init__(self, source: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., interval_s: _Optional[int] = ..., intervals: _Optional[int] = ..., channels: _Optional[_Iterable[str]] = ..., received_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MeasureIntervalsResponse(_message.Message):
    __slots__ = ("energy", "covered_s", "columns", "kind", "power_method", "own_credential", "largest_delay_s", "clock", "settled", "power_kind")
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    COVERED_S_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    POWER_METHOD_FIELD_NUMBER: _ClassVar[int]
    OWN_CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    LARGEST_DELAY_S_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    POWER_KIND_FIELD_NUMBER: _ClassVar[int]
    energy: _containers.RepeatedScalarFieldContainer[float]
    covered_s: _containers.RepeatedScalarFieldContainer[float]
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    kind: str
    power_method: str
    own_credential: bool
    largest_delay_s: float
    clock: _timestamp_pb2.Timestamp
    settled: bool
    power_kind: str
    def __init__(self, energy: _Optional[_Iterable[float]] = ..., covered_s: _Optional[_Iterable[float]] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., kind: _Optional[str] = ..., power_method: _Optional[str] = ..., own_credential: _Optional[bool] = ..., largest_delay_s: _Optional[float] = ..., clock: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., settled: _Optional[bool] = ..., power_kind: _Optional[str] = ...) -> None: ...

class GetHistoryRequest(_message.Message):
    __slots__ = ("source", "rows")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    source: str
    rows: int
    def __init__(self, source: _Optional[str] = ..., rows: _Optional[int] = ...) -> None: ...

class GetHistoryResponse(_message.Message):
    __slots__ = ("times_us", "columns", "power_kind", "kind", "power_uncertainty", "energy_state")
    TIMES_US_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    POWER_KIND_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    POWER_UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    ENERGY_STATE_FIELD_NUMBER: _ClassVar[int]
    times_us: _containers.RepeatedScalarFieldContainer[int]
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    power_kind: str
    kind: str
    power_uncertainty: float
    energy_state: EnergyState
    def __init__(self, times_us: _Optional[_Iterable[int]] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., power_kind: _Optional[str] = ..., kind: _Optional[str] = ..., power_uncertainty: _Optional[float] = ..., energy_state: _Optional[_Union[EnergyState, _Mapping]] = ...) -> None: ...

class PutSourceRequest(_message.Message):
    __slots__ = ("source", "kind", "credential", "nameplate_w", "power_uncertainty")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    NAMEPLATE_W_FIELD_NUMBER: _ClassVar[int]
    POWER_UNCERTAINTY_FIELD_NUMBER: _ClassVar[int]
    source: str
    kind: str
    credential: str
    nameplate_w: float
    power_uncertainty: float
    def __init__(self, source: _Optional[str] = ..., kind: _Optional[str] = ..., credential: _Optional[str] = ..., nameplate_w: _Optional[float] = ..., power_uncertainty: _Optional[float] = ...) -> None: ...

class PutSourceResponse(_message.Message):
    __slots__ = ("source", "kind", "credential")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    source: str
    kind: str
    credential: str
    def __init__(self, source: _Optional[str] = ..., kind: _Optional[str] = ..., credential: _Optional[str] = ...) -> None: ...

class DeleteSourceRequest(_message.Message):
    __slots__ = ("source",)
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    source: str
    def __init__(self, source: _Optional[str] = ...) -> None: ...

class DeleteSourceResponse(_message.Message):
    __slots__ = ("closed_until",)
    CLOSED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    closed_until: _timestamp_pb2.Timestamp
    def __init__(self, closed_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SourceErased(_message.Message):
    __slots__ = ("source",)
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    source: str
    def __init__(self, source: _Optional[str] = ...) -> None: ...
