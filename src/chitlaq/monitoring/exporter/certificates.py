"""TLS certificates, from files and as endpoints serve them: expiry, chain, and name."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from prometheus_client.core import Metric

from chitlaq.core.host import endpoints
from chitlaq.core.installation.home import Home
from chitlaq.core.installation.settings import Settings
from chitlaq.core.telemetry import logs
from chitlaq.monitoring.exporter.exported_metrics import metric
from chitlaq.stack.acme import renewal
from chitlaq.stack.servers import nginx

if TYPE_CHECKING:
    # Imported late below, in a thread: it takes a quarter of a second.
    from cryptography import x509

CONNECT_SECONDS = 1.5

log = logs.get("certificates")


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate and what vouches for it.

    Args:
        seconds_left: until the first of them expires.
        expires_first: whose that is, if it is not the certificate itself.
        fault: why browsers refuse it although it has not expired; empty if they do not.
    """

    seconds_left: float
    expires_first: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Watched:
    """How a certificate is looked at.

    Args:
        host: that it has to be for; of an endpoint, its own if this is empty.
        served_at: of nginx's file, the endpoint at which nginx serves what it has read; empty if it does not.
    """

    host: str = ""
    served_at: str = ""


def watched(home: Home, settings: Settings) -> dict[str, Watched]:
    """Return the certificates that are watched, by file or endpoint."""
    found = {name: Watched(host) for name, host in settings.watched_certificates(home).items()}
    own, port = str(settings.edge_certificate(home)[0]), settings.optional_port_of("nginx")
    if own in found and port is not None and nginx.serves_tls(home, port):
        here = str(urlsplit(settings.url_of("nginx")).hostname)
        found[own] = replace(found[own], served_at=endpoints.written(here, port))
    return found


async def metrics(home: Home, settings: Settings) -> list[Metric]:
    """Return whether each certificate can be read and is right, and the seconds until its chain expires."""
    return await metrics_of(await asyncio.to_thread(watched, home, settings))


async def metrics_of(watched: Mapping[str, Watched]) -> list[Metric]:
    """Return the metrics of these certificates."""
    found = await asyncio.gather(
        *(read(name, one) for name, one in watched.items()), return_exceptions=True
    )
    left: dict[tuple[str, ...], float] = {}
    readable: dict[tuple[str, ...], float] = {}
    right: dict[tuple[str, ...], float] = {}
    for name, chain in zip(watched, found, strict=True):
        readable[_source(name), name] = not isinstance(chain, BaseException)
        if isinstance(chain, BaseException):
            log.warning("certificate not read", name=name, error=str(chain))
        else:
            left[_source(name), name] = chain.seconds_left
            right[_source(name), name] = not chain.fault
    return [
        metric("ssl_certificate_expiry_seconds", left),
        metric("ssl_certificate_readable", readable),
        metric("ssl_certificate_right", right),
    ]


async def of_site(settings: Settings) -> list[Metric]:
    """Return the seconds until the certificates of a site's servers expire, as far as they answer."""
    found = await asyncio.gather(
        *(read_between_nodes(name, settings) for name in settings.site.servers),
        return_exceptions=True,
    )
    left: dict[str, float] = {}
    for name, chain in zip(settings.site.servers, found, strict=True):
        if isinstance(chain, BaseException):
            log.warning("certificate not read", name=name, error=str(chain))
        else:
            left[name] = chain.seconds_left
    return [metric("site_certificate_expiry_seconds", left)]


async def renewals(home: Home, settings: Settings) -> list[Metric]:
    """Return how often renewal by ACME has failed in a row, where nginx's certificate comes so."""
    if not renewal.is_wanted(settings):
        return []
    found = await asyncio.to_thread(renewal.plan, home, settings, datetime.now(UTC))
    return [metric("ssl_certificate_renewal_failures", found.failures)]


def _source(name: str) -> str:
    return "file" if name.startswith("/") else "endpoint"


