"""The repository's TLS key and self-signed certificate, which clients pin."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import RepositoryError, UsageError
from core.hostname import is_host_name
from images.store.disk import AS_OWNER

__all__ = ["Certificate", "make_certificate", "server_context", "validity_trouble"]

VALIDITY = datetime.timedelta(days=3650)
"""Long, because a pin is renewed by hand on every client; the pin, not the date, is what is trusted."""
VALID_FROM = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
"""Netbooted clients often have a wrong clock, and one without a battery begins at a date before every repository's."""
EXPIRES_SOON = datetime.timedelta(days=60)
"""A new certificate has to reach every client: this long before the end repod begins to say so."""
COMMON_NAME_MAX_CHARS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A key and its certificate, both PEM."""

    key: bytes
    certificate: bytes


def make_certificate(
    names: Sequence[str], *, now: datetime.datetime, valid_from: datetime.datetime = VALID_FROM
) -> Certificate:
    """A P-256 key and a certificate for `names` (host names or addresses), the first being the common name.

    Raises UsageError for what is neither.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    alternatives: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        address = _address(name)
        if address is not None:
            alternatives.append(x509.IPAddress(address))
        elif is_host_name(name):
            alternatives.append(x509.DNSName(name))
        else:
            raise UsageError(f"neither a host name nor an address: {name!a}")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:COMMON_NAME_MAX_CHARS])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        key=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
    )


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or later with these files. Raises RepositoryError if they cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except PermissionError as error:
        raise RepositoryError(f"cannot read {certificate} and {key}", hint=AS_OWNER) from error
    except (OSError, ssl.SSLError) as error:
        raise RepositoryError(
            f"cannot use the certificate {certificate} with {key}: {error}",
            hint="docs/operations.md, 'Certificate renewal', says how to make new ones",
        ) from error
    return context


def validity_trouble(certificate: Path, *, now: datetime.datetime) -> str | None:
    """What to tell the operator when clients refuse this certificate for its dates, or soon will; None if all is well.

    Raises RepositoryError if it cannot be read.
    """
    from cryptography import x509

    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise RepositoryError(f"cannot read the certificate {certificate}: {error}") from error
    if now < read.not_valid_before_utc:
        return f"the certificate is valid from {read.not_valid_before_utc:%Y-%m-%d} on: until then clients refuse it"
    if now > read.not_valid_after_utc:
        return f"the certificate expired on {read.not_valid_after_utc:%Y-%m-%d}: clients refuse it"
    if now > read.not_valid_after_utc - EXPIRES_SOON:
        return f"the certificate expires on {read.not_valid_after_utc:%Y-%m-%d}: give clients a new one before"
    return None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
