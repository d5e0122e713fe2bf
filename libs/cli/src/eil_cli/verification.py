"""`eil proof verify` and `eil verification`: savings that were verified, offline and through the door."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from eil_cli.loop import RequestId, Token, call, proof
from eil_cli.terminal import REFUSED, AsJson, Failure, State, err, expected_errors, out, print_json

SHOWN = 20
"""Differences that are printed; --json has them all."""
Id = Annotated[str, typer.Argument(metavar="VERIFICATION_ID", help="As answered by `eil verification begin`.")]
PATH = "/v1/verifications"


class PredictionFirst(TyperGroup):
    """A group whose first argument is a prediction's id, unless it names a command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command first where none is named."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["prediction", *args]
        return super().parse_args(ctx, args)


def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A record, as exported.")],
    public_key: Annotated[
        str,
        typer.Option(
            "--public-key", metavar="HEX", help="Key that must have signed it.", show_default="the file's own"
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Recompute a record of verified savings offline, to the bit. Exits with 1 and says what differs if it does not hold."""
    from eil_proof.signing import check

    checked = check(file.read_bytes(), public_key)
    record, problems = checked.record, checked.problems
    if as_json:
        print_json({"holds": not problems, "public_key": checked.public_key, "problems": list(problems)})
    else:
        for problem in problems[:SHOWN]:
            out.print(f"[red]differs[/]: {escape(problem)}", soft_wrap=True)
        if len(problems) > SHOWN:
            out.print(f"and {len(problems) - SHOWN} more; see --json")
        if not problems:
            result, plan = record["result"], record["commitment"]["plan"]
            out.print(f"[bold green]holds[/]: {escape(plan['id'])} of {escape(plan['source'])} is {record['state']}")
            saved = "" if result["saving_j"] is None else f"{result['saving_j']:,.6g} J saved; "
            out.print(escape(f"{saved}{result['reason']}"), soft_wrap=True)
    if not public_key and checked.public_key:
        err.print(
            f"signed by {checked.public_key}, which the file itself names: anybody can sign with a key of their own. "
            "Compare it with the one that the Atlas keeps for proof/0, or give it with --public-key.",
            style="yellow",
            soft_wrap=True,
        )
    if problems:
        raise typer.Exit(REFUSED)


def begin(
    source: Annotated[str, typer.Argument(help="Source whose meter counts.")],
    boundary: Annotated[str, typer.Option(help="What the meter measures, in words.")],
    baseline_start: Annotated[str, typer.Option(metavar="TIME", help="Begin of the baseline (RFC 3339).")] = "",
    baseline_end: Annotated[str, typer.Option(metavar="TIME", help="Its end.")] = "",
    intervals: Annotated[int, typer.Option(min=0, help="Length of the reporting period, in intervals.")] = 0,
    reporting_start: Annotated[
        str, typer.Option(metavar="TIME", help="Its begin.", show_default="the next whole interval")
    ] = "",
    driver: Annotated[str, typer.Option(help="Channel, or product of channels, e.g. cpu_usage*active_servers.")] = "",
    model: Annotated[str, typer.Option(help="change_point, time_of_week_load or mean.")] = "change_point",
    option: Annotated[str, typer.Option(help="IPMVP option: A, B or C.")] = "B",
    interval_s: Annotated[int, typer.Option(min=1, max=86_400, help="Length of an interval [s].")] = 3600,
    switchback: Annotated[
        str, typer.Option(metavar="PAIRS,BLOCK,WASHOUT", help="A switchback instead: pairs, and intervals of each.")
    ] = "",
    request_id: RequestId = "",
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Commit a verification before anything is done: the baseline is frozen by its digest."""
    with expected_errors():
        body: dict[str, Any] = {
            "source": source,
            "boundary": boundary,
            "ipmvp_option": option,
            "driver": driver,
            "interval_s": interval_s,
            "request_id": request_id,
        }
        if reporting_start:
            body["reporting_start"] = _time(reporting_start)
        if switchback:
            body |= {"method": "switchback", **_blocks(switchback)}
        else:
            body |= {"method": "regression", "model": model, "reporting_intervals": intervals}
            body |= {"baseline_start": _time(baseline_start), "baseline_end": _time(baseline_end)}
        answer = call(state, token, "POST", PATH, body)
    _print(answer, as_json)


def evaluate(verification_id: Id, token: Token = None, state: State = None, as_json: AsJson = False) -> None:
    """Evaluate a verification once its reporting period is over; a second time shows the result."""
    with expected_errors():
        answer = call(state, token, "POST", f"{PATH}/{quote(verification_id, safe='')}:evaluate", {})
    _print(answer, as_json)


def export(
    verification_id: Id,
    file: Annotated[Path, typer.Argument(dir_okay=False, help="Where the signed record is written.")],
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write its intervals there.")] = None,
    token: Token = None,
    state: State = None,
) -> None:
    """Write the signed record of an evaluated verification; `eil proof verify FILE` recomputes it."""
    with expected_errors():
        answer = call(state, token, "GET", f"{PATH}/{quote(verification_id, safe='')}:export")
        try:
            file.write_bytes(answer["record"].encode())
            if csv is not None:
                csv.write_text(answer["csv"], encoding="utf-8")
        except OSError as error:
            raise Failure(f"the record cannot be written ({error})") from None


def list_(
    source: Annotated[str, typer.Option(help="Of one source.", show_default="all")] = "",
    token: Token = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """List verifications, newest first."""
    with expected_errors():
        answer = call(state, token, "GET", PATH, params={"source": source} if source else None)
    if as_json:
        print_json(answer)
        return
    table = Table("verification", "source", "state", "saving [J]", "90 % interval [J]", box=None)
    for one in answer.get("verifications", ()):
        cells = (one["verification_id"], one["source"], one["state"], *_saving(one))
        table.add_row(*map(escape, cells))
    out.print(table)


def register(app: typer.Typer) -> None:
    """Add the command groups."""
    proofs = typer.Typer(cls=PredictionFirst, help="Judge a prediction: `eil proof PREDICTION_ID`; or check a record.")
    proofs.command("prediction")(proof)
    proofs.command("verify")(verify)
    app.add_typer(proofs, name="proof", rich_help_panel="Prove", no_args_is_help=True)
    group = typer.Typer(help="Verify savings: baseline, measurement, record.", no_args_is_help=True)
    for name, command in (("begin", begin), ("evaluate", evaluate), ("export", export), ("list", list_)):
        group.command(name)(command)
    app.add_typer(group, name="verification", rich_help_panel="Prove")


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    found = answer["verification"]
    saving, interval = _saving(found)
    lines = {
        "state": found["state"],
        "because": found.get("reason", ""),
        "saving": f"{saving} J, 90 % interval {interval} J" if found.get("saving") else "",
        "reporting": f"{found.get('reporting_start', '')} to {found.get('reporting_end', '')}",
        "digest": found.get("commitment_digest", ""),
        "on first": "".join("on " if on else "off " for on in found.get("on_first", ())),
    }
    table = Table(box=None, show_header=False, title=escape(found["verification_id"]), title_justify="left")
    for name, text in lines.items():
        if text:
            table.add_row(name, escape(text))
    out.print(table)


def _saving(found: dict[str, Any]) -> tuple[str, str]:
    saving = found.get("saving")
    if not saving:
        return "", ""
    return f"{saving['saving']:,.6g}", f"{saving['saving_low']:,.6g} to {saving['saving_high']:,.6g}"


def _time(text: str) -> str:
    try:
        if datetime.fromisoformat(text).tzinfo is None:
            raise ValueError("it has no zone")
    except ValueError as error:
        raise Failure(f"{text!r} is no time ({error}): write 2026-01-31T00:00:00Z") from None
    return text


def _blocks(text: str) -> dict[str, int]:
    try:
        pairs, block, washout = (int(part) for part in text.split(","))
    except ValueError:
        raise Failure(f"{text!r} is no switchback: write PAIRS,BLOCK,WASHOUT, e.g. 7,24,1") from None
    return {"pairs": pairs, "block_intervals": block, "washout_intervals": washout}
