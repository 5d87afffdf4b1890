"""Mutes over HTTP."""

from __future__ import annotations

from uuid import UUID

from litestar import delete, get, put

from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.mutes import mutes
from chitlaq.services.feed.mutes.schemas import Mute, MutedMember, MutedTags, MutedWords, ThreadMute
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


@put("/users/{username:str}/mute", status_code=204, summary="Mute a member, for good or for a time")
async def mute(username: str, member: Identity, state: FeedState, data: Mute | None = None) -> None:
    until = data.until if data is not None else None
    await mutes.mute(state.database, member.account_id, username, until)


@delete("/users/{username:str}/mute", summary="Unmute a member")
async def unmute(username: str, member: Identity, state: FeedState) -> None:
    await mutes.unmute(state.database, member.account_id, username)


@get("/users/me/mutes", summary="Members whom you mute")
async def muted(member: Identity, state: FeedState, paging: Paging) -> Page[MutedMember]:
    return await mutes.listed(state.database, member.account_id, paging)


@get("/users/me/muted-words", summary="Words that you mute")
async def muted_words(member: Identity, state: FeedState) -> MutedWords:
    return await mutes.words(state.database, member.account_id)


@put("/users/me/muted-words", status_code=204, summary="Mute these words, and no others")
async def set_muted_words(data: MutedWords, member: Identity, state: FeedState) -> None:
    await mutes.set_words(state.database, member.account_id, data)


@get("/users/me/muted-tags", summary="Hashtags that you mute")
async def muted_tags(member: Identity, state: FeedState) -> MutedTags:
    return await mutes.tags(state.database, member.account_id)


@put("/users/me/muted-tags", status_code=204, summary="Mute these hashtags, and no others")
async def set_muted_tags(data: MutedTags, member: Identity, state: FeedState) -> None:
    await mutes.set_tags(state.database, member.account_id, data)


@get("/users/me/muted-threads", summary="Posts whose threads you mute")
async def muted_threads(member: Identity, state: FeedState, paging: Paging) -> Page[Post]:
    return await mutes.threads(state, member.account_id, paging)


@get("/posts/{post_id:uuid}/mute", summary="Whether you mute a post's thread")
async def is_thread_muted(post_id: UUID, member: Identity, state: FeedState) -> ThreadMute:
    return ThreadMute(await mutes.is_thread_muted(state.database, member.account_id, post_id))


@put("/posts/{post_id:uuid}/mute", status_code=204, summary="Mute a post's thread")
async def mute_thread(post_id: UUID, member: Identity, state: FeedState) -> None:
    await mutes.mute_thread(state.database, member.account_id, post_id)


@delete("/posts/{post_id:uuid}/mute", summary="Unmute a post's thread")
async def unmute_thread(post_id: UUID, member: Identity, state: FeedState) -> None:
    await mutes.unmute_thread(state.database, member.account_id, post_id)
