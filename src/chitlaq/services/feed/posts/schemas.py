"""Posts as clients send them."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming
from chitlaq.services.feed.schemas import Visibility

PostText = Annotated[str, msgspec.Meta(max_length=5000)]


class NewPost(Incoming, frozen=True):
    text: PostText
    visibility: Visibility = "public"
    reply_to: UUID | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.text.strip():
            raise ValueError("text: must not be empty")


class PostChange(Incoming, frozen=True):
    """Omitted fields stay unchanged."""

    text: PostText | None = None
    visibility: Visibility | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text is not None and not self.text.strip():
            raise ValueError("text: must not be empty")
