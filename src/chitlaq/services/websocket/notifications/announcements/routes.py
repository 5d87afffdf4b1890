"""Announcements, for members, for moderators and, beyond nginx, for operators."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from litestar import delete, get, post, put
from litestar.params import Parameter

from chitlaq.core.http import problems
from chitlaq.core.http.idempotency import IdempotencyKey, required_valid
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.operators import FOR_OPERATORS
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.http.schemas import without_nul
from chitlaq.services.websocket.notifications.announcements.schemas import (
    Announcement,
    AnnouncementWork,
    Audience,
    Banner,
    Change,
    ChangeWork,
    NewAnnouncement,
)
from chitlaq.services.websocket.state import WebsocketState

MODERATOR: Final[dict[str, Any]] = {"needs_role": "moderator"}

University = Annotated[str | None, Parameter(max_length=200, description="Only its members.")]
Department = Annotated[
    str | None, Parameter(max_length=100, description="Only its members, of that university.")
]


@get("/notifications/announcements", summary="What one's university announces, until dismissed")
async def banners(member: Identity, state: WebsocketState, paging: Paging) -> Page[Banner]:
    return await state.announcements.banners(member.account_id, paging)


@delete(
    "/notifications/announcements/{announcement_id:uuid}",
    summary="Dismiss an announcement, on all devices",
    refuses=(404,),
)
async def dismiss(announcement_id: UUID, member: Identity, state: WebsocketState) -> None:
    await state.announcements.dismiss(member.account_id, announcement_id)


@post(
    "/notifications/announcements",
    summary="Announce something, as a moderator",
    refuses=(409,),
    **MODERATOR,
)
async def announce(
    data: NewAnnouncement,
    member: Identity,
    state: WebsocketState,
    idempotency_key: IdempotencyKey = None,
) -> Announcement:
    key = required_valid(idempotency_key)
    return await state.announcements.write(data, member.account_id, key=key)


@get(
    "/notifications/announcements/audience",
    summary="How many members an announcement would be for, as a moderator",
    **MODERATOR,
)
async def audience(
    member: Identity,
    state: WebsocketState,
    university: University = None,
    department: Department = None,
) -> Audience:
    return await _audience(state, university, department)


@get(
    "/notifications/announcements/sent",
    summary="Announcements and how far they are, as a moderator",
    **MODERATOR,
)
async def announcements(
    member: Identity, state: WebsocketState, paging: Paging
) -> Page[Announcement]:
    return await state.announcements.listed(paging)


@put(
    "/notifications/announcements/{announcement_id:uuid}/state",
    summary="Pause, go on with, cancel or withdraw an announcement, as a moderator",
    refuses=(404, 409),
    **MODERATOR,
)
async def change(
    announcement_id: UUID, data: Change, member: Identity, state: WebsocketState
) -> Announcement:
    return await state.announcements.change(announcement_id, data.state)


@get("/announcements", **FOR_OPERATORS)
async def announcements_for_operator(state: WebsocketState, paging: Paging) -> Page[Announcement]:
    return await state.announcements.listed(paging)


@get("/announcements/audience", **FOR_OPERATORS)
async def audience_for_operator(
    state: WebsocketState, university: University = None, department: Department = None
) -> Audience:
    return await _audience(state, university, department)


@post("/announcements", **FOR_OPERATORS)
async def announce_for_operator(data: AnnouncementWork, state: WebsocketState) -> Announcement:
    return await state.announcements.write(data, None, data.operator)


@put("/announcements/{announcement_id:uuid}/state", **FOR_OPERATORS)
async def change_for_operator(
    announcement_id: UUID, data: ChangeWork, state: WebsocketState
) -> Announcement:
    return await state.announcements.change(announcement_id, data.state, data.operator)


async def _audience(
    state: WebsocketState, university: str | None, department: str | None
) -> Audience:
    if department is not None and university is None:
        raise problems.invalid({"department": "needs its university, too"})
    for field, name in (("university", university), ("department", department)):
        without_nul(field, name or "")
    _, size = await state.announcements.audience(university, department)
    return Audience(size)
