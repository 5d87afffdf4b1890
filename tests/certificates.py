"""Certificates that vouch for themselves, and chains."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID


def self_signed(path: Path, *, days: float) -> tuple[Path, Path]:
    """Write a certificate for this machine, and its key beside it.

    Args:
        path: of the certificate.
        days: until it expires; negative if it has expired.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    names = (x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1")))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path = path.with_suffix(".key")
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path, key_path


def chained(
    path: Path,
    *days: float,
    host: str = "chat.example.edu",
    begins: float = -100,
    responder: str = "http://localhost/",
) -> tuple[list[str], Path]:
    """Write a key beside a path, and return its certificate's chain, one PEM each.

    Args:
        path: of the certificate; its key gets the suffix ``.key``.
        days: until each of the chain expires, the certificate first.
        host: that it is for.
        begins: in how many days the certificate becomes valid.
        responder: who says whether it was revoked (OCSP). The authority's key is beside its own, as ``.ca``.
    """
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in days]
    names = [
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"level {n}")])
        for n in range(len(days))
    ]
    pems = []
    for n, left in enumerate(days):
        issuer = min(n + 1, len(days) - 1)
        made = (
            x509.CertificateBuilder()
            .subject_name(names[n])
            .issuer_name(names[issuer])
            .public_key(keys[n].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=-100 if n else begins))
            .not_valid_after(now + timedelta(days=left))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=bool(n), path_length=None), critical=True)
            .add_extension(_access(responder), critical=False)
            .sign(keys[issuer], hashes.SHA256())
        )
        pems.append(made.public_bytes(serialization.Encoding.PEM).decode())
    for key, suffix in zip(keys, (".key", ".ca"), strict=False):
        path.with_suffix(suffix).write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return pems, path.with_suffix(".key")


def _access(responder: str) -> x509.AuthorityInformationAccess:
    place = x509.UniformResourceIdentifier(responder)
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)]
    )


async def presented(port: int) -> x509.Certificate:
    """What a server of this machine shows to a browser."""
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=unchecked)
    try:
        found = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(found)
    finally:
        writer.close()
