"""Settings, subscriptions to pushes, and the page that ends digests."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from litestar import Request, Response, delete, get, post, put
from litestar.datastructures import State
from litestar.params import Parameter

from chitlaq.core.http import bodies
from chitlaq.core.http.identity import Identity
from chitlaq.services.websocket.notifications.channels import digests, settings, subscriptions
from chitlaq.services.websocket.notifications.channels.schemas import (
    PushState,
    PushSubscription,
    Settings,
)
from chitlaq.services.websocket.state import WebsocketState
from chitlaq.web.site.pages import SITE

Token = Annotated[str, Parameter(description="The token in the link of a mail.")]


@get("/notifications/settings", summary="Where and when one is told")
async def show_settings(member: Identity, state: WebsocketState) -> Settings:
    return await settings.of_member(state.database, member.account_id)


@put("/notifications/settings", summary="Say where and when to be told")
async def change_settings(data: Settings, member: Identity, state: WebsocketState) -> Settings:
    return await settings.change(
        state.database, member.account_id, data, state.channels.installation_zone
    )


@get("/notifications/push", summary="What a browser subscribes to pushes with, and whether it has")
async def show_push(member: Identity, state: WebsocketState) -> PushState:
    return await subscriptions.state(
        state.database, state.channels.identification.public_key, member
    )


@post("/notifications/push", status_code=204, summary="Let this device be pushed to")
async def subscribe(data: PushSubscription, member: Identity, state: WebsocketState) -> None:
    await subscriptions.add(
        state.database, member, data, is_anywhere=state.channels.settings.push_anywhere
    )


@delete("/notifications/push", summary="Let this device be pushed to no more")
async def unsubscribe(member: Identity, state: WebsocketState) -> None:
    await subscriptions.remove(state.database, member)


@get("/unsubscribe", is_page=True, is_site=True, include_in_schema=False, sync_to_thread=False)
def unsubscribe_page(request: Request[Any, Any, State], token: Token = "") -> Response[str]:
    """Show a button: programs open the links in mails, too, so this ends nothing."""
    return SITE.localized(request, "unsubscribe.html", state="open", token=token)


@post(
    "/unsubscribe",
    is_page=True,
    is_site=True,
    include_in_schema=False,
    status_code=200,
    request_max_body_size=bodies.MOST_FORM_BYTES,
)
async def end_digests(
    request: Request[Any, Any, State], state: WebsocketState, token: Token = ""
) -> Response[str]:
    """End digests: pressed on the page, or sent by a mail program (RFC 8058)."""
    if await digests.end(state.database, token):
        return SITE.localized(request, "unsubscribe.html", state="done")
    return SITE.localized(request, "unsubscribe.html", HTTPStatus.NOT_FOUND, state="unknown")
