"""The client's address, as far as it can be believed."""

from __future__ import annotations

import ipaddress
from typing import Any

from litestar import Request


def client_address(request: Request[Any, Any, Any]) -> str | None:
    """Return the client's address, or nothing when it is not known.

    On a service's Unix socket only our own nginx speaks, and it overwrites ``X-Real-IP`` with the
    address it saw; on the TCP port anybody may, and the header is not looked at.
    """
    client = request.scope.get("client")
    told = client[0] if client and client[0] else request.headers.get("x-real-ip", "")
    try:
        return str(ipaddress.ip_address(told))
    except ValueError:
        return None
