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

class Energy(_message.Message):
    __slots__ = ("gaussian_free_field", "rack_heat_map", "phi4", "ising", "heat_plate", "fleet_placement", "quadratic", "graph", "observations")
    GAUSSIAN_FREE_FIELD_FIELD_NUMBER: _ClassVar[int]
    RACK_HEAT_MAP_FIELD_NUMBER: _ClassVar[int]
    PHI4_FIELD_NUMBER: _ClassVar[int]
    ISING_FIELD_NUMBER: _ClassVar[int]
    HEAT_PLATE_FIELD_NUMBER: _ClassVar[int]
    FLEET_PLACEMENT_FIELD_NUMBER: _ClassVar[int]
    QUADRATIC_FIELD_NUMBER: _ClassVar[int]
    GRAPH_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    gaussian_free_field: GaussianFreeField
    rack_heat_map: RackHeatMap
    phi4: Phi4
    ising: Ising
    heat_plate: HeatPlate
    fleet_placement: FleetPlacement
    quadratic: Quadratic
    graph: Graph
    observations: _containers.RepeatedCompositeFieldContainer[Observation]
    def __init__(self, gaussian_free_field: _Optional[_Union[GaussianFreeField, _Mapping]] = ..., rack_heat_map: _Optional[_Union[RackHeatMap, _Mapping]] = ..., phi4: _Optional[_Union[Phi4, _Mapping]] = ..., ising: _Optional[_Union[Ising, _Mapping]] = ..., heat_plate: _Optional[_Union[HeatPlate, _Mapping]] = ..., fleet_placement: _Optional[_Union[FleetPlacement, _Mapping]] = ..., quadratic: _Optional[_Union[Quadratic, _Mapping]] = ..., graph: _Optional[_Union[Graph, _Mapping]] = ..., observations: _Optional[_Iterable[_Union[Observation, _Mapping]]] = ...) -> None: ...

class Observation(_message.Message):
    __slots__ = ("site", "value", "sigma")
    SITE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    SIGMA_FIELD_NUMBER: _ClassVar[int]
    site: int
    value: float
    sigma: float
    def __init__(self, site: _Optional[int] = ..., value: _Optional[float] = ..., sigma: _Optional[float] = ...) -> None: ...

class GaussianFreeField(_message.Message):
    __slots__ = ("side", "mass2")
    SIDE_FIELD_NUMBER: _ClassVar[int]
    MASS2_FIELD_NUMBER: _ClassVar[int]
    side: int
    mass2: float
    def __init__(self, side: _Optional[int] = ..., mass2: _Optional[float] = ...) -> None: ...

class Phi4(_message.Message):
    __slots__ = ("side", "mass2", "coupling")
    SIDE_FIELD_NUMBER: _ClassVar[int]
    MASS2_FIELD_NUMBER: _ClassVar[int]
    COUPLING_FIELD_NUMBER: _ClassVar[int]
    side: int
    mass2: float
    coupling: float
    def __init__(self, side: _Optional[int] = ..., mass2: _Optional[float] = ..., coupling: _Optional[float] = ...) -> None: ...

class Ising(_message.Message):
    __slots__ = ("side", "beta")
    SIDE_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    side: int
    beta: float
    def __init__(self, side: _Optional[int] = ..., beta: _Optional[float] = ...) -> None: ...

class HeatPlate(_message.Message):
    __slots__ = ("side", "heat_w_per_m2", "conductance_w_per_k", "loss_w_per_m2_k", "supply_c", "extent_m")
    SIDE_FIELD_NUMBER: _ClassVar[int]
    HEAT_W_PER_M2_FIELD_NUMBER: _ClassVar[int]
    CONDUCTANCE_W_PER_K_FIELD_NUMBER: _ClassVar[int]
    LOSS_W_PER_M2_K_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_C_FIELD_NUMBER: _ClassVar[int]
    EXTENT_M_FIELD_NUMBER: _ClassVar[int]
    side: int
    heat_w_per_m2: _containers.RepeatedScalarFieldContainer[float]
    conductance_w_per_k: float
    loss_w_per_m2_k: float
    supply_c: float
    extent_m: float
    def __init__(self, side: _Optional[int] = ..., heat_w_per_m2: _Optional[_Iterable[float]] = ..., conductance_w_per_k: _Optional[float] = ..., loss_w_per_m2_k: _Optional[float] = ..., supply_c: _Optional[float] = ..., extent_m: _Optional[float] = ...) -> None: ...

