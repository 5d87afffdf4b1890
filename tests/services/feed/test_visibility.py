"""Who may read what: every author, viewer and visibility, on every route and frame that can show a post.

What is expected comes from a rule in plain Python (`worlds.may_read`). Every answer is searched for words of
posts that its reader may not read. Routes come from the API's description: a new one that can show a post, or
do something with one, fails until it is here.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import httpx
import pytest
import websockets

from tests.conftest import Stack, eventually
from tests.services.feed.pictures import put_in_store
from tests.services.feed.worlds import (
    AUTHORS,
    HOST,
    NOBODY,
    SHARER,
    VIEWERS,
    VISIBILITIES,
    World,
    Written,
    follows,
    may_read,
    mutes,
    world,
)
from tests.services.websocket.test_websocket import signed_in, url

READERS = (*AUTHORS, *VIEWERS, NOBODY)
AT_ONCE = 12
POST = "/posts/{post_id}"

# Routes that show a post or what belongs to it, and what they answer who may not read it. A thread shows what
# others wrote below it.
SHOWING = {
    POST: 404,
    f"{POST}/replies": 404,
    f"{POST}/quotes": 404,
    f"{POST}/history": 404,
    f"{POST}/likes": 404,
    f"{POST}/reposts": 404,
    f"{POST}/thread": 200,
}
Places = dict[str, Callable[[str, World], set[str]]]


def _ids(posts: list[Written], viewer: str, *visibilities: str) -> set[str]:
    return {
        post.id
        for post in posts
        if may_read(viewer, post) and post.visibility in (visibilities or VISIBILITIES)
    }


def _home(viewer: str, world: World) -> set[str]:
    """Own posts, those of whom the viewer follows, and what these shared of others."""
    posts = world.of("root", "post", "quote", "quote of it")
    if viewer == NOBODY:
        return _ids(posts, viewer, "public")
    return {
        post.id
        for post in posts
        if may_read(viewer, post)
        and not mutes(viewer, post.author)
        and (
            post.author == viewer
            or (follows(viewer, post.author) and post.visibility not in ("self", "mentioned"))
            or post.kind == "post"
        )
    }


def _of_author(author: str, viewer: str, world: World) -> set[str]:
    return _ids([post for post in world.posts.values() if post.author == author], viewer)


# Lists, and the posts of the world that each reader is shown there.
LISTS: Places = {
    "/feed/home": _home,
    "/feed/tags/{tag}": lambda viewer, world: {
        post.id
        for post in world.of("post")
        if post.visibility == "public" and may_read(viewer, post) and not mutes(viewer, post.author)
    },
    "/users/me/bookmarks": lambda viewer, world: _ids(world.of("post"), viewer),
    **{f"/users/{{{author}}}/posts": partial(_of_author, author) for author in AUTHORS},
    "/search/posts?q=tag:{tag}": lambda viewer, world: _ids([*world.posts.values()], viewer),
    "/posts/{root}/replies": lambda viewer, world: _ids(world.of("reply"), viewer),
    "/posts/{root}/quotes": lambda viewer, world: _ids(world.of("quote"), viewer),
    "/posts/{root}/thread": lambda viewer, world: _ids(world.of("root", "reply"), viewer),
}
# What one does with a post that one may not read, and what it answers: taking back is always possible.
DOING: dict[tuple[str, str], tuple[int, object]] = {
    ("PUT", f"{POST}/like"): (404, None),
    ("PUT", f"{POST}/repost"): (404, None),
    ("PUT", f"{POST}/bookmark"): (404, None),
    ("GET", f"{POST}/mute"): (404, None),
    ("PUT", f"{POST}/mute"): (404, None),
    ("PUT", f"{POST}/report"): (404, {"reason": "spam"}),
    ("PUT", f"{POST}/vote"): (404, {"choices": [0]}),
    ("DELETE", f"{POST}/like"): (204, None),
    ("DELETE", f"{POST}/repost"): (204, None),
    ("DELETE", f"{POST}/mute"): (204, None),
    ("PATCH", POST): (404, {"text": "mine"}),
    ("DELETE", POST): (404, None),
    ("DELETE", f"{POST}/quotes/{{quote_id}}"): (404, None),
}
# Tested elsewhere or below: explore is a ranking, a bookmark is needed for the lists, and a post that is
# written is one's own. Muted threads: test_mutes.py.
OTHERS = {
    ("GET", "/users/me/muted-threads"),
    ("GET", "/feed/explore"),
    ("DELETE", f"{POST}/bookmark"),
    ("POST", "/posts"),
    ("GET", "/users/{username}/posts"),
}


@pytest.fixture(scope="module")
async def at_hand(stack: Stack) -> AsyncIterator[World]:
    # Past nginx: it limits how much one address asks for at once.
    address = f"http://127.0.0.1:{stack.ports['gateway']}"
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        yield await world(stack, client)


def _operations(description: Any) -> Iterator[tuple[str, str]]:
    """Routes whose answers hold posts, and those of one post."""
    schemas = description["components"]["schemas"]

    def named(part: object) -> set[str]:
        return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(part)))

    for path, item in description["paths"].items():
        for method, operation in item.items():
            if method not in ("get", "put", "post", "patch", "delete"):
                continue
            seen: set[str] = set()
            todo = named({k: v for k, v in operation["responses"].items() if k.startswith("2")})
            while todo:
                seen |= todo
                todo = set().union(*(named(schemas[name]) for name in todo)) - seen
            is_about_posts = any(
                re.search(r"(^|[._])((Found)?Post|Thread)($|_)", name) for name in seen
            )
            if is_about_posts or "{post_id}" in path:
                yield method.upper(), path.removeprefix("/api")


async def test_every_route_that_can_show_a_post_is_in_the_matrix(stack: Stack) -> None:
    async with httpx.AsyncClient() as client:
        address = f"http://127.0.0.1:{stack.ports['edge']}/api/openapi.json"

        async def described() -> set[tuple[str, str]] | None:
            found = set(_operations((await client.get(address)).json()))
            # A service that has never described itself yet may take longer than the gateway waits.
            return found if len(found) > 15 else None

        found = await eventually(described)
    lists = {path.partition("?")[0] for path in LISTS if "{root}" not in path}
    covered = {("GET", path) for path in (*SHOWING, *lists)} | DOING.keys() | OTHERS
    assert found - covered == set()


def _shown(part: Any, world: World) -> Iterator[str]:
    """The posts of the world that an answer shows itself, not in quotes."""
    if isinstance(part, list):
        for one in part:
            yield from _shown(one, world)
    elif isinstance(part, dict):
        if part.get("id") in world.posts and part.keys() & {"text", "snippet"}:
            yield part["id"]
        else:
            for name, one in part.items():
                if name != "ancestors":
                    yield from _shown(one, world)


async def _all_at_once(questions: Any) -> None:
    """Ask everything, some at a time."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(question: Any) -> None:
        async with limit:
            await question

    await asyncio.gather(*(one(question) for question in questions))


