"""Subscriptions to pushes: one of each device that is signed in, for as long as it is."""

from __future__ import annotations

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.services.websocket.notifications.channels.schemas import (
    PushState,
    PushSubscription,
    require_public,
)

MOST = 20
"""Subscriptions of an account; the oldest make room."""


async def state(database: Database, public_key: str, member: Identity) -> PushState:
    """Return what a device needs to subscribe, and whether it has."""
    is_subscribed = await database.value("is_subscribed", member.session_id)
    return PushState(public_key, is_subscribed)


async def add(
    database: Database, member: Identity, wanted: PushSubscription, *, is_anywhere: bool
) -> None:
    """Push to a device from now on, in place of what it subscribed with before.

    Raises:
        Problem: 422 for an endpoint that is not on the internet, unless that is allowed; 401 if the device
            has just been signed out.
    """
    if not is_anywhere:
        try:
            require_public(wanted.endpoint)
        except ValueError as error:
            raise problems.invalid({"endpoint": str(error)}) from None
    async with database.transaction() as session:
        await session.execute("lock_endpoints")
        await session.execute("forget_endpoint", wanted.endpoint, member.session_id)
        is_added = await session.execute(
            "subscribe",
            member.session_id,
            member.account_id,
            wanted.endpoint,
            wanted.keys.point,
            wanted.keys.secret,
        )
        if not is_added:
            raise problems.not_signed_in()
        await session.execute("forget_oldest_subscriptions", member.account_id, MOST)


async def remove(database: Database, member: Identity) -> None:
    """Push to a device no more; repeating it changes nothing."""
    async with database.session() as session:
        await session.execute("unsubscribe", member.session_id)