class FleetPlacement(_message.Message):
    __slots__ = ("idle_w", "dynamic_w", "capacity", "demand", "recirculation_w")
    IDLE_W_FIELD_NUMBER: _ClassVar[int]
    DYNAMIC_W_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    DEMAND_FIELD_NUMBER: _ClassVar[int]
    RECIRCULATION_W_FIELD_NUMBER: _ClassVar[int]
    idle_w: _containers.RepeatedScalarFieldContainer[float]
    dynamic_w: _containers.RepeatedScalarFieldContainer[float]
    capacity: _containers.RepeatedScalarFieldContainer[float]
    demand: float
    recirculation_w: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, idle_w: _Optional[_Iterable[float]] = ..., dynamic_w: _Optional[_Iterable[float]] = ..., capacity: _Optional[_Iterable[float]] = ..., demand: _Optional[float] = ..., recirculation_w: _Optional[_Iterable[float]] = ...) -> None: ...

class Quadratic(_message.Message):
    __slots__ = ("matrix", "linear")
    MATRIX_FIELD_NUMBER: _ClassVar[int]
    LINEAR_FIELD_NUMBER: _ClassVar[int]
    matrix: _containers.RepeatedScalarFieldContainer[float]
    linear: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, matrix: _Optional[_Iterable[float]] = ..., linear: _Optional[_Iterable[float]] = ...) -> None: ...

class Graph(_message.Message):
    __slots__ = ("edges", "pull", "target")
    EDGES_FIELD_NUMBER: _ClassVar[int]
    PULL_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    edges: _containers.RepeatedCompositeFieldContainer[Edge]
    pull: _containers.RepeatedScalarFieldContainer[float]
    target: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, edges: _Optional[_Iterable[_Union[Edge, _Mapping]]] = ..., pull: _Optional[_Iterable[float]] = ..., target: _Optional[_Iterable[float]] = ...) -> None: ...

class Edge(_message.Message):
    __slots__ = ("node", "other", "weight")
    NODE_FIELD_NUMBER: _ClassVar[int]
    OTHER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    node: int
    other: int
    weight: float
    def __init__(self, node: _Optional[int] = ..., other: _Optional[int] = ..., weight: _Optional[float] = ...) -> None: ...

class RackHeatMap(_message.Message):
    __slots__ = ("rows", "columns", "power_w", "ambient_c", "fan_speed", "set_point_c", "limit_c", "neighbour_w_per_k", "supply_w_per_k")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    POWER_W_FIELD_NUMBER: _ClassVar[int]
    AMBIENT_C_FIELD_NUMBER: _ClassVar[int]
    FAN_SPEED_FIELD_NUMBER: _ClassVar[int]
    SET_POINT_C_FIELD_NUMBER: _ClassVar[int]
    LIMIT_C_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOUR_W_PER_K_FIELD_NUMBER: _ClassVar[int]
    SUPPLY_W_PER_K_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    power_w: _containers.RepeatedScalarFieldContainer[float]
    ambient_c: float
    fan_speed: _containers.RepeatedScalarFieldContainer[float]
    set_point_c: _containers.RepeatedScalarFieldContainer[float]
    limit_c: float
    neighbour_w_per_k: float
    supply_w_per_k: float
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ..., power_w: _Optional[_Iterable[float]] = ..., ambient_c: _Optional[float] = ..., fan_speed: _Optional[_Iterable[float]] = ..., set_point_c: _Optional[_Iterable[float]] = ..., limit_c: _Optional[float] = ..., neighbour_w_per_k: _Optional[float] = ..., supply_w_per_k: _Optional[float] = ...) -> None: ...

class Context(_message.Message):
    __slots__ = ("source", "signals", "regime")
    class SignalsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    REGIME_FIELD_NUMBER: _ClassVar[int]
    source: str
    signals: _containers.ScalarMap[str, float]
    regime: str
    def __init__(self, source: _Optional[str] = ..., signals: _Optional[_Mapping[str, float]] = ..., regime: _Optional[str] = ...) -> None: ...

