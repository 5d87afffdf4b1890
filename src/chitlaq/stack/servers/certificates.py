"""Certificates of nginx's port with TLS: an operator's own, or those of a local authority.

The authority may vouch for this installation's names alone (RFC 5280, 4.2.1.10): who gets its key cannot pose
as anybody else to a browser that trusts it.
"""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import re
import socket
import ssl
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files, programs
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack.acme import renewal

if TYPE_CHECKING:
    # Imported late below: it takes a quarter of a second.
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

LIFE = timedelta(days=90)
AUTHORITY_LIFE = timedelta(days=3650)
SKEW = timedelta(days=1)
"""Clocks of browsers may be behind ours."""
ORDER_SECONDS = 1800
"""Longer than any order takes, staging's and the hook for DNS included; it is ended then."""

_NAME = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*")


class Shown(msgspec.Struct, frozen=True):
    """nginx's certificate, for operators."""

    file: str
    names: list[str]
    issuer: str
    expires_at: datetime
    sha256: str
    authority: str | None
    """The file of the local authority that made it; None for another's."""
    renewal: renewal.Plan | None
    """What is next by ACME, if that is set."""


class _Pair(NamedTuple):
    certificate: x509.Certificate
    key: EllipticCurvePrivateKey


def ensure(home: Home, settings: Settings, now: datetime | None = None) -> None:
    """Make the authority and the certificate where they are missing, due or of other names.

    A certificate is due when two thirds of its life are over. An operator's own is only checked.

    Args:
        home: where they are.
        settings: an operator's own, and by which names members reach us.
        now: another time than the present, for tests.

    Raises:
        OperatorError: the operator's own cannot be used.
    """
    if settings.tls.certificate or settings.tls.key:
        _check(*settings.edge_certificate(home))
        return
    renewal.drop_damaged(home)
    home.certificates.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The supervisor, and the command that prepares nginx.
    with (home.certificates / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _ensure_own(home, settings, now or _now())


def renew(home: Home, settings: Settings) -> None:
    """Do as `ensure`, and order a certificate by ACME where that is due, in a process of its own.

    Raises:
        OperatorError: the operator's own cannot be used, or none was issued; the one in use stays.
    """
    ensure(home, settings)
    if renewal.is_wanted(settings) and renewal.plan(home, settings, _now()).is_due(_now()):
        # Its library must not stay in the supervisor, nor may an authority hold that up.
        command = [sys.executable, "-m", "chitlaq", "certificates", "renew", "--write", "--if-due"]
        ended = programs.run(
            command, timeout_seconds=ORDER_SECONDS, variables={"CHITLAQ_HOME": str(home.root)}
        )
        if ended.code != 0:
            raise OperatorError(ended.reason)


def read_by_nginx(home: Home, settings: Settings) -> str:
    """Return what changes when nginx must read its certificate anew, whoever renewed it."""
    digest = hashlib.sha256()
    for path in settings.edge_certificate(home):
        with suppress(FileNotFoundError):  # of an nginx that does without TLS
            digest.update(f"{path} ".encode() + path.read_bytes())
    return digest.hexdigest()


def responder(path: Path) -> str:
    """The URL that says whether a certificate was revoked (OCSP); empty if it names none."""
    from cryptography import x509
    from cryptography.x509.oid import AuthorityInformationAccessOID

    found = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        access = found.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return ""
    return next(
        (
            str(one.access_location.value)
            for one in access
            if one.access_method == AuthorityInformationAccessOID.OCSP
        ),
        "",
    )


def shown(home: Home, settings: Settings) -> Shown:
    """Describe nginx's certificate.

    Raises:
        OperatorError: there is none yet.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    path, _ = settings.edge_certificate(home)
    try:
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        raise OperatorError(
            f"There is no certificate {path}: `chitlaq up` makes one, unless tls.certificate names another."
        ) from None
    except (OSError, ValueError) as error:
        raise OperatorError(f"The certificate {path} cannot be read: {error}") from None
    return Shown(
        str(path),
        _names_of(found),
        found.issuer.rfc4514_string(),
        found.not_valid_after_utc,
        found.fingerprint(hashes.SHA256()).hex(":").upper(),
        str(home.authority) if path == home.certificates / "edge.pem" else None,
        renewal.plan(home, settings, _now()) if renewal.is_wanted(settings) else None,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _ensure_own(home: Home, settings: Settings, now: datetime) -> None:
    names = _names(settings)
    authority = _read(home.certificates / "authority.pem")
    if authority is None or not _vouches(authority, names, now + LIFE):
        authority = _authority(names, now)
        _write(home.certificates / "authority.pem", authority)
    public = _pem(authority.certificate)
    files.ensure(home.authority, public, mode=0o644)
    path = home.certificates / "edge.pem"
    made = _read(path)
    if made is None or _is_due(made.certificate, authority.certificate, names, now):
        _write(path, _leaf(authority, names, now), public)


def _check(certificate: Path, key: Path) -> None:
    """Refuse an operator's own files if nginx would not start with them."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:
        raise OperatorError(
            f"nginx cannot use the certificate {certificate} with the key {key} ({error}): set both"
            " tls.certificate and tls.key to PEM files that this user may read and that belong together, or"
            " neither."
        ) from None


def _names(settings: Settings) -> list[str]:
    """By what browsers reach us: this machine's names, and the one that members type."""
    names = {name.strip("[]") for name in settings.host_names} | {socket.gethostname().lower()}
    names.add(settings.host)
    found = {name: _address(name) for name in names}
    return sorted(
        name
        for name, address in found.items()
        if (not address.is_unspecified if address else _NAME.fullmatch(name))
    )


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _general(name: str, *, is_constraint: bool = False) -> x509.GeneralName:
    from cryptography import x509

    address = _address(name)
    if address is None:
        return x509.DNSName(name)
    return x509.IPAddress(ipaddress.ip_network(address) if is_constraint else address)


def _names_of(certificate: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return sorted(str(one.value) for one in found)


def _vouches(authority: _Pair, names: list[str], until: datetime) -> bool:
    from cryptography import x509

    limits = authority.certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = {one.value for one in limits.permitted_subtrees or ()}
    wanted = {_general(name, is_constraint=True).value for name in names}
    return wanted <= permitted and authority.certificate.not_valid_after_utc > until


def _is_due(
    made: x509.Certificate, authority: x509.Certificate, names: list[str], now: datetime
) -> bool:
    from cryptography.exceptions import InvalidSignature

    life = made.not_valid_after_utc - made.not_valid_before_utc
    try:
        made.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError, TypeError):
        return True
    return _names_of(made) != names or now > made.not_valid_before_utc + life * 2 / 3


def _authority(names: list[str], now: datetime) -> _Pair:
    from cryptography import x509

    name = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, f"ChitLaq of {socket.gethostname()}"[:64])]
    )
    permitted = [_general(one, is_constraint=True) for one in names]
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (x509.NameConstraints(permitted, None), True),
        (_usage(is_authority=True), True),
    ]
    return _signed(name, None, now, AUTHORITY_LIFE, extensions)


def _leaf(authority: _Pair, names: list[str], now: datetime) -> _Pair:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ChitLaq")])
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName([_general(one) for one in names]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (_usage(is_authority=False), True),
    ]
    return _signed(name, authority, now, LIFE, extensions)


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
    subject: x509.Name,
    authority: _Pair | None,
    now: datetime,
    life: timedelta,
    extensions: list[tuple[x509.ExtensionType, bool]],
) -> _Pair:
    """Make a key and its certificate, which the authority signs, or the key itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

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
    return _Pair(builder.sign(signing, hashes.SHA256()), key)


def _pem(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import serialization

    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _write(path: Path, pair: _Pair, *chain: str) -> None:
    """Write a certificate, what follows it and its key as one file: they change together."""
    from cryptography.hazmat.primitives import serialization

    key = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    files.write(path, "".join((_pem(pair.certificate), *chain, key)), mode=0o600)


def _read(path: Path) -> _Pair | None:
    """Read what `_write` has written; None if it is missing or damaged."""
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
    return _Pair(certificate, key)
