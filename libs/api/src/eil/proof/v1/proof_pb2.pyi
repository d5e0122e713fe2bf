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
    __slots__ = ("response", "source", "time", "settled_by_mesh", "window_start", "window_end", "predicted_energy", "winkler", "winkler_baseline", "minted_u", "earned_u", "purpose")
    class PurposeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
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
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
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
    purpose: _containers.ScalarMap[str, str]
    def __init__(self, response: _Optional[_Union[ProveResponse, _Mapping]] = ..., source: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., settled_by_mesh: _Optional[bool] = ..., window_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., predicted_energy: _Optional[float] = ..., winkler: _Optional[float] = ..., winkler_baseline: _Optional[float] = ..., minted_u: _Optional[int] = ..., earned_u: _Optional[int] = ..., purpose: _Optional[_Mapping[str, str]] = ...) -> None: ...

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

class BeginVerificationRequest(_message.Message):
    __slots__ = ("source", "boundary", "ipmvp_option", "method", "model", "driver", "interval_s", "baseline_start", "baseline_end", "reporting_start", "reporting_intervals", "pairs", "block_intervals", "washout_intervals", "request_id")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    BOUNDARY_FIELD_NUMBER: _ClassVar[int]
    IPMVP_OPTION_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    BASELINE_START_FIELD_NUMBER: _ClassVar[int]
    BASELINE_END_FIELD_NUMBER: _ClassVar[int]
    REPORTING_START_FIELD_NUMBER: _ClassVar[int]
    REPORTING_INTERVALS_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_INTERVALS_FIELD_NUMBER: _ClassVar[int]
    WASHOUT_INTERVALS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    source: str
    boundary: str
    ipmvp_option: str
    method: str
    model: str
    driver: str
    interval_s: int
    baseline_start: _timestamp_pb2.Timestamp
    baseline_end: _timestamp_pb2.Timestamp
    reporting_start: _timestamp_pb2.Timestamp
    reporting_intervals: int
    pairs: int
    block_intervals: int
    washout_intervals: int
    request_id: str
    def __init__(self, source: _Optional[str] = ..., boundary: _Optional[str] = ..., ipmvp_option: _Optional[str] = ..., method: _Optional[str] = ..., model: _Optional[str] = ..., driver: _Optional[str] = ..., interval_s: _Optional[int] = ..., baseline_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., baseline_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reporting_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reporting_intervals: _Optional[int] = ..., pairs: _Optional[int] = ..., block_intervals: _Optional[int] = ..., washout_intervals: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class BeginVerificationResponse(_message.Message):
    __slots__ = ("verification",)
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    verification: Verification
    def __init__(self, verification: _Optional[_Union[Verification, _Mapping]] = ...) -> None: ...

class Verification(_message.Message):
    __slots__ = ("verification_id", "source", "boundary", "ipmvp_option", "method", "model", "driver", "interval_s", "baseline_start", "baseline_end", "reporting_start", "reporting_end", "state", "reason", "frozen", "commitment_digest", "baseline", "on_first", "saving", "evaluated", "record_digest", "disputes", "undisputed_state", "asked_by")
    VERIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    BOUNDARY_FIELD_NUMBER: _ClassVar[int]
    IPMVP_OPTION_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DRIVER_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_S_FIELD_NUMBER: _ClassVar[int]
    BASELINE_START_FIELD_NUMBER: _ClassVar[int]
    BASELINE_END_FIELD_NUMBER: _ClassVar[int]
    REPORTING_START_FIELD_NUMBER: _ClassVar[int]
    REPORTING_END_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    COMMITMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    ON_FIRST_FIELD_NUMBER: _ClassVar[int]
    SAVING_FIELD_NUMBER: _ClassVar[int]
    EVALUATED_FIELD_NUMBER: _ClassVar[int]
    RECORD_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DISPUTES_FIELD_NUMBER: _ClassVar[int]
    UNDISPUTED_STATE_FIELD_NUMBER: _ClassVar[int]
    ASKED_BY_FIELD_NUMBER: _ClassVar[int]
    verification_id: str
    source: str
    boundary: str
    ipmvp_option: str
    method: str
    model: str
    driver: str
    interval_s: int
    baseline_start: _timestamp_pb2.Timestamp
    baseline_end: _timestamp_pb2.Timestamp
    reporting_start: _timestamp_pb2.Timestamp
    reporting_end: _timestamp_pb2.Timestamp
    state: str
    reason: str
    frozen: _timestamp_pb2.Timestamp
    commitment_digest: str
    baseline: Baseline
    on_first: _containers.RepeatedScalarFieldContainer[bool]
    saving: Saving
    evaluated: _timestamp_pb2.Timestamp
    record_digest: str
    disputes: _containers.RepeatedCompositeFieldContainer[Dispute]
    undisputed_state: str
    asked_by: str
    def __init__(self, verification_id: _Optional[str] = ..., source: _Optional[str] = ..., boundary: _Optional[str] = ..., ipmvp_option: _Optional[str] = ..., method: _Optional[str] = ..., model: _Optional[str] = ..., driver: _Optional[str] = ..., interval_s: _Optional[int] = ..., baseline_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., baseline_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reporting_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reporting_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[str] = ..., reason: _Optional[str] = ..., frozen: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., commitment_digest: _Optional[str] = ..., baseline: _Optional[_Union[Baseline, _Mapping]] = ..., on_first: _Optional[_Iterable[bool]] = ..., saving: _Optional[_Union[Saving, _Mapping]] = ..., evaluated: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., record_digest: _Optional[str] = ..., disputes: _Optional[_Iterable[_Union[Dispute, _Mapping]]] = ..., undisputed_state: _Optional[str] = ..., asked_by: _Optional[str] = ...) -> None: ...

class Baseline(_message.Message):
    __slots__ = ("n", "p", "rho", "n_effective", "cv_rmse", "nmbe", "adjusted_r2", "missing", "placebo_windows", "placebo_degrees", "chosen", "max_cv_rmse", "max_nmbe", "lacking", "failed_gates")
    N_FIELD_NUMBER: _ClassVar[int]
    P_FIELD_NUMBER: _ClassVar[int]
    RHO_FIELD_NUMBER: _ClassVar[int]
    N_EFFECTIVE_FIELD_NUMBER: _ClassVar[int]
    CV_RMSE_FIELD_NUMBER: _ClassVar[int]
    NMBE_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_R2_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    PLACEBO_WINDOWS_FIELD_NUMBER: _ClassVar[int]
    PLACEBO_DEGREES_FIELD_NUMBER: _ClassVar[int]
    CHOSEN_FIELD_NUMBER: _ClassVar[int]
    MAX_CV_RMSE_FIELD_NUMBER: _ClassVar[int]
    MAX_NMBE_FIELD_NUMBER: _ClassVar[int]
    LACKING_FIELD_NUMBER: _ClassVar[int]
    FAILED_GATES_FIELD_NUMBER: _ClassVar[int]
    n: int
    p: int
    rho: float
    n_effective: float
    cv_rmse: float
    nmbe: float
    adjusted_r2: float
    missing: float
    placebo_windows: int
    placebo_degrees: float
    chosen: str
    max_cv_rmse: float
    max_nmbe: float
    lacking: _containers.RepeatedScalarFieldContainer[str]
    failed_gates: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, n: _Optional[int] = ..., p: _Optional[int] = ..., rho: _Optional[float] = ..., n_effective: _Optional[float] = ..., cv_rmse: _Optional[float] = ..., nmbe: _Optional[float] = ..., adjusted_r2: _Optional[float] = ..., missing: _Optional[float] = ..., placebo_windows: _Optional[int] = ..., placebo_degrees: _Optional[float] = ..., chosen: _Optional[str] = ..., max_cv_rmse: _Optional[float] = ..., max_nmbe: _Optional[float] = ..., lacking: _Optional[_Iterable[str]] = ..., failed_gates: _Optional[_Iterable[str]] = ...) -> None: ...