class SampleRequest(_message.Message):
    __slots__ = ("energy", "count", "steps", "seed", "kt", "model", "context", "schedule", "corrections")
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    KT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    CORRECTIONS_FIELD_NUMBER: _ClassVar[int]
    energy: Energy
    count: int
    steps: int
    seed: int
    kt: float
    model: str
    context: Context
    schedule: str
    corrections: int
    def __init__(self, energy: _Optional[_Union[Energy, _Mapping]] = ..., count: _Optional[int] = ..., steps: _Optional[int] = ..., seed: _Optional[int] = ..., kt: _Optional[float] = ..., model: _Optional[str] = ..., context: _Optional[_Union[Context, _Mapping]] = ..., schedule: _Optional[str] = ..., corrections: _Optional[int] = ...) -> None: ...

class SampleResponse(_message.Message):
    __slots__ = ("configurations", "shape", "mean_energy", "mean_energy_se", "acceptance", "ess", "device", "log_z", "log_z_se", "laws", "method", "run_id", "model_digest", "assumed")
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    MEAN_ENERGY_FIELD_NUMBER: _ClassVar[int]
    MEAN_ENERGY_SE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCE_FIELD_NUMBER: _ClassVar[int]
    ESS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    LOG_Z_FIELD_NUMBER: _ClassVar[int]
    LOG_Z_SE_FIELD_NUMBER: _ClassVar[int]
    LAWS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ASSUMED_FIELD_NUMBER: _ClassVar[int]
    configurations: _containers.RepeatedCompositeFieldContainer[Configuration]
    shape: _containers.RepeatedScalarFieldContainer[int]
    mean_energy: float
    mean_energy_se: float
    acceptance: float
    ess: float
    device: str
    log_z: float
    log_z_se: float
    laws: EnergyLaws
    method: str
    run_id: str
    model_digest: str
    assumed: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, configurations: _Optional[_Iterable[_Union[Configuration, _Mapping]]] = ..., shape: _Optional[_Iterable[int]] = ..., mean_energy: _Optional[float] = ..., mean_energy_se: _Optional[float] = ..., acceptance: _Optional[float] = ..., ess: _Optional[float] = ..., device: _Optional[str] = ..., log_z: _Optional[float] = ..., log_z_se: _Optional[float] = ..., laws: _Optional[_Union[EnergyLaws, _Mapping]] = ..., method: _Optional[str] = ..., run_id: _Optional[str] = ..., model_digest: _Optional[str] = ..., assumed: _Optional[_Iterable[str]] = ...) -> None: ...

class EnergyLaws(_message.Message):
    __slots__ = ("verdict", "imbalance", "entropy_production", "entropy_production_se", "jarzynski", "jarzynski_se")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    IMBALANCE_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_PRODUCTION_FIELD_NUMBER: _ClassVar[int]
    ENTROPY_PRODUCTION_SE_FIELD_NUMBER: _ClassVar[int]
    JARZYNSKI_FIELD_NUMBER: _ClassVar[int]
    JARZYNSKI_SE_FIELD_NUMBER: _ClassVar[int]
    verdict: str
    imbalance: float
    entropy_production: float
    entropy_production_se: float
    jarzynski: float
    jarzynski_se: float
    def __init__(self, verdict: _Optional[str] = ..., imbalance: _Optional[float] = ..., entropy_production: _Optional[float] = ..., entropy_production_se: _Optional[float] = ..., jarzynski: _Optional[float] = ..., jarzynski_se: _Optional[float] = ...) -> None: ...

class StreamSampleRequest(_message.Message):
    __slots__ = ("request", "every")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    request: SampleRequest
    every: int
    def __init__(self, request: _Optional[_Union[SampleRequest, _Mapping]] = ..., every: _Optional[int] = ...) -> None: ...

class StreamSampleResponse(_message.Message):
    __slots__ = ("stage", "response")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    stage: SampleStage
    response: SampleResponse
    def __init__(self, stage: _Optional[_Union[SampleStage, _Mapping]] = ..., response: _Optional[_Union[SampleResponse, _Mapping]] = ...) -> None: ...

