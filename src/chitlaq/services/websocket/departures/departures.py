"""Conversations: as a member gets them, and how they are erased.

A member gets conversations as they see them, others' messages included: those were sent to them. What they
wrote is erased for everybody. Its numbers stay, since a conversation's numbers have no gaps. They leave their
groups as anybody does, so that others see it at once; a direct conversation goes with either of its two.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import msgspec

from chitlaq import inventory
from chitlaq.core.data.member_data import Contribution, Exported, File
from chitlaq.core.data.postgres import Database
from chitlaq.services.websocket.chat.changes import Changes
from chitlaq.services.websocket.chat.groups import Groups
from chitlaq.services.websocket.chat.stored import Place, Stored
from chitlaq.services.websocket.notifications.telling import GONE, Cause, Telling

BATCH = 500
MESSAGES_IN_A_FILE = 5000
ON_SCREENS = 200
"""Of each conversation, so many of the latest messages disappear at once where they are shown."""


def contribution(
    database: Database, groups: Groups, changes: Changes, telling: Telling
) -> Contribution:
    """Return the websocket service's part in what is kept of a member."""
    return Contribution(
        inventory.COMPONENTS["websocket"].role,
        (
            Exported("conversations", "Your conversations", "export_conversations"),
            Exported("edits", "What your edited messages said before", "export_edits"),
            Exported("privacy", "Who may write to you, and what you show", "export_chat_privacy"),
            Exported("reactions", "Your reactions to messages", "export_reactions"),
            Exported("notifications", "What you were told", "export_notifications"),
            Exported("notifications-read", "What of it you have seen", "export_reading"),
            Exported("announcements", "What you announced", "export_announcements"),
            Exported("dismissals", "Announcements that you dismissed", "export_dismissals"),
            Exported("notification-settings", "Where you are told", "export_notification_settings"),
            Exported("pushes", "Your devices that are pushed to", "export_push_subscriptions"),
        ),
        more_files=_messages,
        erase=partial(_erase, database, groups, changes, telling),
    )


async def _messages(database: Database, account_id: UUID) -> AsyncIterator[File]:
    """Yield what a member may read in each conversation, in order."""
    for row in await database.rows("export_conversations", account_id):
        after, upper = row["readable_after"], row["readable_to"]
        while after < upper:
            last = min(after + MESSAGES_IN_A_FILE, upper)
            rows = await database.rows(
                "messages_between", row["id"], after, last, MESSAGES_IN_A_FILE, row["left_at"]
            )
            messages = [Stored.of(one).seen_by(account_id) for one in rows]
            name = f"messages/{row['id']}/{after + 1:09d}"
            title = f"Messages {after + 1} to {last}: {row['title']}"
            yield File(name, title, [msgspec.to_builtins(one) for one in messages])
            after = last


async def _erase(
    database: Database, groups: Groups, changes: Changes, telling: Telling, account_id: UUID
) -> None:
    await groups.depart(account_id)
    async with database.session() as session:
        while erased := await session.rows("erase_messages", account_id, BATCH, ON_SCREENS):
            for conversation_id, seq, is_late in erased:
                if is_late:
                    changes.changed(Place(conversation_id, seq))
        while await session.value("erase_notifications", account_id, BATCH):
            pass
    while await _untell(database, telling, account_id):
        pass


async def _untell(database: Database, telling: Telling, account_id: UUID) -> int:
    """Take out some of what others were told of a member; return how much."""
    async with database.transaction() as session:
        rows = await session.rows("told_of_member", account_id, None, BATCH)
        states = {Cause(*row): GONE for row in rows}
        await telling.lock(session, {cause.recipient_id for cause in states})
        changes = await telling.tell(session, states)
    await telling.after_commit(changes)
    return len(rows)
