"""Devices that an account has signed in with, and the mail about a new one."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID

from chitlaq.core.data import notify
from chitlaq.core.data.postgres import Session
from chitlaq.core.installation.settings import Settings
from chitlaq.core.local_time import local
from chitlaq.services.auth import mails
from chitlaq.services.auth.mails import Recipient
from chitlaq.services.auth.origin import Origin
from chitlaq.services.auth.sessions.devices import described


def key_of(origin: Origin) -> bytes:
    """By what a device is known.

    A client without a cookie is known by its address and what it calls itself: enough to tell its owner, and
    no proof of anything.
    """
    client = f"client {origin.client} {origin.user_agent}".encode()
    return origin.device or hashlib.sha256(client).digest()


async def remember(session: Session, account_id: UUID, origin: Origin) -> None:
    """Remember a device, in the caller's transaction."""
    if await session.value("see_device", account_id, key_of(origin), origin.limited):
        await session.execute("forget_devices", account_id)


async def tell(
    session: Session, settings: Settings, account_id: UUID, to: Recipient, origin: Origin
) -> None:
    """Tell an owner of a new device, in the transaction that remembers it."""
    await session.execute("forget_devices", account_id)
    device = described(origin.user_agent).name
    await notify.tell_account(session, account_id, "new_device", device)
    await mails.tell(
        session,
        settings,
        to,
        "new_device",
        "/settings/sessions",
        device=device,
        address=origin.address or "?",
        time=f"{local(datetime.now(UTC)):%Y-%m-%d %H:%M %Z}",
    )
