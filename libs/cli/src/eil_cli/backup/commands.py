"""`eil backup` and `eil restore`."""

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from eil_cli.feeds.times import rfc3339, unix_s
from eil_cli.terminal import AsJson, Failure, State, err, expected_errors, out, print_json, state_folder

if TYPE_CHECKING:
    from eil_cli.backup.vault import Manifest, Vault

KEEP = 120
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of the backups, best on another disk.")]


def backup(
    folder: Folder,
    every: Annotated[
        float | None,
        typer.Option("--every", min=1, metavar="SECONDS", help="Go on, a backup each so many seconds, until Ctrl-C."),
    ] = None,
    keep: Annotated[int, typer.Option(min=1, help="Backups kept; older ones are removed.")] = KEEP,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Back up the whole state while the mesh runs: all services as of one instant, keys and objects.

    `eil backup FOLDER --every 30` loses at most about half a minute. Backups share what did not change. They hold the mesh's keys: keep
    them as you keep the state folder.
    """
    with expected_errors():
        from eil_cli.backup.vault import VaultError

        if every:  # systemd and containers stop with SIGTERM; shells start what runs behind them deaf to SIGINT
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.default_int_handler)
        try:
            vault = _vault(folder)
            while True:
                began = time.monotonic()
                try:
                    _back_up(state_folder(state), vault, keep, as_json)
                except VaultError as error:
                    if not every:
                        raise
                    err.print(f"[bold red]no backup was taken[/]: {escape(str(error))}", soft_wrap=True)
                if not every:
                    break
                time.sleep(max(0.0, began + every - time.monotonic()))
        except VaultError as error:
            raise Failure(str(error)) from None
        except KeyboardInterrupt:
            err.print("stopped; the backups taken so far stand")


def restore(
    folder: Folder,
    at: Annotated[
        str,
        typer.Option(
            "--at", metavar="TIME", help="The newest backup not after this moment (RFC 3339); else the newest."
        ),
    ] = "",
    listing: Annotated[bool, typer.Option("--list", help="List the backups and do nothing.")] = False,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into a new state folder; start it with `eil up` afterwards. Every byte is checked on the way."""
    with expected_errors():
        from eil_cli.backup.restore import restore as write
        from eil_cli.backup.take import bytes_of
        from eil_cli.backup.vault import VaultError

        try:
            if not (folder / "manifests").is_dir():
                raise VaultError(f"{folder} holds no backups; `eil backup {folder}` takes one")
            vault = _vault(folder)
            if listing:
                _list(vault, as_json)
                return
            manifest = vault.newest(_moment_us(at) if at else None)
            if manifest is None:
                raise VaultError(f"{folder} holds no backup{f' of {at} or before' if at else ''}; see --list")
            target = state_folder(state)
            began = time.monotonic()
            write(vault, manifest, target)
            took_s = time.monotonic() - began
        except VaultError as error:
            raise Failure(str(error)) from None
        if as_json:
            print_json({**_described(manifest), "state": str(target), "took_s": round(took_s, 3)})
        else:
            out.print(
                f"restored the state of {_time(manifest)} into {escape(str(target))}: {len(manifest.files)} files, "
                f"{bytes_of(manifest.files) / 1e6:.1f} MB in {took_s:.1f} s",
                soft_wrap=True,
            )
            err.print(f"start it: eil up --detach --state {escape(str(target))}", soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Run")(backup)
    app.command(rich_help_panel="Run")(restore)


def _vault(folder: Path) -> "Vault":
    from eil_cli.backup.vault import Vault

    return Vault(folder.absolute())


def _back_up(state: Path, vault: "Vault", keep: int, as_json: bool) -> None:
    from eil_cli.backup.take import bytes_of, take

    began = time.monotonic()
    manifest = take(state, vault)
    vault.thin(keep)
    took_s = time.monotonic() - began
    if as_json:
        print_json({**_described(manifest), "took_s": round(took_s, 3)})
        return
    out.print(
        f"{_time(manifest)}  {len(manifest.files)} files, {bytes_of(manifest.files) / 1e6:.1f} MB in {took_s:.1f} s; "
        f"writes waited {manifest.held_s * 1000:.0f} ms",
        soft_wrap=True,
    )


def _list(vault: "Vault", as_json: bool) -> None:
    manifests = [vault.load(path) for path in vault.manifests()]
    if as_json:
        print_json([_described(manifest) for manifest in manifests])
        return
    for manifest in manifests:
        out.print(f"{_time(manifest)}  {len(manifest.files)} files")


def _described(manifest: "Manifest") -> dict[str, object]:
    from eil_cli.backup.take import bytes_of

    return {
        "time": _time(manifest),
        "files": len(manifest.files),
        "bytes": bytes_of(manifest.files),
        "held_s": manifest.held_s,
    }


def _time(manifest: "Manifest") -> str:
    return rfc3339(manifest.taken_us / 1e6)


def _moment_us(text: str) -> int:
    try:
        return round(unix_s(text) * 1e6)
    except ValueError:
        raise Failure(f"{text!r} is no time; write it as 2026-11-29T12:00:00Z") from None
