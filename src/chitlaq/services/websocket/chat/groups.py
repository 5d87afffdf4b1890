"""Who takes part: adding, inviting, accepting, leaving, removing, roles.

Every change locks the conversation's row, so that each message has exactly the readers of its moment; it is
written into the conversation's history as a line and announced to everybody whom it concerns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database, PostgresUnavailableError, Session
from chitlaq.core.http import problems
from chitlaq.core.http.limits import Limiter
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.chat.changes import Changes
from chitlaq.services.websocket.chat.frames import ConversationChanged
from chitlaq.services.websocket.chat.people import People
from chitlaq.services.websocket.chat.schemas import (
    MAX_PARTICIPANTS,
    ConversationChange,
    Event,
    Message,
    Role,
)
from chitlaq.services.websocket.chat.stored import Stored
from chitlaq.services.websocket.chat.streams import Delivery, Streams

UNAVAILABLE = "This person is not available."
NO_PICTURE = "must be a picture of yours that is ready, and in no post, message or group yet"
MAX_BROUGHT_PER_MINUTE = 1000
"""People whom somebody may name for their conversations in a minute: each of them is told."""
DECLINED_DAYS = 7
DECLINED = (
    "You have invited them lately, and they have not joined: ask them, and invite them again"
    " next week."
)
_RANKS = {"member": 0, "admin": 1, "owner": 2}


class _Change:
    """A change under way: the locked conversation, who acts, and the lines that it writes."""

    def __init__(self, session: Session, conversation_id: UUID, actor: UUID, row: Any) -> None:
        self.session = session
        self.conversation_id = conversation_id
        self.actor = actor
        self.kind: str = row["kind"]
        self.name: str | None = row["name"]
        self.is_history_visible: bool = row["is_history_visible"]
        self.last_seq: int = row["last_seq"]
        self.role = "member"
        self.state = "left"
        self.lines: list[tuple[Event, UUID | None, str]] = []
        self.left: UUID | None = None
        self.concerned = {actor}
        self.is_change = False
        self.is_secret = False

    @property
    def rank(self) -> int:
        return _RANKS[self.role] if self.state == "joined" else -1

    def require_group(self) -> None:
        if self.kind != "group":
            raise problems.conflict("This is a conversation of two: nobody comes or goes.")

    def require_admin(self) -> None:
        self.require_group()
        if self.rank < _RANKS["admin"]:
            raise problems.forbidden("Only the owner and admins of the group may do that.")

    def write(self, event: Event, subject: UUID | None = None, text: str = "") -> None:
        if subject is not None:
            self.concerned.add(subject)
        self.lines.append((event, subject, text))
        self.is_change = True

    async def execute(self, name: str, *args: object) -> None:
        await self.session.execute(name, self.conversation_id, *args)
        self.is_change = True


class Groups:
    def __init__(
        self,
        database: Database,
        people: People,
        streams: Streams,
        changes: Changes,
        brought: Limiter,
    ) -> None:
        self._database = database
        self._people = people
        self._streams = streams
        self._changes = changes
        self._brought = brought

    async def count_brought(self, actor: UUID, people: int) -> None:
        """Count people whom somebody wants in a conversation, whether they come or not.

        Raises:
            Problem: 429 for too many within a minute.
        """
        await self._brought.spend(str(actor), people)

    async def put(
        self, actor: UUID, conversation_id: UUID, username: str, role: Role | None
    ) -> None:
        """Add or invite a member, accept an invitation or a request, or give a member another role.

        Raises:
            Problem: 404, 403, 409, 422 or 429, as the rules say; nothing has changed.
        """
        await self.count_brought(actor, 1)
        async with self._changing(actor, conversation_id) as change:
            target = await change.session.row("participant_named", conversation_id, username, False)
            if target is not None and target["id"] == actor and change.state != "joined":
                await self._accept(change)
            elif target is not None and target["state"] == "joined":
                if role is not None and role != target["role"]:
                    await self._promote(change, target["id"], target["role"], role)
            elif target is None or target["state"] != "invited":
                await self._add(change, username, role or "member")

    async def remove(self, actor: UUID, conversation_id: UUID, username: str) -> None:
        """Leave, decline, or remove somebody from a group, also one whose account goes and whom nobody sees.

        Raises:
            Problem: 404, 403 or 409, as the rules say; nothing has changed.
        """
        async with self._changing(actor, conversation_id) as change:
            target = await change.session.row("participant_named", conversation_id, username, True)
            if target is not None and target["id"] == actor:
                await self._leave(change)
                return
            change.require_admin()
            if target is None or target["state"] in {None, "left"}:
                raise problems.not_found("member")
            if target["state"] == "joined" and _RANKS[target["role"]] >= change.rank:
                raise problems.forbidden("Only the owner removes an admin, and nobody the owner.")
            if target["state"] == "joined":
                change.write("removed", target["id"])
                # The line is the last that they read.
                await change.execute("end_participation", target["id"], change.last_seq + 1)
            else:
                await change.execute("end_participation", target["id"], change.last_seq)
            change.left = target["id"]
            change.concerned.add(target["id"])

    async def depart(self, account: UUID) -> None:
        """Take part in nothing any more, since the account goes: others see that at once.

        A direct conversation goes with either of its two. Repeating it changes nothing.
        """
        for row in await self._database.rows("groups_of", account):
            async with self._changing(account, row["conversation_id"]) as change:
                await self._leave(change)
        while (
            deleted := await self._database.row("delete_direct", account, logs.request_id())
        ) is not None:
            conversation_id, version, other = deleted
            self._changes.tell(
                conversation_id, [other], ConversationChanged(conversation_id, version)
            )

    async def accept(self, actor: UUID, conversation_id: UUID) -> None:
        """Accept a message request or an invitation; nothing changes if that was done before.

        Raises:
            Problem: 404, or 403 if one of the two blocks the other.
        """
        async with self._changing(actor, conversation_id) as change:
            if change.state != "joined":
                await self._accept(change)

    async def rejoin(self, actor: UUID, conversation_id: UUID) -> None:
        """Take part in a direct conversation: who was asked, or declined it, wants it now."""
        async with self._changing(actor, conversation_id, may_have_left=True) as change:
            if change.state != "joined":
                await change.execute("join_direct", actor)

    async def change(self, actor: UUID, conversation_id: UUID, wanted: ConversationChange) -> None:
        """Change a group's name, picture or setting, or one's own settings of a conversation.

        Raises:
            Problem: 404, 403 for members of a group who are no admins, 409 for a conversation of two, or 422
                for a picture that the group cannot have.
        """
        async with self._changing(actor, conversation_id) as change:
            name = wanted.name if isinstance(wanted.name, str) else change.name
            is_visible = wanted.is_history_visible
            if not isinstance(is_visible, bool):
                is_visible = change.is_history_visible
            if (name, is_visible) != (change.name, change.is_history_visible):
                change.require_admin()
                await change.execute("change_conversation", name, is_visible)
                if name != change.name:
                    change.write("renamed", None, name or "")
            if wanted.picture_id is not msgspec.UNSET:
                await self._show(change, wanted.picture_id)
            mute, archived, pinned = (
                None if value is msgspec.UNSET else value
                for value in (wanted.muted_until, wanted.archived, wanted.pinned)
            )
            is_mute_given = wanted.muted_until is not msgspec.UNSET
            is_own = is_mute_given or archived is not None or pinned is not None
            if is_own:
                await change.session.execute(
                    "change_own_settings", conversation_id, actor, is_mute_given, mute, archived, pinned
                )  # fmt: skip
        if is_own and not change.is_change:
            await self._changes.announce(conversation_id, only=actor)

    async def announce(self, conversation_id: UUID) -> None:
        """Tell everybody whom it concerns that there is a conversation."""
        await self._changes.announce(conversation_id)

    async def look(self, job_id: UUID, conversation_id: UUID, invited: Sequence[UUID]) -> None:
        """Run a committed job that tells these members of their invitation."""
        await self._changes.look(job_id, conversation_id, invited)

    @asynccontextmanager
    async def _changing(
        self, actor: UUID, conversation_id: UUID, *, may_have_left: bool = False
    ) -> AsyncIterator[_Change]:
        """Lock a conversation that the actor takes part in; commit, write and announce what changed."""
        try:
            async with self._database.transaction() as session:
                row = await session.row("lock_conversation", conversation_id)
                own = await session.row("participant", conversation_id, actor) if row else None
                if row is None or own is None or (own["state"] == "left" and not may_have_left):
                    raise problems.not_found("conversation")
                change = _Change(session, conversation_id, actor, row)
                change.role, change.state = own
                yield change
                if change.is_change and not change.is_secret:
                    await session.execute("touch_conversation", conversation_id)
                written = [
                    await session.row("write_line", conversation_id, actor, *line)
                    for line in change.lines
                ]
                concerned = list(change.concerned)
                job_id = await session.value(
                    "look_at_notifications", conversation_id, concerned, logs.request_id()
                )
            deliveries = [
                await self._delivery(change, line, row)
                for line, row in zip(change.lines, written, strict=True)
            ]
        except PostgresUnavailableError:
            # Perhaps committed, and then nobody has published it.
            self._streams.suspect()
            raise
        self._streams.deliver(deliveries)
        # PostgreSQL knows only the latest time that somebody takes part. Who is removed and added again at
        # once has to get the lines of both, so the first are delivered before the second may begin.
        await self._streams.settled(change.conversation_id)
        if change.is_change:
            only = actor if change.is_secret else None
            await self._changes.announce(conversation_id, change.left, only)
        await self._changes.look(job_id, conversation_id, concerned)

    async def _delivery(
        self, change: _Change, line: tuple[Event, UUID | None, str], row: Any
    ) -> Delivery:
        event, subject, text = line
        about = await self._people.person(subject) if subject is not None else None
        message = Message(
            conversation_id=change.conversation_id,
            id=row["id"],
            seq=row["seq"],
            sender=await self._people.person(change.actor),
            text=text,
            sent_at=row["sent_at"],
            event=event,
            subject=about.username if about is not None else None,
        )
        return Delivery(Stored(message, change.actor, row["folded_for"] or ()), row["version"])

    async def _add(self, change: _Change, username: str, role: Role) -> None:
        """Add who follows the actor; invite everybody else whom the actor may write to.

        Who has declined is not asked again by the same one for a while: each time they would be told.
        """
        change.require_admin()
        if role == "owner" or (role == "admin" and change.role != "owner"):
            raise problems.forbidden("Only the owner gives roles, and to those who have joined.")
        found = await change.session.row("reachable", change.actor, [username])
        if found is None:
            raise problems.invalid({"username": f"is not available: {username}"})
        if await change.session.value(
            "has_declined", change.conversation_id, found["id"], change.actor, DECLINED_DAYS
        ):
            raise problems.conflict(DECLINED)
        count = await change.session.value("count_participants", change.conversation_id)
        if count >= MAX_PARTICIPANTS:
            raise problems.conflict(f"The group is full: it may have {MAX_PARTICIPANTS} members.")
        state = "joined" if found["is_follower"] else "invited"
        await change.execute(
            "set_participant", found["id"], role, state, self._first_readable(change),
            change.actor if state == "invited" else None,
        )  # fmt: skip
        change.write("added" if found["is_follower"] else "invited", found["id"])

    async def _accept(self, change: _Change) -> None:
        if change.kind == "direct":
            other = await change.session.row(
                "other_of_direct", change.conversation_id, change.actor
            )
            if other is None or other["is_blocked"]:
                raise problems.forbidden(UNAVAILABLE)
            await change.execute("join_direct", change.actor)
            return
        await change.execute(
            "set_participant",
            change.actor,
            change.role,
            "joined",
            self._first_readable(change),
            None,
        )
        change.write("joined")

    async def _promote(self, change: _Change, target: UUID, role: str, wanted: Role) -> None:
        change.require_admin()
        if change.role != "owner" or target == change.actor:
            raise problems.forbidden(
                "Only the owner gives roles, and hands the group over by making another its owner."
            )
        await change.execute("set_role", target, wanted)
        if wanted == "owner":
            await change.execute("set_role", change.actor, "admin")
        if _RANKS[wanted] > _RANKS[role]:
            change.write("promoted", target)

    async def _show(self, change: _Change, picture_id: UUID | None) -> None:
        """Let a picture be the group's, in place of the one before; None for none."""
        before = await change.session.value("picture_of_conversation", change.conversation_id)
        if picture_id == before:
            return
        change.require_admin()
        if before is not None:
            await change.execute("remove_picture")
        if picture_id is None:
            change.write("picture_removed")
            return
        await change.execute("set_picture", change.actor, picture_id)
        if not await change.session.value("has_picture", change.conversation_id):
            raise problems.invalid({"picture_id": NO_PICTURE})
        change.write("picture_changed")

    async def _leave(self, change: _Change) -> None:
        change.left = change.actor
        if change.state != "joined":
            # Who asked must not find out that they were declined.
            change.is_secret = change.kind == "direct"
            if change.kind == "direct":
                await change.execute("end_participation", change.actor, change.last_seq)
            else:
                await change.execute("decline_invitation", change.actor)
            return
        change.require_group()
        await change.execute("end_participation", change.actor, change.last_seq + 1)
        change.write("left")
        if change.role == "owner":
            heir = await change.session.value("owner", change.conversation_id)
            if heir is not None:
                change.write("promoted", heir)

    def _first_readable(self, change: _Change) -> int:
        """After which number who joins now reads: all that was said, unless the group shows it."""
        return 0 if change.is_history_visible else change.last_seq
