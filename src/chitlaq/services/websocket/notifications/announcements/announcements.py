"""Announcements: written, looked at and changed by those who may; shown as banners; dismissed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.notifications.announcements.schemas import (
    Announcement,
    Banner,
    NewAnnouncement,
    State,
    Wanted,
)
from chitlaq.services.websocket.notifications.live import Live

SHOWN: Final = timedelta(days=7)
LONGEST: Final = timedelta(days=366)

_FROM: Final[Mapping[Wanted, Sequence[State]]] = {
    "delivering": ("paused", "delivering"),
    "paused": ("delivering", "paused"),
    "cancelled": ("delivering", "paused", "cancelled"),
    "withdrawn": ("delivering", "paused", "delivered", "cancelled", "withdrawing", "withdrawn"),
}
"""What an announcement may be, to become something."""

log = logs.get("announcements")


class Announcements:
    def __init__(self, database: Database, live: Live) -> None:
        self._database = database
        self._live = live

    async def banners(self, member: UUID, paging: Paging) -> Page[Banner]:
        """Return what a member is shown, the latest first."""
        rows = await self._database.rows("banners", member, *paging.window)
        return paging.page_of(rows, lambda row: Banner(*row))

    async def dismiss(self, member: UUID, announcement_id: UUID) -> None:
        """Show an announcement to a member no more, on all devices; repeating it changes nothing.

        Raises:
            Problem: 404 if there is none for them.
        """
        async with self._database.session() as session:
            is_new = await session.value("dismiss_announcement", member, announcement_id)
        if is_new is None:
            raise problems.not_found("announcement")
        if is_new:
            self._live.end_banner(announcement_id, [member])

    async def audience(
        self, university: str | None, department: str | None
    ) -> tuple[UUID | None, int]:
        """Return the id of the university, and how many members would be told.

        Raises:
            Problem: 422 if there is no such university, or nobody would be told.
        """
        known: UUID | None = None
        if university is not None:
            known = await self._database.value("university_named", university)
            if known is None:
                raise problems.invalid({"university": "is not known here"})
        size: int = await self._database.value("audience_size", known, department)
        if size == 0:
            field = "university" if department is None else "department"
            raise problems.invalid({field: "has no members"})
        return known, size

    async def write(
        self,
        new: NewAnnouncement,
        author: UUID | None,
        operator: str | None = None,
        key: str | None = None,
    ) -> Announcement:
        """Announce something, by a member or an operator; once for each of a member's keys.

        Raises:
            Problem: 422 as `audience`, or for a time that is over or too far; 409 for a key of another one.
        """
        now = datetime.now(UTC)
        expires_at = new.expires_at or now + SHOWN
        if not now < expires_at <= now + LONGEST:
            raise problems.invalid({"expires_at": "must be within the next 366 days"})
        university_id, size = await self.audience(new.university, new.department)
        async with self._database.transaction() as session:
            found: UUID | None = await session.value(
                "insert_announcement",
                author,
                operator,
                key,
                new.text,
                university_id,
                new.department,
                expires_at,
                size,
            )
            if found is not None:
                await session.execute("plan_announcement", found, logs.request_id())
                await session.execute("forget_dismissals")
                log.info("announced", announcement=found, operator=operator, audience=size)
        if found is None:
            found = await self._database.value("announcement_by_key", author, key)
            before = await self.one(found) if found else None
            if before is None or before.text != new.text:
                raise problems.conflict(
                    "This Idempotency-Key was used for another announcement; use a new one.",
                    "Idempotency-Key",
                )
            return before
        return await self.one(found)

    async def listed(self, paging: Paging) -> Page[Announcement]:
        """Return announcements and how far they are, the latest first."""
        rows = await self._database.rows("announcements", *paging.window)
        return paging.page_of(rows, lambda row: Announcement(*row))

    async def one(self, announcement_id: UUID) -> Announcement:
        """Return an announcement and how far it is.

        Raises:
            Problem: 404.
        """
        row = await self._database.row("announcement", announcement_id)
        if row is None:
            raise problems.not_found("announcement")
        return Announcement(*row)

    async def change(
        self, announcement_id: UUID, wanted: Wanted, operator: str | None = None
    ) -> Announcement:
        """Pause, go on with, cancel or withdraw an announcement; repeating it changes nothing.

        Raises:
            Problem: 404; 409 if it is too late for that.
        """
        async with self._database.transaction() as session:
            row = await session.row("lock_announcement", announcement_id)
            if row is None:
                raise problems.not_found("announcement")
            state: State = row["state"]
            if state not in _FROM[wanted]:
                raise problems.conflict(
                    f"The announcement is {state}: it cannot be {wanted} any more."
                )
            to = "withdrawing" if wanted == "withdrawn" else wanted
            if state not in {wanted, to}:
                await session.execute("change_announcement", announcement_id, to)
                log.info("changed", announcement=announcement_id, state=to, operator=operator)
            if to in {"delivering", "withdrawing"} and state != "withdrawn":
                # Also what stands still because its job is dead goes on.
                await session.execute("plan_announcement", announcement_id, logs.request_id())
        return await self.one(announcement_id)
