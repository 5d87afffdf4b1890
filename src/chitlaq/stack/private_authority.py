"""A private authority: its key, the certificates that it signs, and the files of both."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chitlaq.core.host import files

if TYPE_CHECKING:
    # Imported late below: it takes a quarter of a second.
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY_LIFE = timedelta(days=3650)
SKEW = timedelta(days=1)
"""Others' clocks may be behind ours."""


class Pair(NamedTuple):
    certificate: x509.Certificate
    key: EllipticCurvePrivateKey


def founded(name: str, now: datetime, permitted: Sequence[str] = ()) -> Pair:
    """Return a new authority.

    Args:
        name: its own.
        now: the time.
        permitted: the only names and addresses that it may vouch for (RFC 5280, 4.2.1.10); none: any.
    """
    from cryptography import x509

    limits = [general(one, is_constraint=True) for one in permitted]
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        *([(x509.NameConstraints(limits, None), True)] if limits else []),
        (_usage(is_authority=True), True),
    ]
    return _signed(name[:64], None, now, AUTHORITY_LIFE, extensions)


def issued(
    authority: Pair,
    subject: str,
    names: Sequence[str],
    now: datetime,
    life: timedelta,
    *,
    is_client: bool = False,
) -> Pair:
    """Return a new key, and a certificate of it for a server that has these names and addresses.

    Args:
        authority: who signs it.
        subject: what it is called.
        names: of the server.
        now: the time.
        life: how long it is valid.
        is_client: whether the server shows it to other servers too.
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    uses = [ExtendedKeyUsageOID.SERVER_AUTH]
    if is_client:
        uses.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName([general(one) for one in names]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage(uses), False),
        (_usage(is_authority=False), True),
    ]
    return _signed(subject, authority, now, life, extensions)


def is_due(
    made: x509.Certificate, authority: x509.Certificate, names: Sequence[str], now: datetime
) -> bool:
    """Whether a certificate is another authority's, has other names, or two thirds of its life are over."""
    from cryptography.exceptions import InvalidSignature

    life = made.not_valid_after_utc - made.not_valid_before_utc
    try:
        made.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return True
    return names_of(made) != sorted(names) or now > made.not_valid_before_utc + life * 2 / 3


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses that a certificate is for, sorted."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return sorted(str(one.value) for one in found)


def general(name: str, *, is_constraint: bool = False) -> x509.GeneralName:
    """Return a name or an address as certificates have it."""
    from cryptography import x509

    found = address(name)
    if found is None:
        return x509.DNSName(name)
    return x509.IPAddress(ipaddress.ip_network(found) if is_constraint else found)


def address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a name is; None if it is none."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def public(certificate: x509.Certificate) -> str:
    """Return a certificate as PEM, without its key."""
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def whole(pair: Pair, *chain: str) -> str:
    """Return a certificate, what follows it and its key as one text (PEM): they change together."""
    from cryptography.hazmat.primitives import serialization

    key = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return "".join((public(pair.certificate), *chain, key))


def write(path: Path, pair: Pair, *chain: str) -> None:
    """Write what `whole` returns, for this user alone."""
    files.write(path, whole(pair, *chain), mode=0o600)


def read(path: Path) -> Pair | None:
    """Read what `write` has written; None if it is missing or damaged."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    try:
        content = path.read_bytes()
        key = serialization.load_pem_private_key(content, None)
        certificate = x509.load_pem_x509_certificate(content)
    except (OSError, ValueError):
        return None
    if not isinstance(key, EllipticCurvePrivateKey):
        return None
    return Pair(certificate, key)


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    name: str,
    authority: Pair | None,
    now: datetime,
    life: timedelta,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> Pair:
    """Make a key and its certificate, which the authority signs, or the key itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    key = ec.generate_private_key(ec.SECP256R1())
    signing = authority.key if authority else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(authority.certificate.subject if authority else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
        )
    )
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, critical=is_critical)
    return Pair(builder.sign(signing, hashes.SHA256()), key)
