"""Threads: the posts above one, and a bounded tree of those below it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from chitlaq.core.http import problems
from chitlaq.core.http.paging import Paging, cursor_after
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState
from chitlaq.services.feed.threads.schemas import Branch, Place, Thread

MAX_ANCESTORS = 50
LEVELS = 3
"""How deep the tree is: what lies deeper is in the threads of the posts of the last level."""
FIRST_BREADTH = 40
BREADTH = 5
"""How many answers each post has in the tree, below the first level."""


async def thread(state: FeedState, viewer: UUID | None, post_id: UUID, paging: Paging) -> Thread:
    """Return a post, the posts above it, and a page of those below it with their own.

    What is deleted, or not for the viewer, is a tombstone if something below it is for them.

    Raises:
        Problem: 404 if neither the post nor one that is shown below it may be read.
    """
    paging = replace(paging, limit=min(paging.limit, FIRST_BREADTH))
    above = await state.database.rows("ancestors", post_id, MAX_ANCESTORS + 1)
    below = await state.database.rows(
        "branches", viewer, post_id, *paging.window, BREADTH + 1, LEVELS
    )
    ancestors = [row["id"] for row in above][:MAX_ANCESTORS][::-1]
    children: dict[UUID, list[UUID]] = defaultdict(list)
    for row in below:
        children[row["reply_to"]].append(row["id"])
    places = [*ancestors, post_id, *(row["id"] for row in below)]
    readable = await state.rendering.by_id(viewer, places)
    tree = _branch(post_id, children, readable, paging.limit)
    if tree is None:
        raise problems.not_found("post")
    return Thread(
        tree.id,
        tree.deleted,
        tree.post,
        tree.replies,
        tree.next_cursor,
        ancestors=[Place(one, one not in readable, readable.get(one)) for one in ancestors],
        has_earlier=len(above) > MAX_ANCESTORS,
    )


def _branch(
    place: UUID,
    children: Mapping[UUID, Sequence[UUID]],
    readable: Mapping[UUID, Post],
    breadth: int = BREADTH,
) -> Branch | None:
    """Return the tree below a place, or None if nothing in it may be read."""
    shown = children.get(place, ())
    found = [_branch(child, children, readable) for child in shown[:breadth]]
    replies = [branch for branch in found if branch is not None]
    post = readable.get(place)
    if post is None and not replies:
        return None
    after = cursor_after(shown[breadth - 1]) if len(shown) > breadth else None
    return Branch(place, post is None, post, replies, after)
