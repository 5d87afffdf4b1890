"""Sockets as operators see them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class OpenSocket(msgspec.Struct, frozen=True):
    """A connection; ``username`` is null for one that is not signed in.

    ``unread_bytes`` and ``held_messages`` say how far it is behind: what the client has not read, and what
    waits until it has got what it missed.
    """

    username: str | None
    open_seconds: float
    silent_seconds: float
    unread_bytes: int
    held_messages: int


class OpenSockets(msgspec.Struct, frozen=True):
    """The connections of one process."""

    pid: int
    items: Sequence[OpenSocket]
