"""Bodies of the search history."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class PastSearch(msgspec.Struct, frozen=True):
    id: UUID
    text: str
    searched_at: datetime


class HistorySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether what a member searches for is kept for them."""

    keeps_history: bool
