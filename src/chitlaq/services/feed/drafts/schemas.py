"""Drafts, in and out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming, require_moment
from chitlaq.core.visible import is_seen
from chitlaq.services.feed.posts.schemas import NewPost, PostText

MAX_AHEAD = timedelta(days=366)


class DraftPost(NewPost, frozen=True):
    """A post that is to be written; its text may still be missing."""

    text: PostText = ""

    def __post_init__(self) -> None:
        if is_seen(self.text):
            super().__post_init__()
        else:
            Incoming.__post_init__(self)


class NewDraft(Incoming, frozen=True):
    """A draft, published at ``scheduled_at`` if it has one."""

    post: DraftPost
    scheduled_at: datetime | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_moment(self.scheduled_at)


class DraftChange(Incoming, frozen=True):
    """Omitted fields stay unchanged; ``scheduled_at`` null keeps it from being published."""

    post: DraftPost | msgspec.UnsetType = msgspec.UNSET
    scheduled_at: datetime | msgspec.UnsetType | None = msgspec.UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.scheduled_at is not msgspec.UNSET:
            _check_moment(self.scheduled_at)


class Draft(msgspec.Struct, frozen=True):
    """A draft of one's own; ``failure`` says why it was not published when it was due."""

    id: UUID
    post: DraftPost
    scheduled_at: datetime | None
    failure: str | None
    created_at: datetime
    updated_at: datetime


def _check_moment(scheduled_at: datetime | None) -> None:
    if scheduled_at is None:
        return
    require_moment("scheduled_at", scheduled_at)
    if not timedelta(0) < scheduled_at - datetime.now(UTC) <= MAX_AHEAD:
        raise ValueError(f"scheduled_at: must be in the future, within {MAX_AHEAD.days} days")
