"""Who may read what: the matrix of readers and posts, in every place that shows posts or people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx
import pytest

from tests.conftest import Member, Stack, eventually

Join = Callable[..., Awaitable[Member]]

READERS = ("author", "follower", "member", "elsewhere", "blocked", "blocker", "nobody")
VISIBLE = {
    "public": {"author", "follower", "member", "elsewhere", "nobody"},
    "university": {"author", "follower", "member"},
    "followers": {"author", "follower"},
    "self": {"author"},
}
# Where posts are listed, and who is shown there what they may read; in their homes members see
# their own posts and those of whom they follow, and the latest public ones before they sign in.
PLACES: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "the author's posts": ("/api/users/{author}/posts?limit=100", lambda _name, _kind: True),
    "explore": ("/api/feed/explore?limit=100", lambda _name, kind: kind == "public"),
    "tag": ("/api/feed/tags/matrix?limit=100", lambda _name, kind: kind == "public"),
    "home": (
        "/api/feed/home?limit=100",
        lambda name, kind: name in {"author", "follower"} or (name, kind) == ("nobody", "public"),
    ),
}


@pytest.fixture
async def readers(stack: Stack, join: Join) -> dict[str, Member]:
    await stack.add_university("Elsewhere College", "elsewhere.example")
    people = {name: await join() for name in READERS if name not in {"elsewhere", "nobody"}}
    people["elsewhere"] = await join("elsewhere.example")
    author = people["author"]
    await people["follower"].put(f"/api/users/{author.username}/follow")
    await author.put(f"/api/users/{people['blocked'].username}/block")
    await people["blocker"].put(f"/api/users/{author.username}/block")
    return people


async def _is_delivered(follower: Member, post: dict[str, Any]) -> bool:
    return post["id"] in {item["id"] for item in await follower.home()}


async def test_each_reader_sees_exactly_what_the_visibility_allows(
    client: httpx.AsyncClient, readers: dict[str, Member]
) -> None:
    author = readers["author"]
    kinds = reversed(VISIBLE)  # the public post last: it is delivered when the others are
    posts = {kind: await author.write(f"{kind} #matrix", visibility=kind) for kind in kinds}
    follower = readers["follower"]
    await eventually(lambda: _is_delivered(follower, posts["public"]))
    for name in READERS:
        headers = readers[name].headers if name in readers else {}
        for place, (path, is_shown) in PLACES.items():
            answer = await client.get(path.format(author=author.username), headers=headers)
            items = answer.json()["items"] if answer.status_code == 200 else []
            ids = {item["id"] for item in items}
            shown = {kind for kind, post in posts.items() if post["id"] in ids}
            wanted_kinds = {
                kind for kind, who in VISIBLE.items() if name in who and is_shown(name, kind)
            }
            assert shown == wanted_kinds, f"{name} sees {sorted(shown)} in {place}"
        for kind, post in posts.items():
            answer = await client.get(f"/api/posts/{post['id']}", headers=headers)
            wanted = 200 if name in VISIBLE[kind] else 404
            assert answer.status_code == wanted, f"{name} reads {kind}: {answer.status_code}"
            if wanted == 404 and name != "nobody":
                assert (await readers[name].put(f"/api/posts/{post['id']}/like")).status_code == 404
                reply = await readers[name].post(
                    "/api/posts", {"text": "x", "reply_to": post["id"]}
                )
                assert reply.status_code == 422


async def test_home_feed_shows_followers_all_posts_that_they_may_read(
    readers: dict[str, Member],
) -> None:
    author = readers["author"]
    for kind in VISIBLE:
        await author.write(kind, visibility=kind)
    assert [item["text"] for item in await readers["follower"].home()] == [
        "followers", "university", "public",
    ]  # fmt: skip
    assert await readers["member"].home() == []


async def test_blocked_member_never_sees_posts_of_blocker(
    client: httpx.AsyncClient, readers: dict[str, Member]
) -> None:
    """Even if they followed, and the post was in their timeline before the block."""
    author, follower = readers["author"], readers["follower"]
    await author.write("before the block")
    assert len(await follower.home()) == 1
    await author.put(f"/api/users/{follower.username}/block")
    assert await follower.home() == []
    assert (await follower.get(f"/api/users/{author.username}")).status_code == 404
    assert (await follower.put(f"/api/users/{author.username}/follow")).status_code == 404
    found = (await follower.get("/api/search/users", params={"q": author.username})).json()["items"]
    assert found == []
    found = (await author.get("/api/search/users", params={"q": follower.username})).json()["items"]
    assert found == []
    anybody = (await client.get("/api/search/users", params={"q": author.username})).json()["items"]
    assert len(anybody) == 1


async def test_private_profile_is_for_its_followers(
    client: httpx.AsyncClient, readers: dict[str, Member]
) -> None:
    author = readers["author"]
    post = await author.write("public words of a private profile")
    assert (await author.patch("/api/users/me", {"is_private": True})).json()["is_private"] is True
    path = f"/api/posts/{post['id']}"
    assert (await readers["follower"].get(path)).status_code == 200
    assert (await readers["member"].get(path)).status_code == 404
    assert (await client.get(path)).status_code == 404
    follow = await readers["member"].put(f"/api/users/{author.username}/follow")
    assert follow.status_code == 202
    assert (await readers["member"].get(path)).status_code == 404
    followers = await readers["member"].get(f"/api/users/{author.username}/followers")
    assert followers.status_code == 403
    found = await client.get("/api/search/users", params={"q": author.username})
    assert found.json()["items"] == []
    found = await readers["member"].get("/api/search/users", params={"q": author.username})
    assert len(found.json()["items"]) == 1


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("chitlaq_feed", "SELECT password_hash FROM auth.accounts"),
        ("chitlaq_search", "SELECT * FROM auth.accounts"),
        ("chitlaq_websocket", "SELECT * FROM auth.sessions"),
        ("chitlaq_gateway", "SELECT * FROM auth.registration_links"),
        ("chitlaq_feed", "SELECT * FROM mail.messages"),
        ("chitlaq_search", "SELECT * FROM feed.members"),
        ("chitlaq_search", "SELECT * FROM feed.posts"),
        ("chitlaq_websocket", "SELECT * FROM feed.posts"),
        ("chitlaq_auth", "SELECT * FROM feed.posts"),
        ("chitlaq_auth", "INSERT INTO feed.follows SELECT id, id FROM feed.member_cards"),
        ("chitlaq_feed", "CREATE TABLE feed.mine (id integer)"),
        ("chitlaq_feed", "SELECT * FROM demo.seedings"),
        ("chitlaq_ops", "SELECT * FROM mail.messages"),
        ("chitlaq_ops", "SELECT * FROM auth.accounts"),
        ("chitlaq_ops", "SELECT * FROM feed.posts"),
        ("chitlaq_backup", "SELECT * FROM auth.accounts"),
    ],
)
async def test_service_role_cannot_access_other_schemas(
    stack: Stack, role: str, statement: str
) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stack.sql(statement, role=role)
