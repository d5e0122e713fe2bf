from buf.validate import validate_pb2 as _validate_pb2
from eil.common.v1 import access_pb2 as _access_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PredictRequest(_message.Message):
    __slots__ = ("history", "source", "horizon", "level", "planned")
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    PLANNED_FIELD_NUMBER: _ClassVar[int]
    history: _containers.RepeatedCompositeFieldContainer[Series]
    source: str
    horizon: int
    level: float
    planned: _containers.RepeatedCompositeFieldContainer[Series]
    def __init__(self, history: _Optional[_Iterable[_Union[Series, _Mapping]]] = ..., source: _Optional[str] = ..., horizon: _Optional[int] = ..., level: _Optional[float] = ..., planned: _Optional[_Iterable[_Union[Series, _Mapping]]] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("predictions", "method", "in_domain", "reason", "level", "abstained", "findings", "disagreement", "trust")
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    IN_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ABSTAINED_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    DISAGREEMENT_FIELD_NUMBER: _ClassVar[int]
    TRUST_FIELD_NUMBER: _ClassVar[int]
    predictions: _containers.RepeatedCompositeFieldContainer[Prediction]
    method: str
    in_domain: bool
    reason: str
    level: float
    abstained: bool
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    disagreement: float
    trust: float
    def __init__(self, predictions: _Optional[_Iterable[_Union[Prediction, _Mapping]]] = ..., method: _Optional[str] = ..., in_domain: _Optional[bool] = ..., reason: _Optional[str] = ..., level: _Optional[float] = ..., abstained: _Optional[bool] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., disagreement: _Optional[float] = ..., trust: _Optional[float] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("question", "verdict", "sentence")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    SENTENCE_FIELD_NUMBER: _ClassVar[int]
    question: str
    verdict: str
    sentence: str
    def __init__(self, question: _Optional[str] = ..., verdict: _Optional[str] = ..., sentence: _Optional[str] = ...) -> None: ...

class PredictBatchRequest(_message.Message):
    __slots__ = ("requests",)
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[PredictRequest]
    def __init__(self, requests: _Optional[_Iterable[_Union[PredictRequest, _Mapping]]] = ...) -> None: ...

class PredictBatchResponse(_message.Message):
    __slots__ = ("items",)
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    items: _containers.RepeatedCompositeFieldContainer[PredictBatchItem]
    def __init__(self, items: _Optional[_Iterable[_Union[PredictBatchItem, _Mapping]]] = ...) -> None: ...

class PredictBatchItem(_message.Message):
    __slots__ = ("response", "error", "code")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    response: PredictResponse
    error: str
    code: str
    def __init__(self, response: _Optional[_Union[PredictResponse, _Mapping]] = ..., error: _Optional[str] = ..., code: _Optional[str] = ...) -> None: ...

class WatchPredictionsRequest(_message.Message):
    __slots__ = ("source", "horizon", "level")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    source: str
    horizon: int
    level: float
    def __init__(self, source: _Optional[str] = ..., horizon: _Optional[int] = ..., level: _Optional[float] = ...) -> None: ...

class WatchPredictionsResponse(_message.Message):
    __slots__ = ("prediction", "state_id")
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    STATE_ID_FIELD_NUMBER: _ClassVar[int]
    prediction: PredictResponse
    state_id: str
    def __init__(self, prediction: _Optional[_Union[PredictResponse, _Mapping]] = ..., state_id: _Optional[str] = ...) -> None: ...

class PredictFieldRequest(_message.Message):
    __slots__ = ("domain", "state", "inputs", "steps", "every_step")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    EVERY_STEP_FIELD_NUMBER: _ClassVar[int]
    domain: str
    state: _containers.RepeatedCompositeFieldContainer[Grid]
    inputs: _containers.RepeatedCompositeFieldContainer[Grid]
    steps: int
    every_step: bool
    def __init__(self, domain: _Optional[str] = ..., state: _Optional[_Iterable[_Union[Grid, _Mapping]]] = ..., inputs: _Optional[_Iterable[_Union[Grid, _Mapping]]] = ..., steps: _Optional[int] = ..., every_step: _Optional[bool] = ...) -> None: ...

class Grid(_message.Message):
    __slots__ = ("name", "values")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class PredictFieldResponse(_message.Message):
    __slots__ = ("states", "model", "in_domain", "abstained", "novelty", "findings", "disagreement", "reason")
    STATES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    IN_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    ABSTAINED_FIELD_NUMBER: _ClassVar[int]
    NOVELTY_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    DISAGREEMENT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedCompositeFieldContainer[FieldState]
    model: Model
    in_domain: bool
    abstained: bool
    novelty: float
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    disagreement: float
    reason: str
    def __init__(self, states: _Optional[_Iterable[_Union[FieldState, _Mapping]]] = ..., model: _Optional[_Union[Model, _Mapping]] = ..., in_domain: _Optional[bool] = ..., abstained: _Optional[bool] = ..., novelty: _Optional[float] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., disagreement: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class FieldState(_message.Message):
    __slots__ = ("step", "channels", "relative_error")
    STEP_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    RELATIVE_ERROR_FIELD_NUMBER: _ClassVar[int]
    step: int
    channels: _containers.RepeatedCompositeFieldContainer[Grid]
    relative_error: float
    def __init__(self, step: _Optional[int] = ..., channels: _Optional[_Iterable[_Union[Grid, _Mapping]]] = ..., relative_error: _Optional[float] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("domain", "digest", "members", "points", "step_s", "states", "inputs", "data_digest", "code", "licensed")
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    DATA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    LICENSED_FIELD_NUMBER: _ClassVar[int]
    domain: str
    digest: str
    members: _containers.RepeatedCompositeFieldContainer[Member]
    points: int
    step_s: float
    states: _containers.RepeatedScalarFieldContainer[str]
    inputs: _containers.RepeatedScalarFieldContainer[str]
    data_digest: str
    code: str
    licensed: bool
    def __init__(self, domain: _Optional[str] = ..., digest: _Optional[str] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., points: _Optional[int] = ..., step_s: _Optional[float] = ..., states: _Optional[_Iterable[str]] = ..., inputs: _Optional[_Iterable[str]] = ..., data_digest: _Optional[str] = ..., code: _Optional[str] = ..., licensed: _Optional[bool] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("name", "stage", "metrics")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    name: str
    stage: str
    metrics: _containers.ScalarMap[str, float]
    def __init__(self, name: _Optional[str] = ..., stage: _Optional[str] = ..., metrics: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class PutModelRequest(_message.Message):
    __slots__ = ("digest", "licensed")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    LICENSED_FIELD_NUMBER: _ClassVar[int]
    digest: str
    licensed: bool
    def __init__(self, digest: _Optional[str] = ..., licensed: _Optional[bool] = ...) -> None: ...

class PutModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: PredictRequest
    def __init__(self, request: _Optional[_Union[PredictRequest, _Mapping]] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("prediction", "opinions", "drivers")
    PREDICTION_FIELD_NUMBER: _ClassVar[int]
    OPINIONS_FIELD_NUMBER: _ClassVar[int]
    DRIVERS_FIELD_NUMBER: _ClassVar[int]
    prediction: PredictResponse
    opinions: _containers.RepeatedCompositeFieldContainer[Opinion]
    drivers: _containers.RepeatedCompositeFieldContainer[Driver]
    def __init__(self, prediction: _Optional[_Union[PredictResponse, _Mapping]] = ..., opinions: _Optional[_Iterable[_Union[Opinion, _Mapping]]] = ..., drivers: _Optional[_Iterable[_Union[Driver, _Mapping]]] = ...) -> None: ...

class Opinion(_message.Message):
    __slots__ = ("member", "channel", "point", "held_out_error", "weight")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    POINT_FIELD_NUMBER: _ClassVar[int]
    HELD_OUT_ERROR_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    member: str
    channel: str
    point: _containers.RepeatedScalarFieldContainer[float]
    held_out_error: float
    weight: float
    def __init__(self, member: _Optional[str] = ..., channel: _Optional[str] = ..., point: _Optional[_Iterable[float]] = ..., held_out_error: _Optional[float] = ..., weight: _Optional[float] = ...) -> None: ...

class Driver(_message.Message):
    __slots__ = ("channel", "by", "lag", "contribution")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    LAG_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    channel: str
    by: str
    lag: int
    contribution: float
    def __init__(self, channel: _Optional[str] = ..., by: _Optional[str] = ..., lag: _Optional[int] = ..., contribution: _Optional[float] = ...) -> None: ...

class Prediction(_message.Message):
    __slots__ = ("name", "point", "low", "high", "total", "total_low", "total_high")
    NAME_FIELD_NUMBER: _ClassVar[int]
    POINT_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    TOTAL_LOW_FIELD_NUMBER: _ClassVar[int]
    TOTAL_HIGH_FIELD_NUMBER: _ClassVar[int]
    name: str
    point: _containers.RepeatedScalarFieldContainer[float]
    low: _containers.RepeatedScalarFieldContainer[float]
    high: _containers.RepeatedScalarFieldContainer[float]
    total: float
    total_low: float
    total_high: float
    def __init__(self, name: _Optional[str] = ..., point: _Optional[_Iterable[float]] = ..., low: _Optional[_Iterable[float]] = ..., high: _Optional[_Iterable[float]] = ..., total: _Optional[float] = ..., total_low: _Optional[float] = ..., total_high: _Optional[float] = ...) -> None: ...
