"""A snapshot as a screen that people like to look at, and the changes between two as lines."""

from collections.abc import Iterable, Sequence
from itertools import compress

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from eil_cli.feeds.times import clock_text
from eil_cli.watch_state import TOKENS, TRACE, ActionView, Snapshot, SourceView, VerdictView

BARS = "▁▂▃▄▅▆▇█"
FLAT_SHARE = 0.02
"""A trace that varies by less of its level is drawn flat, so that noise does not look like events."""
NARROW, WIDE, VERY_WIDE = 100, 120, 140
REGIME_STYLES = {"stable": "green", "drifting": "yellow", "transition": "magenta", "critical": "bold red"}
METHOD_STYLES = {"SIMULATED": "cyan", "MODELLED": "yellow", "METERED": "green", "COUNTER": "green"}
METHOD_NAMES = {"SIMULATED": "simulated", "MODELLED": "estimated", "METERED": "metered", "COUNTER": "counter"}


def screen(snapshot: Snapshot, *, width: int, token_command: str, footer: str) -> RenderableType:
    """The whole screen.

    Args:
        snapshot: what to show.
        width: of the terminal [characters]; below NARROW, WIDE and VERY_WIDE less is shown.
        token_command: prints a token for the door.
        footer: what ends the screen, e.g. "Ctrl-C stops".
    """
    gap = Text()
    return Group(
        _header(snapshot, token_command),
        _sources(snapshot.sources, width),
        gap,
        _actions(snapshot, width),
        gap,
        _balances(snapshot),
        gap,
        *_footer(snapshot, footer),
    )


def sparkline(values: Sequence[float], length: int) -> str:
    """The newest `length` values as bars between the least and the largest of them."""
    shown = list(values)[-length:]
    if not shown:
        return ""
    low, high = min(shown), max(shown)
    if high - low <= FLAT_SHARE * max(abs(high), abs(low)):
        return BARS[len(BARS) // 2 - 1] * len(shown)
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in shown)


def joules(energy_j: float | None) -> str:
    """Energy for people: three or four digits and a prefix."""
    if energy_j is None:
        return "–"
    for limit, factor, unit in ((1e3, 1.0, "J"), (1e6, 1e-3, "kJ"), (1e9, 1e-6, "MJ")):
        if abs(energy_j) < 0.9995 * limit:
            return f"{energy_j * factor:.1f} {unit}"
    return f"{energy_j * 1e-9:,.1f} GJ"


def watts(power_w: float | None) -> str:
    """Power for people."""
    if power_w is None:
        return "–"
    if abs(power_w) < 10.0:
        return f"{power_w:.2f} W"
    return f"{power_w:.0f} W" if abs(power_w) < 9999.5 else f"{power_w * 1e-3:,.1f} kW"


def verdict_text(action: ActionView, clock_s: float | None) -> Text:
    """What became of a prediction, or how long its window still lasts on the source's clock."""
    verdict = action.verdict
    if verdict is None:
        left_s = 0.0 if clock_s is None else action.window_end_s - clock_s
        return Text(f"measuring, {left_s:.0f} s" if left_s > 0.0 else "awaiting proof", style="dim")
    if verdict.evidence != "measured":
        return Text("not measured", style="yellow")
    if not verdict.valid:
        return Text("not valid", style="red")
    return Text("valid", style="bold green")


def events(before: Snapshot | None, now: Snapshot) -> list[str]:
    """What changed, one line each: for logs and terminals that are none."""
    lines = _source_events(before.sources if before else (), now.sources)
    known = {action.prediction_id: action for action in (before.actions if before else ())}
    for action in reversed(now.actions):
        name = f"{action.tenant}/{action.source or '(no source)'}"
        earlier = known.get(action.prediction_id)
        if earlier is None:
            lines.append(
                f"action  {name}: {action.kind} {action.before} → {action.target} servers, predicted "
                f"{joules(action.predicted_j)} in {action.horizon_s:g} s, saving {joules(action.saving_j)}, "
                f"mode {action.mode}  {action.prediction_id}"
            )
        if action.verdict and (earlier is None or earlier.verdict is None):
            lines.append(f"proof   {name}: {_verdict_line(action.verdict)}  {action.prediction_id}")
    if before is None or before.healthy != now.healthy:
        lines.append(f"health  {'healthy' if now.healthy else 'NOT healthy'}  {now.url}")
    lines += [f"trouble {text}" for text in now.trouble if before is None or text not in before.trouble]
    return lines


def _source_events(before: Iterable[SourceView], now: Iterable[SourceView]) -> list[str]:
    known = {(source.tenant, source.name): source for source in before}
    lines = []
    for source in now:
        earlier = known.get((source.tenant, source.name))
        name = f"{source.tenant}/{source.name}"
        if earlier is None:
            power = f"{watts(source.power_w)} {METHOD_NAMES.get(source.method, 'power unknown')}"
            lines.append(
                f"source  {name}: {power}, regime {source.regime or 'not yet known'} {source.regime_id}".rstrip()
            )
        elif (earlier.regime, earlier.regime_id) != (source.regime, source.regime_id):
            lines.append(
                f"regime  {name}: {earlier.regime or '–'} {earlier.regime_id} → {source.regime} {source.regime_id}; "
                f"{source.reason}"
            )
    return lines


