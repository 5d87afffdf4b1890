"""The client's address, as far as it can be trusted."""

from __future__ import annotations

import ipaddress
from typing import Any

from litestar import Request


def client_address(request: Request[Any, Any, Any]) -> str | None:
    """Return the client's address, or None if it is not known.

    Only our own nginx connects to a service's Unix socket, and it overwrites ``X-Real-IP`` with the
    address it saw. Anybody can connect to the TCP port, where the header is ignored.
    """
    client = request.scope.get("client")
    told = client[0] if client and client[0] else request.headers.get("x-real-ip", "")
    try:
        return str(ipaddress.ip_address(told))
    except ValueError:
        return None
