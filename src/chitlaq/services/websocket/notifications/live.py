"""Notifications on every device, live.

Only names are published: whose notification may be another now. Each process reads how those of its members
are, one round after the other, and sends that: a later state never comes before an earlier one, and what
grows many times in a moment is sent once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database, PostgresUnavailableError
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket.chat.streams import COMMIT_SECONDS, RETRY_SECONDS, Streams
from chitlaq.services.websocket.notifications import frames
from chitlaq.services.websocket.notifications.notifications import ACTORS, position, shown
from chitlaq.services.websocket.notifications.schemas import Reading
from chitlaq.services.websocket.notifications.telling import Change
from chitlaq.services.websocket.sockets.frames import encode, type_of
from chitlaq.services.websocket.sockets.hub import Hub
from chitlaq.services.websocket.sockets.socket import Socket

AT_ONCE = 500
# However fast a group grows, a device gets it at most so often.
PAUSE_SECONDS = 0.25
# A batch of this many members keeps each query under a few milliseconds.
AUDIENCE_BATCH = 2000
MAX_REPLAYED = 100
"""Whoever missed more reads the list over HTTP."""

log = logs.get("notifications")


class Notice(NamedTuple):
    """A recipient's notification may be another now, or gone; without ``id``, how far they have read.

    With ``announcement_id``, that is a banner of theirs no more.
    """

    recipient_id: UUID
    id: UUID | None = None
    announcement_id: UUID | None = None


class Live:
    """A `Listener` that tells the recipients' devices, here and at other processes."""

    def __init__(self, database: Database, hub: Hub, streams: Streams) -> None:
        self._database = database
        self._hub = hub
        self._streams = streams
        self._waiting: dict[Notice, None] = {}
        self._is_waiting = asyncio.Event()
        streams.repairers.append(self._repair)
        self.publish: Callable[[Sequence[Notice]], None] = lambda _: None
        """Tells other processes; set by the exchange."""

    async def changed(self, changes: Sequence[Change]) -> None:
        self._tell(
            [
                Notice(one.recipient_id, id_)
                for one in changes
                for id_ in (*one.told, *one.shrunk, *one.removed)
            ]
        )

    async def read(self, recipient_id: UUID, _reading: Reading) -> None:
        self._tell([Notice(recipient_id)])

    def end_banner(self, announcement_id: UUID, members: Iterable[UUID]) -> None:
        """An announcement is a banner of these members no more."""
        self._tell([Notice(member, None, announcement_id) for member in members])

    def suspect(self) -> None:
        self._streams.suspect()

    def receive(self, notices: Iterable[Notice]) -> None:
        """These changes were committed, by any process."""
        self._waiting |= dict.fromkeys(
            notice for notice in notices if self._hub.sockets(notice.recipient_id)
        )
        if self._waiting:
            self._is_waiting.set()

    async def send_forever(self) -> None:
        """Send what has changed, while the process runs."""
        while True:
            await self._is_waiting.wait()
            notices = list(self._waiting)[:AT_ONCE]
            for notice in notices:
                del self._waiting[notice]
            try:
                for recipient_id, frame in await self._frames(notices):
                    kind, encoded = type_of(frame), encode(frame)
                    for socket in self._hub.sockets(recipient_id):
                        socket.put_change(kind, encoded)
            except PostgresUnavailableError as error:
                log.warning("notifications wait", error=str(error))
                self._waiting |= dict.fromkeys(notices)
                await asyncio.sleep(RETRY_SECONDS)
            if not self._waiting:
                self._is_waiting.clear()
            await asyncio.sleep(PAUSE_SECONDS)

    async def replay(self, socket: Socket, member: UUID, since: str) -> None:
        """Send what a member has missed since a position, or since the one that a notification has now.

        Raises:
            Problem: 422 if it is neither.
        """
        position = await self._position(member, since)
        rows = await self._database.rows(
            "missed_notifications", member, position, COMMIT_SECONDS, MAX_REPLAYED + 1
        )
        missed = [Notice(member, row["id"]) for row in rows]
        if len(missed) > MAX_REPLAYED:
            latest = await self._database.value("latest_position", member)
            socket.put(frames.NotificationsGap(latest))
            missed = []
        dismissed = await self._database.rows("missed_dismissals", member, position, COMMIT_SECONDS)
        missed += [Notice(member, None, row["announcement_id"]) for row in dismissed]
        for _, frame in await self._frames([*missed, Notice(member)]):
            await socket.drained()
            socket.put(frame)

    async def _position(self, member: UUID, since: str) -> datetime:
        with suppress(ValueError):
            found: datetime = await self._database.value("replay_position", member, UUID(since))
            return found
        return position("notifications", since)

    def _tell(self, notices: Sequence[Notice]) -> None:
        if notices:
            self.receive(notices)
            self.publish(notices)

    async def _frames(self, notices: Sequence[Notice]) -> list[tuple[UUID, msgspec.Struct]]:
        """Return whom to tell what, as it is now: what is gone, what there is, and how far they have read."""
        asked: defaultdict[UUID, set[UUID | None]] = defaultdict(set)
        told: list[tuple[UUID, msgspec.Struct]] = []
        for recipient_id, id_, announcement_id in notices:
            if announcement_id is None:
                asked[recipient_id].add(id_)
            else:
                told.append((recipient_id, frames.AnnouncementEnded(announcement_id)))
        stored: defaultdict[UUID, list[Any]] = defaultdict(list)
        named = [(who, id_) for who, id_, _ in notices if id_ is not None]
        if named:
            columns = [list(column) for column in zip(*named, strict=True)]
            for row in await self._database.rows("notifications_named", *columns, ACTORS):
                # What is kept apart is not told live.
                if row["is_filtered"]:
                    asked[row["recipient_id"]].discard(row["id"])
                else:
                    stored[row["recipient_id"]].append(row)
        found = {who: await shown(self._database, who, rows) for who, rows in stored.items()}
        # Read last: the counters are at least as new as what they stand beside.
        for who, *marks in await self._database.rows("readings", list(asked)):
            reading = Reading(*marks)
            counters = reading.unseen, reading.unread
            there = found.get(who, ())
            gone = asked[who].difference(one.id for one in there)
            told += [
                (who, frames.NotificationRemoved(id_, *counters)) for id_ in gone if id_ is not None
            ]
            told += [(who, frames.NotificationFrame(one, *counters)) for one in there]
            if None in asked[who]:
                told.append((who, frames.NotificationsRead(*msgspec.structs.astuple(reading))))
        return told

    async def _repair(self, seconds: float) -> None:
        """Look at the members who are connected here and whose notifications changed in the last seconds."""
        members = self._hub.members()
        for start in range(0, len(members), AUDIENCE_BATCH):
            batch = members[start : start + AUDIENCE_BATCH]
            rows = await self._database.rows("recently_notified", batch, seconds)
            self.receive(Notice(*row) for row in rows)