class Saving(_message.Message):
    __slots__ = ("saving", "saving_low", "saving_high", "predicted_energy", "measured_energy", "ar1_half_width", "guideline14_half_width", "placebo_coverage", "missing", "creditable")
    SAVING_FIELD_NUMBER: _ClassVar[int]
    SAVING_LOW_FIELD_NUMBER: _ClassVar[int]
    SAVING_HIGH_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_ENERGY_FIELD_NUMBER: _ClassVar[int]
    MEASURED_ENERGY_FIELD_NUMBER: _ClassVar[int]
    AR1_HALF_WIDTH_FIELD_NUMBER: _ClassVar[int]
    GUIDELINE14_HALF_WIDTH_FIELD_NUMBER: _ClassVar[int]
    PLACEBO_COVERAGE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    CREDITABLE_FIELD_NUMBER: _ClassVar[int]
    saving: float
    saving_low: float
    saving_high: float
    predicted_energy: float
    measured_energy: float
    ar1_half_width: float
    guideline14_half_width: float
    placebo_coverage: float
    missing: float
    creditable: float
    def __init__(self, saving: _Optional[float] = ..., saving_low: _Optional[float] = ..., saving_high: _Optional[float] = ..., predicted_energy: _Optional[float] = ..., measured_energy: _Optional[float] = ..., ar1_half_width: _Optional[float] = ..., guideline14_half_width: _Optional[float] = ..., placebo_coverage: _Optional[float] = ..., missing: _Optional[float] = ..., creditable: _Optional[float] = ...) -> None: ...

