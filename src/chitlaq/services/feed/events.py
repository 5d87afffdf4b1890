"""What feed-service tells others, over Valkey's publish/subscribe.

An event may come twice and, when Valkey is away, late; who hears it must not rely on it for truth.
"""

from __future__ import annotations

import msgspec

from chitlaq.core.data.events import POST_CREATED
from chitlaq.services.feed.posts.schemas import Post


class PostCreated(msgspec.Struct, frozen=True, tag=POST_CREATED):
    """A post that followers may read was written. ``post`` is as a stranger to it sees it."""

    request_id: str
    post: Post
