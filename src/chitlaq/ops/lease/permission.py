"""What an ops-service may do for all, where there may be others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum

VARIABLE = "CHITLAQ_LEASE"
"""Tells a command under which lease ops-service has started it (`guard`)."""


class Turn(Enum):
    """Whether what is due is done here."""

    BEGUN = "begun"
    DONE = "done"
    """By whoever held the lease then."""
    NOT_OURS = "not ours"


class Permission:
    """That of a process that shares with nobody: it may do everything."""

    @property
    def may_change(self) -> bool:
        """Whether it may do now what only one may do at a time."""
        return True

    @property
    def may_alert(self) -> bool:
        """Whether it may look on a schedule and tell people: rather twice than not at all."""
        return True

    @property
    def taken_over_at(self) -> datetime | None:
        """Since when it alerts in the place of another, who has told people until then; else None."""
        return None

    def variables(self, *, is_change: bool) -> Mapping[str, str]:
        """Return the environment of a command that ends itself when the permission ends."""
        return {}

    async def begin(self, what: str, due: datetime) -> Turn:
        """Begin what is done once for all, unless it is done or another does it."""
        return Turn.BEGUN

    async def end(self, what: str, due: datetime) -> None:
        """Note that it is done."""


ALONE = Permission()
