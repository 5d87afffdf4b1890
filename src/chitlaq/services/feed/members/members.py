"""Members: their profiles, and what they let others do."""

from __future__ import annotations

from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.telemetry import logs
from chitlaq.services.feed.graph import acceptances
from chitlaq.services.feed.members.schemas import Privacy, PrivacyChange, Profile, ProfileChange
from chitlaq.services.feed.state import FeedState


async def profile(database: Database, viewer: UUID | None, username: str) -> Profile:
    """Return a member as the viewer sees them.

    Raises:
        Problem: 404 if there is no such member, or the viewer may not see them.
    """
    row = await database.row("profile", viewer, name_of(username))
    if row is None:
        raise problems.not_found("member")
    return Profile.of(row)


async def own_profile(database: Database, member: UUID) -> Profile:
    username = await database.value("username_of", member)
    if username is None:
        raise problems.not_signed_in("This account no longer exists.")
    return await profile(database, member, username)


async def change_profile(state: FeedState, member: UUID, change: ProfileChange) -> Profile:
    """Change a member's own profile. Going public accepts all who wait to follow."""
    year = change.graduation_year
    async with state.database.transaction() as session:
        # Whoever asks to follow holds this lock, too: nobody asks a member who has just gone public.
        await session.rows("lock_members", [member])
        job_id = await session.value(
            "update_profile",
            member,
            change.display_name.strip() if change.display_name is not None else None,
            change.bio,
            change.pronouns,
            change.department,
            None if year is msgspec.UNSET else year,
            year is not msgspec.UNSET,
            msgspec.json.encode(change.fields).decode() if change.fields is not None else None,
            change.is_private,
            logs.request_id(),
        )
    if job_id is not None:
        await acceptances.begin(state.deliveries.runner, job_id, member)
    return await own_profile(state.database, member)


async def privacy(database: Database, member: UUID) -> Privacy:
    row = await database.row("privacy", member)
    if row is None:
        raise problems.not_signed_in("This account no longer exists.")
    return Privacy(**row)


async def set_privacy(database: Database, member: UUID, wanted: PrivacyChange) -> None:
    async with database.transaction() as session:
        is_there = await session.execute(
            "set_privacy",
            member,
            wanted.may_mention,
            wanted.may_find,
            wanted.may_see_followers,
            wanted.is_found_from_outside,
        )
        if is_there and wanted.may_message is not None:
            await session.execute("set_message_audience", member, wanted.may_message)


async def named(database: Database, username: str, *, also_leaving: bool = False) -> UUID:
    """Return the id of a member, also of one who blocks or is blocked by who asks.

    Who is leaving is found by those alone who take back what they did about them (`also_leaving`): they may
    stay after all.

    Raises:
        Problem: 404 if there is no such member.
    """
    member: UUID | None = await database.value("member_named", name_of(username), also_leaving)
    if member is None:
        raise problems.not_found("member")
    return member


def name_of(username: str) -> str:
    """The username as it is stored, of one in a path."""
    return username.lower().replace("\x00", "")
