"""What callers may name: the one place that tells people's ids and accounts from the mesh's own.

An id of a person's transfer is kept, and answered, as `user:` and what the person sent, a service's reservation as `market:` and that;
the mesh's other ids (`proof:…`, `bonus:…`, `swap:…`, `lease:…`) never begin so. People may name everybody's accounts and the treasury;
the market may name everybody's and its pools'. Both may pay CEU into a principal's budget, and take none out.
"""

from eil.economy.v1 import economy_pb2
from eil_mesh.call import caller
from eil_mesh.clock import MICROSECONDS
from eil_mesh.errors import InvalidArgument, PermissionDenied
from eil_mesh.metering import principal_of
from eil_mesh.paging import PagedRequest, newest_page_of

from eil_economy.domain.minter import PROOF_PREFIX
from eil_economy.domain.records import Instruction
from eil_economy.domain.tokens import BUDGET_PREFIX, OWN_PREFIX, POOL_PREFIX, TREASURY

USER_PREFIX = "user:"


def persons_order(request: economy_pb2.TransferRequest | economy_pb2.ReserveRequest) -> Instruction:
    """The transfer, at once or in two phases, that a person asks for.

    Raises:
        PermissionDenied: it names an account of the mesh other than the treasury, or takes from a budget.
    """
    _require_open("debit_owner", request.debit_owner)
    if not request.credit_owner.startswith(BUDGET_PREFIX):
        _require_open("credit_owner", request.credit_owner)
    return _order(own_id(request.id), request)


def persons_burn(request: economy_pb2.BurnRequest) -> Instruction:
    """The burn that a person asks for.

    Raises:
        PermissionDenied: it names an account of the mesh other than the treasury.
    """
    _require_open("owner", request.owner)
    return Instruction.burning(
        own_id(request.id), request.owner, request.token, request.amount_u, request.reason or "burn"
    )


def own_id(sent: str) -> str:
    """The id of a caller's transfer, reservation or licence, as the ledger keeps it: what was sent, behind whose it is."""
    return f"{caller().service}:{sent}" if caller().service else USER_PREFIX + sent


def markets_order(request: economy_pb2.TransferRequest) -> Instruction:
    """One transfer of a chain that the market asks for.

    Raises:
        InvalidArgument: its id could be a person's.
        PermissionDenied: it names an account of the mesh other than a pool, or takes from a budget.
    """
    sides = (("debit_owner", request.debit_owner, ()), ("credit_owner", request.credit_owner, (BUDGET_PREFIX,)))
    for field, owner, more in sides:
        if owner.startswith(OWN_PREFIX) and not owner.startswith((POOL_PREFIX, *more)):
            raise _reserved(field, owner, "linked transfers move between people and pools, and into budgets")
    return _order(mesh_id(request.id), request)


def proofs_id(transfer_id: str) -> str:
    """The id of a mint that a proof earned.

    Raises:
        InvalidArgument: it could be a person's, or it names no proof: nothing is minted without one.
    """
    if not mesh_id(transfer_id).removeprefix(PROOF_PREFIX) or not transfer_id.startswith(PROOF_PREFIX):
        raise InvalidArgument(
            f"{transfer_id!r} names no proof, and nothing is minted without one: ids of mints are {PROOF_PREFIX!r} and the proof's",
            reason="PROOF_REQUIRED",
            violations={"id": f"must be {PROOF_PREFIX!r} and a proof's id"},
        )
    return transfer_id


def whose_budget(asked: str) -> str:
    """The principal whose budget is asked for; the caller's own if none is named.

    Raises:
        InvalidArgument: none is named, and the caller is a service in its own name, which has no budget.
    """
    if asked:
        return asked
    if not caller().token:
        raise InvalidArgument(
            "services have no budget of their own; name the principal whose budget you mean",
            violations={"principal": "is needed where no token comes"},
        )
    return principal_of(caller().subject)


def us_of(seconds: float) -> int:
    """Seconds in whole microseconds."""
    return round(seconds * MICROSECONDS)


def oldest_page_of(request: PagedRequest) -> tuple[int, int]:
    """For lists by rising sequence number: rows wanted, and the number that they must lie above.

    Raises:
        InvalidArgument: the token is none that such a page ended with.
    """
    size, after = newest_page_of(request)
    return size, after if request.page_token else 0


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


def _require_open(field: str, owner: str) -> None:
    if owner.startswith(OWN_PREFIX) and owner != TREASURY:
        raise _reserved(field, owner, f"the mesh keeps it; name a person's account or {TREASURY}, or pay into a budget")


def _order(transfer_id: str, request: economy_pb2.TransferRequest | economy_pb2.ReserveRequest) -> Instruction:
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
