from buf.validate import validate_pb2 as _validate_pb2
from eil.common.v1 import access_pb2 as _access_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Energy(_message.Message):
    __slots__ = ("gaussian_free_field", "rack_heat_map")
    GAUSSIAN_FREE_FIELD_FIELD_NUMBER: _ClassVar[int]
    RACK_HEAT_MAP_FIELD_NUMBER: _ClassVar[int]
    gaussian_free_field: GaussianFreeField
    rack_heat_map: RackHeatMap
    def __init__(self, gaussian_free_field: _Optional[_Union[GaussianFreeField, _Mapping]] = ..., rack_heat_map: _Optional[_Union[RackHeatMap, _Mapping]] = ...) -> None: ...

class GaussianFreeField(_message.Message):
    __slots__ = ("side", "mass2")
    SIDE_FIELD_NUMBER: _ClassVar[int]
    MASS2_FIELD_NUMBER: _ClassVar[int]
    side: int
    mass2: float
    def __init__(self, side: _Optional[int] = ..., mass2: _Optional[float] = ...) -> None: ...

class RackHeatMap(_message.Message):
    __slots__ = ("rows", "columns", "power_w", "ambient_c")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    POWER_W_FIELD_NUMBER: _ClassVar[int]
    AMBIENT_C_FIELD_NUMBER: _ClassVar[int]
    rows: int
    columns: int
    power_w: _containers.RepeatedScalarFieldContainer[float]
    ambient_c: float
    def __init__(self, rows: _Optional[int] = ..., columns: _Optional[int] = ..., power_w: _Optional[_Iterable[float]] = ..., ambient_c: _Optional[float] = ...) -> None: ...

class SampleRequest(_message.Message):
    __slots__ = ("energy", "count", "steps", "seed", "kt")
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    KT_FIELD_NUMBER: _ClassVar[int]
    energy: Energy
    count: int
    steps: int
    seed: int
    kt: float
    def __init__(self, energy: _Optional[_Union[Energy, _Mapping]] = ..., count: _Optional[int] = ..., steps: _Optional[int] = ..., seed: _Optional[int] = ..., kt: _Optional[float] = ...) -> None: ...

class SampleResponse(_message.Message):
    __slots__ = ("configurations", "shape", "mean_energy", "mean_energy_se", "acceptance", "ess", "device")
    CONFIGURATIONS_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    MEAN_ENERGY_FIELD_NUMBER: _ClassVar[int]
    MEAN_ENERGY_SE_FIELD_NUMBER: _ClassVar[int]
    ACCEPTANCE_FIELD_NUMBER: _ClassVar[int]
    ESS_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    configurations: _containers.RepeatedCompositeFieldContainer[Configuration]
    shape: _containers.RepeatedScalarFieldContainer[int]
    mean_energy: float
    mean_energy_se: float
    acceptance: float
    ess: float
    device: str
    def __init__(self, configurations: _Optional[_Iterable[_Union[Configuration, _Mapping]]] = ..., shape: _Optional[_Iterable[int]] = ..., mean_energy: _Optional[float] = ..., mean_energy_se: _Optional[float] = ..., acceptance: _Optional[float] = ..., ess: _Optional[float] = ..., device: _Optional[str] = ...) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("values", "energy")
    VALUES_FIELD_NUMBER: _ClassVar[int]
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    energy: float
    def __init__(self, values: _Optional[_Iterable[float]] = ..., energy: _Optional[float] = ...) -> None: ...

class OptimizeRequest(_message.Message):
    __slots__ = ("energy", "start", "steps", "seed")
    ENERGY_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    energy: Energy
    start: _containers.RepeatedScalarFieldContainer[float]
    steps: int
    seed: int
    def __init__(self, energy: _Optional[_Union[Energy, _Mapping]] = ..., start: _Optional[_Iterable[float]] = ..., steps: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class OptimizeResponse(_message.Message):
    __slots__ = ("best", "shape", "start_energy", "lower_bound", "bounded", "device")
    BEST_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    START_ENERGY_FIELD_NUMBER: _ClassVar[int]
    LOWER_BOUND_FIELD_NUMBER: _ClassVar[int]
    BOUNDED_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    best: Configuration
    shape: _containers.RepeatedScalarFieldContainer[int]
    start_energy: float
    lower_bound: float
    bounded: bool
    device: str
    def __init__(self, best: _Optional[_Union[Configuration, _Mapping]] = ..., shape: _Optional[_Iterable[int]] = ..., start_energy: _Optional[float] = ..., lower_bound: _Optional[float] = ..., bounded: _Optional[bool] = ..., device: _Optional[str] = ...) -> None: ...
