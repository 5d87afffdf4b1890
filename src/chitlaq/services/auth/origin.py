"""Where a request comes from: for limits, for the list of devices and for the audit log."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request

from chitlaq.core.http import client_address, cookies

LONGEST_USER_AGENT = 300


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request comes from.

    Args:
        address: the client's, as it is shown to members; None if it is not known.
        limited: what limits count as one address; None if it is exempt.
        user_agent: as the client names itself, shortened.
        session_id: the session that asks, if one does.
        device: the hash of the secret that the browser keeps as a device that has signed in.
        replaced: the hash of the refresh token that a browser has which signs in anew.
    """

    address: str | None
    limited: str | None
    user_agent: str
    session_id: UUID | None = None
    device: bytes | None = None
    replaced: bytes | None = None

    @property
    def client(self) -> str:
        """Who waits for whom, where there is a queue."""
        return self.limited or self.address or ""


def of(request: Request[Any, Any, Any], session_id: UUID | None = None) -> Origin:
    """Return where a request comes from."""
    return Origin(
        client_address.client_address(request),
        client_address.limited_address(request),
        request.headers.get("user-agent", "").replace("\x00", "")[:LONGEST_USER_AGENT],
        session_id,
        device_hash(cookies.value(request.headers, cookies.DEVICE)),
    )


def device_hash(secret: str | None) -> bytes | None:
    """Return what is kept of a device's secret."""
    return hashlib.sha256(f"device {secret}".encode()).digest() if secret else None
