"""Frames of presence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import msgspec

from chitlaq.services.websocket.chat.schemas import Username

MAX_WATCHED = 100
TYPING_SECONDS = 6


class Typing(msgspec.Struct, tag="typing", frozen=True):
    """Say that one is typing: every three seconds while it is so. There is no answer."""

    conversation_id: UUID


class Watch(msgspec.Struct, tag="watch", frozen=True):
    """Ask who of these is there; replaces the watch before, and ends after two minutes unless repeated.

    Answered for people with whom one shares a conversation, if both show their presence.
    """

    usernames: Annotated[Sequence[Username], msgspec.Meta(max_length=MAX_WATCHED)]


class IsTyping(msgspec.Struct, tag="typing", frozen=True):
    """Somebody is typing; unless it is said again, they stop after ``seconds``."""

    conversation_id: UUID
    username: str
    seconds: int = TYPING_SECONDS


class Presence(msgspec.Struct, tag="presence", frozen=True):
    """Whether somebody is connected, on any device."""

    username: str
    online: bool


Incoming = Typing | Watch
Outgoing = IsTyping | Presence
