"""Keys and certificates of a distributed mesh: `python -m eil_gateway.provision FOLDER [--host NAME …] [--manifests]`.

FOLDER/keys is the operator's: the CA and the key that signs tokens (`eil token --state FOLDER`). FOLDER/keys/<service> is all that a
service gets: its certificate, the keys that verify tokens, and the key that signs its journal's heads. FOLDER/keys/door is the world's
side of the gateway. What is there stays; what is about to expire is issued anew. `--manifests` prints Kubernetes Secrets of it.
"""

import argparse
import base64
import sys
from pathlib import Path

import yaml
from eil_mesh.anchor import signing_key
from eil_mesh.services import SERVICES

from eil_gateway.keys import LOCAL_HOSTS, Keys, ensure_keys, place, service_certificates

DOOR, GATEWAY, BRIDGE = "door", "gateway", "bridge"


def provision(folder: Path, hosts: list[str]) -> Keys:
    """Make what is missing in `folder/keys`; see the module's docstring."""
    keys = ensure_keys(folder, hosts=(*LOCAL_HOSTS, *hosts))
    service_certificates(keys.folder, [*SERVICES, GATEWAY])
    for name in SERVICES:
        own = keys.folder / name
        signing_key(own / "head.ed25519")
        place(own / "jwks.json", keys.jwks.read_bytes(), replace=True)
    # The bridge gives service accounts their tokens.
    place(keys.folder / BRIDGE / "signing.pem", keys.signing.read_bytes(), replace=True)
    door = keys.folder / DOOR
    door.mkdir(mode=0o700, exist_ok=True)
    for path in (keys.jwks, keys.certificate, keys.key, keys.ca):
        place(door / path.name, path.read_bytes(), replace=True)
    return keys


def manifests(keys: Keys, prefix: str) -> str:
    """A Secret for each service, the gateway and the door."""
    return yaml.safe_dump_all(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": f"{prefix}-{name}"},
            "type": "Opaque",
            "data": {
                path.name: base64.b64encode(path.read_bytes()).decode()
                for path in sorted((keys.folder / name).iterdir())
                if path.is_file()
            },
        }
        for name in (*SERVICES, GATEWAY, DOOR)
    )


def main() -> None:
    """Make keys, and print their Secrets if that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m eil_gateway.provision", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the keys stand; keep it as you keep the keys of your house")
    parser.add_argument(
        "--host", action="append", default=[], help="name or address that clients know the door by; may be repeated"
    )
    parser.add_argument("--manifests", action="store_true", help="print Kubernetes Secrets, for `kubectl apply -f -`")
    parser.add_argument("--prefix", default="eil", help="begin of the Secrets' names")
    given = parser.parse_args()
    keys = provision(given.folder, given.host)
    if given.manifests:
        sys.stdout.write(manifests(keys, given.prefix))


if __name__ == "__main__":
    main()
