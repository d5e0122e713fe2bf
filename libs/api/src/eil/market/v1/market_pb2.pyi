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

class GetPricingRequest(_message.Message):
    __slots__ = ("quantity",)
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    quantity: float
    def __init__(self, quantity: _Optional[float] = ...) -> None: ...

class GetPricingResponse(_message.Message):
    __slots__ = ("prices", "time")
    PRICES_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    prices: _containers.RepeatedCompositeFieldContainer[Price]
    time: _timestamp_pb2.Timestamp
    def __init__(self, prices: _Optional[_Iterable[_Union[Price, _Mapping]]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Price(_message.Message):
    __slots__ = ("token", "amount", "currency", "unit", "factors")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    token: str
    amount: float
    currency: str
    unit: str
    factors: _containers.RepeatedCompositeFieldContainer[Factor]
    def __init__(self, token: _Optional[str] = ..., amount: _Optional[float] = ..., currency: _Optional[str] = ..., unit: _Optional[str] = ..., factors: _Optional[_Iterable[_Union[Factor, _Mapping]]] = ...) -> None: ...

class Factor(_message.Message):
    __slots__ = ("name", "value", "unit", "meaning")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    unit: str
    meaning: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ..., meaning: _Optional[str] = ...) -> None: ...

class GetPoolRequest(_message.Message):
    __slots__ = ("pair",)
    PAIR_FIELD_NUMBER: _ClassVar[int]
    pair: str
    def __init__(self, pair: _Optional[str] = ...) -> None: ...

class GetPoolResponse(_message.Message):
    __slots__ = ("pool",)
    POOL_FIELD_NUMBER: _ClassVar[int]
    pool: Pool
    def __init__(self, pool: _Optional[_Union[Pool, _Mapping]] = ...) -> None: ...

class Pool(_message.Message):
    __slots__ = ("pair", "reserve0_u", "reserve1_u", "shares", "own_shares")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    RESERVE0_U_FIELD_NUMBER: _ClassVar[int]
    RESERVE1_U_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    OWN_SHARES_FIELD_NUMBER: _ClassVar[int]
    pair: str
    reserve0_u: int
    reserve1_u: int
    shares: int
    own_shares: int
    def __init__(self, pair: _Optional[str] = ..., reserve0_u: _Optional[int] = ..., reserve1_u: _Optional[int] = ..., shares: _Optional[int] = ..., own_shares: _Optional[int] = ...) -> None: ...

class QuoteRequest(_message.Message):
    __slots__ = ("token_in", "token_out", "amount_in_u")
    TOKEN_IN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_OUT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_IN_U_FIELD_NUMBER: _ClassVar[int]
    token_in: str
    token_out: str
    amount_in_u: int
    def __init__(self, token_in: _Optional[str] = ..., token_out: _Optional[str] = ..., amount_in_u: _Optional[int] = ...) -> None: ...

class QuoteResponse(_message.Message):
    __slots__ = ("amount_out_u", "price_impact")
    AMOUNT_OUT_U_FIELD_NUMBER: _ClassVar[int]
    PRICE_IMPACT_FIELD_NUMBER: _ClassVar[int]
    amount_out_u: int
    price_impact: float
    def __init__(self, amount_out_u: _Optional[int] = ..., price_impact: _Optional[float] = ...) -> None: ...

class SwapRequest(_message.Message):
    __slots__ = ("request_id", "token_in", "token_out", "amount_in_u", "min_out_u", "deadline")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_OUT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_IN_U_FIELD_NUMBER: _ClassVar[int]
    MIN_OUT_U_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    token_in: str
    token_out: str
    amount_in_u: int
    min_out_u: int
    deadline: _timestamp_pb2.Timestamp
    def __init__(self, request_id: _Optional[str] = ..., token_in: _Optional[str] = ..., token_out: _Optional[str] = ..., amount_in_u: _Optional[int] = ..., min_out_u: _Optional[int] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SwapResponse(_message.Message):
    __slots__ = ("amount_out_u", "pool")
    AMOUNT_OUT_U_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    amount_out_u: int
    pool: Pool
    def __init__(self, amount_out_u: _Optional[int] = ..., pool: _Optional[_Union[Pool, _Mapping]] = ...) -> None: ...

class AddLiquidityRequest(_message.Message):
    __slots__ = ("request_id", "pair", "amount0_u", "amount1_u")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    AMOUNT0_U_FIELD_NUMBER: _ClassVar[int]
    AMOUNT1_U_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    pair: str
    amount0_u: int
    amount1_u: int
    def __init__(self, request_id: _Optional[str] = ..., pair: _Optional[str] = ..., amount0_u: _Optional[int] = ..., amount1_u: _Optional[int] = ...) -> None: ...

class AddLiquidityResponse(_message.Message):
    __slots__ = ("shares", "pool")
    SHARES_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    shares: int
    pool: Pool
    def __init__(self, shares: _Optional[int] = ..., pool: _Optional[_Union[Pool, _Mapping]] = ...) -> None: ...

class RemoveLiquidityRequest(_message.Message):
    __slots__ = ("request_id", "pair", "shares")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    pair: str
    shares: int
    def __init__(self, request_id: _Optional[str] = ..., pair: _Optional[str] = ..., shares: _Optional[int] = ...) -> None: ...

class RemoveLiquidityResponse(_message.Message):
    __slots__ = ("amount0_u", "amount1_u", "pool")
    AMOUNT0_U_FIELD_NUMBER: _ClassVar[int]
    AMOUNT1_U_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    amount0_u: int
    amount1_u: int
    pool: Pool
    def __init__(self, amount0_u: _Optional[int] = ..., amount1_u: _Optional[int] = ..., pool: _Optional[_Union[Pool, _Mapping]] = ...) -> None: ...
