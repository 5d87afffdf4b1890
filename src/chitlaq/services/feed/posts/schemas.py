"""Posts as clients send them."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

import msgspec

from chitlaq.core.http.pictures import MediaIds
from chitlaq.core.http.schemas import Incoming, normalize, require_one_line
from chitlaq.core.text import written
from chitlaq.services.feed.polls.schemas import NewPoll
from chitlaq.services.feed.schemas import QuotableBy, Visibility

MAX_GRAPHEMES = 1000
MAX_CHARACTERS = 5000
"""Code points: what `MAX_GRAPHEMES` are in writing that combines several into each."""

PostText = Annotated[str, msgspec.Meta(max_length=MAX_CHARACTERS)]
"""At most `MAX_GRAPHEMES`, stored as `written.checked` returns it."""

ContentWarning = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

_checked = partial(written.checked, max_graphemes=MAX_GRAPHEMES)


class NewPost(Incoming, frozen=True):
    """A post, a reply, or a quote; ``quotable_by`` says who may quote it. A poll stays as it is.

    A post of pictures needs no text.
    """

    text: PostText = ""
    visibility: Visibility = "public"
    reply_to: UUID | None = None
    quote_of: UUID | None = None
    content_warning: ContentWarning | None = None
    quotable_by: QuotableBy = "everyone"
    poll: NewPoll | None = None
    media_ids: MediaIds = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text or not self.media_ids:
            normalize(self, "text", _checked)
        if len(set(self.media_ids)) < len(self.media_ids):
            raise ValueError("media_ids: names a picture twice")
        require_one_line("content_warning", self.content_warning or "")


class PostChange(Incoming, frozen=True):
    """Omitted fields stay unchanged; ``content_warning`` may be null, the text of pictures empty."""

    text: PostText | msgspec.UnsetType = msgspec.UNSET
    visibility: Visibility | msgspec.UnsetType = msgspec.UNSET
    content_warning: ContentWarning | msgspec.UnsetType | None = msgspec.UNSET
    quotable_by: QuotableBy | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text:
            normalize(self, "text", _checked)
        if self.content_warning is not msgspec.UNSET:
            require_one_line("content_warning", self.content_warning or "")


class Edit(msgspec.Struct, frozen=True):
    """What a post said until it was edited."""

    text: str
    content_warning: str | None
    replaced_at: datetime