class Dispute(_message.Message):
    __slots__ = ("reason", "evidence", "start", "end", "declared_by", "declared")
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    DECLARED_BY_FIELD_NUMBER: _ClassVar[int]
    DECLARED_FIELD_NUMBER: _ClassVar[int]
    reason: str
    evidence: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    declared_by: str
    declared: _timestamp_pb2.Timestamp
    def __init__(self, reason: _Optional[str] = ..., evidence: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., declared_by: _Optional[str] = ..., declared: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EvaluateVerificationRequest(_message.Message):
    __slots__ = ("verification_id",)
    VERIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    verification_id: str
    def __init__(self, verification_id: _Optional[str] = ...) -> None: ...

class EvaluateVerificationResponse(_message.Message):
    __slots__ = ("verification", "already_evaluated")
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    ALREADY_EVALUATED_FIELD_NUMBER: _ClassVar[int]
    verification: Verification
    already_evaluated: bool
    def __init__(self, verification: _Optional[_Union[Verification, _Mapping]] = ..., already_evaluated: _Optional[bool] = ...) -> None: ...

class DisputeVerificationRequest(_message.Message):
    __slots__ = ("verification_id", "reason", "evidence", "start", "end", "request_id")
    VERIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    verification_id: str
    reason: str
    evidence: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    request_id: str
    def __init__(self, verification_id: _Optional[str] = ..., reason: _Optional[str] = ..., evidence: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class DisputeVerificationResponse(_message.Message):
    __slots__ = ("verification",)
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    verification: Verification
    def __init__(self, verification: _Optional[_Union[Verification, _Mapping]] = ...) -> None: ...

class GetVerificationRequest(_message.Message):
    __slots__ = ("verification_id",)
    VERIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    verification_id: str
    def __init__(self, verification_id: _Optional[str] = ...) -> None: ...

class GetVerificationResponse(_message.Message):
    __slots__ = ("verification",)
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    verification: Verification
    def __init__(self, verification: _Optional[_Union[Verification, _Mapping]] = ...) -> None: ...

class ListVerificationsRequest(_message.Message):
    __slots__ = ("source", "page_size", "page_token")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    source: str
    page_size: int
    page_token: str
    def __init__(self, source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListVerificationsResponse(_message.Message):
    __slots__ = ("verifications", "next_page_token")
    VERIFICATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    verifications: _containers.RepeatedCompositeFieldContainer[Verification]
    next_page_token: str
    def __init__(self, verifications: _Optional[_Iterable[_Union[Verification, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ExportVerificationRequest(_message.Message):
    __slots__ = ("verification_id",)
    VERIFICATION_ID_FIELD_NUMBER: _ClassVar[int]
    verification_id: str
    def __init__(self, verification_id: _Optional[str] = ...) -> None: ...

class ExportVerificationResponse(_message.Message):
    __slots__ = ("record", "csv")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    CSV_FIELD_NUMBER: _ClassVar[int]
    record: str
    csv: str
    def __init__(self, record: _Optional[str] = ..., csv: _Optional[str] = ...) -> None: ...
