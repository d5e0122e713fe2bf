"""Transfers that post at once: single, minted, burned, or linked all-or-nothing."""

from collections.abc import Sequence
from typing import Final

from eil_economy.domain.book import admit, all_or_nothing, draft, write
from eil_economy.domain.database import Database
from eil_economy.domain.errors import DifferentTransfer, InvalidLink, IssuanceReserved, SelfTransfer, UnknownToken
from eil_economy.domain.records import Instruction, Transfer
from eil_economy.domain.tokens import (
    BUDGET_PREFIX,
    CEU,
    ISSUANCE,
    require_account,
    require_amount,
    require_id,
    require_name,
    require_text,
    require_token,
)

MAX_LINKED: Final = 64


def require_instruction(tenant: str, order: Instruction, *, linked: bool = False) -> None:
    """The instruction makes sense by itself, whatever the balances; one of a chain may name pools.

    Raises, first that applies: InvalidName, UnknownToken, InvalidAmount, SelfTransfer, IssuanceReserved.
    """
    require_name(tenant, "tenant")
    require_account(order.source, "source", linked=linked)
    require_account(order.destination, "destination", linked=linked)
    require_text(order.reason, "reason")
    require_text(order.reference, "reference", empty=True)
    require_token(order.token)
    if order.destination.startswith(BUDGET_PREFIX) and order.token != CEU:
        raise UnknownToken(f"Budgets hold {CEU} alone, and {order.token} would be stuck there: send {CEU}.", "token")
    require_amount(order.amount_u)
    if order.source == order.destination:
        raise SelfTransfer(
            f"Source and destination are both {order.source!r}: nothing would move; name two accounts.", "destination"
        )
    if (order.source == ISSUANCE) != (order.purpose == "mint"):
        raise IssuanceReserved("Only a mint takes from issuance: name an ordinary source, or mint.", "source")
    if (order.destination == ISSUANCE) != (order.purpose == "burn"):
        raise IssuanceReserved("Only a burn gives to issuance: name an ordinary destination, or burn.", "destination")


def post_now(conn: Database, tenant: str, order: Instruction, now_us: int, link_id: str | None = None) -> Transfer:
    """Records one posted transfer whose id may be the ledger's own. Raises as `transfer` does."""
    require_instruction(tenant, order, linked=link_id is not None)
    line = draft(tenant, order, now_us, timeout_us=None, link_id=link_id)
    now = admit(conn, line)
    return now if isinstance(now, Transfer) else write(conn, line, now)


def transfer(conn: Database, tenant: str, order: Instruction, now_us: int) -> Transfer:
    """Moves tokens at once; a repeated request returns the original with `replayed` set and changes nothing.

    The destination's account is opened on demand. Raises, first that applies: the errors of `require_instruction`,
    DifferentTransfer, AccountNotFound (source), Overdraft, SupplyExhausted (mint).
    """
    require_id(order.transfer_id)
    return post_now(conn, tenant, order, now_us)


def mint(
    conn: Database,
    tenant: str,
    transfer_id: str,
    owner: str,
    token: str,
    amount_u: int,
    reason: str,
    now_us: int,
    reference: str = "",
) -> Transfer:
    """Issues new tokens to `owner`, with the reason and a reference to the evidence. Raises as `transfer` does."""
    order = Instruction.minting(transfer_id, owner, token, amount_u, reason, reference)
    return transfer(conn, tenant, order, now_us)


def burn(
    conn: Database,
    tenant: str,
    transfer_id: str,
    owner: str,
    token: str,
    amount_u: int,
    reason: str,
    now_us: int,
    reference: str = "",
) -> Transfer:
    """Takes tokens of `owner` out of circulation. Raises as `transfer` does."""
    order = Instruction.burning(transfer_id, owner, token, amount_u, reason, reference)
    return transfer(conn, tenant, order, now_us)


def transfer_linked(conn: Database, tenant: str, orders: Sequence[Instruction], now_us: int) -> tuple[Transfer, ...]:
    """Posts every instruction in order, or none: an exchange is two of these, its fee a third.

    The chain is known by its first id. A replay must repeat the whole chain. Raises InvalidLink, or what `transfer`
    raises for the first instruction that fails; then nothing of the chain remains.
    """
    ids = [order.transfer_id for order in orders]
    if not 0 < len(ids) <= MAX_LINKED or len(set(ids)) != len(ids):
        raise InvalidLink(
            f"A chain needs 1 to {MAX_LINKED} transfers with different ids; this one has {len(ids)} with "
            f"{len(set(ids))} different ids. Nothing was recorded.",
            "transfers",
        )
    for order in orders:
        require_id(order.transfer_id)
    with all_or_nothing(conn):
        lines = tuple(post_now(conn, tenant, order, now_us, link_id=ids[0]) for order in orders)
        (recorded,) = conn.execute(
            "SELECT count(*) FROM transfer WHERE tenant = ? AND link_id = ?", (tenant, ids[0])
        ).fetchone()
        if recorded != len(lines) or len({line.replayed for line in lines}) != 1:
            raise DifferentTransfer(
                f"Chain {ids[0]!r} exists with other transfers than the {len(lines)} given: a chain is replayed whole; "
                "repeat the original request, or use new ids.",
                "transfers",
            )
    return lines
