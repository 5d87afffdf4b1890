"""The address of the WebSocket."""

from __future__ import annotations

from http import HTTPStatus

from litestar import get

from chitlaq.core.http import upgrades
from chitlaq.core.http.problems import Problem


@get(
    "/ws",
    status_code=HTTPStatus.SWITCHING_PROTOCOLS,
    summary="A WebSocket for frames in JSON, in both directions",
    is_socket=True,
    refuses=(HTTPStatus.UPGRADE_REQUIRED,),
)
async def refuse() -> None:
    """Refuse a request that is no valid upgrade; `core.http.upgrades` hands the valid ones over."""
    raise Problem(
        HTTPStatus.UPGRADE_REQUIRED,
        "This is a WebSocket: open it as RFC 6455 says, with `Upgrade: websocket`, "
        "`Sec-WebSocket-Version: 13` and a `Sec-WebSocket-Key` of 16 bytes in base64.",
        headers={"Upgrade": "websocket", "Sec-WebSocket-Version": upgrades.VERSION},
    )
