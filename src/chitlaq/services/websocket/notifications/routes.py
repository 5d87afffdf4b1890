"""Notifications over HTTP."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.params import Parameter

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Paging
from chitlaq.services.websocket.notifications.schemas import NotificationPage, Read, Reading
from chitlaq.services.websocket.state import WebsocketState

Filtered = Annotated[
    bool, Parameter(description="Those of strangers, which the member's settings keep apart.")
]


@get("/notifications", summary="What one is told, the latest first")
async def notifications(
    member: Identity, state: WebsocketState, paging: Paging, filtered: Filtered = False
) -> NotificationPage:
    return await state.notifications.listed(member.account_id, paging, is_filtered=filtered)


@post("/notifications/read", status_code=200, summary="Mark notifications as read, or as seen")
async def mark_read(data: Read, member: Identity, state: WebsocketState) -> Reading:
    return await state.notifications.mark_read(member.account_id, data)
