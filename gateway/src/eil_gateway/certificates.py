"""X.509 certificates of the development CA: for the door, and for the services' mutual TLS."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFE = timedelta(days=3650)
LIFE = timedelta(days=365)
"""Life of a server or service certificate."""
RENEW_BEFORE = timedelta(days=30)
"""A certificate with less life left is renewed."""
BACKDATED = timedelta(minutes=5)
"""Certificates begin this much before they are made, for clients whose clock is behind."""


def new_key() -> ec.EllipticCurvePrivateKey:
    """A private key on P-256: small and quick in a handshake."""
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PEM text of a private key (PKCS #8)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_key(text: bytes) -> ec.EllipticCurvePrivateKey:
    """The private key of a PEM text.

    Raises:
        ValueError: it holds something else.
    """
    key = load_pem_private_key(text, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the PEM text holds no elliptic-curve private key; remove the file so that it is made anew")
    return key


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _subject_names(hosts: Sequence[str]) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names)


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its key and its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def issue(self, public_key: ec.EllipticCurvePublicKey, hosts: Sequence[str], now: datetime) -> bytes:
        """PEM certificate for DNS names and addresses, the first of which names the subject, for servers and clients."""
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(hosts[0]))
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATED)
            .not_valid_after(now + LIFE)
            .add_extension(_subject_names(hosts), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(usages, critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)

    def covers(self, text: bytes, hosts: Sequence[str], now: datetime) -> bool:
        """Whether a PEM certificate is this authority's, names every host and will last `RENEW_BEFORE` from now."""
        certificate = x509.load_pem_x509_certificate(text)
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (InvalidSignature, ValueError):
            return False
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return set(_subject_names(hosts)) <= set(held) and now + RENEW_BEFORE < certificate.not_valid_after_utc


def self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> bytes:
    """PEM certificate of a new authority with this key."""
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name("EIL development CA"))
        .issuer_name(_name("EIL development CA"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)


def moment(now_s: float) -> datetime:
    """The UTC time of seconds since 1970."""
    return datetime.fromtimestamp(now_s, UTC)
