"""Names that may enter the ledger: pools only by linked transfers, ids with room for a prefix; and lists of the whole tenant."""

import sqlite3
from dataclasses import replace

import pytest
from eil_economy.domain.errors import InvalidName, InvalidPage
from eil_economy.domain.holds import reserve
from eil_economy.domain.ledger import burn, mint, transfer, transfer_linked
from eil_economy.domain.records import Instruction
from eil_economy.domain.reports import balances, history

POOL = "@pool/CEU-PFT"
IN = Instruction("swap:1", "alice", POOL, "CEU", 300, "swap")
OUT = Instruction("swap:2", POOL, "alice", "CEU", 100, "swap")


def test_a_chain_moves_into_a_pool_and_out_of_it(conn: sqlite3.Connection) -> None:
    lines = transfer_linked(conn, "acme", [IN, OUT], 2)
    assert transfer_linked(conn, "acme", [IN, OUT], 3) == tuple(replace(line, replayed=True) for line in lines)
    assert {b.owner: b.balance_u for b in balances(conn, "acme", POOL)} == {POOL: 200}


def test_nothing_but_a_chain_names_a_pool(conn: sqlite3.Connection) -> None:
    transfer_linked(conn, "acme", [IN], 2)
    before = list(conn.iterdump())
    for attempt in (
        lambda: transfer(conn, "acme", replace(IN, transfer_id="t1"), 3),
        lambda: transfer(conn, "acme", OUT, 3),
        lambda: reserve(conn, "acme", OUT, 10, 3),
        lambda: mint(conn, "acme", "m2", POOL, "CEU", 1, "gift", 3),
        lambda: burn(conn, "acme", "b1", POOL, "CEU", 1, "loss", 3),
        lambda: transfer_linked(conn, "acme", [replace(OUT, source="@pool/")], 3),
        lambda: transfer_linked(conn, "acme", [replace(OUT, source="@poolside")], 3),
        lambda: transfer_linked(conn, "acme", [replace(OUT, source="@pool/" + "x" * 128)], 3),
    ):
        with pytest.raises(InvalidName):
            attempt()
    assert list(conn.iterdump()) == before


def test_an_id_has_room_for_a_prefix_and_an_account_has_not(conn: sqlite3.Connection) -> None:
    order = Instruction("i" * 160, "alice", "b" * 128, "CEU", 1, "gift")
    assert transfer(conn, "acme", order, 2).transfer_id == "i" * 160
    for change in ({"transfer_id": "i" * 161}, {"destination": "b" * 129}):
        with pytest.raises(InvalidName):
            transfer(conn, "acme", replace(order, **change), 3)


@pytest.mark.parametrize("limit", [1, 4, 100])
@pytest.mark.parametrize(
    ("owner", "token"), [(None, None), ("bob", None), ("bob", "PFT"), (None, "CEU"), ("eve", None)]
)
def test_pages_of_history_join_to_what_the_filters_ask(
    conn: sqlite3.Connection, owner: str | None, token: str | None, limit: int
) -> None:
    mint(conn, "acme", "m2", "bob", "PFT", 1000, "proof", 1)
    mint(conn, "zeta", "m1", "bob", "CEU", 1000, "other tenant", 1)
    for i in range(9):
        transfer(conn, "acme", Instruction(f"t{i}", "alice", ("bob", "carol")[i % 2], "CEU", 1, "pay"), i)
        transfer(conn, "acme", Instruction(f"p{i}", "bob", "carol", "PFT", 1, "pay"), i)
    seen: list[int] = []
    before_seq = None
    while True:
        found, before_seq = history(conn, "acme", owner, token, before_seq, limit)
        assert len(found) <= limit
        seen += [line.seq for line in found]
        if before_seq is None:
            break
    wanted = conn.execute(
        "SELECT seq FROM transfer WHERE tenant = 'acme' AND (? = '' OR ? IN (source, destination))"
        " AND (? = '' OR ? = token) ORDER BY seq DESC",
        (owner or "", owner or "", token or "", token or ""),
    )
    assert seen == [seq for (seq,) in wanted]


def test_history_refuses_a_page_out_of_range(conn: sqlite3.Connection) -> None:
    with pytest.raises(InvalidPage):
        history(conn, "acme", limit=1001)
