"""Conversations and messages over HTTP."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Page, PageLimit, Paging
from chitlaq.services.websocket.chat import conversations, messages
from chitlaq.services.websocket.chat.schemas import (
    Conversation,
    Message,
    MessagePage,
    NewConversation,
    NewMessage,
    ReadUntil,
)
from chitlaq.services.websocket.state import WebsocketState

Number = Annotated[
    int | None, Parameter(ge=1, le=2**62, description="The number of a message (`seq`).")
]

After = Annotated[
    int | None, Parameter(ge=0, le=2**62, description="As `before`; 0: from the first.")
]


def _or_known(kind: type[msgspec.Struct]) -> dict[int, ResponseSpec]:
    """What a route answers beside 201: that it did so before."""
    return {HTTPStatus.OK: ResponseSpec(kind, description="As before", generate_examples=False)}


@post(
    "/conversations",
    summary="Begin a conversation; 200 with the same one if the two have one",
    responses=_or_known(Conversation),
)
async def begin(
    data: NewConversation, member: Identity, state: WebsocketState
) -> Response[Conversation]:
    found, is_new = await conversations.begin(state.database, member.account_id, data)
    return Response(found, status_code=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@get("/conversations", summary="One's conversations, the latest first")
async def list_conversations(
    member: Identity, state: WebsocketState, paging: Paging
) -> Page[Conversation]:
    return await conversations.listed(state.database, member.account_id, paging)


@get("/conversations/{conversation_id:uuid}", summary="One conversation")
async def show(conversation_id: UUID, member: Identity, state: WebsocketState) -> Conversation:
    return await conversations.shown(state.database, member.account_id, conversation_id)


@get(
    "/conversations/{conversation_id:uuid}/messages",
    summary="Messages, in order; the latest by default",
)
async def history(
    conversation_id: UUID,
    member: Identity,
    state: WebsocketState,
    before: Number = None,
    after: After = None,
    limit: PageLimit = 50,
) -> MessagePage:
    return await messages.history(
        state.database, member.account_id, conversation_id, before=before, after=after, limit=limit
    )


@post(
    "/conversations/{conversation_id:uuid}/messages",
    summary="Send a message; 200 with the same one if it was sent before",
    responses=_or_known(Message),
    refuses=(HTTPStatus.FORBIDDEN,),
)
async def send(
    conversation_id: UUID, data: NewMessage, member: Identity, state: WebsocketState
) -> Response[Message]:
    sent = await state.sending.send(
        member.account_id, conversation_id, data.text, data.client_id, data.reply_to,
        arrived_at=time.time(),
    )  # fmt: skip
    return Response(sent.message, status_code=HTTPStatus.CREATED if sent.is_new else HTTPStatus.OK)


@post(
    "/conversations/{conversation_id:uuid}/read", status_code=204, summary="Mark messages as read"
)
async def mark_read(
    conversation_id: UUID, data: ReadUntil, member: Identity, state: WebsocketState
) -> None:
    await conversations.read_until(state.database, member.account_id, conversation_id, data.seq)
