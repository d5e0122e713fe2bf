"""Telling the mesh what a source is, before its first sample."""

from collections.abc import Callable, Mapping
from urllib.parse import quote

from eil_cli.door import DoorError
from eil_cli.feeds.contact import Caller, is_passing
from eil_cli.feeds.outbox import FIRST_WAIT_S, LONGEST_WAIT_S


def put_until_taken(
    door: Caller, path: str, body: Mapping[str, object], *, sleep: Callable[[float], None], say: Callable[[str], None]
) -> None:
    """PUTs until the mesh answers, with growing pauses: a feed may be started before its mesh.

    Raises:
        DoorError: the mesh refuses it for good.
    """
    wait_s = FIRST_WAIT_S
    while True:
        try:
            door.call("PUT", path, body)
            return
        except DoorError as error:
            if not is_passing(error):
                raise
            say(f"PUT {path} failed ({error.reason}: {error.message}); next try in {wait_s:.0f} s")
        sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)


def source_path(source: str) -> str:
    """Path of a source's declaration; a slash in the name is part of the name."""
    return f"/v1/sources/{quote(source, safe='')}"


def mode_path(source: str) -> str:
    """Path of a source's mode."""
    return f"/v1/modes/{quote(source, safe='')}"
