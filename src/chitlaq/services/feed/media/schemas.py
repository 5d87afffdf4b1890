"""Pictures, in and out."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec

from chitlaq.core.http.pictures import still_url, url
from chitlaq.core.http.schemas import Incoming, normalize
from chitlaq.core.http.translations import translated
from chitlaq.core.visible import said

MOST_ALT = 1500


class MediaChange(Incoming, frozen=True):
    """What the picture shows, for those who do not see it."""

    alt: Annotated[str, msgspec.Meta(max_length=MOST_ALT)]

    def __post_init__(self) -> None:
        super().__post_init__()
        normalize(self, "alt", said)


class Media(msgspec.Struct, frozen=True):
    """A picture, as its owner sees it.

    ``url`` answers when it is ready. In it, ``large`` may be replaced by ``medium`` or ``small``.
    ``still_url`` is that of an animation that stands still, and null for other pictures. ``reason`` says
    why it failed, in a sentence for its owner.
    """

    id: UUID
    state: Literal["processing", "ready", "failed"]
    url: str
    width: int
    height: int
    alt: str
    blurhash: str | None
    is_animated: bool
    still_url: str | None
    reason: str | None

    @classmethod
    def of(cls, row: Any) -> Media:
        return cls(
            row["id"],
            row["state"],
            url(row["id"]),
            row["width"],
            row["height"],
            row["alt"],
            row["blurhash"],
            row["is_animated"],
            still_url(row["id"]) if row["has_still"] else None,
            row["reason"] and f"The picture cannot be shown: {row['reason']}.",
        )

    def in_language(self, language: str) -> Media:
        """Return it for a reader of this language."""
        return msgspec.structs.replace(
            self, reason=self.reason and translated(self.reason, language)
        )
