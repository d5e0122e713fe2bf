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

class GetBalancesRequest(_message.Message):
    __slots__ = ("owner",)
    OWNER_FIELD_NUMBER: _ClassVar[int]
    owner: str
    def __init__(self, owner: _Optional[str] = ...) -> None: ...

class GetBalancesResponse(_message.Message):
    __slots__ = ("balances",)
    BALANCES_FIELD_NUMBER: _ClassVar[int]
    balances: _containers.RepeatedCompositeFieldContainer[Balance]
    def __init__(self, balances: _Optional[_Iterable[_Union[Balance, _Mapping]]] = ...) -> None: ...

class Balance(_message.Message):
    __slots__ = ("owner", "token", "balance_u", "reserved_u", "balance")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    BALANCE_U_FIELD_NUMBER: _ClassVar[int]
    RESERVED_U_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    owner: str
    token: str
    balance_u: int
    reserved_u: int
    balance: float
    def __init__(self, owner: _Optional[str] = ..., token: _Optional[str] = ..., balance_u: _Optional[int] = ..., reserved_u: _Optional[int] = ..., balance: _Optional[float] = ...) -> None: ...

class ListTransfersRequest(_message.Message):
    __slots__ = ("owner", "token", "page_size", "page_token")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    owner: str
    token: str
    page_size: int
    page_token: str
    def __init__(self, owner: _Optional[str] = ..., token: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTransfersResponse(_message.Message):
    __slots__ = ("transfers", "next_page_token")
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    transfers: _containers.RepeatedCompositeFieldContainer[TransferRecord]
    next_page_token: str
    def __init__(self, transfers: _Optional[_Iterable[_Union[TransferRecord, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class TransferRecord(_message.Message):
    __slots__ = ("id", "debit_owner", "credit_owner", "token", "amount_u", "kind", "reason", "time")
    ID_FIELD_NUMBER: _ClassVar[int]
    DEBIT_OWNER_FIELD_NUMBER: _ClassVar[int]
    CREDIT_OWNER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    debit_owner: str
    credit_owner: str
    token: str
    amount_u: int
    kind: str
    reason: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., debit_owner: _Optional[str] = ..., credit_owner: _Optional[str] = ..., token: _Optional[str] = ..., amount_u: _Optional[int] = ..., kind: _Optional[str] = ..., reason: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetSupplyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSupplyResponse(_message.Message):
    __slots__ = ("supplies",)
    SUPPLIES_FIELD_NUMBER: _ClassVar[int]
    supplies: _containers.RepeatedCompositeFieldContainer[Supply]
    def __init__(self, supplies: _Optional[_Iterable[_Union[Supply, _Mapping]]] = ...) -> None: ...

class Supply(_message.Message):
    __slots__ = ("token", "minted_u", "burned_u", "circulating_u")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    MINTED_U_FIELD_NUMBER: _ClassVar[int]
    BURNED_U_FIELD_NUMBER: _ClassVar[int]
    CIRCULATING_U_FIELD_NUMBER: _ClassVar[int]
    token: str
    minted_u: int
    burned_u: int
    circulating_u: int
    def __init__(self, token: _Optional[str] = ..., minted_u: _Optional[int] = ..., burned_u: _Optional[int] = ..., circulating_u: _Optional[int] = ...) -> None: ...

class TransferRequest(_message.Message):
    __slots__ = ("id", "debit_owner", "credit_owner", "token", "amount_u", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    DEBIT_OWNER_FIELD_NUMBER: _ClassVar[int]
    CREDIT_OWNER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    debit_owner: str
    credit_owner: str
    token: str
    amount_u: int
    reason: str
    def __init__(self, id: _Optional[str] = ..., debit_owner: _Optional[str] = ..., credit_owner: _Optional[str] = ..., token: _Optional[str] = ..., amount_u: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class TransferResponse(_message.Message):
    __slots__ = ("transfer", "replayed")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transfer: TransferRecord
    replayed: bool
    def __init__(self, transfer: _Optional[_Union[TransferRecord, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class TransferLinkedRequest(_message.Message):
    __slots__ = ("transfers",)
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    transfers: _containers.RepeatedCompositeFieldContainer[TransferRequest]
    def __init__(self, transfers: _Optional[_Iterable[_Union[TransferRequest, _Mapping]]] = ...) -> None: ...

class TransferLinkedResponse(_message.Message):
    __slots__ = ("transfers", "replayed")
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transfers: _containers.RepeatedCompositeFieldContainer[TransferRecord]
    replayed: bool
    def __init__(self, transfers: _Optional[_Iterable[_Union[TransferRecord, _Mapping]]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class MintRequest(_message.Message):
    __slots__ = ("id", "owner", "token", "amount_u", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    owner: str
    token: str
    amount_u: int
    reason: str
    def __init__(self, id: _Optional[str] = ..., owner: _Optional[str] = ..., token: _Optional[str] = ..., amount_u: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class MintResponse(_message.Message):
    __slots__ = ("transfer", "replayed")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transfer: TransferRecord
    replayed: bool
    def __init__(self, transfer: _Optional[_Union[TransferRecord, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class DrawLeaseRequest(_message.Message):
    __slots__ = ("id", "amount_u", "ttl_s")
    ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    id: str
    amount_u: int
    ttl_s: float
    def __init__(self, id: _Optional[str] = ..., amount_u: _Optional[int] = ..., ttl_s: _Optional[float] = ...) -> None: ...

class DrawLeaseResponse(_message.Message):
    __slots__ = ("id", "amount_u", "expires")
    ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    id: str
    amount_u: int
    expires: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., amount_u: _Optional[int] = ..., expires: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SettleLeaseRequest(_message.Message):
    __slots__ = ("id", "used_u")
    ID_FIELD_NUMBER: _ClassVar[int]
    USED_U_FIELD_NUMBER: _ClassVar[int]
    id: str
    used_u: int
    def __init__(self, id: _Optional[str] = ..., used_u: _Optional[int] = ...) -> None: ...

class SettleLeaseResponse(_message.Message):
    __slots__ = ("charged_u",)
    CHARGED_U_FIELD_NUMBER: _ClassVar[int]
    charged_u: int
    def __init__(self, charged_u: _Optional[int] = ...) -> None: ...