async def test_lists_show_each_reader_what_they_may_read_and_nothing_else(at_hand: World) -> None:
    (root,) = at_hand.of("root")
    names = {author: at_hand.members[author].username for author in AUTHORS}

    async def look(viewer: str, place: str) -> None:
        path = place.format(root=root.id, tag=at_hand.tag, **names)
        limit = 40 if place.endswith("/thread") else 100
        path += "&" if "?" in path else "?"
        answer = await at_hand.ask(viewer, "GET", f"{path}limit={limit}")
        if viewer == NOBODY and "/users/me/" in place:
            assert answer.status_code == 401
            return
        shown = list(_shown(answer.json(), at_hand)) if answer.status_code == 200 else []
        assert len(shown) == len(set(shown)), f"{viewer} sees a post twice in {place}"
        wanted = LISTS[place](viewer, at_hand)
        assert set(shown) == wanted, (
            f"{viewer} in {place} ({answer.status_code}):"
            f" {[at_hand.posts[one] for one in set(shown) ^ wanted]}"
        )

    await _all_at_once(look(viewer, place) for viewer in READERS for place in LISTS)


async def test_explore_shows_nobody_what_they_may_not_read(at_hand: World) -> None:
    async def look(viewer: str) -> None:
        answer = await at_hand.ask(viewer, "GET", "/feed/explore?limit=100")
        for one in _shown(answer.json(), at_hand):
            post = at_hand.posts[one]
            assert post.visibility == "public"
            assert not mutes(viewer, post.author)

    await _all_at_once(look(viewer) for viewer in READERS)


