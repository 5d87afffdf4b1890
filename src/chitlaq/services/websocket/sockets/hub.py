"""The sockets that are open in this process, and the members behind them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from chitlaq.core.http.identity import Identity
from chitlaq.core.telemetry import logs
from chitlaq.services.websocket import metrics
from chitlaq.services.websocket.sockets.frames import Error, Outgoing, encode, type_of

# Frames that may wait for one socket. A client that falls further behind is disconnected and resumes.
MAX_WAITING = 256

log = logs.get("hub")


class Connection:
    """One socket: its queue of frames to write, and who is signed in."""

    def __init__(self) -> None:
        self.identity: Identity | None = None
        self.waiting: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self.is_too_slow = asyncio.Event()

    def put(self, frame: Outgoing, text: str | None = None) -> None:
        """Queue a frame; ``text`` is the frame if it is already encoded."""
        try:
            self.waiting.put_nowait(text if text is not None else encode(frame))
        except asyncio.QueueFull:
            self.is_too_slow.set()
        else:
            metrics.WEBSOCKET_MESSAGES.labels("out", type_of(frame)).inc()


class Hub:
    def __init__(self) -> None:
        self._anonymous: set[Connection] = set()
        self._members: defaultdict[UUID, set[Connection]] = defaultdict(set)

    def add(self, connection: Connection) -> None:
        self._anonymous.add(connection)
        metrics.WEBSOCKET_CONNECTIONS.inc()

    def remove(self, connection: Connection) -> None:
        self._detach(connection)
        metrics.WEBSOCKET_CONNECTIONS.dec()

    def sign_in(self, connection: Connection, identity: Identity) -> None:
        self._detach(connection)
        connection.identity = identity
        self._members[identity.account_id].add(connection)

    def members(self) -> list[UUID]:
        """The members with an open socket in this process."""
        return list(self._members)

    def send(self, members: Iterable[UUID], frame: Outgoing) -> int:
        """Send a frame to every socket of these members; return how many sockets there were."""
        text = encode(frame)
        now = time.time()
        count = 0
        for member in members:
            for connection in tuple(self._members.get(member, ())):
                if connection.identity is None or connection.identity.expires_at <= now:
                    self._expire(connection)
                    continue
                connection.put(frame, text)
                count += 1
        return count

    def _expire(self, connection: Connection) -> None:
        """Send no more events to a socket whose token has expired, until it sends a newer one."""
        self._detach(connection)
        self._anonymous.add(connection)
        connection.put(Error("The access token has expired: send auth with a new one.", 401))

    def _detach(self, connection: Connection) -> None:
        self._anonymous.discard(connection)
        if connection.identity is not None:
            mine = self._members.get(connection.identity.account_id)
            if mine is not None:
                mine.discard(connection)
                if not mine:
                    del self._members[connection.identity.account_id]
            connection.identity = None
