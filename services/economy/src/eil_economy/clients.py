"""What callers may name: the one place that tells people's ids and accounts from the mesh's own.

An id of a person's transfer is kept, and answered, as `user:` and what the person sent; the mesh's ids (`proof:…`, `swap:…`, `lease:…`)
never begin so. People may name everybody's accounts and the treasury; the market may name everybody's and its pools'.
"""

from eil.economy.v1 import economy_pb2
from eil_mesh.errors import InvalidArgument, PermissionDenied

from eil_economy.domain.records import Instruction
from eil_economy.domain.tokens import OWN_PREFIX, POOL_PREFIX, TREASURY

USER_PREFIX = "user:"


def persons_order(request: economy_pb2.TransferRequest) -> Instruction:
    """The transfer that a person asks for.

    Raises:
        PermissionDenied: it names an account of the mesh other than the treasury.
    """
    for field, owner in (("debit_owner", request.debit_owner), ("credit_owner", request.credit_owner)):
        if owner.startswith(OWN_PREFIX) and owner != TREASURY:
            raise _reserved(field, owner, f"the mesh keeps it; name a person's account or {TREASURY}")
    return _order(USER_PREFIX + request.id, request)


def markets_order(request: economy_pb2.TransferRequest) -> Instruction:
    """One transfer of a chain that the market asks for.

    Raises:
        InvalidArgument: its id could be a person's.
        PermissionDenied: it names an account of the mesh other than a pool.
    """
    for field, owner in (("debit_owner", request.debit_owner), ("credit_owner", request.credit_owner)):
        if owner.startswith(OWN_PREFIX) and not owner.startswith(POOL_PREFIX):
            raise _reserved(field, owner, "linked transfers move between people and pools")
    return _order(mesh_id(request.id), request)


def mesh_id(transfer_id: str) -> str:
    """An id that a service of the mesh chose.

    Raises:
        InvalidArgument: it could be a person's.
    """
    if transfer_id.startswith(USER_PREFIX):
        raise InvalidArgument(
            f"ids that begin with {USER_PREFIX!r} are people's; choose another",
            reason="INVALID_NAME",
            violations={"id": f"must not begin with {USER_PREFIX!r}"},
        )
    return transfer_id


def _order(transfer_id: str, request: economy_pb2.TransferRequest) -> Instruction:
    return Instruction(
        transfer_id,
        request.debit_owner,
        request.credit_owner,
        request.token,
        request.amount_u,
        request.reason or "transfer",
    )


def _reserved(field: str, owner: str, why: str) -> PermissionDenied:
    return PermissionDenied(
        f"account {owner!r} is closed to this caller: {why}. Nothing moved",
        reason="ACCOUNT_RESERVED",
        violations={field: "is an account of the mesh"},
    )