class SampleStage(_message.Message):
    __slots__ = ("name", "done", "total", "first", "mean_energy")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    MEAN_ENERGY_FIELD_NUMBER: _ClassVar[int]
    name: str
    done: int
    total: int
    first: Configuration
    mean_energy: float
    def __init__(self, name: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., first: _Optional[_Union[Configuration, _Mapping]] = ..., mean_energy: _Optional[float] = ...) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("values", "energy")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    energy: float
    def __init__(self, values: _Optional[_Iterable[float]] = ..., energy: _Optional[float] = ...) -> None: ...

class OptimizeRequest(_message.Message):
    __slots__ = ("energy", "start", "steps", "seed", "constraints")
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINTS_FIELD_NUMBER: _ClassVar[int]
    energy: Energy
    start: _containers.RepeatedScalarFieldContainer[float]
    steps: int
    seed: int
    constraints: Constraints
    def __init__(self, energy: _Optional[_Union[Energy, _Mapping]] = ..., start: _Optional[_Iterable[float]] = ..., steps: _Optional[int] = ..., seed: _Optional[int] = ..., constraints: _Optional[_Union[Constraints, _Mapping]] = ...) -> None: ...

class Constraints(_message.Message):
    __slots__ = ("lower", "upper", "weights", "total", "at_most")
    LOWER_FIELD_NUMBER: _ClassVar[int]
    UPPER_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_FIELD_NUMBER: _ClassVar[int]
    lower: _containers.RepeatedScalarFieldContainer[float]
    upper: _containers.RepeatedScalarFieldContainer[float]
    weights: _containers.RepeatedScalarFieldContainer[float]
    total: float
    at_most: bool
    def __init__(self, lower: _Optional[_Iterable[float]] = ..., upper: _Optional[_Iterable[float]] = ..., weights: _Optional[_Iterable[float]] = ..., total: _Optional[float] = ..., at_most: _Optional[bool] = ...) -> None: ...

class StreamOptimizeRequest(_message.Message):
    __slots__ = ("request", "every")
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    request: OptimizeRequest
    every: int
    def __init__(self, request: _Optional[_Union[OptimizeRequest, _Mapping]] = ..., every: _Optional[int] = ...) -> None: ...

class StreamOptimizeResponse(_message.Message):
    __slots__ = ("stage", "response")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    stage: OptimizeStage
    response: OptimizeResponse
    def __init__(self, stage: _Optional[_Union[OptimizeStage, _Mapping]] = ..., response: _Optional[_Union[OptimizeResponse, _Mapping]] = ...) -> None: ...

class OptimizeStage(_message.Message):
    __slots__ = ("done", "total", "best_energy")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BEST_ENERGY_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    best_energy: float
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., best_energy: _Optional[float] = ...) -> None: ...

class OptimizeResponse(_message.Message):
    __slots__ = ("best", "shape", "start_energy", "lower_bound", "bounded", "device", "run_id", "gap")
    BEST_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    START_ENERGY_FIELD_NUMBER: _ClassVar[int]
    LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    BOUNDED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    GAP_FIELD_NUMBER: _ClassVar[int]
    best: Configuration
    shape: _containers.RepeatedScalarFieldContainer[int]
    start_energy: float
    lower_bound: float
    bounded: bool
    device: str
    run_id: str
    gap: float
    def __init__(self, best: _Optional[_Union[Configuration, _Mapping]] = ..., shape: _Optional[_Iterable[int]] = ..., start_energy: _Optional[float] = ..., lower_bound: _Optional[float] = ..., bounded: _Optional[bool] = ..., device: _Optional[str] = ..., run_id: _Optional[str] = ..., gap: _Optional[float] = ...) -> None: ...

class GetRunRequest(_message.Message):
    __slots__ = ("run_id",)
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    def __init__(self, run_id: _Optional[str] = ...) -> None: ...

