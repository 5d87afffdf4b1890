"""Devices that an account has signed in with, and the mail about a new one."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID

from chitlaq.core.data.postgres import Session
from chitlaq.core.installation.settings import Settings
from chitlaq.core.local_time import local
from chitlaq.services.auth import mails
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions.devices import named


async def remember(session: Session, account_id: UUID, origin: Origin) -> bool:
    """Remember a device, in the caller's transaction; return whether it is new to an account that has others.

    A client without a cookie is known by its address and what it calls itself: enough to tell its owner, and
    no proof of anything.
    """
    client = f"client {origin.client} {origin.user_agent}".encode()
    key = origin.device or hashlib.sha256(client).digest()
    is_new: bool = await session.value("see_device", account_id, key, origin.limited)
    if is_new:
        await session.execute("forget_devices", account_id)
    return is_new


async def see(
    session: Session, settings: Settings, account_id: UUID, to: Recipient, origin: Origin
) -> None:
    """Remember a device that signs in, in the caller's transaction, and tell the owner if it is new."""
    if not await remember(session, account_id, origin):
        return
    await mails.tell(
        session,
        settings,
        to,
        "new_device",
        "/settings/sessions",
        device=named(origin.user_agent),
        address=origin.address or "?",
        time=f"{local(datetime.now(UTC)):%Y-%m-%d %H:%M %Z}",
    )
