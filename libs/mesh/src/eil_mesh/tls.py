"""Mutual TLS of the distributed profile; the embedded profile's Unix sockets need none."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc

from eil_mesh.services import OUTSIDERS


def _read(folder: Path) -> tuple[bytes, bytes, bytes]:
    return (folder / "ca.crt").read_bytes(), (folder / "tls.crt").read_bytes(), (folder / "tls.key").read_bytes()


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    """Credentials that demand a client certificate of the mesh's CA; renewed files serve new connections without a restart."""

    certificate = folder / "tls.crt"

    def configuration() -> grpc.ServerCertificateConfiguration:
        ca, chain, key = _read(folder)
        return grpc.ssl_server_certificate_configuration([(key, chain)], ca)

    served = [certificate.stat().st_mtime_ns]

    def renewed() -> Any:  # asked for every new connection; None keeps what is served now
        stamp = certificate.stat().st_mtime_ns
        if stamp == served[0]:
            return None
        served[0] = stamp
        return configuration()

    return grpc.dynamic_ssl_server_credentials(configuration(), renewed, require_client_authentication=True)


def channel_credentials(folder: Path) -> grpc.ChannelCredentials:
    """Credentials of a client with the service's own certificate."""
    ca, certificate, key = _read(folder)
    return grpc.ssl_channel_credentials(ca, key, certificate)


def peer_service(auth_context: Mapping[str, Iterable[bytes]]) -> str | None:
    """Name of the service that a peer's certificate speaks for: its DNS name `eil-<service>`; an outsider's common name; or None."""
    for name in auth_context.get("x509_common_name", []):
        if name.decode() in OUTSIDERS:  # first: what is both is the lesser of the two
            return name.decode()
    for name in auth_context.get("x509_subject_alternative_name", []):
        host = name.decode().split(".")[0]
        if host.startswith("eil-"):
            return host.removeprefix("eil-")
    return None
