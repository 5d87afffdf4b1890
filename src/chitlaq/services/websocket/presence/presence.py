"""Who is typing and who is there: kept in memory, and only where somebody wants to know.

A process whose members watch somebody asks the others; those where that account is connected answer. What is
not said again expires, so that a process that dies leaves nobody online.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from uuid import UUID

import msgspec

from chitlaq.core.data.postgres import Database
from chitlaq.services.websocket.chat.changes import Changes
from chitlaq.services.websocket.presence.frames import IsTyping, Presence
from chitlaq.services.websocket.sockets.hub import Hub
from chitlaq.services.websocket.sockets.socket import Socket

TYPING_PAUSE_SECONDS = 2.5
"""Whoever says more often that they type is not passed on: it is said every three seconds."""
REMEMBERED = 10_000
ASK_SECONDS = 30.0
# An answer counts until two questions later.
ONLINE_SECONDS = 75.0
ANSWER_SECONDS = 2.0
# Who reloads a page is not away.
GONE_SECONDS = 5.0
WATCH_SECONDS = 120.0


class Note(msgspec.Struct, frozen=True, array_like=True):
    """What processes tell each other: whom they ask about, who is here, who has gone, who hides."""

    asked: Sequence[UUID] = ()
    here: Sequence[UUID] = ()
    gone: Sequence[UUID] = ()
    hidden: Sequence[UUID] = ()


class Presences:
    def __init__(self, database: Database, hub: Hub, changes: Changes) -> None:
        self._database = database
        self._hub = hub
        self._changes = changes
        self._typed: OrderedDict[tuple[UUID, UUID], float] = OrderedDict()
        self._watches: dict[Socket, tuple[float, dict[UUID, str]]] = {}
        self._online_until: dict[UUID, float] = {}
        self._told: dict[tuple[Socket, UUID], bool] = {}
        self.publish: Callable[[Note], None] = lambda _: None
        """Tells other processes; set by the exchange."""
        hub.arrived = lambda account: self._say(Note(here=[account]))
        hub.departed = self._departed

    async def typing(self, member: UUID, conversation_id: UUID) -> None:
        """Pass on that a member is typing, if they show that, and not too often."""
        now = time.monotonic()
        key = (member, conversation_id)
        if now - self._typed.get(key, 0.0) < TYPING_PAUSE_SECONDS:
            return
        self._typed[key] = now
        self._typed.move_to_end(key)
        if len(self._typed) > REMEMBERED:
            self._typed.popitem(last=False)
        row = await self._database.row("typing_audience", member, conversation_id)
        if row is not None:
            frame = IsTyping(conversation_id, row["username"])
            self._changes.tell(conversation_id, row["audience"], frame)

    async def watch(self, socket: Socket, member: UUID, usernames: Sequence[str]) -> None:
        """Tell a socket who of these is there, now and whenever that changes."""
        names = [name.lower() for name in usernames if "\x00" not in name]
        rows = await self._database.rows("watchable", member, names)
        self._forget(socket)
        if rows and socket.identity is not None:
            watched = {row["id"]: row["username"] for row in rows}
            self._watches[socket] = (time.monotonic() + WATCH_SECONDS, watched)
            self._ask(list(watched))

    def hide(self, member: UUID) -> None:
        """A member shows their presence no longer: nobody sees it, and they see nobody's."""
        self._say(Note(hidden=[member]))

    def part(self, one: UUID, other: UUID) -> None:
        """One has blocked the other: neither sees any more whether the other is there."""
        for watcher, watched in ((one, other), (other, one)):
            for socket in self._hub.sockets(watcher):
                _, accounts = self._watches.get(socket, (0.0, {}))
                username = accounts.pop(watched, None)
                if username is not None and self._told.pop((socket, watched), False):
                    socket.put(Presence(username, False))

    def hear(self, note: Note) -> None:
        """Take in what any process says."""
        now = time.monotonic()
        here = [account for account in note.asked if self._hub.sockets(account)]
        if here:
            self._say(Note(here=here))
        for account in note.here:
            self._online_until[account] = now + ONLINE_SECONDS
        watched = self._watched() if note.here or note.gone or note.hidden else set()
        self._tell(watched.intersection(note.here))
        gone = watched.intersection(note.gone)
        for account in gone:
            # Perhaps another device is connected elsewhere: that process answers.
            self._online_until[account] = now + ANSWER_SECONDS / 2
        if gone:
            self._ask(list(gone))
        for account in note.hidden:
            self._online_until.pop(account, None)
            self._tell([account])
            for socket, (_, accounts) in list(self._watches.items()):
                accounts.pop(account, None)
                if socket.identity is not None and socket.identity.account_id == account:
                    self._forget(socket)

    async def ask_forever(self) -> None:
        """Ask again about all who are watched, and forget who asked."""
        while True:
            await asyncio.sleep(ASK_SECONDS)
            now = time.monotonic()
            for socket, (until, _) in list(self._watches.items()):
                if until < now or socket.identity is None:
                    self._forget(socket)
            watched = self._watched()
            self._online_until = {
                account: until
                for account, until in self._online_until.items()
                if account in watched
            }
            if watched:
                self._ask(list(watched))

    def _ask(self, accounts: Sequence[UUID]) -> None:
        self._say(Note(asked=accounts))
        asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._tell, accounts)

    def _say(self, note: Note) -> None:
        self.publish(note)
        self.hear(note)

    def _departed(self, account: UUID) -> None:
        def is_gone() -> None:
            if not self._hub.sockets(account):
                self._say(Note(gone=[account]))

        asyncio.get_running_loop().call_later(GONE_SECONDS, is_gone)

    def _watched(self) -> set[UUID]:
        return {account for _, accounts in self._watches.values() for account in accounts}

    def _tell(self, accounts: Collection[UUID]) -> None:
        """Tell those who watch these accounts, if they do not know it yet."""
        now = time.monotonic()
        for socket, (_, watched) in list(self._watches.items()):
            if socket.identity is None:
                self._forget(socket)
                continue
            for account in watched.keys() & accounts:
                is_online = self._online_until.get(account, 0.0) > now
                if self._told.get((socket, account)) is not is_online:
                    self._told[socket, account] = is_online
                    frame = Presence(watched[account], is_online)
                    socket.put(frame)

    def _forget(self, socket: Socket) -> None:
        _, watched = self._watches.pop(socket, (0.0, {}))
        for account in watched:
            self._told.pop((socket, account), None)
