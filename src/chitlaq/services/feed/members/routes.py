"""Profiles over HTTP."""

from __future__ import annotations

from litestar import get, patch, put

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.members import members
from chitlaq.services.feed.members.schemas import Privacy, PrivacyChange, Profile, ProfileChange
from chitlaq.services.feed.posts import posts
from chitlaq.services.feed.schemas import Post
from chitlaq.services.feed.state import FeedState


@get("/users/me", summary="Your own profile")
async def own_profile(member: Identity, state: FeedState) -> Profile:
    return await members.own_profile(state.database, member.account_id)


@patch("/users/me", summary="Change your own profile")
async def change_profile(data: ProfileChange, member: Identity, state: FeedState) -> Profile:
    return await members.change_profile(state, member.account_id, data)


@get("/users/me/privacy", summary="What you let others do")
async def own_privacy(member: Identity, state: FeedState) -> Privacy:
    return await members.privacy(state.database, member.account_id)


@put("/users/me/privacy", status_code=204, summary="Choose what you let others do")
async def set_privacy(data: PrivacyChange, member: Identity, state: FeedState) -> None:
    await members.set_privacy(state.database, member.account_id, data)


@get("/users/{username:str}", summary="A member's profile")
async def profile(username: str, viewer: Identity | None, state: FeedState) -> Profile:
    return await members.profile(state.database, account_id(viewer), username)


@get("/users/{username:str}/posts", summary="A member's posts, newest first")
async def posts_of_member(
    username: str,
    viewer: Identity | None,
    state: FeedState,
    paging: Paging,
    exclude_replies: bool = False,
    only_media: bool = False,
) -> Page[Post]:
    author = await members.profile(state.database, account_id(viewer), username)
    return await posts.of_member(
        state,
        account_id(viewer),
        author.id,
        paging,
        exclude_replies=exclude_replies,
        only_media=only_media,
    )
