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

class ActRequest(_message.Message):
    __slots__ = ("goal", "constraints", "current_state", "source", "horizon_s", "mode", "request_id", "price_per_kwh", "carbon_g_per_kwh", "series_step_s", "weights")
    GOAL_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    CURRENT_STATE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    HORIZON_S_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PRICE_PER_KWH_FIELD_NUMBER: _ClassVar[int]
    CARBON_G_PER_KWH_FIELD_NUMBER: _ClassVar[int]
    SERIES_STEP_S_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    goal: str
    constraints: Constraints
    current_state: CurrentState
    source: str
    horizon_s: float
    mode: str
    request_id: str
    price_per_kwh: _containers.RepeatedScalarFieldContainer[float]
    carbon_g_per_kwh: _containers.RepeatedScalarFieldContainer[float]
    series_step_s: float
    weights: Weights
    def __init__(self, goal: _Optional[str] = ..., constraints: _Optional[_Union[Constraints, _Mapping]] = ..., current_state: _Optional[_Union[CurrentState, _Mapping]] = ..., source: _Optional[str] = ..., horizon_s: _Optional[float] = ..., mode: _Optional[str] = ..., request_id: _Optional[str] = ..., price_per_kwh: _Optional[_Iterable[float]] = ..., carbon_g_per_kwh: _Optional[_Iterable[float]] = ..., series_step_s: _Optional[float] = ..., weights: _Optional[_Union[Weights, _Mapping]] = ...) -> None: ...

class Weights(_message.Message):
    __slots__ = ("energy", "entropy", "irreversibility")
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    IRREVERSIBILITY_FIELD_NUMBER: _ClassVar[int]
    energy: float
    entropy: float
    irreversibility: float
    def __init__(self, energy: _Optional[float] = ..., entropy: _Optional[float] = ..., irreversibility: _Optional[float] = ...) -> None: ...

class Constraints(_message.Message):
    __slots__ = ("max_latency_ms", "min_throughput", "max_power_w", "max_temperature_c")
    MAX_LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_THROUGHPUT_FIELD_NUMBER: _ClassVar[int]
    MAX_POWER_W_FIELD_NUMBER: _ClassVar[int]
    MAX_TEMPERATURE_C_FIELD_NUMBER: _ClassVar[int]
    max_latency_ms: float
    min_throughput: float
    max_power_w: float
    max_temperature_c: float
    def __init__(self, max_latency_ms: _Optional[float] = ..., min_throughput: _Optional[float] = ..., max_power_w: _Optional[float] = ..., max_temperature_c: _Optional[float] = ...) -> None: ...

