"""Expiry of TLS certificates: from files, and from what endpoints serve."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from pathlib import Path

from prometheus_client.core import Metric

from chitlaq.core.telemetry import logs
from chitlaq.monitoring.exporter.exported_metrics import metric

CONNECT_SECONDS = 1.5

log = logs.get("certificates")


async def metrics(watched: Sequence[str]) -> list[Metric]:
    """Return whether each certificate can be read, and the seconds until it expires.

    Args:
        watched: paths of PEM files, and endpoints as ``host:port``.
    """
    found = await asyncio.gather(*(seconds_left(one) for one in watched), return_exceptions=True)
    left: dict[tuple[str, ...], float] = {}
    readable: dict[tuple[str, ...], float] = {}
    for name, seconds in zip(watched, found, strict=True):
        readable[_source(name), name] = not isinstance(seconds, BaseException)
        if isinstance(seconds, BaseException):
            log.warning("certificate not read", name=name, error=str(seconds))
        else:
            left[_source(name), name] = seconds
    return [
        metric("ssl_certificate_expiry_seconds", left),
        metric("ssl_certificate_readable", readable),
    ]


def _source(name: str) -> str:
    return "file" if name.startswith("/") else "endpoint"


async def seconds_left(name: str) -> float:
    """Seconds until a certificate expires.

    Raises:
        OSError, ValueError, TimeoutError: it cannot be read.
    """
    if _source(name) == "file":
        pem = await asyncio.to_thread(Path(name).read_bytes)
    else:
        host, _, port = name.rpartition(":")
        async with asyncio.timeout(CONNECT_SECONDS):
            pem = await _served(host, int(port))
    return await asyncio.to_thread(_expires_at, pem) - time.time()


def _expires_at(pem: bytes) -> float:
    # Imported late, in a thread: it takes a quarter of a second.
    from cryptography import x509

    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


async def _served(host: str, port: int) -> bytes:
    """The certificate that an endpoint presents, trusted or not: only its expiry is used."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        served: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return ssl.DER_cert_to_PEM_cert(served).encode()
    finally:
        writer.close()
