"""The sockets that are open in this process, and the members behind them."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from chitlaq.core.http.identity import Identity
from chitlaq.services.websocket import metrics
from chitlaq.services.websocket.sockets.frames import Error, Outgoing, encode

if TYPE_CHECKING:
    from chitlaq.services.websocket.sockets.socket import Socket


class Hub:
    def __init__(self) -> None:
        self._anonymous: set[Socket] = set()
        self._members: defaultdict[UUID, set[Socket]] = defaultdict(set)

    def add(self, socket: Socket) -> None:
        self._anonymous.add(socket)
        metrics.WEBSOCKET_CONNECTIONS.inc()

    def remove(self, socket: Socket) -> None:
        self._detach(socket)
        metrics.WEBSOCKET_CONNECTIONS.dec()

    def sign_in(self, socket: Socket, identity: Identity) -> None:
        self._detach(socket)
        socket.identity = identity
        self._members[identity.account_id].add(socket)

    def members(self) -> list[UUID]:
        """The members with an open socket in this process."""
        return list(self._members)

    def send(self, members: Iterable[UUID], frame: Outgoing) -> int:
        """Send a frame to every socket of these members; return how many sockets there were."""
        encoded = encode(frame)
        now = time.time()
        count = 0
        for member in members:
            for socket in tuple(self._members.get(member, ())):
                if socket.identity is None or socket.identity.expires_at <= now:
                    self._expire(socket)
                    continue
                socket.put(frame, encoded)
                count += 1
        return count

    def _expire(self, socket: Socket) -> None:
        """Send no more events to a socket whose token has expired, until it sends a newer one."""
        self._detach(socket)
        self._anonymous.add(socket)
        socket.put(Error("The access token has expired: send auth with a new one.", 401))

    def _detach(self, socket: Socket) -> None:
        self._anonymous.discard(socket)
        if socket.identity is not None:
            mine = self._members.get(socket.identity.account_id)
            if mine is not None:
                mine.discard(socket)
                if not mine:
                    del self._members[socket.identity.account_id]
            socket.identity = None
