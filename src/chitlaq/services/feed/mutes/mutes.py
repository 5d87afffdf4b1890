"""Mutes: what a member does not want to see in feeds, and can read all the same.

Feeds leave it out in their queries, by ``feed.mutes_against``.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import asyncpg

from chitlaq.core.data.postgres import Database
from chitlaq.core.http import problems
from chitlaq.core.http.paging import Page, Paging
from chitlaq.core.text import tokens
from chitlaq.services.feed.members import members
from chitlaq.services.feed.mutes.schemas import (
    MutedMember,
    MutedTag,
    MutedTags,
    MutedWord,
    MutedWords,
)
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState

NO_TAG = "must have hashtags alone: letters and digits, without spaces or other signs"


async def mute(database: Database, member: UUID, username: str, until: datetime | None) -> None:
    """Mute somebody, for good or until then; repeating it changes until when.

    Raises:
        Problem: 404 for an unknown member, 422 for the member's own account.
    """
    other = await members.named(database, username)
    if other == member:
        raise problems.invalid({"username": "is your own account"})
    async with database.session() as session:
        await session.execute("mute", member, other, until)


async def unmute(database: Database, member: UUID, username: str) -> None:
    """Mute somebody no more; repeating it changes nothing."""
    other = await members.named(database, username, also_leaving=True)
    async with database.session() as session:
        await session.execute("unmute", member, other)


async def listed(database: Database, member: UUID, paging: Paging) -> Page[MutedMember]:
    """Return a page of those whom the member mutes, by id."""
    rows = await database.rows("mutes", member, *paging.window)
    return paging.page_of(rows, MutedMember.of)


async def words(database: Database, member: UUID) -> MutedWords:
    """Return the words that a member mutes."""
    rows = await database.rows("muted_words", member)
    return MutedWords([MutedWord(row["word"], row["until"]) for row in rows])


async def set_words(database: Database, member: UUID, wanted: MutedWords) -> None:
    """Mute these words, and no others. Of those that are the same but for their spelling, the first counts.

    Raises:
        Problem: 422 for a word that has none of what words are made of.
    """
    texts, moments = [one.word for one in wanted.words], [one.until for one in wanted.words]
    try:
        async with database.transaction() as session:
            await session.execute("forget_muted_words", member)
            await session.execute("mute_words", member, texts, moments)
    except asyncpg.CheckViolationError:
        raise problems.invalid(
            {"words": "must have a letter, a digit or an emoji in each entry"}
        ) from None


async def tags(database: Database, member: UUID) -> MutedTags:
    """Return the hashtags that a member mutes, as they are matched."""
    rows = await database.rows("muted_tags", member)
    return MutedTags([MutedTag(row["tag"], row["until"]) for row in rows])


async def set_tags(database: Database, member: UUID, wanted: MutedTags) -> None:
    """Mute these hashtags, and no others.

    Raises:
        Problem: 422 for one that no post can have.
    """
    names = [tokens.tag_of(one.tag) for one in wanted.tags]
    if None in names:
        raise problems.invalid({"tags": NO_TAG})
    async with database.transaction() as session:
        await session.execute("forget_muted_tags", member)
        await session.execute("mute_tags", member, names, [one.until for one in wanted.tags])


async def threads(state: FeedState, member: UUID, paging: Paging) -> Page[Post]:
    """Return a page of the posts that the muted threads begin with, the latest post first."""
    rows = await state.database.rows("muted_threads", member, *paging.window)
    return await state.rendering.page(member, rows, paging)


async def mute_thread(database: Database, member: UUID, post_id: UUID) -> None:
    """Mute the thread of a post that the member may read; repeating it changes nothing.

    Raises:
        Problem: 404 if there is no such post, or the member may not read it.
    """
    async with database.session() as session:
        if await session.value("mute_thread", member, post_id) is None:
            raise problems.not_found("post")


async def is_thread_muted(database: Database, member: UUID, post_id: UUID) -> bool:
    """Return whether the member mutes the thread of a post.

    Raises:
        Problem: 404 if there is no such post, or the member may not read it.
    """
    is_muted = await database.value("is_thread_muted", member, post_id)
    if is_muted is None:
        raise problems.not_found("post")
    return bool(is_muted)


async def unmute_thread(database: Database, member: UUID, post_id: UUID) -> None:
    """Mute the thread of a post no more; repeating it changes nothing."""
    async with database.session() as session:
        await session.execute("unmute_thread", member, post_id)
