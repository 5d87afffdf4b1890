"""HTTP in and out of feed-service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

from litestar import delete, get, patch, post, put
from litestar.datastructures import State
from litestar.params import Parameter

from chitlaq import inventory
from chitlaq.core import tasks
from chitlaq.core.http import problems
from chitlaq.core.http.identity import Identity
from chitlaq.core.http.paging import Cursor, Page, PageLimit, PageNumber, Paging
from chitlaq.core.http.service import Context, Service
from chitlaq.services.feed.deliveries import Deliveries
from chitlaq.services.feed.members.members import Members
from chitlaq.services.feed.posts.posts import Posts
from chitlaq.services.feed.posts.schemas import (
    MemberCard,
    NewPost,
    Post,
    PostChange,
    Profile,
    ProfileChange,
)
from chitlaq.services.feed.timelines.cache import Timelines

IdempotencyKey = Annotated[
    str | None,
    Parameter(
        header="Idempotency-Key",
        max_length=200,
        description="Sending the same post again under the same key makes no second one.",
    ),
]


def _id(viewer: Identity | None) -> UUID | None:
    return viewer.account_id if viewer else None


@get("/feed/home", summary="The home feed; the latest public posts for those not signed in")
async def home(
    viewer: Identity | None,
    state: State,
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Page[Post]:
    posts: Posts = state.posts
    if viewer is None:
        return await posts.explore(None, Paging.of(page, limit, cursor))
    return await posts.home(viewer.account_id, Paging.of(page, limit, cursor))


@get("/feed/explore", summary="The latest public posts")
async def explore(
    viewer: Identity | None,
    state: State,
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Page[Post]:
    posts: Posts = state.posts
    return await posts.explore(_id(viewer), Paging.of(page, limit, cursor))


@get("/feed/tags/{tag:str}", summary="The latest public posts with a hashtag")
async def tagged(
    tag: str,
    viewer: Identity | None,
    state: State,
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Page[Post]:
    posts: Posts = state.posts
    if "\x00" in tag:
        raise problems.not_found("tag")
    return await posts.tagged(_id(viewer), tag, Paging.of(page, limit, cursor))


@post("/posts", summary="Write a post or a reply")
async def write_post(
    data: NewPost, member: Identity, state: State, idempotency_key: IdempotencyKey = None
) -> Post:
    posts: Posts = state.posts
    if idempotency_key is not None and (not idempotency_key or "\x00" in idempotency_key):
        raise problems.invalid({"Idempotency-Key": "must be 1 to 200 characters, none of them NUL"})
    return await posts.write(member.account_id, data, idempotency_key)


@get("/posts/{post_id:uuid}", summary="One post")
async def read_post(post_id: UUID, viewer: Identity | None, state: State) -> Post:
    posts: Posts = state.posts
    return await posts.read(_id(viewer), post_id)


@patch("/posts/{post_id:uuid}", summary="Change a post of one's own")
async def change_post(post_id: UUID, data: PostChange, member: Identity, state: State) -> Post:
    posts: Posts = state.posts
    return await posts.change(member.account_id, post_id, data)


@delete("/posts/{post_id:uuid}", summary="Delete a post of one's own")
async def delete_post(post_id: UUID, member: Identity, state: State) -> None:
    posts: Posts = state.posts
    await posts.delete(member.account_id, post_id)


@get("/posts/{post_id:uuid}/replies", summary="What was answered to a post, oldest first")
async def replies(
    post_id: UUID,
    viewer: Identity | None,
    state: State,
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Page[Post]:
    posts: Posts = state.posts
    return await posts.replies(_id(viewer), post_id, Paging.of(page, limit, cursor))


@put("/posts/{post_id:uuid}/like", status_code=204, summary="Like a post")
async def like(post_id: UUID, member: Identity, state: State) -> None:
    posts: Posts = state.posts
    await posts.like(member.account_id, post_id, liked=True)


@delete("/posts/{post_id:uuid}/like", summary="Take a like back")
async def unlike(post_id: UUID, member: Identity, state: State) -> None:
    posts: Posts = state.posts
    await posts.like(member.account_id, post_id, liked=False)


@get("/users/me", summary="One's own profile")
async def own_profile(member: Identity, state: State) -> Profile:
    members: Members = state.members
    return await members.own_profile(member.account_id)


@patch("/users/me", summary="Change one's own profile")
async def change_profile(data: ProfileChange, member: Identity, state: State) -> Profile:
    members: Members = state.members
    return await members.change_profile(member.account_id, data)


@get("/users/{username:str}", summary="A member's profile")
async def profile(username: str, viewer: Identity | None, state: State) -> Profile:
    members: Members = state.members
    return await members.profile(_id(viewer), username)


@get("/users/{username:str}/posts", summary="A member's posts, newest first")
async def posts_of_member(
    username: str,
    viewer: Identity | None,
    state: State,
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Page[Post]:
    members: Members = state.members
    posts: Posts = state.posts
    author = await members.profile(_id(viewer), username)
    return await posts.of_member(_id(viewer), author.id, Paging.of(page, limit, cursor))


@get("/users/{username:str}/followers", summary="Who follows a member")
async def followers(
    username: str,
    viewer: Identity | None,
    state: State,
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Page[MemberCard]:
    members: Members = state.members
    return await members.listed("followers", _id(viewer), username, Paging.of(page, limit, cursor))


@get("/users/{username:str}/following", summary="Whom a member follows")
async def following(
    username: str,
    viewer: Identity | None,
    state: State,
    page: PageNumber = 1,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Page[MemberCard]:
    members: Members = state.members
    return await members.listed("following", _id(viewer), username, Paging.of(page, limit, cursor))


@put("/users/{username:str}/follow", status_code=204, summary="Follow a member")
async def follow(username: str, member: Identity, state: State) -> None:
    members: Members = state.members
    await members.follow(member.account_id, username, following=True)


@delete("/users/{username:str}/follow", summary="Follow a member no longer")
async def unfollow(username: str, member: Identity, state: State) -> None:
    members: Members = state.members
    await members.follow(member.account_id, username, following=False)


@put("/users/{username:str}/block", status_code=204, summary="Block a member")
async def block(username: str, member: Identity, state: State) -> None:
    members: Members = state.members
    await members.block(member.account_id, username, blocked=True)


@delete("/users/{username:str}/block", summary="Block a member no longer")
async def unblock(username: str, member: Identity, state: State) -> None:
    members: Members = state.members
    await members.block(member.account_id, username, blocked=False)


@asynccontextmanager
async def run(context: Context) -> AsyncIterator[dict[str, Any]]:
    timelines = Timelines(context.database, context.valkey)
    deliveries = Deliveries(context.database, context.valkey, timelines)
    async with tasks.running(timelines.forget_forever), deliveries.runner.running():
        yield {
            "posts": Posts(context.database, timelines, deliveries),
            "members": Members(context.database, timelines),
        }


SERVICE = Service(
    inventory.COMPONENTS["feed-service"],
    handlers=[
        home,
        explore,
        tagged,
        write_post,
        read_post,
        change_post,
        delete_post,
        replies,
        like,
        unlike,
        own_profile,
        change_profile,
        profile,
        posts_of_member,
        followers,
        following,
        follow,
        unfollow,
        block,
        unblock,
    ],
    run=run,
)
