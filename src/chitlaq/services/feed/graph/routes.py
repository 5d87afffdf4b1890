"""Follows, requests and blocks over HTTP."""

from __future__ import annotations

from http import HTTPStatus

from litestar import Response, delete, get, put
from litestar.openapi.datastructures import ResponseSpec

from chitlaq.core.http.identity import Identity, account_id
from chitlaq.core.http.paging import Page, Paging
from chitlaq.services.feed.graph import graph
from chitlaq.services.feed.schemas import MemberCard
from chitlaq.services.feed.state import FeedState

REQUESTED = ResponseSpec(
    None, description="A private member: asked for it", generate_examples=False
)


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


@put(
    "/users/{username:str}/follow",
    status_code=204,
    summary="Follow a member; 202 if a private one has to accept it first",
    responses={HTTPStatus.ACCEPTED: REQUESTED},
    refuses=(409,),
)
async def follow(username: str, member: Identity, state: FeedState) -> Response[None]:
    is_followed = await graph.follow(state, member.account_id, username)
    return Response(None, status_code=HTTPStatus.NO_CONTENT if is_followed else HTTPStatus.ACCEPTED)


@delete("/users/{username:str}/follow", summary="Unfollow a member, or withdraw the request to")
async def unfollow(username: str, member: Identity, state: FeedState) -> None:
    await graph.unfollow(state, member.account_id, username)


@delete("/users/me/followers/{username:str}", summary="Remove a follower")
async def remove_follower(username: str, member: Identity, state: FeedState) -> None:
    await graph.remove_follower(state, member.account_id, username)


@get("/users/me/follow-requests", summary="Members who ask to follow you, the latest first")
async def requests(member: Identity, state: FeedState, paging: Paging) -> Page[MemberCard]:
    return await graph.requests(state.database, member.account_id, paging)


@put(
    "/users/me/follow-requests/{username:str}",
    status_code=204,
    summary="Accept a request to follow you",
)
async def accept(username: str, member: Identity, state: FeedState) -> None:
    await graph.accept(state, member.account_id, username)


@delete("/users/me/follow-requests/{username:str}", summary="Refuse a request to follow you")
async def refuse(username: str, member: Identity, state: FeedState) -> None:
    await graph.refuse(state, member.account_id, username)


@put("/users/{username:str}/block", status_code=204, summary="Block a member")
async def block(username: str, member: Identity, state: FeedState) -> None:
    await graph.block(state, member.account_id, username)


@delete("/users/{username:str}/block", summary="Unblock a member")
async def unblock(username: str, member: Identity, state: FeedState) -> None:
    await graph.unblock(state, member.account_id, username)


@get("/users/me/blocks", summary="Members whom you block")
async def blocks(member: Identity, state: FeedState, paging: Paging) -> Page[MemberCard]:
    return await graph.blocks(state.database, member.account_id, paging)
