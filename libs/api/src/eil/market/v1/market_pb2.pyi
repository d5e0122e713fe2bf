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
    __slots__ = ("pair", "window_s")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    pair: str
    window_s: float
    def __init__(self, pair: _Optional[str] = ..., window_s: _Optional[float] = ...) -> None: ...

class GetPoolResponse(_message.Message):
    __slots__ = ("pool", "time_weighted_price", "window_s")
    POOL_FIELD_NUMBER: _ClassVar[int]
    TIME_WEIGHTED_PRICE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    pool: Pool
    time_weighted_price: float
    window_s: float
    def __init__(self, pool: _Optional[_Union[Pool, _Mapping]] = ..., time_weighted_price: _Optional[float] = ..., window_s: _Optional[float] = ...) -> None: ...

class Pool(_message.Message):
    __slots__ = ("pair", "reserve0_u", "reserve1_u", "shares", "own_shares", "spot_price")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    RESERVE0_U_FIELD_NUMBER: _ClassVar[int]
    RESERVE1_U_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    OWN_SHARES_FIELD_NUMBER: _ClassVar[int]
    SPOT_PRICE_FIELD_NUMBER: _ClassVar[int]
    pair: str
    reserve0_u: int
    reserve1_u: int
    shares: int
    own_shares: int
    spot_price: float
    def __init__(self, pair: _Optional[str] = ..., reserve0_u: _Optional[int] = ..., reserve1_u: _Optional[int] = ..., shares: _Optional[int] = ..., own_shares: _Optional[int] = ..., spot_price: _Optional[float] = ...) -> None: ...

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
    __slots__ = ("amount_out_u", "price_impact", "quote", "expires")
    AMOUNT_OUT_U_FIELD_NUMBER: _ClassVar[int]
    PRICE_IMPACT_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    amount_out_u: int
    price_impact: float
    quote: str
    expires: _timestamp_pb2.Timestamp
    def __init__(self, amount_out_u: _Optional[int] = ..., price_impact: _Optional[float] = ..., quote: _Optional[str] = ..., expires: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SwapRequest(_message.Message):
    __slots__ = ("request_id", "token_in", "token_out", "amount_in_u", "min_out_u", "deadline", "quote")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TOKEN_IN_FIELD_NUMBER: _ClassVar[int]
    TOKEN_OUT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_IN_U_FIELD_NUMBER: _ClassVar[int]
    MIN_OUT_U_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    token_in: str
    token_out: str
    amount_in_u: int
    min_out_u: int
    deadline: _timestamp_pb2.Timestamp
    quote: str
    def __init__(self, request_id: _Optional[str] = ..., token_in: _Optional[str] = ..., token_out: _Optional[str] = ..., amount_in_u: _Optional[int] = ..., min_out_u: _Optional[int] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., quote: _Optional[str] = ...) -> None: ...

class SwapResponse(_message.Message):
    __slots__ = ("amount_out_u", "pool")
    AMOUNT_OUT_U_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    amount_out_u: int
    pool: Pool
    def __init__(self, amount_out_u: _Optional[int] = ..., pool: _Optional[_Union[Pool, _Mapping]] = ...) -> None: ...

class AddLiquidityRequest(_message.Message):
    __slots__ = ("request_id", "pair", "amount0_u", "amount1_u", "min_shares", "deadline")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    AMOUNT0_U_FIELD_NUMBER: _ClassVar[int]
    AMOUNT1_U_FIELD_NUMBER: _ClassVar[int]
    MIN_SHARES_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    pair: str
    amount0_u: int
    amount1_u: int
    min_shares: int
    deadline: _timestamp_pb2.Timestamp
    def __init__(self, request_id: _Optional[str] = ..., pair: _Optional[str] = ..., amount0_u: _Optional[int] = ..., amount1_u: _Optional[int] = ..., min_shares: _Optional[int] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AddLiquidityResponse(_message.Message):
    __slots__ = ("shares", "pool")
    SHARES_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    shares: int
    pool: Pool
    def __init__(self, shares: _Optional[int] = ..., pool: _Optional[_Union[Pool, _Mapping]] = ...) -> None: ...

class RemoveLiquidityRequest(_message.Message):
    __slots__ = ("request_id", "pair", "shares", "min_amount0_u", "min_amount1_u", "deadline")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    MIN_AMOUNT0_U_FIELD_NUMBER: _ClassVar[int]
    MIN_AMOUNT1_U_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    pair: str
    shares: int
    min_amount0_u: int
    min_amount1_u: int
    deadline: _timestamp_pb2.Timestamp
    def __init__(self, request_id: _Optional[str] = ..., pair: _Optional[str] = ..., shares: _Optional[int] = ..., min_amount0_u: _Optional[int] = ..., min_amount1_u: _Optional[int] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RemoveLiquidityResponse(_message.Message):
    __slots__ = ("amount0_u", "amount1_u", "pool")
    AMOUNT0_U_FIELD_NUMBER: _ClassVar[int]
    AMOUNT1_U_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    amount0_u: int
    amount1_u: int
    pool: Pool
    def __init__(self, amount0_u: _Optional[int] = ..., amount1_u: _Optional[int] = ..., pool: _Optional[_Union[Pool, _Mapping]] = ...) -> None: ...

class ListTradesRequest(_message.Message):
    __slots__ = ("pair", "page_size", "page_token")
    PAIR_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    pair: str
    page_size: int
    page_token: str
    def __init__(self, pair: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTradesResponse(_message.Message):
    __slots__ = ("trades", "next_page_token")
    TRADES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trades: _containers.RepeatedCompositeFieldContainer[Trade]
    next_page_token: str
    def __init__(self, trades: _Optional[_Iterable[_Union[Trade, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Trade(_message.Message):
    __slots__ = ("kind", "request_id", "pair", "owner", "time", "change0_u", "change1_u", "shares", "price")
    KIND_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PAIR_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    CHANGE0_U_FIELD_NUMBER: _ClassVar[int]
    CHANGE1_U_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    request_id: str
    pair: str
    owner: str
    time: _timestamp_pb2.Timestamp
    change0_u: int
    change1_u: int
    shares: int
    price: float
    def __init__(self, kind: _Optional[str] = ..., request_id: _Optional[str] = ..., pair: _Optional[str] = ..., owner: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., change0_u: _Optional[int] = ..., change1_u: _Optional[int] = ..., shares: _Optional[int] = ..., price: _Optional[float] = ...) -> None: ...

class GetReputationRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetReputationResponse(_message.Message):
    __slots__ = ("valid", "total", "mean", "low", "high", "level", "discount")
    VALID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MEAN_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    DISCOUNT_FIELD_NUMBER: _ClassVar[int]
    valid: int
    total: int
    mean: float
    low: float
    high: float
    level: float
    discount: float
    def __init__(self, valid: _Optional[int] = ..., total: _Optional[int] = ..., mean: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ..., level: _Optional[float] = ..., discount: _Optional[float] = ...) -> None: ...

class PutTariffRequest(_message.Message):
    __slots__ = ("source", "steps", "until")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    source: str
    steps: _containers.RepeatedCompositeFieldContainer[TariffStep]
    until: _timestamp_pb2.Timestamp
    def __init__(self, source: _Optional[str] = ..., steps: _Optional[_Iterable[_Union[TariffStep, _Mapping]]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TariffStep(_message.Message):
    __slots__ = ("begin", "price_per_kwh")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    PRICE_PER_KWH_FIELD_NUMBER: _ClassVar[int]
    begin: _timestamp_pb2.Timestamp
    price_per_kwh: float
    def __init__(self, begin: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., price_per_kwh: _Optional[float] = ...) -> None: ...

class PutTariffResponse(_message.Message):
    __slots__ = ("price_per_kwh", "source")
    PRICE_PER_KWH_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    price_per_kwh: float
    source: str
    def __init__(self, price_per_kwh: _Optional[float] = ..., source: _Optional[str] = ...) -> None: ...
