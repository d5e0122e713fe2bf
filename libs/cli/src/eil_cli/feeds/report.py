"""What a replay found, as tables."""

from datetime import UTC, datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from eil_cli.feeds.replay import FoundShift, Replayed
from eil_cli.terminal import out

SHIFTS_SHOWN = 20
PIPED_WIDTH = 140
"""Characters in a line where the output is no terminal: nothing is cut short there for want of room."""


def printer() -> Console:
    """The console for tables."""
    return out if out.is_terminal else Console(width=PIPED_WIDTH, highlight=False)


def replay_table(results: list[Replayed]) -> Table:
    """One line for each file."""
    table = Table(
        title="Replayed", title_justify="left", title_style="bold", header_style="bold", box=None, pad_edge=False
    )
    table.add_column("source", overflow="fold")
    for name in ("rows", "sent", "accepted", "duplicate", "rejected", "shifts"):
        table.add_column(name, justify="right")
    table.add_column("regime")
    for result in results:
        table.add_row(
            result.source,
            f"{result.rows:,}",
            f"{result.sent:,}",
            f"{result.accepted:,}",
            f"{result.duplicates:,}",
            Text(f"{result.rejected:,}", style="red" if result.rejected else ""),
            str(len(result.shifts)),
            result.regime or "–",
        )
    return table


def replay_notes(result: Replayed) -> list[str]:
    """What a user must know about one file, in sentences."""
    notes = []
    if result.moved_s:
        why = "has no timestamps" if result.synthetic_time else "has times that the mesh does not keep"
        by = timedelta(seconds=round(abs(result.moved_s)))
        moved = (
            "placed at the present"
            if result.synthetic_time
            else f"moved by {by} {'later' if result.moved_s > 0 else 'earlier'}"
        )
        notes.append(f"it {why} and was {moved}: it ends now (--keep-time forbids that)")
    if result.known_before:
        notes.append(
            f"{result.known_before:,} rows were sent by an earlier replay of the same content and were not sent again; "
            f"their shifts: GET /v1/regime/shifts?source={result.source}"
        )
    if result.renamed:
        renamed = ", ".join(f"{old} → {new}" for old, new in result.renamed.items())
        notes.append(f"columns renamed, for channels are letters, digits, _ and . after a letter: {renamed}")
    if result.skipped_columns:
        notes.append(f"columns without numbers left out: {', '.join(result.skipped_columns)}")
    notes += [f"rejected, {reason}: {message}" for reason, message in result.rejections.items()]
    return notes


def shifts_table(result: Replayed) -> Table:
    """The regime shifts found in one file, by the recording's own clock."""
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("onset", "from → to", "channels", "reason"):
        table.add_column(name, overflow="fold")
    for shift in result.shifts[:SHIFTS_SHOWN]:
        table.add_row(
            shift_time(result, shift),
            f"{shift.from_regime or '–'} → {shift.to_regime or 'new'}",
            ", ".join(shift.channels),
            shift.reason,
        )
    return table


def shift_time(result: Replayed, shift: FoundShift) -> str:
    """When a shift began: as the recording writes it, or the time since its first row where it has no timestamps."""
    if result.synthetic_time:
        return f"+{timedelta(seconds=round(shift.time_s))}"
    return datetime.fromtimestamp(shift.time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def replay_report(results: list[Replayed]) -> RenderableType:
    """Everything that the replays found."""
    parts: list[RenderableType] = [replay_table(results)]
    for result in results:
        notes = replay_notes(result)
        if not (notes or result.shifts):
            continue
        parts += [Text(), Text(result.file, style="bold"), *(Text(f"  {note}") for note in notes)]
        if result.shifts:
            parts.append(shifts_table(result))
        if len(result.shifts) > SHIFTS_SHOWN:
            parts.append(Text(f"  … and {len(result.shifts) - SHIFTS_SHOWN} more (--json shows all)"))
    return Group(*parts)
