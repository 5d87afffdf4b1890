"""Members: their profiles."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.services.feed.members.schemas import Profile, ProfileChange, ProfilePrivacy


async def profile(database: Database, viewer: UUID | None, username: str) -> Profile:
    """Return a member as the viewer sees them.

    Raises:
        Problem: 404 if there is no such member, or the viewer may not see them.
    """
    row = await database.row("profile", viewer, username.lower().replace("\x00", ""))
    if row is None:
        raise problems.not_found("member")
    return Profile(**row)


async def own_profile(database: Database, member: UUID) -> Profile:
    username = await database.value("username_of", member)
    if username is None:
        raise problems.not_signed_in("This account no longer exists.")
    return await profile(database, member, username)


async def change_profile(database: Database, member: UUID, change: ProfileChange) -> Profile:
    async with database.session() as session:
        await session.execute(
            "update_profile",
            member,
            change.display_name.strip() if change.display_name is not None else None,
            change.bio,
            change.department,
            change.is_private,
        )
    return await own_profile(database, member)


async def privacy(database: Database, member: UUID) -> ProfilePrivacy:
    row = await database.row("privacy", member)
    if row is None:
        raise problems.not_signed_in("This account no longer exists.")
    return ProfilePrivacy(**row)


async def set_privacy(database: Database, member: UUID, wanted: ProfilePrivacy) -> None:
    async with database.session() as session:
        await session.execute("set_privacy", member, wanted.is_found_from_outside)