@pytest.mark.parametrize(
    "authors",
    [
        pytest.param(("open",), id="short"),
        pytest.param(("private", "leaving"), id="long", marks=pytest.mark.long),
    ],
)
async def test_post_and_what_belongs_to_it_are_shown_to_who_may_read_it(
    at_hand: World, authors: tuple[str, ...]
) -> None:
    async def look(viewer: str, post: Written, route: str) -> None:
        answer = await at_hand.ask(viewer, "GET", route.format(post_id=post.id))
        refused = SHOWING[route]
        if refused == 200 and post.kind != "post":
            refused = 404  # nobody wrote below it
        wanted = 200 if may_read(viewer, post) else refused
        assert answer.status_code == wanted, f"{viewer} at {route} of {post}"
        if route == POST and wanted == 200:
            body = answer.json()
            about = at_hand.posts[post.about] if post.about and post.kind != "reply below" else None
            if post.kind in ("quote", "quote of it") and about:
                is_quoted = body["quote"] is not None
                assert is_quoted == may_read(viewer, about), f"{viewer} in the quote of {about}"
        if route.endswith("/thread") and wanted == 200:
            for place in (answer.json(), *answer.json()["ancestors"]):
                is_shown = may_read(viewer, at_hand.posts[place["id"]])
                assert (place["post"] is not None) == is_shown == (not place["deleted"])

    posts = at_hand.of("post", "reply", "quote", authors=authors)
    below = [
        one
        for one in at_hand.of("reply below", "quote of it")
        if at_hand.posts[str(one.about)].author in authors
    ]
    await _all_at_once(
        look(viewer, post, route)
        for viewer in READERS
        for post in (*posts, *below)
        for route in SHOWING
        if post.kind == "post" or route in (POST, f"{POST}/thread")
    )


async def test_nobody_does_anything_with_a_post_that_they_may_not_read(at_hand: World) -> None:
    posts = [post for post in at_hand.of("post", authors=("open",)) if post.author == "open"]
    quotes = {one.about: one.id for one in at_hand.of("quote of it")}

    async def attempt(viewer: str, post: Written, method: str, route: str) -> None:
        status, body = DOING[method, route]
        path = route.format(post_id=post.id, quote_id=quotes[post.id])
        answer = await at_hand.ask(viewer, method, path, body)
        wanted = 401 if viewer == NOBODY else status
        assert answer.status_code == wanted, f"{viewer}: {method} {path} of {post}: {answer.text}"

    async def refer(viewer: str, post: Written, field: str) -> None:
        body = {"text": "about it", field: post.id}
        answer = await at_hand.ask(viewer, "POST", "/posts", body)
        assert answer.status_code == (401 if viewer == NOBODY else 422), f"{viewer}: {field} {post}"

    hidden = [
        (viewer, post)
        for viewer in (*VIEWERS, NOBODY)
        for post in posts
        if not may_read(viewer, post)
    ]
    await _all_at_once(attempt(*case, *route) for case in hidden for route in DOING)
    await _all_at_once(refer(*case, field) for case in hidden for field in ("reply_to", "quote_of"))
    for post in posts:
        seen = (await at_hand.ask("open", "GET", f"/posts/{post.id}")).json()
        assert (seen["likes"], seen["reposts"], seen["replies"]) == (1, 1, 1)
        assert post.word in seen["text"]


async def test_what_a_viewer_may_not_see_is_not_counted(at_hand: World) -> None:
    (root,) = at_hand.of("root")
    likers = {name for name in at_hand.members if name != "leaving"}

    def is_apart(viewer: str, other: str) -> bool:
        return any(
            one in AUTHORS and two in ("blocked", "blocker")
            for one, two in ((viewer, other), (other, viewer))
        )

    async def count(viewer: str) -> None:
        seen = (await at_hand.ask(viewer, "GET", f"/posts/{root.id}")).json()
        assert seen["replies"] == len(_ids(at_hand.of("reply"), viewer)), viewer
        wanted = {name for name in likers if not is_apart(viewer, name)}
        assert (seen["likes"], seen["reposts"]) == (len(wanted), len(wanted)), viewer
        if viewer != NOBODY:
            for kind in ("likes", "reposts"):
                listed = await at_hand.ask(viewer, "GET", f"/posts/{root.id}/{kind}?limit=100")
                names = {card["username"] for card in listed.json()["items"]}
                assert names == {at_hand.members[name].username for name in wanted}, (viewer, kind)
        for author in AUTHORS:
            username = at_hand.members[author].username
            profile = await at_hand.ask(viewer, "GET", f"/users/{username}")
            own = [post for post in at_hand.posts.values() if post.author == author]
            if profile.status_code == 200:
                assert profile.json()["posts"] == len(_ids(own, viewer)), (viewer, author)
            else:
                assert not _ids(own, viewer), (viewer, author)

    await _all_at_once(count(viewer) for viewer in READERS)


