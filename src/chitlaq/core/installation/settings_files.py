"""What is wrong with the files that settings name: missing, unreadable, or not belonging together."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from chitlaq.core.installation.settings import Settings
from chitlaq.core.installation.settings_faults import Fault

_IN_URLS = ("sslrootcert", "sslcert", "sslkey", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
"""Parameters of libpq and of Valkey's clients that name files."""
_KEYWORDS = ("system",)
"""What libpq takes in place of a file."""


def found(settings: Settings) -> Iterator[Fault]:
    """Yield what keeps the files from being used, as this machine and this user find them now."""
    yield from _edge(settings)
    yield from _site(settings)
    if settings.acme.root:
        yield from _certificate("acme.root", Path(settings.acme.root).expanduser())
    yield from _program("acme.dns_hook", settings.acme.dns_hook)
    for name in ("nginx", "postgres", "valkey"):
        yield from _program(
            f"programs.{name}", getattr(settings.programs, name), may_be_folder=True
        )
    for named in settings.monitoring.certificates:
        if "/" in named:
            yield from _certificate("monitoring.certificates", Path(named).expanduser())
    if settings.monitoring.targets:
        yield from _unreadable("monitoring.targets", Path(settings.monitoring.targets))
    for dotted in ("database_url", "redis_url"):
        query = urlsplit(settings.value_of(dotted).reveal()).query
        for name, value in parse_qsl(query):
            if name in _IN_URLS and value not in _KEYWORDS:
                yield from _unreadable(dotted, Path(value))


def _edge(settings: Settings) -> Iterator[Fault]:
    tls = settings.tls
    if tls.certificate and tls.key:
        certificate, key = Path(tls.certificate).expanduser(), Path(tls.key).expanduser()
        yield from _pair("tls.certificate", certificate, "tls.key", key)


def _site(settings: Settings) -> Iterator[Fault]:
    site = settings.site
    if not (site.authority and site.certificate):
        return
    authority, own = Path(site.authority), Path(site.certificate)
    faults = [
        *_certificate("site.authority", authority),
        *_pair("site.certificate", own, "site.certificate", own),
    ]
    yield from faults
    if not faults and not _vouches(authority, own):
        yield Fault(
            "site.certificate",
            f"{authority} has not made {own}",
            "copy both files from one run of `chitlaq site render`",
            ("site.authority",),
        )


def _pair(dotted: str, certificate: Path, key_dotted: str, key: Path) -> Iterator[Fault]:
    faults = [*_certificate(dotted, certificate)]
    if key != certificate:
        faults += _unreadable(key_dotted, key)
    yield from faults
    if faults:
        return
    try:
        # Without a password, OpenSSL would ask for one at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        others = (dotted,) if key_dotted != dotted else ()
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            yield Fault(
                key_dotted,
                f"the key in {key} is not that of {certificate}",
                "name the key with which this certificate was requested",
                others,
            )
        else:
            yield Fault(
                key_dotted,
                f"{key} has no private key that can be used",
                "write one in PEM, without a passphrase",
            )


def _certificate(dotted: str, path: Path) -> Iterator[Fault]:
    faults = [*_unreadable(dotted, path)]
    yield from faults
    if faults:
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (OSError, ValueError):
        yield Fault(dotted, f"{path} has no certificate that can be read", "write one in PEM")


def _vouches(authority: Path, own: Path) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    leaf = x509.load_pem_x509_certificate(own.read_bytes())
    for one in x509.load_pem_x509_certificates(authority.read_bytes()):
        try:
            leaf.verify_directly_issued_by(one)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _program(dotted: str, named: str, *, may_be_folder: bool = False) -> Iterator[Fault]:
    if not named:
        return
    path = Path(named).expanduser()
    if may_be_folder and path.is_dir():
        return
    faults = [*_unreadable(dotted, path)]
    yield from faults
    if not faults and not os.access(path, os.X_OK):
        yield Fault(dotted, f"this user may not run {path}", f"make it a program: chmod a+x {path}")


def _unreadable(dotted: str, path: Path) -> Iterator[Fault]:
    """What keeps this user from reading a file."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        yield Fault(dotted, f"there is no file {path}", "put it there, or name another")
    except IsADirectoryError:
        yield Fault(dotted, f"{path} is a folder", "name a file in it")
    except PermissionError:
        yield Fault(
            dotted,
            f"this user may not read {path}",
            "let the user who runs ChitLaq read it, and enter the folders above it",
        )
    except OSError as error:
        yield Fault(dotted, f"{path} cannot be read: {error.strerror}", "name another file")