class CurrentState(_message.Message):
    __slots__ = ("active_servers", "avg_utilization", "settings")
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ACTIVE_SERVERS_FIELD_NUMBER: _ClassVar[int]
    AVG_UTILIZATION_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    active_servers: int
    avg_utilization: float
    settings: _containers.ScalarMap[str, float]
    def __init__(self, active_servers: _Optional[int] = ..., avg_utilization: _Optional[float] = ..., settings: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ActResponse(_message.Message):
    __slots__ = ("action", "proof", "pft_reward", "prediction_id", "horizon_s", "predicted_state", "alternatives", "reason", "mode", "emitted", "window_start", "disruption_score")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    PFT_REWARD_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    HORIZON_S_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_STATE_FIELD_NUMBER: _ClassVar[int]
    ALTERNATIVES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    EMITTED_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_FIELD_NUMBER: _ClassVar[int]
    DISRUPTION_SCORE_FIELD_NUMBER: _ClassVar[int]
    action: Action
    proof: Checks
    pft_reward: float
    prediction_id: str
    horizon_s: float
    predicted_state: PredictedState
    alternatives: _containers.RepeatedCompositeFieldContainer[Alternative]
    reason: str
    mode: str
    emitted: bool
    window_start: _timestamp_pb2.Timestamp
    disruption_score: float
    def __init__(self, action: _Optional[_Union[Action, _Mapping]] = ..., proof: _Optional[_Union[Checks, _Mapping]] = ..., pft_reward: _Optional[float] = ..., prediction_id: _Optional[str] = ..., horizon_s: _Optional[float] = ..., predicted_state: _Optional[_Union[PredictedState, _Mapping]] = ..., alternatives: _Optional[_Iterable[_Union[Alternative, _Mapping]]] = ..., reason: _Optional[str] = ..., mode: _Optional[str] = ..., emitted: _Optional[bool] = ..., window_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., disruption_score: _Optional[float] = ...) -> None: ...

class Action(_message.Message):
    __slots__ = ("type", "target_servers", "expected_energy_savings", "expected_entropy_change", "lease_s", "revert_to_servers", "renewal", "settings")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    TARGET_SERVERS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ENERGY_SAVINGS_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_ENTROPY_CHANGE_FIELD_NUMBER: _ClassVar[int]
    LEASE_S_FIELD_NUMBER: _ClassVar[int]
    REVERT_TO_SERVERS_FIELD_NUMBER: _ClassVar[int]
    RENEWAL_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    type: str
    target_servers: int
    expected_energy_savings: float
    expected_entropy_change: float
    lease_s: float
    revert_to_servers: int
    renewal: bool
    settings: _containers.RepeatedCompositeFieldContainer[Setting]
    def __init__(self, type: _Optional[str] = ..., target_servers: _Optional[int] = ..., expected_energy_savings: _Optional[float] = ..., expected_entropy_change: _Optional[float] = ..., lease_s: _Optional[float] = ..., revert_to_servers: _Optional[int] = ..., renewal: _Optional[bool] = ..., settings: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ...) -> None: ...

class Setting(_message.Message):
    __slots__ = ("lever", "value", "change", "revert_to")
    LEVER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    REVERT_TO_FIELD_NUMBER: _ClassVar[int]
    lever: str
    value: float
    change: float
    revert_to: float
    def __init__(self, lever: _Optional[str] = ..., value: _Optional[float] = ..., change: _Optional[float] = ..., revert_to: _Optional[float] = ...) -> None: ...

class Checks(_message.Message):
    __slots__ = ("energy_conservation", "entropy_valid", "feasibility_check", "untested")
    ENERGY_CONSERVATION_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_VALID_FIELD_NUMBER: _ClassVar[int]
    FEASIBILITY_CHECK_FIELD_NUMBER: _ClassVar[int]
    UNTESTED_FIELD_NUMBER: _ClassVar[int]
    energy_conservation: bool
    entropy_valid: bool
    feasibility_check: bool
    untested: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, energy_conservation: _Optional[bool] = ..., entropy_valid: _Optional[bool] = ..., feasibility_check: _Optional[bool] = ..., untested: _Optional[_Iterable[str]] = ...) -> None: ...

class PredictedState(_message.Message):
    __slots__ = ("energy", "entropy", "energy_low", "energy_high")
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_FIELD_NUMBER: _ClassVar[int]
    ENERGY_LOW_FIELD_NUMBER: _ClassVar[int]
    ENERGY_HIGH_FIELD_NUMBER: _ClassVar[int]
    energy: float
    entropy: float
    energy_low: float
    energy_high: float
    def __init__(self, energy: _Optional[float] = ..., entropy: _Optional[float] = ..., energy_low: _Optional[float] = ..., energy_high: _Optional[float] = ...) -> None: ...

class Alternative(_message.Message):
    __slots__ = ("target_servers", "cost", "energy", "latency_ms", "reason", "settings")
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    TARGET_SERVERS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    LATENCY_MS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    target_servers: int
    cost: float
    energy: float
    latency_ms: float
    reason: str
    settings: _containers.ScalarMap[str, float]
    def __init__(self, target_servers: _Optional[int] = ..., cost: _Optional[float] = ..., energy: _Optional[float] = ..., latency_ms: _Optional[float] = ..., reason: _Optional[str] = ..., settings: _Optional[_Mapping[str, float]] = ...) -> None: ...

class GetDecisionRequest(_message.Message):
    __slots__ = ("prediction_id",)
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    def __init__(self, prediction_id: _Optional[str] = ...) -> None: ...

class GetDecisionResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("request", "response", "committed", "window_start", "window_end", "baseline_low", "baseline_high", "inputs_digest", "approved_by", "asked_by", "may_mint", "emitted", "withheld", "purpose")
    class PurposeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    WINDOW_START_FIELD_NUMBER: _ClassVar[int]
    WINDOW_END_FIELD_NUMBER: _ClassVar[int]
    BASELINE_LOW_FIELD_NUMBER: _ClassVar[int]
    BASELINE_HIGH_FIELD_NUMBER: _ClassVar[int]
    INPUTS_DIGEST_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BY_FIELD_NUMBER: _ClassVar[int]
    ASKED_BY_FIELD_NUMBER: _ClassVar[int]
    MAY_MINT_FIELD_NUMBER: _ClassVar[int]
    EMITTED_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    request: ActRequest
    response: ActResponse
    committed: _timestamp_pb2.Timestamp
    window_start: _timestamp_pb2.Timestamp
    window_end: _timestamp_pb2.Timestamp
    baseline_low: float
    baseline_high: float
    inputs_digest: str
    approved_by: str
    asked_by: str
    may_mint: bool
    emitted: _timestamp_pb2.Timestamp
    withheld: str
    purpose: _containers.ScalarMap[str, str]
    def __init__(self, request: _Optional[_Union[ActRequest, _Mapping]] = ..., response: _Optional[_Union[ActResponse, _Mapping]] = ..., committed: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., window_end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., baseline_low: _Optional[float] = ..., baseline_high: _Optional[float] = ..., inputs_digest: _Optional[str] = ..., approved_by: _Optional[str] = ..., asked_by: _Optional[str] = ..., may_mint: _Optional[bool] = ..., emitted: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., withheld: _Optional[str] = ..., purpose: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Control(_message.Message):
    __slots__ = ("change", "source", "mode", "by", "reason", "levers")
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    LEVERS_FIELD_NUMBER: _ClassVar[int]
    change: str
    source: str
    mode: str
    by: str
    reason: str
    levers: _containers.RepeatedCompositeFieldContainer[Lever]
    def __init__(self, change: _Optional[str] = ..., source: _Optional[str] = ..., mode: _Optional[str] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ..., levers: _Optional[_Iterable[_Union[Lever, _Mapping]]] = ...) -> None: ...

class GetDecisionTreeRequest(_message.Message):
    __slots__ = ("prediction_id",)
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    def __init__(self, prediction_id: _Optional[str] = ...) -> None: ...

class GetDecisionTreeResponse(_message.Message):
    __slots__ = ("root",)
    ROOT_FIELD_NUMBER: _ClassVar[int]
    root: DecisionNode
    def __init__(self, root: _Optional[_Union[DecisionNode, _Mapping]] = ...) -> None: ...

class DecisionNode(_message.Message):
    __slots__ = ("kind", "label", "outcome", "reason", "cost", "energy", "children")
    KIND_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    kind: str
    label: str
    outcome: str
    reason: str
    cost: float
    energy: float
    children: _containers.RepeatedCompositeFieldContainer[DecisionNode]
    def __init__(self, kind: _Optional[str] = ..., label: _Optional[str] = ..., outcome: _Optional[str] = ..., reason: _Optional[str] = ..., cost: _Optional[float] = ..., energy: _Optional[float] = ..., children: _Optional[_Iterable[_Union[DecisionNode, _Mapping]]] = ...) -> None: ...

class ListDecisionsRequest(_message.Message):
    __slots__ = ("source", "page_size", "page_token")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    source: str
    page_size: int
    page_token: str
    def __init__(self, source: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDecisionsResponse(_message.Message):
    __slots__ = ("decisions", "next_page_token")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    next_page_token: str
    def __init__(self, decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ApproveDecisionRequest(_message.Message):
    __slots__ = ("prediction_id",)
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    prediction_id: str
    def __init__(self, prediction_id: _Optional[str] = ...) -> None: ...

class ApproveDecisionResponse(_message.Message):
    __slots__ = ("action",)
    ACTION_FIELD_NUMBER: _ClassVar[int]
    action: Action
    def __init__(self, action: _Optional[_Union[Action, _Mapping]] = ...) -> None: ...

class SetModeRequest(_message.Message):
    __slots__ = ("source", "mode")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    source: str
    mode: str
    def __init__(self, source: _Optional[str] = ..., mode: _Optional[str] = ...) -> None: ...

class SetModeResponse(_message.Message):
    __slots__ = ("source", "mode")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    source: str
    mode: str
    def __init__(self, source: _Optional[str] = ..., mode: _Optional[str] = ...) -> None: ...

class SetLeversRequest(_message.Message):
    __slots__ = ("source", "levers")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LEVERS_FIELD_NUMBER: _ClassVar[int]
    source: str
    levers: _containers.RepeatedCompositeFieldContainer[Lever]
    def __init__(self, source: _Optional[str] = ..., levers: _Optional[_Iterable[_Union[Lever, _Mapping]]] = ...) -> None: ...

class SetLeversResponse(_message.Message):
    __slots__ = ("source", "levers")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LEVERS_FIELD_NUMBER: _ClassVar[int]
    source: str
    levers: _containers.RepeatedCompositeFieldContainer[Lever]
    def __init__(self, source: _Optional[str] = ..., levers: _Optional[_Iterable[_Union[Lever, _Mapping]]] = ...) -> None: ...

class GetLeversRequest(_message.Message):
    __slots__ = ("source",)
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    source: str
    def __init__(self, source: _Optional[str] = ...) -> None: ...

class GetLeversResponse(_message.Message):
    __slots__ = ("source", "levers")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LEVERS_FIELD_NUMBER: _ClassVar[int]
    source: str
    levers: _containers.RepeatedCompositeFieldContainer[Lever]
    def __init__(self, source: _Optional[str] = ..., levers: _Optional[_Iterable[_Union[Lever, _Mapping]]] = ...) -> None: ...

class Lever(_message.Message):
    __slots__ = ("name", "kind", "low", "high", "step", "ramp_per_s", "delay_s", "start_energy", "wear_energy", "channel", "safe", "explore", "within_s", "parked_w")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RAMP_PER_S_FIELD_NUMBER: _ClassVar[int]
    DELAY_S_FIELD_NUMBER: _ClassVar[int]
    START_ENERGY_FIELD_NUMBER: _ClassVar[int]
    WEAR_ENERGY_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SAFE_FIELD_NUMBER: _ClassVar[int]
    EXPLORE_FIELD_NUMBER: _ClassVar[int]
    WITHIN_S_FIELD_NUMBER: _ClassVar[int]
    PARKED_W_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    low: float
    high: float
    step: float
    ramp_per_s: float
    delay_s: float
    start_energy: float
    wear_energy: float
    channel: str
    safe: float
    explore: bool
    within_s: float
    parked_w: float
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., step: _Optional[float] = ..., ramp_per_s: _Optional[float] = ..., delay_s: _Optional[float] = ..., start_energy: _Optional[float] = ..., wear_energy: _Optional[float] = ..., channel: _Optional[str] = ..., safe: _Optional[float] = ..., explore: _Optional[bool] = ..., within_s: _Optional[float] = ..., parked_w: _Optional[float] = ...) -> None: ...

class StreamActionsRequest(_message.Message):
    __slots__ = ("source",)
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    source: str
    def __init__(self, source: _Optional[str] = ...) -> None: ...

class StreamActionsResponse(_message.Message):
    __slots__ = ("source", "prediction_id", "action", "emitted", "lease_until")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    EMITTED_FIELD_NUMBER: _ClassVar[int]
    LEASE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    source: str
    prediction_id: str
    action: Action
    emitted: _timestamp_pb2.Timestamp
    lease_until: _timestamp_pb2.Timestamp
    def __init__(self, source: _Optional[str] = ..., prediction_id: _Optional[str] = ..., action: _Optional[_Union[Action, _Mapping]] = ..., emitted: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lease_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StopActionsRequest(_message.Message):
    __slots__ = ("source", "reason")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    source: str
    reason: str
    def __init__(self, source: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class StopActionsResponse(_message.Message):
    __slots__ = ("stops",)
    STOPS_FIELD_NUMBER: _ClassVar[int]
    stops: _containers.RepeatedCompositeFieldContainer[Stop]
    def __init__(self, stops: _Optional[_Iterable[_Union[Stop, _Mapping]]] = ...) -> None: ...

class ReleaseActionsRequest(_message.Message):
    __slots__ = ("source", "reason")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    source: str
    reason: str
    def __init__(self, source: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ReleaseActionsResponse(_message.Message):
    __slots__ = ("stops",)
    STOPS_FIELD_NUMBER: _ClassVar[int]
    stops: _containers.RepeatedCompositeFieldContainer[Stop]
    def __init__(self, stops: _Optional[_Iterable[_Union[Stop, _Mapping]]] = ...) -> None: ...

class ListStopsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListStopsResponse(_message.Message):
    __slots__ = ("stops",)
    STOPS_FIELD_NUMBER: _ClassVar[int]
    stops: _containers.RepeatedCompositeFieldContainer[Stop]
    def __init__(self, stops: _Optional[_Iterable[_Union[Stop, _Mapping]]] = ...) -> None: ...

class Stop(_message.Message):
    __slots__ = ("source", "since", "by", "reason")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    source: str
    since: _timestamp_pb2.Timestamp
    by: str
    reason: str
    def __init__(self, source: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., by: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...
