"""Conversations and messages over HTTP."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post, put
from litestar.di import Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import Parameter

from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Page, PageLimit, Paging
from chitlaq.services.websocket.chat import conversations, messages
from chitlaq.services.websocket.chat.schemas import (
    MAX_SEQ,
    Conversation,
    ConversationChange,
    Edit,
    Folder,
    Membership,
    Message,
    MessagePage,
    NewConversation,
    NewMessage,
    NewText,
    Privacy,
    ReadUntil,
    UnreadFrom,
    UnreadTotals,
)
from chitlaq.services.websocket.chat.stored import Place
from chitlaq.services.websocket.state import WebsocketState

Number = Annotated[
    int | None, Parameter(ge=1, le=2**62, description="The number of a message (`seq`).")
]

After = Annotated[
    int | None, Parameter(ge=0, le=2**62, description="As `before`; 0: from the first.")
]
Moment = Annotated[
    datetime | None, Parameter(description="Messages from this moment on (RFC 3339).")
]
Unread = Annotated[
    bool, Parameter(description="The latest, but none of the unread ones is left out before them.")
]
MessageCursor = Annotated[str | None, Parameter(description="`next_cursor` of the previous page.")]

MESSAGE = "/conversations/{conversation_id:uuid}/messages/{seq:int}"
REACTION = f"{MESSAGE}/reactions/{{emoji:str}}"


def _place(conversation_id: UUID, seq: int) -> Place:
    """Return the message that a path names.

    Raises:
        Problem: 404 for a number that no message can have.
    """
    if not 1 <= seq <= MAX_SEQ:
        raise problems.not_found("message")
    return Place(conversation_id, seq)


AT_PLACE = {"place": Provide(_place, sync_to_thread=False)}


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
    found, is_new = await conversations.begin(state.database, state.groups, member.account_id, data)
    return Response(found, status_code=HTTPStatus.CREATED if is_new else HTTPStatus.OK)


@get("/conversations", summary="One's conversations, pinned ones and the latest first")
async def list_conversations(
    member: Identity, state: WebsocketState, paging: Paging, folder: Folder = "inbox"
) -> Page[Conversation]:
    return await conversations.listed(state.database, member.account_id, folder, paging)


@get("/conversations/unread", summary="In how many conversations something is unread")
async def unread_totals(member: Identity, state: WebsocketState) -> UnreadTotals:
    return await conversations.unread_totals(state.database, member.account_id)


@get("/conversations/privacy", summary="Who may write to one, and what one shows")
async def show_privacy(member: Identity, state: WebsocketState) -> Privacy:
    return await conversations.privacy(state.database, member.account_id)


@put("/conversations/privacy", status_code=204, summary="Say who may write, and what to show")
async def set_privacy(data: Privacy, member: Identity, state: WebsocketState) -> None:
    await conversations.set_privacy(state.database, member.account_id, data)
    if not data.shares_presence:
        state.presences.hide(member.account_id)


@get("/conversations/{conversation_id:uuid}", summary="One conversation")
async def show(conversation_id: UUID, member: Identity, state: WebsocketState) -> Conversation:
    return await conversations.shown(state.database, member.account_id, conversation_id)


@patch(
    "/conversations/{conversation_id:uuid}",
    summary="Change a group's name, picture or setting; mute, archive or pin for oneself",
    refuses=(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)
async def change(
    conversation_id: UUID, data: ConversationChange, member: Identity, state: WebsocketState
) -> Conversation:
    await state.groups.change(member.account_id, conversation_id, data)
    return await conversations.shown(state.database, member.account_id, conversation_id)


@put(
    "/conversations/{conversation_id:uuid}/members/{username:str}",
    status_code=204,
    summary="Add or invite a member, accept for oneself, or give a role",
    refuses=(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)
async def put_member(
    conversation_id: UUID,
    username: str,
    member: Identity,
    state: WebsocketState,
    data: Membership | None = None,
) -> None:
    role = data.role if data is not None else None
    await state.groups.put(member.account_id, conversation_id, username.lower(), role)


@delete(
    "/conversations/{conversation_id:uuid}/members/{username:str}",
    summary="Leave, decline, or remove a member",
    refuses=(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)
async def remove_member(
    conversation_id: UUID, username: str, member: Identity, state: WebsocketState
) -> None:
    await state.groups.remove(member.account_id, conversation_id, username.lower())


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
    around: Number = None,
    at: Moment = None,
    unread: Unread = False,
    cursor: MessageCursor = None,
    limit: PageLimit = 50,
) -> MessagePage:
    return await messages.history(
        state.database, member.account_id, conversation_id,
        before=before, after=after, around=around, at=at, unread=unread, cursor=cursor, limit=limit,
    )  # fmt: skip


@patch(
    MESSAGE,
    summary="Edit one's own message, for 24 hours",
    dependencies=AT_PLACE,
    refuses=(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)
async def edit(place: Place, data: NewText, member: Identity, state: WebsocketState) -> Message:
    return await state.messages.edit(member.account_id, place, data.text)


@delete(
    MESSAGE,
    summary="Delete a message: a tombstone stays",
    dependencies=AT_PLACE,
    refuses=(HTTPStatus.FORBIDDEN,),
)
async def remove_message(place: Place, member: Identity, state: WebsocketState) -> None:
    await state.messages.delete(member.account_id, place)


@get(
    f"{MESSAGE}/history",
    summary="What a message said before it was edited",
    dependencies=AT_PLACE,
)
async def edits(place: Place, member: Identity, state: WebsocketState) -> Sequence[Edit]:
    return await state.messages.edits(member.account_id, place)


@put(
    REACTION,
    status_code=204,
    summary="React with an emoji",
    dependencies=AT_PLACE,
    refuses=(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)
async def react(place: Place, emoji: str, member: Identity, state: WebsocketState) -> None:
    await state.messages.react(member.account_id, place, emoji)


@delete(
    REACTION,
    summary="Take a reaction back",
    dependencies=AT_PLACE,
    refuses=(HTTPStatus.FORBIDDEN, HTTPStatus.CONFLICT),
)
async def take_reaction_back(
    place: Place, emoji: str, member: Identity, state: WebsocketState
) -> None:
    await state.messages.take_reaction_back(member.account_id, place, emoji)


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
        data.media_ids, arrived_at=time.time(),
    )  # fmt: skip
    if sent.is_new:
        return Response(sent.message, status_code=HTTPStatus.CREATED)
    place = Place(conversation_id, sent.message.seq)
    return Response(
        await state.messages.sent_before(member.account_id, place), status_code=HTTPStatus.OK
    )


@post(
    "/conversations/{conversation_id:uuid}/read", status_code=204, summary="Mark messages as read"
)
async def mark_read(
    conversation_id: UUID, data: ReadUntil, member: Identity, state: WebsocketState
) -> None:
    await state.changes.mark_read(member.account_id, conversation_id, data.seq)


@post(
    "/conversations/{conversation_id:uuid}/unread",
    status_code=204,
    summary="Mark a message, and what follows it, as unread",
)
async def mark_unread(
    conversation_id: UUID, data: UnreadFrom, member: Identity, state: WebsocketState
) -> None:
    await state.changes.mark_unread(member.account_id, conversation_id, data.seq)
