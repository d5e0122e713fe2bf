"""`eil budget show`, `list`, `set` and `top-up`: what principals may spend, and what they have left."""

import secrets
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape
from rich.table import Table

from eil_cli.loop import Token, call
from eil_cli.terminal import AsJson, Failure, State, expected_errors, out, print_json

U_PER_CEU = 10**6
MOST = 1000
"""Budgets of one page."""
Principal = Annotated[
    str, typer.Argument(help="Subject of the tokens whose budget it is, or * for the default of all.")
]


def show(
    principal: Annotated[
        str,
        typer.Argument(
            help="Subject of the tokens whose budget it is, or * for the default of all.", show_default="your own"
        ),
    ] = "",
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """What a principal has left, and what refills it."""
    with expected_errors():
        params = {"principal": principal} if principal else None
        budget = call(state, token, "GET", "/v1/economy/budget", params=params)["budget"]
    _print([budget], budget, as_json)


def list_budgets(token: Token = None, state: State = None, as_json: AsJson = False) -> None:
    """Budgets that were spent from, paid into or given a policy; all others have the default, which `eil budget show '*'` tells."""
    with expected_errors():
        found: list[dict[str, Any]] = []
        page = {"page_size": str(MOST)}
        while True:
            answer = call(state, token, "GET", "/v1/economy/budgets", params=page)
            found += answer.get("budgets", [])
            if not answer.get("next_page_token"):
                break
            page["page_token"] = answer["next_page_token"]
    _print(found, {"budgets": found}, as_json)


def set_policy(
    principal: Principal,
    capacity: Annotated[
        str, typer.Option(metavar="CEU", help="What the budget is filled up to; 0: only top-ups fill it.")
    ],
    refill: Annotated[str, typer.Option(metavar="CEU", help="What flows into it in an hour, out of the treasury.")],
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Set how a budget is refilled."""
    with expected_errors():
        body = {"capacity_u": str(micro(capacity)), "refill_u_per_h": str(micro(refill))}
        path = f"/v1/economy/budgets/{quote(principal, safe='')}"
        budget = call(state, token, "PUT", path, body)["budget"]
    _print([budget], budget, as_json)


def top_up(
    principal: Annotated[str, typer.Argument(help="Subject of the tokens whose budget it is.")],
    amount: Annotated[str, typer.Argument(metavar="CEU", help="How much, e.g. 25 or 0.5.")],
    source: Annotated[str, typer.Option("--from", metavar="ACCOUNT", help="Account that pays.")] = "@treasury",
    transfer_id: Annotated[
        str,
        typer.Option(
            "--id", help="Id of the transfer: the same id and amount again pay once.", show_default="a new one"
        ),
    ] = "",
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Transfer compute credits to a budget. It may take a second until a refused caller is served again."""
    with expected_errors():
        body = {
            "id": transfer_id or f"top-up-{secrets.token_hex(8)}",
            "debit_owner": source,
            "credit_owner": f"@budget/{principal}",
            "token": "CEU",
            "amount_u": str(micro(amount)),
            "reason": "budget top-up",
        }
        answer = call(state, token, "POST", "/v1/economy/transfers", body)
    if as_json:
        print_json(answer)
        return
    paid = answer["transfer"]
    how = "stood already" if answer.get("replayed") else "is paid"
    out.print(
        f"{ceu(paid['amount_u'])} CEU to {escape(paid['credit_owner'])} {how} [{escape(paid['id'])}]", soft_wrap=True
    )


def micro(amount: str) -> int:
    """10⁻⁶ CEU of a decimal number of CEU, exactly.

    Raises:
        Failure: it is no number from 0 on, or has more than six decimals.
    """
    try:
        exact = Decimal(amount) * U_PER_CEU
        if exact.is_finite() and exact >= 0 and exact == exact.to_integral_value():
            return int(exact)
    except InvalidOperation:
        pass
    raise Failure(f"{amount!r} is no amount of CEU: write a number from 0 on with at most six decimals, e.g. 12.5")


def ceu(amount_u: Any) -> str:
    """CEU of 10⁻⁶ CEU, for people: exact, without idle zeros."""
    whole, rest = divmod(int(amount_u), U_PER_CEU)
    return f"{whole:,}" + (f".{rest:06d}".rstrip("0") if rest else "")


def _print(budgets: list[dict[str, Any]], answer: Any, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("principal", "account"):
        table.add_column(heading)
    for heading in ("left [CEU]", "in leases", "filled up to", "by, an hour"):
        table.add_column(heading, justify="right")
    table.add_column("policy")
    for budget in budgets:
        figures = [ceu(budget.get(name, 0)) for name in ("left_u", "leased_u", "capacity_u", "refill_u_per_h")]
        policy = "own" if budget.get("own_policy") else "default"
        table.add_row(escape(budget["principal"]), escape(budget.get("account", "")), *figures, policy)
    out.print(table)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="What principals may spend, and what they have left.", no_args_is_help=True)
    commands.command("show")(show)
    commands.command("list")(list_budgets)
    commands.command("set")(set_policy)
    commands.command("top-up")(top_up)
    app.add_typer(commands, name="budget", rich_help_panel="Close the loop")
