"""The address of the WebSocket, and who is connected there."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import Any

from litestar import Request, get
from litestar.datastructures import State

from chitlaq.core.http import cookies, upgrades
from chitlaq.core.http.operators import FOR_OPERATORS
from chitlaq.core.http.problems import Problem
from chitlaq.core.http.service import Context
from chitlaq.services.websocket.sockets.schemas import OpenSocket, OpenSockets
from chitlaq.services.websocket.state import WebsocketState


@get(
    "/ws",
    status_code=HTTPStatus.SWITCHING_PROTOCOLS,
    summary="A WebSocket for frames in JSON, in both directions",
    is_socket=True,
    refuses=(HTTPStatus.FORBIDDEN, HTTPStatus.UPGRADE_REQUIRED),
)
async def refuse(request: Request[Any, Any, State]) -> None:
    """Refuse a request that is no valid upgrade; `core.http.upgrades` hands the valid ones over."""
    if cookies.value(request.headers, cookies.ACCESS) is not None:
        context: Context = request.app.state.context
        cookies.require_own_page(request.headers, context.settings.base_url)
    raise Problem(
        HTTPStatus.UPGRADE_REQUIRED,
        "This is a WebSocket: open it as RFC 6455 says, with `Upgrade: websocket`, "
        "`Sec-WebSocket-Version: 13` and a `Sec-WebSocket-Key` of 16 bytes in base64.",
        headers={"Upgrade": "websocket", "Sec-WebSocket-Version": upgrades.VERSION},
    )


@get(
    "/sockets",
    summary="The connections of this process, for operators",
    **FOR_OPERATORS,
)
async def list_sockets(state: WebsocketState) -> OpenSockets:
    found = []
    for socket in state.hub.all():
        member = socket.identity
        person = await state.people.person(member.account_id) if member else None
        found.append(
            OpenSocket(
                person.username if person else None,
                round(socket.open_seconds, 1),
                round(socket.silent_seconds, 1),
                socket.unread_bytes,
                socket.held_messages,
            )
        )
    return OpenSockets(os.getpid(), found)
