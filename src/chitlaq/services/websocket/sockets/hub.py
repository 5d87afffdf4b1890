"""The sockets that are open in this process, and the members behind them."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
from websockets.frames import CloseCode

from chitlaq.core.http.identity import Identity
from chitlaq.services.websocket import metrics
from chitlaq.services.websocket.sockets.budget import Budget
from chitlaq.services.websocket.sockets.connection import BYTES_PER_SECOND, FRAMES_PER_SECOND
from chitlaq.services.websocket.sockets.frames import Error, encode, type_of

if TYPE_CHECKING:
    from chitlaq.services.websocket.sockets.socket import Socket


# All who are not signed in share as much as costs a fifth of one processor: 900 sign-ins per second.
STRANGERS_FRAMES_PER_SECOND = 10_000
STRANGERS_BYTES_PER_SECOND = 8 * 1024 * 1024
# An account has several tabs and devices, and each is within its own budget; hundreds are an attack.
ACCOUNT_FRAMES_PER_SECOND = 4 * FRAMES_PER_SECOND
ACCOUNT_BYTES_PER_SECOND = 4 * BYTES_PER_SECOND
MAX_SOCKETS_PER_ACCOUNT = 32
"""In one process. The oldest gives way."""


class _Account:
    """The sockets of one account, oldest first, and the budget that they share."""

    def __init__(self) -> None:
        self.sockets: dict[Socket, None] = {}
        self.expires_at = math.inf
        """When the first of their tokens expires, or before (Unix seconds)."""
        self.budget = Budget(ACCOUNT_FRAMES_PER_SECOND, ACCOUNT_BYTES_PER_SECOND)


class Hub:
    def __init__(self) -> None:
        self._anonymous: set[Socket] = set()
        self._strangers = Budget(STRANGERS_FRAMES_PER_SECOND, STRANGERS_BYTES_PER_SECOND)
        self._members: defaultdict[UUID, _Account] = defaultdict(_Account)
        self.arrived: Callable[[UUID], None] = lambda _: None
        """Called with an account whose first socket is signed in; set by presence, as the next one."""
        self.departed: Callable[[UUID], None] = lambda _: None
        """Called with an account whose last socket is gone."""

    def add(self, socket: Socket) -> None:
        self._anonymous.add(socket)
        socket.shared_budget = self._strangers
        metrics.WEBSOCKET_CONNECTIONS.inc()

    def remove(self, socket: Socket) -> None:
        self._detach(socket)
        metrics.WEBSOCKET_CONNECTIONS.dec()

    def sign_in(self, socket: Socket, identity: Identity) -> None:
        self._detach(socket)
        account = self._members[identity.account_id]
        if len(account.sockets) >= MAX_SOCKETS_PER_ACCOUNT:
            next(iter(account.sockets)).close(
                CloseCode.POLICY_VIOLATION,
                f"an account may have {MAX_SOCKETS_PER_ACCOUNT} connections: this was the oldest",
            )
        socket.identity = identity
        socket.shared_budget = account.budget
        account.sockets[socket] = None
        account.expires_at = min(account.expires_at, identity.expires_at)
        if len(account.sockets) == 1:
            self.arrived(identity.account_id)

    def close_those(self, is_revoked: Callable[[Identity], bool]) -> None:
        """Close the sockets of identities that are no longer valid."""
        for account in tuple(self._members.values()):
            for socket in tuple(account.sockets):
                if socket.identity is not None and is_revoked(socket.identity):
                    socket.close(
                        CloseCode.POLICY_VIOLATION,
                        "the session has ended, or its token was revoked: refresh it, or sign in again",
                    )

    def members(self) -> list[UUID]:
        """The members with an open socket in this process."""
        return list(self._members)

    def sockets(self, member: UUID) -> Sequence[Socket]:
        """The sockets on which a member is signed in, in this process."""
        account = self._members.get(member)
        if account is None:
            return ()
        now = time.time()
        if account.expires_at <= now:
            account.expires_at = math.inf
            for socket in tuple(account.sockets):
                if socket.identity is None or socket.identity.expires_at <= now:
                    self._expire(socket)
                else:
                    account.expires_at = min(account.expires_at, socket.identity.expires_at)
        return tuple(account.sockets)

    def all(self) -> list[Socket]:
        """Every open socket of this process, those of members first."""
        own = [socket for account in self._members.values() for socket in account.sockets]
        return own + list(self._anonymous)

    def send(self, members: Iterable[UUID], frame: msgspec.Struct) -> int:
        """Send a frame to every socket of these members; return how many sockets there were."""
        return self.send_encoded(members, type_of(frame), encode(frame))

    def send_encoded(self, members: Iterable[UUID], kind: str, encoded: bytes) -> int:
        """Send an encoded frame of this type to every socket of these members; return how many."""
        count = 0
        for member in members:
            for socket in self.sockets(member):
                socket.put_encoded(kind, encoded)
                count += 1
        return count

    def _expire(self, socket: Socket) -> None:
        """Send no more events to a socket whose token has expired, until it sends a newer one."""
        self._detach(socket)
        self._anonymous.add(socket)
        socket.shared_budget = self._strangers
        socket.put(Error("The access token has expired: send auth with a new one.", 401))

    def _detach(self, socket: Socket) -> None:
        self._anonymous.discard(socket)
        if socket.identity is not None:
            account = self._members.get(socket.identity.account_id)
            if account is not None:
                account.sockets.pop(socket, None)
                if not account.sockets:
                    del self._members[socket.identity.account_id]
                    self.departed(socket.identity.account_id)
            socket.identity = None
