"""The audit log, out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class AuditItem(msgspec.Struct, frozen=True):
    """What happened to one's account; ``operator`` if an operator did it."""

    id: UUID
    happened_at: datetime
    action: str
    operator: str | None
    session_id: UUID | None
    address: str | None
    user_agent: str
    detail: msgspec.Raw


class AuditEntry(AuditItem, frozen=True):
    """The same for operators: about whose account."""

    username: str


class AuditEntries(msgspec.Struct, frozen=True):
    items: list[AuditEntry]
