"""Follows and blocks over HTTP."""

from __future__ import annotations

from litestar import delete, get, put

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.graph import graph
from chitlaq.services.feed.schemas import MemberCard
from chitlaq.services.feed.state import FeedState


@get("/users/{username:str}/followers", summary="A member's followers", refuses=(401, 403))
async def followers(
    username: str, viewer: Identity | None, state: FeedState, paging: Paging
) -> Page[MemberCard]:
    return await graph.listed(state.database, "followers", account_id(viewer), username, paging)


@get("/users/{username:str}/following", summary="Members whom a member follows", refuses=(401, 403))
async def following(
    username: str, viewer: Identity | None, state: FeedState, paging: Paging
) -> Page[MemberCard]:
    return await graph.listed(state.database, "following", account_id(viewer), username, paging)


@put("/users/{username:str}/follow", status_code=204, summary="Follow a member", refuses=(403,))
async def follow(username: str, member: Identity, state: FeedState) -> None:
    await graph.follow(state, member.account_id, username, following=True)


@delete("/users/{username:str}/follow", summary="Unfollow a member")
async def unfollow(username: str, member: Identity, state: FeedState) -> None:
    await graph.follow(state, member.account_id, username, following=False)


@put("/users/{username:str}/block", status_code=204, summary="Block a member")
async def block(username: str, member: Identity, state: FeedState) -> None:
    await graph.block(state, member.account_id, username, blocked=True)


@delete("/users/{username:str}/block", summary="Unblock a member")
async def unblock(username: str, member: Identity, state: FeedState) -> None:
    await graph.block(state, member.account_id, username, blocked=False)
