"""The graph: who follows whom, and who blocks whom."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.members import members
from chitlaq.services.feed.members.schemas import Profile
from chitlaq.services.feed.schemas import MemberCard
from chitlaq.services.feed.state import FeedState


async def listed(
    database: Database,
    direction: Literal["followers", "following"],
    viewer: UUID | None,
    username: str,
    paging: Paging,
) -> Page[MemberCard]:
    """Return a page of a member's followers, or of the members they follow.

    Raises:
        Problem: 404 as for the profile, 403 for a private one that the viewer does not follow, 401 for a
            page beyond what is shown to those who are not signed in.
    """
    paging = paging.of_members(viewer)
    profile = await members.profile(database, viewer, username)
    if profile.is_private and not profile.is_followed and profile.id != viewer:
        raise problems.forbidden("This profile is private: only its followers can see that.")
    rows = await database.rows(direction, profile.id, *paging.window, viewer is None)
    return paging.page_of(rows, MemberCard.of)


async def follow(state: FeedState, member: UUID, username: str, *, following: bool) -> None:
    """Follow or unfollow a member; repeating it changes nothing.

    Raises:
        Problem: 404 for an unknown member, 422 for the member's own account, 403 for a private profile.
    """
    other = await _other(state.database, member, username)
    if following and other.is_private and not other.is_followed:
        raise problems.forbidden("This profile is private and accepts no new followers.")
    async with state.database.transaction() as session:
        await session.rows("lock_members", [member, other.id])
        if following:
            changed = await session.execute("follow", member, other.id)
        else:
            changed = await session.execute("unfollow", member, other.id, False)
    if changed:
        await state.timelines.forget(member)


async def block(state: FeedState, member: UUID, username: str, *, blocked: bool) -> None:
    """Block a member, which ends follows in both directions, or unblock them."""
    other = await _other(state.database, member, username)
    async with state.database.transaction() as session:
        await session.rows("lock_members", [member, other.id])
        if blocked:
            await session.execute("unfollow", member, other.id, True)
            await session.execute("block", member, other.id)
        else:
            await session.execute("unblock", member, other.id)
    await state.timelines.forget(member, other.id)


async def _other(database: Database, member: UUID, username: str) -> Profile:
    profile = await members.profile(database, member, username)
    if profile.id == member:
        raise problems.invalid({"username": "is your own account"})
    return profile