def _verdict_line(verdict: VerdictView) -> str:
    if verdict.evidence != "measured":
        return f"not measured; {verdict.reason}"
    judged = "valid" if verdict.valid else "NOT valid"
    settled = ", settled by the mesh" if verdict.settled_by_mesh else ""
    return (
        f"{judged}, measured {joules(verdict.measured_j)}, energy error {verdict.energy_error_pct:.2f} %, "
        f"{verdict.pft:g} PFT{settled}; {verdict.reason}"
    )


def _header(snapshot: Snapshot, token_command: str) -> Panel:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("door", Text(snapshot.url, style="bold cyan"))
    grid.add_row("token", Text(token_command))
    return Panel(
        grid,
        title="[bold]EIL[/] sense · act · measure · prove",
        title_align="left",
        subtitle=clock_text(snapshot.time_s),
        subtitle_align="right",
        border_style="green" if snapshot.healthy else "red",
        box=box.ROUNDED,
    )


def _table(title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        expand=True,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _column(table: Table, name: str, *, shown: bool = True, right: bool = False) -> bool:
    """Adds a column of fixed width if it is to be shown; returns whether it is."""
    if shown:
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    return shown


def _sources(sources: Sequence[SourceView], width: int) -> RenderableType:
    if not sources:
        hint = "  none yet: `eil agent` sends this machine's own telemetry, `eil fleet` a simulated one's"
        return Group(Text("Sources", style="bold"), Text(hint, style="dim"))
    window_s = next((source.window_s for source in sources if source.window_s), 60.0)
    bars = min(TRACE, max(10, width - 112))
    table = _table("Sources")
    table.add_column("source", ratio=1, no_wrap=True, overflow="ellipsis", min_width=20)
    shown = [
        _column(table, "power", right=True),
        _column(table, "", shown=width >= NARROW),
        _column(table, "known by"),
        _column(table, f"energy {window_s:g} s", right=True),
        _column(table, "entropy", shown=width >= NARROW, right=True),
        _column(table, "regime"),
        _column(table, "next"),
        _column(table, "shifts", shown=width >= WIDE, right=True),
        _column(table, "samples", shown=width >= WIDE, right=True),
    ]
    for source in sources:
        cells: list[RenderableType] = [
            Text(watts(source.power_w), style="bold"),
            Text(sparkline(source.trace_w, bars), style="cyan"),
            Text(METHOD_NAMES.get(source.method, "unknown"), style=METHOD_STYLES.get(source.method, "dim")),
            joules(source.energy_j),
            "–" if source.entropy_j_per_k is None else f"{source.entropy_j_per_k:.1f} J/K",
            _regime(source.regime, source.regime_id),
            Text(f"{source.next_regime or '–'} {source.confidence:.0%}", style="dim"),
            str(source.shifts),
            f"{source.samples:,}",
        ]
        table.add_row(Text.assemble((f"{source.tenant}/", "dim"), source.name), *compress(cells, shown))
    return table


def _regime(label: str, regime_id: str) -> Text:
    return Text.assemble((label or "–", REGIME_STYLES.get(label, "dim")), (f" {regime_id}" if regime_id else "", "dim"))


def _actions(snapshot: Snapshot, width: int) -> RenderableType:
    if not snapshot.actions:
        return Group(Text("Actions", style="bold"), Text("  none yet", style="dim"))
    clocks_s = {(source.tenant, source.name): source.clock_s for source in snapshot.sources}
    table = _table("Actions")
    table.add_column("source", ratio=1, no_wrap=True, overflow="ellipsis", min_width=12)
    shown = [
        _column(table, "at", shown=width >= NARROW),
        _column(table, "action"),
        _column(table, "saving", right=True),
        _column(table, "predicted", shown=width >= NARROW, right=True),
        _column(table, "measured", right=True),
        _column(table, "error", right=True),
        _column(table, "verdict"),
        _column(table, "PFT", right=True),
        _column(table, "prediction", shown=width >= VERY_WIDE),
    ]
    for action in snapshot.actions:
        measured = action.verdict if action.verdict and action.verdict.evidence == "measured" else None
        cells: list[RenderableType] = [
            Text(clock_text(action.committed_s), style="dim"),
            f"{action.kind.replace('_', ' ')} {action.before}→{action.target}",
            joules(action.saving_j),
            joules(action.predicted_j),
            joules(measured.measured_j) if measured else "",
            f"{measured.energy_error_pct:.1f} %" if measured else "",
            verdict_text(action, clocks_s.get((action.tenant, action.source))),
            f"{action.verdict.pft:.2f}" if action.verdict else "",
            Text(action.prediction_id, style="dim"),
        ]
        name = Text.assemble((f"{action.tenant}/", "dim"), action.source or "(none)")
        table.add_row(name, *compress(cells, shown))
    return table


def _balances(snapshot: Snapshot) -> RenderableType:
    line = Text.assemble(("Balances  ", "bold"))
    for tenant, tokens in (snapshot.balances or {}).items():
        line.append(f"{tenant} ", style="dim")
        for token in TOKENS:
            line.append(f"{tokens.get(token, 0.0):,.2f}", style="bold yellow" if token == "PFT" else "")
            line.append(f" {token}  ", style="dim")
    if not snapshot.balances:
        line.append("not known yet", style="dim")
    return line


def _footer(snapshot: Snapshot, footer: str) -> list[RenderableType]:
    lines: list[RenderableType] = [
        Text(f"trouble  {text}", style="red", overflow="ellipsis", no_wrap=True) for text in snapshot.trouble
    ]
    health = ("● healthy", "green") if snapshot.healthy else ("● not healthy", "bold red")
    return [*lines, Text.assemble(health, f"  {footer}")]
