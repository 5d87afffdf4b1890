"""Conversations: who takes part in them, and how far each has read."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.chat.groups import Groups
from chitlaq.services.websocket.chat.schemas import (
    Conversation,
    Folder,
    NewConversation,
    Participant,
    Privacy,
    UnreadTotals,
)
from chitlaq.services.websocket.chat.stored import Stored, picture


async def begin(
    database: Database, groups: Groups, member: UUID, new: NewConversation
) -> tuple[Conversation, bool]:
    """Begin a conversation, or return the direct one that the two have; and whether it is new.

    Who follows the member takes part at once. For everybody else it is a request, or an invitation.

    Raises:
        Problem: 422 for people whom the member may not write to, without saying why; 429 for too many people.
    """
    names = sorted({name.lower() for name in new.members})
    await groups.count_brought(member, len(names))
    rows = await database.rows("reachable", member, names)
    if len(rows) != len(names):
        missing = ", ".join(sorted(set(names) - {row["username"] for row in rows}))
        raise problems.invalid({"members": f"has somebody who is not available: {missing}"})
    others = [row["id"] for row in rows if row["id"] != member]
    known = [row["id"] for row in rows if row["id"] != member and row["is_follower"]]
    strangers = sorted(set(others) - set(known))
    if new.kind == "group":
        async with database.transaction() as session:
            conversation_id = await session.value(
                "insert_group", member, new.name, new.is_history_visible
            )
            await session.execute("add_participants", conversation_id, "owner", [member], "joined")
            await session.execute("add_participants", conversation_id, "member", known, "joined")
            await session.execute(
                "add_participants", conversation_id, "member", strangers, "invited"
            )
            job_id = await session.value(
                "look_at_notifications", conversation_id, strangers, logs.request_id()
            )
        await groups.announce(conversation_id)
        await groups.look(job_id, conversation_id, strangers)
        return await shown(database, member, conversation_id), True
    if len(others) != 1 or new.name is not None or new.is_history_visible:
        raise problems.invalid(
            {
                "members": "must be one other person in a direct conversation, which has no name or settings"
            }
        )
    low, high = sorted((member, others[0]))
    async with database.transaction() as session:
        row = await session.row("begin_direct", low, high, member)
        assert row is not None
        if row["is_new"]:
            await session.execute(
                "add_participants", row["id"], "member", [member, *known], "joined"
            )
            await session.execute("add_participants", row["id"], "member", strangers, "requested")
    if not row["is_new"]:
        await groups.rejoin(member, row["id"])
    return await shown(database, member, row["id"]), row["is_new"]


async def shown(database: Database, member: UUID, conversation_id: UUID) -> Conversation:
    """Return a conversation that the member takes part in.

    Raises:
        Problem: 404 if the member takes no part in it.
    """
    row = await database.row("conversation", member, conversation_id)
    if row is None:
        raise problems.not_found("conversation")
    return (await _complete(database, member, [row]))[0]


async def listed(
    database: Database, member: UUID, folder: Folder, paging: Paging
) -> Page[Conversation]:
    """Return a page of a folder: pinned ones first, then the one with the latest message."""
    rows = await database.rows("conversations_of_member", member, *paging.window, folder)
    page = paging.page_of(rows, lambda row: row)
    items = await _complete(database, member, page.items)
    return Page(items, page.page, page.limit, page.next_cursor)


async def unread_totals(database: Database, member: UUID) -> UnreadTotals:
    """Return in how many of a member's conversations something is unread, and how many requests wait."""
    row = await database.row("unread_totals", member)
    assert row is not None
    return UnreadTotals(*row)


async def privacy(database: Database, member: UUID) -> Privacy:
    """Return what a member allows others."""
    row = await database.row("privacy", member)
    return Privacy(*row) if row is not None else Privacy()


async def set_privacy(database: Database, member: UUID, wanted: Privacy) -> None:
    """Change what a member allows others."""
    async with database.session() as session:
        await session.execute("set_privacy", member, *msgspec.structs.astuple(wanted))


async def _complete(database: Database, member: UUID, rows: Sequence[object]) -> list[Conversation]:
    found: dict[UUID, list[Participant]] = {row["id"]: [] for row in rows}  # type: ignore[index]
    for row in await database.rows("participants", list(found), member):
        conversation_id, *columns = row
        found[conversation_id].append(Participant(*columns))
    last = {
        row["conversation_id"]: Stored.of(row).seen_by(member)
        for row in await database.rows("last_messages", member, list(found))
    }
    return [
        Conversation(
            **dict(row) | {"picture": picture(row["picture"])},  # type: ignore[call-overload, index]
            members=found[row["id"]],  # type: ignore[index]
            last=last.get(row["id"]),  # type: ignore[index]
        )
        for row in rows
    ]
