"""Polls: a member votes once, and sees the result then, or when the poll has ended.

A vote is final, as on Mastodon: who sees a result that still counts would otherwise vote by it. Nobody is
told who chose what, so a result counts everybody, whom the viewer may see or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chitlaq.core.http import problems
from chitlaq.services.feed.polls.schemas import Vote
from chitlaq.services.feed.posts import posts
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


async def vote(state: FeedState, member: UUID, post_id: UUID, wanted: Vote) -> Post:
    """Vote in the poll of a post that the member may read; the same vote again changes nothing.

    Raises:
        Problem: 403 for the member's own poll; 404 if there is no such post, the member may not read it, or
            it has no poll; 422 for options that it does not have, or several where one is asked for; 409 if
            the member has voted otherwise, or the poll has ended.
    """
    choices = sorted(wanted.choices)
    row = await _counted(state, member, post_id, choices)
    if row is None:
        raise problems.not_found("poll")
    if row["is_own"]:
        raise problems.forbidden("You cannot vote in a poll of your own.")
    if choices[-1] >= row["options"]:
        raise problems.invalid(
            {"choices": f"must be for options 0 to {row['options'] - 1} of the poll"}
        )
    if len(choices) > 1 and not row["is_multiple"]:
        raise problems.invalid({"choices": "must be for one option"})
    if row["voted"] not in (None, choices):
        raise problems.conflict("You have voted; a vote is final.")
    if row["voted"] is None and not row["is_counted"]:
        raise problems.conflict("The poll has ended.")
    return await posts.read(state, member, post_id)


async def _counted(state: FeedState, member: UUID, post_id: UUID, choices: Sequence[int]) -> Any:
    async with state.database.session() as session:
        for _ in range(2):
            row = await session.row("vote", post_id, member, choices)
            if row is None or row["is_counted"] or row["voted"] is not None or not row["is_open"]:
                break  # else another request of the member's may have voted meanwhile: see how
    return row
