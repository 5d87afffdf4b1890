"""Messages as they were: history."""

from __future__ import annotations

from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.services.websocket.chat.schemas import Message, MessagePage


async def history(
    database: Database,
    member: UUID,
    conversation_id: UUID,
    *,
    before: int | None,
    after: int | None,
    limit: int,
) -> MessagePage:
    """Return messages that the member may read, in order: the latest, or those next to a number.

    Raises:
        Problem: 404 if the member takes no part in the conversation.
    """
    window = await database.row("window", member, conversation_id)
    if window is None:
        raise problems.not_found("conversation")
    lower, upper = window
    if after is not None:
        lower = max(lower, after)
        upper = min(upper, lower + limit)
    else:
        upper = min(upper, before - 1 if before is not None else upper)
        lower = max(lower, upper - limit)
    rows = await database.rows("messages_between", conversation_id, lower, upper, limit)
    items = [_own(Message.of(row), is_own=row["sender_id"] == member) for row in rows]
    return MessagePage(items, has_earlier=lower > window[0], has_later=upper < window[1])


def _own(message: Message, *, is_own: bool) -> Message:
    return message if is_own else message.without_client_id()
