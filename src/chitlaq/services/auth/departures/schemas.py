"""Exports and departures, in and out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming
from chitlaq.services.auth.passwords.schemas import TypedPassword


class Deletion(Incoming, frozen=True):
    """``password`` is the account's, if it has one."""

    password: TypedPassword | None = None


class Departure(msgspec.Struct, frozen=True):
    """Until ``erase_at`` the account may be kept."""

    erase_at: datetime


class Export(msgspec.Struct, frozen=True):
    """A copy of everything that is kept of a member, to be fetched from ``ready_at`` to ``expires_at``."""

    id: UUID
    requested_at: datetime
    ready_at: datetime | None
    expires_at: datetime
    bytes: int | None


class Exports(msgspec.Struct, frozen=True):
    items: list[Export]
