"""Digests: mails in the morning about how much is unread."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Database


async def end(database: Database, token: str) -> bool:
    """End the digests of whoever has this token in a mail; return whether there is one."""
    try:
        known = UUID(token)
    except ValueError:
        return False
    async with database.session() as session:
        return bool(await session.execute("end_digests", known))
