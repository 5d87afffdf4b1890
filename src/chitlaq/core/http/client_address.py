"""The client's address, as far as it can be trusted, and what limits count as one address."""

from __future__ import annotations

import ipaddress
from typing import Any

from litestar import Request

from chitlaq.core.http import edge


def client_address(request: Request[Any, Any, Any]) -> str | None:
    """Return the client's address, or None if it is not known.

    Only our own nginx connects to a service's Unix socket, and it overwrites ``X-Real-IP`` with the
    address it saw. Anybody can connect to the TCP port, where the header is ignored.
    """
    peer = _peer(request)
    try:
        return str(ipaddress.ip_address(peer or request.headers.get("x-real-ip", "")))
    except ValueError:
        return None


def limited_address(request: Request[Any, Any, Any]) -> str | None:
    """Return what the limits of signed-out requests count as one address, or None if it is exempt.

    nginx decides what is exempt. So is whoever connects to the TCP port, which only this machine reaches.
    """
    if _peer(request):
        return None
    try:
        return edge.network_of(request.headers.get(edge.LIMITED_ADDRESS, ""))
    except ValueError:
        return None


def _peer(request: Request[Any, Any, Any]) -> str:
    """The address of a TCP connection, or an empty string for our Unix socket."""
    client = request.scope.get("client")
    return client[0] if client and client[0] else ""
