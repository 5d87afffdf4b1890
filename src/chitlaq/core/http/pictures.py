"""Pictures as posts, messages and groups show them; feed-service hands them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self
from uuid import UUID

import msgspec

MediaIds = Annotated[Sequence[UUID], msgspec.Meta(max_length=4)]
"""Pictures of one's own that a new post or message shows, in this order."""

NOT_ATTACHABLE = (
    "must have pictures of yours that are in no post, message or group yet, and have not failed"
)


class Picture(msgspec.Struct, frozen=True):
    """A picture of a post, a message or a group.

    ``blurhash`` stands for it until it is loaded, and is null until it is ready. ``still_url`` is that of an
    animation that stands still, for who prefers reduced motion, and null for other pictures.
    """

    id: UUID
    url: str
    width: int
    height: int
    alt: str
    blurhash: str | None
    still_url: str | None

    @classmethod
    def of(
        cls,
        media_id: UUID,
        width: int,
        height: int,
        alt: str,
        blurhash: str | None,
        has_still: bool,
    ) -> Self:
        still = still_url(media_id) if has_still else None
        return cls(media_id, url(media_id), width, height, alt, blurhash, still)


def url(media_id: UUID) -> str:
    """Where the largest rendition of a picture is."""
    return f"/api/media/{media_id}/large"


def still_url(media_id: UUID) -> str:
    """Where the still of an animation is."""
    return f"/api/media/{media_id}/still"
