"""Certificates of nginx's port with TLS: an operator's own, or those of a local authority.

The authority may vouch for this installation's names alone (RFC 5280, 4.2.1.10): who gets its key cannot pose
as anybody else to a browser that trusts it.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import socket
import ssl
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from chitlaq.core.errors import OperatorError
from chitlaq.core.host import files, programs
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.stack import private_authority
from chitlaq.stack.acme import renewal

LIFE = timedelta(days=90)
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
    between_nodes = (settings.site.authority, settings.site.certificate)
    for path in (*settings.edge_certificate(home), *(Path(one) for one in between_nodes if one)):
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
        private_authority.names_of(found),
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
    authority = private_authority.read(home.certificates / "authority.pem")
    if authority is None or not _vouches(authority, names, now + LIFE):
        name = f"ChitLaq of {socket.gethostname()}"
        authority = private_authority.founded(name, now, names)
        private_authority.write(home.certificates / "authority.pem", authority)
    public = private_authority.public(authority.certificate)
    files.ensure(home.authority, public, mode=0o644)
    path = home.certificates / "edge.pem"
    made = private_authority.read(path)
    if made is None or private_authority.is_due(
        made.certificate, authority.certificate, names, now
    ):
        new = private_authority.issued(authority, "ChitLaq", names, now, LIFE)
        private_authority.write(path, new, public)


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
    found = {name: private_authority.address(name) for name in names}
    return sorted(
        name
        for name, address in found.items()
        if (not address.is_unspecified if address else _NAME.fullmatch(name))
    )


def _vouches(authority: private_authority.Pair, names: list[str], until: datetime) -> bool:
    from cryptography import x509

    limits = authority.certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = {one.value for one in limits.permitted_subtrees or ()}
    wanted = {private_authority.general(name, is_constraint=True).value for name in names}
    return wanted <= permitted and authority.certificate.not_valid_after_utc > until
