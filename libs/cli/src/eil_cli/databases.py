"""Which services of a mesh keep their state in PostgreSQL, and on which server: their own setting says so, else `eil up --postgres`.

What `eil up --postgres` was told is remembered in the state folder, for the next `eil up` and for `eil audit`. It may hold no password.
"""

import os
from pathlib import Path

from eil_mesh.services import STATEFUL

from eil_cli.files import write_private

FILE = "postgres.url"
OLDEST = 14
"""Version of PostgreSQL that is needed at least."""


class ServerRefused(Exception):
    """The server cannot keep this mesh's state; the message says why and what to do."""


def remember(state: Path, url: str) -> None:
    """Keep the services' state on a server from now on.

    Raises:
        ServerRefused: it cannot be reached or is too old, its URL holds a password, or the folder holds state already.
        OSError: the folder cannot be written to.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        given = conninfo_to_dict(url)
        if given.get("password"):
            raise ServerRefused(
                "the URL holds a password, which would stand in histories and files: write it into a file that you alone can read "
                "(host:port:database:user:password) and name that with ?passfile=/path in the URL"
            )
        with psycopg.connect(url, connect_timeout=5) as conn:
            version = conn.info.server_version // 10_000
    except psycopg.Error as error:
        raise ServerRefused(f"the PostgreSQL server cannot be used, and nothing was changed: {error}") from None
    if version < OLDEST:
        raise ServerRefused(f"the server is PostgreSQL {version}; {OLDEST} or newer is needed")
    if files := [name for name in STATEFUL if (state / f"{name}.db").exists()]:
        raise ServerRefused(
            f"{state} holds the state of {', '.join(files)} in files already, and on the server they would begin anew, against their "
            "anchored journals: name another state folder with --state"
        )
    write_private(state / FILE, url + "\n")


def servers(state: Path) -> dict[str, str]:
    """URL of the server that keeps a service's state, by service; one that is missing keeps it in the state folder."""
    path = state / FILE
    shared = path.read_text().strip() if path.exists() else ""
    found = {name: os.environ.get(variable(name)) or shared for name in STATEFUL}
    return {name: url for name, url in found.items() if url}


def variable(service: str) -> str:
    """The environment variable that is a service's setting `database_url`."""
    return f"EIL_{service.upper()}_DATABASE_URL"


def described(url: str) -> str:
    """A server and its database, without whatever else the URL holds."""
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(url)
    return f"{given.get('host', 'localhost')}:{given.get('port', 5432)}/{given.get('dbname', given.get('user', ''))}"
