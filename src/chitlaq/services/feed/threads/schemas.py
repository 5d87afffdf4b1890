"""Threads as clients get them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from chitlaq.services.feed.schemas import Post


class Place(msgspec.Struct, frozen=True):
    """The place of a post in its thread. ``deleted``: it is deleted, or not for the viewer; ``post`` is null.

    Nothing tells the one from the other.
    """

    id: UUID
    deleted: bool
    post: Post | None


class Branch(Place, frozen=True):
    """A post and what answers it, oldest first.

    ``next_cursor`` continues at ``GET /posts/{id}/thread`` of this post; below the last level that is shown,
    ``replies`` is empty and the post's own thread shows them.
    """

    replies: Sequence[Branch]
    next_cursor: str | None


class Thread(Branch, frozen=True, kw_only=True):
    """A post with its branches, and the posts above it, the nearest last.

    ``has_earlier``: there are more above them.
    """

    ancestors: Sequence[Place]
    has_earlier: bool