async def test_picture_is_seen_by_those_who_may_read_its_post(stack: Stack, at_hand: World) -> None:
    posts = at_hand.of("post")
    rows = await stack.sql(
        "WITH made AS (INSERT INTO feed.media"
        "  (owner_id, purpose, state, name, alt, width, height, is_animated, bytes, sha256, blurhash)"
        "  SELECT author_id, 'post', 'ready', md5(id::text), id, 1, 1, false, 1, sha256('x'), 'LEHV6n'"
        "  FROM feed.posts WHERE id = ANY ($1::uuid[]) RETURNING id, name, alt),"
        " files AS (INSERT INTO feed.media_files SELECT id, 'large', 'webp', 1, sha256('x') FROM made),"
        " shown AS (INSERT INTO feed.post_media SELECT alt::uuid, 0, id FROM made)"
        " SELECT id, name, alt AS post_id FROM made",
        [post.id for post in posts],
    )
    for row in rows:
        put_in_store(stack, row["name"], b"x")

    async def see(viewer: str, path: str, post: Written) -> None:
        answer = await at_hand.ask(viewer, "GET", path)
        wanted = 200 if may_read(viewer, post) else 404
        assert answer.status_code == wanted, (viewer, post)
        if wanted == 200:
            is_public = may_read(NOBODY, post)
            assert answer.headers["cache-control"].startswith("public") == is_public, post

    await _all_at_once(
        see(viewer, f"/media/{row['id']}/large", at_hand.posts[row["post_id"]])
        for viewer in READERS
        for row in rows
    )


async def test_new_posts_are_announced_to_those_who_follow_and_may_read_them(
    stack: Stack, at_hand: World
) -> None:
    found: dict[str, set[str]] = {viewer: set() for viewer in (*AUTHORS, *VIEWERS)}
    quoted: dict[str, set[str]] = {viewer: set() for viewer in found}
    marks: set[str] = set()

    async def listen(viewer: str, socket: Any) -> None:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "post":
                at_hand.check(viewer, "a frame", text)
                found[viewer].add(frame["post"]["id"])
                quoted[viewer] |= (
                    {frame["post"]["quote"]["id"]} if frame["post"]["quote"] else set()
                )

    async with AsyncExitStack() as exits:
        listeners = []
        for viewer in found:
            socket = await exits.enter_async_context(websockets.connect(url(stack)))
            await signed_in(socket, at_hand.members[viewer])
            listeners.append(asyncio.create_task(listen(viewer, socket)))
        written = []
        for author in ("open", "private"):
            for visibility in VISIBILITIES:
                text = f"new @{at_hand.members['mentioned'].username}"
                post = await at_hand.members[author].write(text, visibility=visibility)
                written.append(Written(post["id"], author, visibility, "post"))
        for about in at_hand.of("post", authors=("open",)):
            answer = await at_hand.members[HOST].post(
                "/api/posts", {"text": f"see {about.id}", "quote_of": about.id}
            )
            if answer.status_code == 201:
                quote = Written(answer.json()["id"], HOST, "public", "quote of it", about.id)
                written.append(quote)

        async def are_delivered() -> bool:
            return not await stack.sql("SELECT FROM jobs.jobs WHERE kind = 'deliver_post'")

        await eventually(are_delivered)
        marks.add((await at_hand.members[HOST].write("the last"))["id"])
        everybody = found.keys() - {"leaving"}
        await eventually(lambda: all(marks <= found[viewer] for viewer in everybody))
        for listener in listeners:
            listener.cancel()
    for viewer in everybody:
        wanted = {
            post.id
            for post in written
            if follows(viewer, post.author)
            and may_read(viewer, post)
            and post.visibility not in ("self", "mentioned")
            and not mutes(viewer, post.author)
        }
        assert found[viewer] - marks == wanted, viewer
        # In frames, a post is quoted only if somebody who is not signed in may read it as well.
        public = {str(post.about) for post in written if post.kind == "quote of it"}
        assert quoted[viewer] == {
            one
            for one in public
            if may_read(viewer, at_hand.posts[one]) and may_read(NOBODY, at_hand.posts[one])
        }, viewer
    assert SHARER not in found
