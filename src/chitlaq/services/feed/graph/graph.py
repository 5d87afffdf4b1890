"""The graph: who follows whom, who asks to, and who blocks whom.

Whatever changes what is between two members locks both their rows first: what it reads then is true, and
follows and counters change together.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from chitlaq.core.data.postgres import Database, Session
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.telemetry import logs
from chitlaq.services.feed.graph import announcements
from chitlaq.services.feed.members import members
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
        Problem: 404 as for the profile, 403 for one that does not show them to the viewer, 401 for a page
            beyond what is shown to those who are not signed in.
    """
    paging = paging.of_members(viewer)
    profile = await members.profile(database, viewer, username)
    if not profile.shows_followers:
        raise problems.forbidden(
            "This profile is private: only its followers can see that."
            if profile.is_private
            else "This member does not show you that."
        )
    rows = await database.rows(direction, viewer, profile.id, *paging.window)
    return paging.page_of(rows, MemberCard.of)


async def follow(state: FeedState, member: UUID, username: str) -> bool:
    """Follow a member, or ask a private one to be let; repeating it changes nothing.

    Returns:
        whether the member follows them now.

    Raises:
        Problem: 404 for an unknown member and for one who blocks the member, 409 for one whom the member
            blocks, 422 for the member's own account.
    """
    other = await _other(state.database, member, username)
    async with state.database.transaction() as session:
        await _lock(session, member, other)
        row = await session.row("follow", member, other, logs.request_id())
    if row is None or row["is_blocking"]:
        raise problems.not_found("member")
    if row["is_blocked"]:
        raise problems.conflict("You block this member: unblock them first.")
    if row["is_new"]:
        await state.timelines.forget(member)
    return bool(row["is_followed"])


async def unfollow(state: FeedState, member: UUID, username: str) -> None:
    """Follow a member no more, or withdraw the request to; repeating it changes nothing."""
    await _part(state, member, await _former(state.database, member, username))


async def remove_follower(state: FeedState, member: UUID, username: str) -> None:
    """Let a follower follow the member no more, and refuse their request; repeating it changes nothing."""
    await _part(state, await _former(state.database, member, username), member)


async def requests(database: Database, member: UUID, paging: Paging) -> Page[MemberCard]:
    """Return a page of those who ask to follow the member, the latest first."""
    rows = await database.rows("follow_requests", member, *paging.window)
    return paging.page_of(rows, MemberCard.of)


async def accept(state: FeedState, member: UUID, username: str) -> None:
    """Let somebody who asked for it follow the member; repeating it changes nothing.

    Raises:
        Problem: 404 if they neither ask for it nor follow the member.
    """
    other = await _other(state.database, member, username)
    async with state.database.transaction() as session:
        await _lock(session, member, other)
        accepted = await session.rows("accept_requests", member, [other], True, logs.request_id())
        is_follower = await session.value("is_follower", member, other)
    if not is_follower:
        raise problems.not_found("request to follow you")
    if accepted:
        await state.timelines.forget(other)


async def refuse(state: FeedState, member: UUID, username: str) -> None:
    """Do not let somebody follow the member, who may ask again; repeating it changes nothing."""
    other = await _former(state.database, member, username)
    async with state.database.transaction() as session:
        await _lock(session, member, other)
        await session.execute("forget_request", other, member, logs.request_id())


async def block(state: FeedState, member: UUID, username: str) -> None:
    """Block a member, which ends follows and requests in both directions; repeating it changes nothing."""
    other = await _other(state.database, member, username)
    async with state.database.transaction() as session:
        await _lock(session, member, other)
        for one, two in ((member, other), (other, member)):
            await session.execute("forget_request", one, two, logs.request_id())
            await session.execute("unfollow", one, two, logs.request_id())
        job_id = await session.value("block", member, other, logs.request_id())
    await state.timelines.forget(member, other)
    if job_id is not None:
        await announcements.begin(state.deliveries.runner, job_id, member, other)


async def unblock(state: FeedState, member: UUID, username: str) -> None:
    """Unblock a member, whom the member does not follow again by that; repeating it changes nothing."""
    other = await _former(state.database, member, username)
    async with state.database.transaction() as session:
        await _lock(session, member, other)
        await session.execute("unblock", member, other)


async def blocks(database: Database, member: UUID, paging: Paging) -> Page[MemberCard]:
    """Return a page of those whom the member blocks, by id."""
    rows = await database.rows("blocks", member, *paging.window)
    return paging.page_of(rows, MemberCard.of)


async def _part(state: FeedState, follower: UUID, followed: UUID) -> None:
    async with state.database.transaction() as session:
        await session.rows("lock_members", [follower, followed])
        await session.execute("forget_request", follower, followed, logs.request_id())
        has_ended = await session.value("unfollow", follower, followed, logs.request_id())
    if has_ended:
        await state.timelines.forget(follower)


async def _lock(session: Session, member: UUID, other: UUID) -> None:
    """Lock two members' rows.

    Raises:
        Problem: 401 or 404 if one of the accounts has just been erased.
    """
    there = [row["id"] for row in await session.rows("lock_members", [member, other])]
    if member not in there:
        raise problems.not_signed_in("This account no longer exists.")
    if other not in there:
        raise problems.not_found("member")


async def _other(database: Database, member: UUID, username: str) -> UUID:
    """Return another member, whoever blocks whom: what a member does about others tells nothing of that.

    Raises:
        Problem: 404 for an unknown member, 422 for the member's own account.
    """
    return _not_oneself(member, await members.named(database, username))


async def _former(database: Database, member: UUID, username: str) -> UUID:
    """As `_other`, for what ends something between the two: also a member who is leaving."""
    return _not_oneself(member, await members.named(database, username, also_leaving=True))


def _not_oneself(member: UUID, other: UUID) -> UUID:
    if other == member:
        raise problems.invalid({"username": "is your own account"})
    return other