class VerifyRunRequest(_message.Message):
    __slots__ = ("run_id", "sample", "optimize", "configurations")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZE_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    sample: SampleRequest
    optimize: OptimizeRequest
    configurations: _containers.RepeatedCompositeFieldContainer[Configuration]
    def __init__(self, run_id: _Optional[str] = ..., sample: _Optional[_Union[SampleRequest, _Mapping]] = ..., optimize: _Optional[_Union[OptimizeRequest, _Mapping]] = ..., configurations: _Optional[_Iterable[_Union[Configuration, _Mapping]]] = ...) -> None: ...

class VerifyRunResponse(_message.Message):
    __slots__ = ("valid", "checks", "run")
    VALID_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    checks: _containers.RepeatedCompositeFieldContainer[Check]
    run: Run
    def __init__(self, valid: _Optional[bool] = ..., checks: _Optional[_Iterable[_Union[Check, _Mapping]]] = ..., run: _Optional[_Union[Run, _Mapping]] = ...) -> None: ...

class Check(_message.Message):
    __slots__ = ("name", "held", "detail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    held: bool
    detail: str
    def __init__(self, name: _Optional[str] = ..., held: _Optional[bool] = ..., detail: _Optional[str] = ...) -> None: ...

class GetRunResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: Run
    def __init__(self, run: _Optional[_Union[Run, _Mapping]] = ...) -> None: ...

class Run(_message.Message):
    __slots__ = ("run_id", "time", "method", "energy", "request_digest", "values_digest", "count", "shape", "steps", "kt", "mean_energy", "mean_energy_se", "ess", "log_z", "laws", "model_digest", "device", "subject")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    REQUEST_DIGEST_FIELD_NUMBER: _ClassVar[int]
    VALUES_DIGEST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    KT_FIELD_NUMBER: _ClassVar[int]
    MEAN_ENERGY_FIELD_NUMBER: _ClassVar[int]
    MEAN_ENERGY_SE_FIELD_NUMBER: _ClassVar[int]
    ESS_FIELD_NUMBER: _ClassVar[int]
    LOG_Z_FIELD_NUMBER: _ClassVar[int]
    LAWS_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    time: _timestamp_pb2.Timestamp
    method: str
    energy: str
    request_digest: str
    values_digest: str
    count: int
    shape: _containers.RepeatedScalarFieldContainer[int]
    steps: int
    kt: float
    mean_energy: float
    mean_energy_se: float
    ess: float
    log_z: float
    laws: EnergyLaws
    model_digest: str
    device: str
    subject: str
    def __init__(self, run_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., method: _Optional[str] = ..., energy: _Optional[str] = ..., request_digest: _Optional[str] = ..., values_digest: _Optional[str] = ..., count: _Optional[int] = ..., shape: _Optional[_Iterable[int]] = ..., steps: _Optional[int] = ..., kt: _Optional[float] = ..., mean_energy: _Optional[float] = ..., mean_energy_se: _Optional[float] = ..., ess: _Optional[float] = ..., log_z: _Optional[float] = ..., laws: _Optional[_Union[EnergyLaws, _Mapping]] = ..., model_digest: _Optional[str] = ..., device: _Optional[str] = ..., subject: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class PutModelRequest(_message.Message):
    __slots__ = ("digest",)
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    digest: str
    def __init__(self, digest: _Optional[str] = ...) -> None: ...

class PutModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "digest", "fields", "signals", "maps", "energy", "networked", "data_digest", "code", "metrics", "built_in")
    class MetricsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    MAPS_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    NETWORKED_FIELD_NUMBER: _ClassVar[int]
    DATA_DIGEST_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    BUILT_IN_FIELD_NUMBER: _ClassVar[int]
    name: str
    digest: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    signals: _containers.RepeatedScalarFieldContainer[str]
    maps: _containers.RepeatedScalarFieldContainer[str]
    energy: str
    networked: bool
    data_digest: str
    code: str
    metrics: _containers.ScalarMap[str, float]
    built_in: bool
    def __init__(self, name: _Optional[str] = ..., digest: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., signals: _Optional[_Iterable[str]] = ..., maps: _Optional[_Iterable[str]] = ..., energy: _Optional[str] = ..., networked: _Optional[bool] = ..., data_digest: _Optional[str] = ..., code: _Optional[str] = ..., metrics: _Optional[_Mapping[str, float]] = ..., built_in: _Optional[bool] = ...) -> None: ...