async def read(name: str, watched: Watched = Watched()) -> Chain:
    """Return what is served at an endpoint (``host:port``), or is in a PEM file.

    nginx goes on with what it has read: of its file and of that, the worse one counts.

    Raises:
        OSError, ValueError, TimeoutError: it cannot be read.
    """
    host = watched.host
    if _source(name) == "endpoint":
        return await _at(name, host or endpoints.parsed(name)[0])
    pem = await asyncio.to_thread(Path(name).read_bytes)
    in_file = await asyncio.to_thread(partial(_of_file, pem, host))
    if not watched.served_at:
        return in_file
    served = await _at(watched.served_at, host)
    if served.fault:
        return replace(served, fault=f"as nginx serves it, {served.fault}")
    if in_file.fault or in_file.seconds_left <= served.seconds_left:
        return in_file
    return replace(served, expires_first=served.expires_first or "the one that nginx serves")


async def _at(endpoint: str, host: str) -> Chain:
    own, port = endpoints.parsed(endpoint)
    async with asyncio.timeout(CONNECT_SECONDS):
        served = await _served(own, port, _taking_any())
    return await asyncio.to_thread(partial(_of_endpoint, served, host))


async def read_between_nodes(name: str, settings: Settings) -> Chain:
    """Return what one of a site's servers presents, which talks only to others of the site.

    Args:
        name: its endpoint (``host:port``).
        settings: with this machine's certificate.

    Raises:
        OSError, ValueError, TimeoutError: it cannot be read.
    """
    context = _taking_any()
    context.load_cert_chain(settings.site.certificate)
    # PostgreSQL begins with TLS for who asks for it by this name; etcd knows none but its own.
    context.set_alpn_protocols(["postgresql", "http/1.1"])
    host, port = endpoints.parsed(name)
    async with asyncio.timeout(CONNECT_SECONDS):
        served = await _served(host, port, context)
    return await asyncio.to_thread(partial(_of_endpoint, served, host))


def _of_file(pem: bytes, host: str) -> Chain:
    from cryptography import x509

    return _chain(x509.load_pem_x509_certificates(pem), host)


def _of_endpoint(served: Sequence[bytes], host: str) -> Chain:
    from cryptography import x509

    return _chain([x509.load_der_x509_certificate(one) for one in served], host)


def _taking_any() -> ssl.SSLContext:
    """A context for whom an expired certificate is one to look at, too."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _served(host: str, port: int, context: ssl.SSLContext) -> list[bytes]:
    """The chain that an endpoint presents, trusted or not."""
    _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        connection = writer.get_extra_info("ssl_object")
        if hasattr(connection, "get_unverified_chain"):  # Python 3.13
            return list(connection.get_unverified_chain())
        chain: Sequence[Any] = connection._sslobj.get_unverified_chain()
        return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain]
    finally:
        writer.close()


def _chain(found: Sequence[x509.Certificate], host: str) -> Chain:
    leaf, *others = found
    chain = [leaf]
    # TLS 1.3 lets servers send them in any order, and with ones that are not needed.
    while issuer := next((one for one in others if _has_signed(one, chain[-1])), None):
        others.remove(issuer)
        chain.append(issuer)
    fault = _name_fault(leaf, host)
    if others and len(chain) == 1 and not _has_signed(leaf, leaf):
        fault = f"none of what follows it has signed it, as {leaf.issuer.rfc4514_string()} should"
    first = min(chain, key=lambda one: one.not_valid_after_utc)
    begins = max(one.not_valid_before_utc.timestamp() for one in chain)
    if begins > time.time():
        fault = "it is not valid yet"
    return Chain(
        first.not_valid_after_utc.timestamp() - time.time(),
        _subject(first) if first is not leaf else "",
        fault,
    )


def _has_signed(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"


def _name_fault(leaf: x509.Certificate, host: str) -> str:
    """Say that a certificate is not for a host (RFC 9525, 6.3); one for names may be asked by its address."""
    from cryptography import x509

    if not host:
        return ""
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return f"it is for no name, and not for {host}"
    try:
        address = ipaddress.ip_address(host)
        addresses = names.get_values_for_type(x509.IPAddress)
        is_for = not addresses or address in addresses
    except ValueError:
        wanted = host.lower().rstrip(".")
        domain = wanted.partition(".")[2]
        is_for = any(
            one.lower() in {wanted, f"*.{domain}"}
            for one in names.get_values_for_type(x509.DNSName)
        )
    given = ", ".join(str(one.value) for one in names)
    return "" if is_for else f"it is for {given}, and not for {host}"
