"""Conversations: who takes part in them, and how far each has read."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.websocket.chat.schemas import Conversation, NewConversation, Participant


async def begin(
    database: Database, member: UUID, new: NewConversation
) -> tuple[Conversation, bool]:
    """Begin a conversation, or return the direct one that the two have; and whether it is new.

    Raises:
        Problem: 422 for people whom the member cannot write to, without saying why.
    """
    names = sorted({name.lower() for name in new.members})
    rows = await database.rows("reachable", member, names)
    if len(rows) != len(names):
        missing = ", ".join(sorted(set(names) - {row["username"] for row in rows}))
        raise problems.invalid({"members": f"not available: {missing}"})
    others = [row["id"] for row in rows if row["id"] != member]
    if new.kind == "group":
        async with database.transaction() as session:
            conversation_id = await session.value("insert_group", member, new.name)
            await session.execute("add_participants", conversation_id, member, "owner", [member])
            await session.execute("add_participants", conversation_id, member, "member", others)
        return await shown(database, member, conversation_id), True
    if len(others) != 1 or new.name is not None:
        raise problems.invalid(
            {"members": "a direct conversation is with one other person, without a name"}
        )
    pair = sorted((member, others[0]))
    async with database.transaction() as session:
        row = await session.row("begin_direct", *pair, member)
        assert row is not None
        if row["is_new"]:
            await session.execute("add_participants", row["id"], member, "member", pair)
    return await shown(database, member, row["id"]), row["is_new"]


async def shown(database: Database, member: UUID, conversation_id: UUID) -> Conversation:
    """Return a conversation that the member takes part in.

    Raises:
        Problem: 404 if the member takes no part in it.
    """
    row = await database.row("conversation", member, conversation_id)
    if row is None:
        raise problems.not_found("conversation")
    return (await _complete(database, [row]))[0]


async def listed(database: Database, member: UUID, paging: Paging) -> Page[Conversation]:
    """Return a page of the member's conversations, the one with the latest message first."""
    rows = await database.rows("conversations_of_member", member, *paging.window)
    page = paging.page_of(rows, lambda row: row)
    return Page(await _complete(database, page.items), page.page, page.limit, page.next_cursor)


async def read_until(database: Database, member: UUID, conversation_id: UUID, seq: int) -> None:
    """Mark what was said up to a number as read; a lower number than before changes nothing.

    Raises:
        Problem: 404 if the member takes no part in the conversation.
    """
    async with database.session() as session:
        if not await session.execute("mark_read", member, conversation_id, seq):
            raise problems.not_found("conversation")


async def _complete(database: Database, rows: Sequence[object]) -> list[Conversation]:
    found: dict[UUID, list[Participant]] = {row["id"]: [] for row in rows}  # type: ignore[index]
    for row in await database.rows("participants", list(found)):
        conversation_id, *columns = row
        found[conversation_id].append(Participant(*columns))
    return [
        Conversation(**dict(row), members=found[row["id"]])  # type: ignore[call-overload, index]
        for row in rows
    ]
