"""Members: their profiles, and who follows or blocks whom."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging, cursor_after
from chitlaq.core.telemetry import logs
from chitlaq.services.feed.posts.schemas import MemberCard, Profile, ProfileChange
from chitlaq.services.feed.timelines.cache import Timelines

log = logs.get("members")


class Members:
    def __init__(self, database: Database, timelines: Timelines) -> None:
        self._database = database
        self._timelines = timelines

    async def profile(self, viewer: UUID | None, username: str) -> Profile:
        """Return a member as the viewer sees them.

        Raises:
            Problem: 404 when there is none, or none that the viewer may know of.
        """
        row = await self._database.row("profile", viewer, username.lower().replace("\x00", ""))
        if row is None:
            raise problems.not_found("member")
        return Profile(**row)

    async def own_profile(self, member: UUID) -> Profile:
        username = await self._database.value("username_of", member)
        if username is None:
            raise problems.not_signed_in("This account is gone.")
        return await self.profile(member, username)

    async def change_profile(self, member: UUID, change: ProfileChange) -> Profile:
        async with self._database.session() as session:
            await session.execute(
                "update_profile",
                member,
                change.display_name.strip() if change.display_name is not None else None,
                change.bio,
                change.department,
                change.is_private,
            )
        return await self.own_profile(member)

    async def listed(
        self, direction: str, viewer: UUID | None, username: str, paging: Paging
    ) -> Page[MemberCard]:
        """Return who follows a member (``followers``) or whom they follow (``following``).

        Raises:
            Problem: 404 as for the profile, 403 for a private one that the viewer does not follow.
        """
        profile = await self.profile(viewer, username)
        if profile.is_private and not profile.is_followed and profile.id != viewer:
            raise problems.forbidden("This profile is private: only its followers see that.")
        rows = await self._database.rows(
            direction, profile.id, paging.before, paging.offset, paging.limit + 1
        )
        cards = [
            MemberCard(
                row["username"],
                row["display_name"],
                row["department"],
                row["university"],
                row["avatar_url"],
            )
            for row in rows[: paging.limit]
        ]
        more = len(rows) > paging.limit
        after = cursor_after(rows[paging.limit - 1]["id"]) if more else None
        return Page(cards, paging.page, paging.limit, after)

    async def follow(self, member: UUID, username: str, *, following: bool) -> None:
        """Follow or unfollow; again changes nothing.

        Raises:
            Problem: 404 for an unknown member, 422 for oneself, 403 for a private profile.
        """
        other = await self._other(member, username)
        if following and other.is_private and not other.is_followed:
            raise problems.forbidden("This profile is private and takes no new followers.")
        async with self._database.transaction() as session:
            await session.rows("lock_members", [member, other.id])
            if following:
                changed = await session.execute("follow", member, other.id)
            else:
                changed = await session.execute("unfollow", member, other.id, False)
        if changed:
            await self._timelines.forget(member)

    async def block(self, member: UUID, username: str, *, blocked: bool) -> None:
        """Block a member, which ends following in both directions, or unblock them."""
        other = await self._other(member, username)
        async with self._database.transaction() as session:
            await session.rows("lock_members", [member, other.id])
            if blocked:
                await session.execute("unfollow", member, other.id, True)
                await session.execute("block", member, other.id)
            else:
                await session.execute("unblock", member, other.id)
        await self._timelines.forget(member, other.id)

    async def _other(self, member: UUID, username: str) -> Profile:
        profile = await self.profile(member, username)
        if profile.id == member:
            raise problems.invalid({"username": "that is you"})
        return profile
