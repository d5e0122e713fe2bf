"""`eil sense`, `eil act`, `eil proof`: the loop by hand, through the door."""

from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape
from rich.table import Table

from eil_cli.terminal import AsJson, Failure, State, expected_errors, out, pairs, print_json, state_folder

Token = Annotated[
    str | None,
    typer.Option(
        "--token", envvar="EIL_TOKEN", help="Bearer token.", show_default="the administrator's, tenant default"
    ),
]
RequestId = Annotated[str, typer.Option("--request-id", help="The same id and body again get the stored answer.")]


def sense(
    source: Annotated[str, typer.Argument(help="Name of the source, e.g. datacenter-01.")],
    channels: Annotated[
        list[str], typer.Argument(metavar="CHANNEL=VALUE…", help="E.g. power_draw=850.5 cpu_usage=0.75.")
    ],
    timestamp: Annotated[str, typer.Option(help="When the sample was taken (RFC 3339).", show_default="now")] = "",
    context: Annotated[list[str] | None, typer.Option("--context", help="NAME=VALUE, e.g. power_kind=mean.")] = None,
    request_id: RequestId = "",
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Send one sample; answers the energy state and the regime."""
    with expected_errors():
        body = {
            "source": source,
            "timestamp": timestamp or now(),
            "telemetry": telemetry(channels),
            "context": pairs(context or [], what="a label"),
            "request_id": request_id,
        }
        answer = call(state, token, "POST", "/v1/sense", body)
    if as_json:
        print_json(answer)
        return
    energy, regime = answer.get("energy_state", {}), answer.get("regime_prediction", {})
    _print_table(
        answer.get("status", ""),
        {
            "energy": f"{energy.get('total_energy', 0.0):,.1f} ± {energy.get('energy_uncertainty', 0.0):,.1f} J"
            f" in {energy.get('covered_s', 0.0):.0f} of {energy.get('window_s', 0.0):.0f} s"
            f" ({energy.get('power_method', '')})",
            "entropy": f"{energy.get('entropy', 0.0):,.3f} J/K ({energy.get('entropy_method', '')})",
            "regime": f"{regime.get('current', '')} → {regime.get('next_likely', '')}"
            f" with confidence {regime.get('confidence', 0.0):.2f}",
            "because": regime.get("reason", ""),
            "conflicting": ", ".join(answer.get("conflicting", ())),
        },
    )


def act(
    servers: Annotated[int, typer.Option(min=1, help="Servers that serve now.")],
    utilization: Annotated[float, typer.Option(min=0.0, max=1.0, help="Utilisation per active server, 0–1.")],
    source: Annotated[str, typer.Option(help="Source whose learned behaviour is used.")] = "",
    max_latency_ms: Annotated[float, typer.Option(min=0.0, help="Largest latency [ms]; 0 is none.")] = 0.0,
    min_throughput: Annotated[float, typer.Option(min=0.0, help="Smallest servable throughput [1/s].")] = 0.0,
    horizon_s: Annotated[float, typer.Option(min=0.0, help="Horizon [s].", show_default="300")] = 0.0,
    mode: Annotated[str, typer.Option(help="observe, advise, approve or auto.", show_default="the source's own")] = "",
    goal: Annotated[
        str,
        typer.Option(help="minimize_energy, minimize_cost, minimize_carbon or maximize_efficiency."),
    ] = "minimize_energy",
    price: Annotated[
        list[float] | None, typer.Option(help="Price of energy by hour from now on [currency/kWh]; repeat it.")
    ] = None,
    carbon: Annotated[
        list[float] | None, typer.Option(min=0.0, help="Carbon intensity by hour from now on [g/kWh]; repeat it.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="LEVER=VALUE", help="Value of a lever now.", show_default="the newest its channel showed"
        ),
    ] = None,
    max_power_w: Annotated[float, typer.Option(min=0.0, help="Largest power [W]; 0 is none.")] = 0.0,
    max_temperature_c: Annotated[float, typer.Option(min=0.0, help="Largest temperature [°C]; 0 is none.")] = 0.0,
    request_id: RequestId = "",
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Ask for the cheapest action that keeps the constraints; its prediction is committed before it is answered."""
    with expected_errors():
        settings = telemetry(setting) if setting else {}
        body = {
            "goal": goal,
            "constraints": {
                "max_latency_ms": max_latency_ms,
                "min_throughput": min_throughput,
                "max_power_w": max_power_w,
                "max_temperature_c": max_temperature_c,
            },
            "current_state": {"active_servers": servers, "avg_utilization": utilization, "settings": settings},
            "source": source,
            "horizon_s": horizon_s,
            "mode": mode,
            "price_per_kwh": price or [],
            "carbon_g_per_kwh": carbon or [],
            "request_id": request_id,
        }
        answer = call(state, token, "POST", "/v1/act", body)
    if as_json:
        print_json(answer)
    else:
        _print_decision(answer, servers)


def _print_decision(answer: dict[str, Any], servers: int) -> None:
    """What to do, why, and why nothing else."""
    action, predicted = answer.get("action", {}), answer.get("predicted_state", {})
    _print_table(
        f"{action.get('type', '')} to {action.get('target_servers', servers)} servers",
        {
            **{
                wanted["lever"]: f"{wanted.get('value', 0.0):g} ({wanted.get('change', 0.0):+g})"
                for wanted in action.get("settings", ())
            },
            "saves": f"{action.get('expected_energy_savings', 0.0):,.1f} J in {answer.get('horizon_s', 0.0):.0f} s",
            "predicted": f"{predicted.get('energy', 0.0):,.1f} J"
            f" [{predicted.get('energy_low', 0.0):,.1f}, {predicted.get('energy_high', 0.0):,.1f}],"
            f" {predicted.get('entropy', 0.0):,.3f} J/K",
            "checks": _checks(answer.get("proof", {})),
            "mode": f"{answer.get('mode', '')}{', emitted' if answer.get('emitted') else ''}",
            "reward": f"{answer.get('pft_reward', 0.0):g} PFT if it holds",
            "because": answer.get("reason", ""),
            "prove it": f"eil proof {prediction}"
            if (prediction := answer.get("prediction_id"))
            else "nothing was committed",
        },
    )
    for other in answer.get("alternatives", ()):
        named = [f"{other.get('target_servers', 0)} servers"]
        named += [f"{lever} {value:g}" for lever, value in sorted(other.get("settings", {}).items())]
        out.print(
            f"  [dim]not {', '.join(named)}: {other.get('energy', 0.0):,.1f} J, {escape(other.get('reason', ''))}[/]"
        )


def proof(
    prediction_id: Annotated[str, typer.Argument(help="As answered by `eil act`.")],
    energy: Annotated[
        float | None, typer.Option(min=0.0, help="Your meter's energy [J].", show_default="as the mesh measured")
    ] = None,
    entropy: Annotated[
        float | None, typer.Option(help="Your entropy [J/K].", show_default="as the mesh measured")
    ] = None,
    request_id: RequestId = "",
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Judge a committed prediction against what was measured in its window."""
    with expected_errors():
        found = call(state, token, "GET", f"/v1/decisions/{quote(prediction_id, safe='')}")
        decision = found.get("decision", {})
        predicted = decision.get("response", {}).get("predicted_state", {})
        actual = {"energy": energy, "entropy": entropy}
        if energy is None or entropy is None:
            measured = call(state, token, "GET", "/v1/regime/measure", params=window(decision))
            actual = {name: measured.get(name, 0.0) if given is None else given for name, given in actual.items()}
        body = {
            "prediction_id": prediction_id,
            "predicted_state": {name: predicted.get(name, 0.0) for name in ("energy", "entropy")},
            "actual_state": actual,
            "timestamp": now(),
            "request_id": request_id,
        }
        answer = call(state, token, "POST", "/v1/proof", body)
    if as_json:
        print_json(answer)
        return
    _print_table(
        f"{'valid' if answer.get('valid') else 'not valid'}{' (proven before)' if answer.get('already_proven') else ''}",
        {
            "energy": f"predicted {body['predicted_state']['energy']:,.1f} J, measured"
            f" {answer.get('measured_energy', 0.0):,.1f} J: {answer.get('energy_error', 0.0):.2f} % apart",
            "entropy": f"{answer.get('entropy_error', 0.0):.2f} % apart",
            "checks": _checks(answer.get("checks", {})),
            "confidence": f"{answer.get('confidence_score', 0.0):.2f} ({answer.get('evidence', '')})",
            "minted": f"{answer.get('pft_minted', 0.0):g} PFT",
            "because": answer.get("reason", ""),
        },
    )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Close the loop")(sense)
    app.command(rich_help_panel="Close the loop")(act)


def now() -> str:
    """This moment, RFC 3339 in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def telemetry(channels: list[str]) -> dict[str, float]:
    """Channels and values of `name=number` arguments.

    Raises:
        Failure: one is not of this form.
    """
    values: dict[str, float] = {}
    for name, text in pairs(channels, what="a channel").items():
        try:
            values[name] = float(text)
        except ValueError:
            raise Failure(f"{name} is {text!r}, which is no number") from None
    return values


def window(decision: dict[str, Any]) -> dict[str, str]:
    """What to ask the regime service for: source, start and end of a decision's window.

    Raises:
        Failure: the decision names no source, so nothing was measured.
    """
    source = decision.get("request", {}).get("source", "")
    if not source:
        raise Failure(
            "this prediction names no source, so the mesh measured nothing: give your own with --energy and --entropy "
            "(it is compared, never rewarded)"
        )
    return {"source": source, "start": decision["window_start"], "end": decision["window_end"]}


def call(
    state: Any, token: str | None, method: str, path: str, body: Any = None, *, params: dict[str, str] | None = None
) -> Any:
    """Ask the mesh of a state folder, as whom the token says."""
    from eil_cli.door import Door
    from eil_cli.endpoint import Endpoint

    with Door(Endpoint.load(state_folder(state)), token) as door:
        return door.call(method, path, body, params=params)


def _checks(checks: dict[str, Any]) -> str:
    """`energy ✓  entropy ✗  feasibility untested`."""
    untested = set(checks.get("untested", ()))
    named = ((name, held) for name, held in checks.items() if name != "untested")
    return "  ".join(f"{name} {'untested' if name in untested else '✓' if held else '✗'}" for name, held in named)


def _print_table(title: str, rows: dict[str, str]) -> None:
    out.print(f"[bold]{escape(title)}[/]")
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value:
            table.add_row(f"  {name}", escape(value))
    out.print(table)
