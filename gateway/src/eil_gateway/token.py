"""What a client of a distributed mesh needs: `python -m eil_gateway.token FOLDER --role ROLE` prints a token, with `--ca` instead of a role
the certificate to trust.

Beside a checkout `eil token --state FOLDER` does the same.
"""

import argparse
import time
from pathlib import Path

from eil_mesh.errors import EilError
from eil_mesh.identity import DEFAULT_TENANT

from eil_gateway.keys import Keys, issue_token


def main() -> None:
    """Print a token, or the certificate."""
    parser = argparse.ArgumentParser(prog="python -m eil_gateway.token", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder that eil_gateway.provision made keys in")
    parser.add_argument("--role", action="append", default=[], help="viewer, operator, agent or admin; may be repeated")
    parser.add_argument("--tenant", default=DEFAULT_TENANT, help="whose facts it reaches (default: %(default)s)")
    parser.add_argument("--subject", default="operator", help="who it is for (default: %(default)s)")
    parser.add_argument("--hours", type=float, default=12.0, help="until it expires (default: %(default)s)")
    parser.add_argument("--ca", action="store_true", help="print the certificate that clients are to trust instead")
    given = parser.parse_args()
    if given.ca:
        print(Keys(given.folder / "keys").ca.read_text(), end="")
        return
    if not given.role:
        parser.error("a token needs a role: --role operator")
    try:
        token = issue_token(
            given.folder,
            subject=given.subject,
            roles=given.role,
            tenant=given.tenant,
            ttl_s=given.hours * 3600,
            now_s=time.time(),
        )
    except EilError as error:
        parser.error(error.message)
    print(token)


if __name__ == "__main__":
    main()
