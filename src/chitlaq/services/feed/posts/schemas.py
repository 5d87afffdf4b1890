"""Posts as clients send them."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

import msgspec

from chitlaq.core.http.schemas import Incoming, normalize
from chitlaq.core.text import written
from chitlaq.services.feed.schemas import Visibility

MAX_GRAPHEMES = 1000
MAX_CHARACTERS = 5000
"""Code points: what `MAX_GRAPHEMES` are in writing that combines several into each."""

PostText = Annotated[str, msgspec.Meta(max_length=MAX_CHARACTERS)]
"""At most `MAX_GRAPHEMES`, stored as `written.checked` returns it."""

_checked = partial(written.checked, max_graphemes=MAX_GRAPHEMES)


class NewPost(Incoming, frozen=True):
    text: PostText
    visibility: Visibility = "public"
    reply_to: UUID | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        normalize(self, "text", _checked)


class PostChange(Incoming, frozen=True):
    """Omitted fields stay unchanged."""

    text: PostText | None = None
    visibility: Visibility | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text is not None:
            normalize(self, "text", _checked)
