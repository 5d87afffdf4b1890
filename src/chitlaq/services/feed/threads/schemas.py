"""Threads as clients get them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from chitlaq.services.feed.schemas import Post


class Tombstone(msgspec.Struct, frozen=True):
    """The place of a post that is deleted, or not for the viewer: they are told the same of both."""

    id: UUID
    deleted: Literal[True] = True


class Branch(msgspec.Struct, frozen=True):
    """A post and what answers it, oldest first.

    ``next_cursor`` continues at ``GET /posts/{id}/thread`` of this post; below the last level that is shown,
    ``replies`` is empty and the post's own thread shows them.
    """

    post: Post | Tombstone
    replies: Sequence[Branch]
    next_cursor: str | None


class Thread(Branch, frozen=True, kw_only=True):
    """A post with its branches, and the posts above it, the nearest last.

    ``has_earlier``: there are more above them.
    """

    ancestors: Sequence[Post | Tombstone]
    has_earlier: bool
