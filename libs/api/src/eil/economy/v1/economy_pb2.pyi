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
    __slots__ = ("owner", "token", "balance_u", "reserved_u", "balance", "incoming_u")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    BALANCE_U_FIELD_NUMBER: _ClassVar[int]
    RESERVED_U_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    INCOMING_U_FIELD_NUMBER: _ClassVar[int]
    owner: str
    token: str
    balance_u: int
    reserved_u: int
    balance: float
    incoming_u: int
    def __init__(self, owner: _Optional[str] = ..., token: _Optional[str] = ..., balance_u: _Optional[int] = ..., reserved_u: _Optional[int] = ..., balance: _Optional[float] = ..., incoming_u: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("id", "debit_owner", "credit_owner", "token", "amount_u", "kind", "reason", "time", "pending_id", "expires", "reference")
    ID_FIELD_NUMBER: _ClassVar[int]
    DEBIT_OWNER_FIELD_NUMBER: _ClassVar[int]
    CREDIT_OWNER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PENDING_ID_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    debit_owner: str
    credit_owner: str
    token: str
    amount_u: int
    kind: str
    reason: str
    time: _timestamp_pb2.Timestamp
    pending_id: str
    expires: _timestamp_pb2.Timestamp
    reference: str
    def __init__(self, id: _Optional[str] = ..., debit_owner: _Optional[str] = ..., credit_owner: _Optional[str] = ..., token: _Optional[str] = ..., amount_u: _Optional[int] = ..., kind: _Optional[str] = ..., reason: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., pending_id: _Optional[str] = ..., expires: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reference: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("id", "amount_u", "ttl_s", "principal")
    ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    id: str
    amount_u: int
    ttl_s: float
    principal: str
    def __init__(self, id: _Optional[str] = ..., amount_u: _Optional[int] = ..., ttl_s: _Optional[float] = ..., principal: _Optional[str] = ...) -> None: ...

class DrawLeaseResponse(_message.Message):
    __slots__ = ("id", "amount_u", "expires", "left_u")
    ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    LEFT_U_FIELD_NUMBER: _ClassVar[int]
    id: str
    amount_u: int
    expires: _timestamp_pb2.Timestamp
    left_u: int
    def __init__(self, id: _Optional[str] = ..., amount_u: _Optional[int] = ..., expires: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., left_u: _Optional[int] = ...) -> None: ...

class GetBudgetRequest(_message.Message):
    __slots__ = ("principal",)
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    principal: str
    def __init__(self, principal: _Optional[str] = ...) -> None: ...

class GetBudgetResponse(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ...) -> None: ...

class ListBudgetsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListBudgetsResponse(_message.Message):
    __slots__ = ("budgets", "next_page_token")
    BUDGETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    budgets: _containers.RepeatedCompositeFieldContainer[Budget]
    next_page_token: str
    def __init__(self, budgets: _Optional[_Iterable[_Union[Budget, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PutBudgetRequest(_message.Message):
    __slots__ = ("principal", "capacity_u", "refill_u_per_h")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_U_FIELD_NUMBER: _ClassVar[int]
    REFILL_U_PER_H_FIELD_NUMBER: _ClassVar[int]
    principal: str
    capacity_u: int
    refill_u_per_h: int
    def __init__(self, principal: _Optional[str] = ..., capacity_u: _Optional[int] = ..., refill_u_per_h: _Optional[int] = ...) -> None: ...

class PutBudgetResponse(_message.Message):
    __slots__ = ("budget",)
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    budget: Budget
    def __init__(self, budget: _Optional[_Union[Budget, _Mapping]] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("principal", "account", "left_u", "leased_u", "capacity_u", "refill_u_per_h", "own_policy")
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    LEFT_U_FIELD_NUMBER: _ClassVar[int]
    LEASED_U_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_U_FIELD_NUMBER: _ClassVar[int]
    REFILL_U_PER_H_FIELD_NUMBER: _ClassVar[int]
    OWN_POLICY_FIELD_NUMBER: _ClassVar[int]
    principal: str
    account: str
    left_u: int
    leased_u: int
    capacity_u: int
    refill_u_per_h: int
    own_policy: bool
    def __init__(self, principal: _Optional[str] = ..., account: _Optional[str] = ..., left_u: _Optional[int] = ..., leased_u: _Optional[int] = ..., capacity_u: _Optional[int] = ..., refill_u_per_h: _Optional[int] = ..., own_policy: _Optional[bool] = ...) -> None: ...

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

class ReserveRequest(_message.Message):
    __slots__ = ("id", "debit_owner", "credit_owner", "token", "amount_u", "ttl_s", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    DEBIT_OWNER_FIELD_NUMBER: _ClassVar[int]
    CREDIT_OWNER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    debit_owner: str
    credit_owner: str
    token: str
    amount_u: int
    ttl_s: float
    reason: str
    def __init__(self, id: _Optional[str] = ..., debit_owner: _Optional[str] = ..., credit_owner: _Optional[str] = ..., token: _Optional[str] = ..., amount_u: _Optional[int] = ..., ttl_s: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class ReserveResponse(_message.Message):
    __slots__ = ("transfer", "replayed")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transfer: TransferRecord
    replayed: bool
    def __init__(self, transfer: _Optional[_Union[TransferRecord, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class PostReservationRequest(_message.Message):
    __slots__ = ("id", "amount_u", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    amount_u: int
    reason: str
    def __init__(self, id: _Optional[str] = ..., amount_u: _Optional[int] = ..., reason: _Optional[str] = ...) -> None: ...

class PostReservationResponse(_message.Message):
    __slots__ = ("transfer", "replayed")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transfer: TransferRecord
    replayed: bool
    def __init__(self, transfer: _Optional[_Union[TransferRecord, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class VoidReservationRequest(_message.Message):
    __slots__ = ("id", "reason")
    ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    id: str
    reason: str
    def __init__(self, id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class VoidReservationResponse(_message.Message):
    __slots__ = ("transfer", "replayed")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transfer: TransferRecord
    replayed: bool
    def __init__(self, transfer: _Optional[_Union[TransferRecord, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class BurnRequest(_message.Message):
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

class BurnResponse(_message.Message):
    __slots__ = ("transfer", "replayed")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transfer: TransferRecord
    replayed: bool
    def __init__(self, transfer: _Optional[_Union[TransferRecord, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class GetStatementRequest(_message.Message):
    __slots__ = ("owner", "token", "start", "end", "page_size", "page_token")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    owner: str
    token: str
    start: _timestamp_pb2.Timestamp
    end: _timestamp_pb2.Timestamp
    page_size: int
    page_token: str
    def __init__(self, owner: _Optional[str] = ..., token: _Optional[str] = ..., start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class GetStatementResponse(_message.Message):
    __slots__ = ("opening_u", "lines", "closing_u", "next_page_token")
    OPENING_U_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    CLOSING_U_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    opening_u: int
    lines: _containers.RepeatedCompositeFieldContainer[StatementLine]
    closing_u: int
    next_page_token: str
    def __init__(self, opening_u: _Optional[int] = ..., lines: _Optional[_Iterable[_Union[StatementLine, _Mapping]]] = ..., closing_u: _Optional[int] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class StatementLine(_message.Message):
    __slots__ = ("transfer", "counterparty", "change_u", "reserved_change_u", "balance_after_u")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    COUNTERPARTY_FIELD_NUMBER: _ClassVar[int]
    CHANGE_U_FIELD_NUMBER: _ClassVar[int]
    RESERVED_CHANGE_U_FIELD_NUMBER: _ClassVar[int]
    BALANCE_AFTER_U_FIELD_NUMBER: _ClassVar[int]
    transfer: TransferRecord
    counterparty: str
    change_u: int
    reserved_change_u: int
    balance_after_u: int
    def __init__(self, transfer: _Optional[_Union[TransferRecord, _Mapping]] = ..., counterparty: _Optional[str] = ..., change_u: _Optional[int] = ..., reserved_change_u: _Optional[int] = ..., balance_after_u: _Optional[int] = ...) -> None: ...

class AuditLedgerRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class AuditLedgerResponse(_message.Message):
    __slots__ = ("holds", "transfers", "accounts", "mismatches")
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    TRANSFERS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    holds: bool
    transfers: int
    accounts: int
    mismatches: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, holds: _Optional[bool] = ..., transfers: _Optional[int] = ..., accounts: _Optional[int] = ..., mismatches: _Optional[_Iterable[str]] = ...) -> None: ...

class ListPoliciesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPoliciesResponse(_message.Message):
    __slots__ = ("policies",)
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[Policy]
    def __init__(self, policies: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("name", "version", "token", "condition", "formula", "parameters", "inputs", "cap_u", "day_cap_u")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    FORMULA_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    CAP_U_FIELD_NUMBER: _ClassVar[int]
    DAY_CAP_U_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    token: str
    condition: str
    formula: str
    parameters: _containers.ScalarMap[str, int]
    inputs: _containers.RepeatedScalarFieldContainer[str]
    cap_u: int
    day_cap_u: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., token: _Optional[str] = ..., condition: _Optional[str] = ..., formula: _Optional[str] = ..., parameters: _Optional[_Mapping[str, int]] = ..., inputs: _Optional[_Iterable[str]] = ..., cap_u: _Optional[int] = ..., day_cap_u: _Optional[int] = ...) -> None: ...

class ListMintsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListMintsResponse(_message.Message):
    __slots__ = ("mints", "next_page_token")
    MINTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    mints: _containers.RepeatedCompositeFieldContainer[MintClaim]
    next_page_token: str
    def __init__(self, mints: _Optional[_Iterable[_Union[MintClaim, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class MintClaim(_message.Message):
    __slots__ = ("proof_id", "policy", "version", "owner", "evidence", "inputs", "state", "amount_u", "why", "submitted", "decided")
    PROOF_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_U_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    proof_id: str
    policy: str
    version: int
    owner: str
    evidence: str
    inputs: str
    state: str
    amount_u: int
    why: str
    submitted: _timestamp_pb2.Timestamp
    decided: _timestamp_pb2.Timestamp
    def __init__(self, proof_id: _Optional[str] = ..., policy: _Optional[str] = ..., version: _Optional[int] = ..., owner: _Optional[str] = ..., evidence: _Optional[str] = ..., inputs: _Optional[str] = ..., state: _Optional[str] = ..., amount_u: _Optional[int] = ..., why: _Optional[str] = ..., submitted: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decided: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SubmitMintRequest(_message.Message):
    __slots__ = ("proof_id", "policy", "version", "owner", "evidence", "inputs")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PROOF_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    proof_id: str
    policy: str
    version: int
    owner: str
    evidence: str
    inputs: _containers.ScalarMap[str, int]
    def __init__(self, proof_id: _Optional[str] = ..., policy: _Optional[str] = ..., version: _Optional[int] = ..., owner: _Optional[str] = ..., evidence: _Optional[str] = ..., inputs: _Optional[_Mapping[str, int]] = ...) -> None: ...

class SubmitMintResponse(_message.Message):
    __slots__ = ("mint", "replayed")
    MINT_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    mint: MintClaim
    replayed: bool
    def __init__(self, mint: _Optional[_Union[MintClaim, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class ReserveMintRequest(_message.Message):
    __slots__ = ("proof_id", "owner", "saving_j", "ttl_s")
    PROOF_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SAVING_J_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    proof_id: str
    owner: str
    saving_j: int
    ttl_s: float
    def __init__(self, proof_id: _Optional[str] = ..., owner: _Optional[str] = ..., saving_j: _Optional[int] = ..., ttl_s: _Optional[float] = ...) -> None: ...

class ReserveMintResponse(_message.Message):
    __slots__ = ("transfer", "replayed")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transfer: TransferRecord
    replayed: bool
    def __init__(self, transfer: _Optional[_Union[TransferRecord, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class PostMintRequest(_message.Message):
    __slots__ = ("proof_id", "saving_low_j", "evidence")
    PROOF_ID_FIELD_NUMBER: _ClassVar[int]
    SAVING_LOW_J_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    proof_id: str
    saving_low_j: int
    evidence: str
    def __init__(self, proof_id: _Optional[str] = ..., saving_low_j: _Optional[int] = ..., evidence: _Optional[str] = ...) -> None: ...

class PostMintResponse(_message.Message):
    __slots__ = ("transfer", "replayed")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transfer: TransferRecord
    replayed: bool
    def __init__(self, transfer: _Optional[_Union[TransferRecord, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class VoidMintRequest(_message.Message):
    __slots__ = ("proof_id", "reason")
    PROOF_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    proof_id: str
    reason: str
    def __init__(self, proof_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class VoidMintResponse(_message.Message):
    __slots__ = ("transfer", "replayed")
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    transfer: TransferRecord
    replayed: bool
    def __init__(self, transfer: _Optional[_Union[TransferRecord, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class IssueLicenceRequest(_message.Message):
    __slots__ = ("id", "model", "holder", "steps", "period_s", "life_s", "price_u")
    ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    LIFE_S_FIELD_NUMBER: _ClassVar[int]
    PRICE_U_FIELD_NUMBER: _ClassVar[int]
    id: str
    model: str
    holder: str
    steps: int
    period_s: float
    life_s: float
    price_u: int
    def __init__(self, id: _Optional[str] = ..., model: _Optional[str] = ..., holder: _Optional[str] = ..., steps: _Optional[int] = ..., period_s: _Optional[float] = ..., life_s: _Optional[float] = ..., price_u: _Optional[int] = ...) -> None: ...

class IssueLicenceResponse(_message.Message):
    __slots__ = ("licence", "replayed")
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    licence: Licence
    replayed: bool
    def __init__(self, licence: _Optional[_Union[Licence, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class Licence(_message.Message):
    __slots__ = ("id", "model", "holder", "steps", "period_s", "price_u", "starts", "expires")
    ID_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    PRICE_U_FIELD_NUMBER: _ClassVar[int]
    STARTS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_FIELD_NUMBER: _ClassVar[int]
    id: str
    model: str
    holder: str
    steps: int
    period_s: float
    price_u: int
    starts: _timestamp_pb2.Timestamp
    expires: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., model: _Optional[str] = ..., holder: _Optional[str] = ..., steps: _Optional[int] = ..., period_s: _Optional[float] = ..., price_u: _Optional[int] = ..., starts: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListLicencesRequest(_message.Message):
    __slots__ = ("holder",)
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    holder: str
    def __init__(self, holder: _Optional[str] = ...) -> None: ...

class ListLicencesResponse(_message.Message):
    __slots__ = ("licences",)
    LICENCES_FIELD_NUMBER: _ClassVar[int]
    licences: _containers.RepeatedCompositeFieldContainer[Licence]
    def __init__(self, licences: _Optional[_Iterable[_Union[Licence, _Mapping]]] = ...) -> None: ...

class CheckLicenceRequest(_message.Message):
    __slots__ = ("model", "holder", "steps", "request_id")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HOLDER_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    model: str
    holder: str
    steps: int
    request_id: str
    def __init__(self, model: _Optional[str] = ..., holder: _Optional[str] = ..., steps: _Optional[int] = ..., request_id: _Optional[str] = ...) -> None: ...

class CheckLicenceResponse(_message.Message):
    __slots__ = ("licence", "left_steps")
    LICENCE_FIELD_NUMBER: _ClassVar[int]
    LEFT_STEPS_FIELD_NUMBER: _ClassVar[int]
    licence: Licence
    left_steps: int
    def __init__(self, licence: _Optional[_Union[Licence, _Mapping]] = ..., left_steps: _Optional[int] = ...) -> None: ...
