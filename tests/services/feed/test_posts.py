"""Posts: what is said in them, who is told of them, and what is left when they go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from PIL import Image

from chitlaq.core.data import named_queries
from tests.conftest import Member, Stack, eventually

Join = Callable[..., Awaitable[Member]]


@pytest.fixture
async def author(join: Join) -> Member:
    return await join()


@pytest.fixture
async def reader(join: Join, author: Member) -> Member:
    """Follows the author."""
    member = await join()
    assert (await member.put(f"/api/users/{author.username}/follow")).status_code == 204
    return member


async def post_of(reader: Member, post: dict[str, Any]) -> dict[str, Any]:
    answer = await reader.get(f"/api/posts/{post['id']}")
    assert answer.status_code == 200, answer.text
    seen: dict[str, Any] = answer.json()
    return seen


@asynccontextmanager
async def lasting(stack: Stack) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Connect for several statements."""
    connection = await asyncpg.connect(stack.dsn("postgres"))
    try:
        yield connection
    finally:
        await connection.close()


async def is_waiting(stack: Stack, query: str) -> bool:
    return bool(
        await stack.sql(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1",
            f"%{query}%",
        )
    )


async def test_an_empty_change_changes_nothing(stack: Stack, author: Member) -> None:
    post = await author.write("as it was")
    for change in ({}, {"text": "as it was"}, {"visibility": "public"}, {"content_warning": None}):
        answer = await author.patch(f"/api/posts/{post['id']}", change)
        assert (answer.status_code, answer.json()) == (200, post)
    (kept,) = await stack.sql(
        "SELECT version, edited_at, (SELECT count(*) FROM feed.post_edits WHERE post_id = id) AS edits"
        " FROM feed.posts WHERE id = $1::text::uuid",
        post["id"],
    )
    assert tuple(kept) == (1, None, 0)


async def test_an_edit_shows_at_once_and_says_when(author: Member, reader: Member) -> None:
    post = await author.write("#first words", content_warning="none")
    assert (await reader.home())[0]["text"] == "#first words"
    changed = await author.patch(
        f"/api/posts/{post['id']}", {"text": "#second words", "content_warning": None}
    )
    assert changed.status_code == 200
    (seen,) = await reader.home()
    assert seen == await post_of(reader, post) == changed.json()
    assert (seen["text"], seen["tags"], seen["content_warning"]) == (
        "#second words",
        ["second"],
        None,
    )
    assert seen["edited_at"] is not None


async def test_a_new_name_shows_at_once(author: Member, reader: Member) -> None:
    await author.write("mine")
    assert (await reader.home())[0]["author"]["display_name"] != "Anew"
    assert (await author.patch("/api/users/me", {"display_name": "Anew"})).status_code == 200
    assert (await reader.home())[0]["author"]["display_name"] == "Anew"


async def test_of_a_deleted_post_no_word_is_kept(
    stack: Stack, author: Member, reader: Member
) -> None:
    post = await author.write("#secret for @nobody", content_warning="secret")
    await author.patch(f"/api/posts/{post['id']}", {"text": "another #secret"})
    for what in ("like", "repost"):
        assert (await reader.put(f"/api/posts/{post['id']}/{what}")).status_code == 204
    assert (await author.delete(f"/api/posts/{post['id']}")).status_code == 204
    (row,) = await stack.sql(
        "SELECT text, content_warning, likes_count, reposts_count,"
        " (SELECT count(*) FROM feed.post_tags WHERE post_id = $1::text::uuid) AS tags,"
        " (SELECT count(*) FROM feed.post_edits WHERE post_id = $1::text::uuid) AS edits,"
        " (SELECT count(*) FROM feed.likes WHERE post_id = $1::text::uuid) AS likes,"
        " (SELECT count(*) FROM feed.reposts WHERE post_id = $1::text::uuid) AS reposts"
        " FROM feed.posts WHERE id = $1::text::uuid",
        post["id"],
    )
    assert tuple(row) == ("", None, 0, 0, 0, 0, 0, 0)
    assert await reader.home() == []
    assert (await reader.get(f"/api/posts/{post['id']}")).status_code == 404


async def test_nothing_that_others_did_outlives_a_deletion(
    stack: Stack, author: Member, reader: Member
) -> None:
    """Whoever likes, shares or keeps a post in the moment of its deletion."""
    verbs = ("like", "repost", "bookmark")
    posts = [(await author.write(f"number {number}"))["id"] for number in range(8)]
    for post in posts:
        await asyncio.gather(
            *(reader.put(f"/api/posts/{post}/{verb}") for verb in verbs),
            author.delete(f"/api/posts/{post}"),
            *(author.put(f"/api/posts/{post}/{verb}") for verb in verbs),
        )
    for table in ("likes", "reposts", "bookmarks"):
        (left,) = await stack.sql(
            f"SELECT count(*) FROM feed.{table} WHERE post_id = ANY ($1::text[]::uuid[])", posts
        )
        assert left["count"] == 0, table


async def test_a_key_stands_for_its_post_while_there_is_one(author: Member) -> None:
    body, key = {"text": "once"}, {"Idempotency-Key": "key"}
    post = (await author.post("/api/posts", body, **key)).json()
    await author.patch(f"/api/posts/{post['id']}", {"text": "edited"})
    again = await author.post("/api/posts", body, **key)
    assert (again.status_code, again.json()["id"], again.json()["text"]) == (
        201,
        post["id"],
        "edited",
    )
    other = await author.post("/api/posts", {"text": "twice"}, **key)
    assert (other.status_code, list(other.json()["errors"])) == (409, ["Idempotency-Key"])
    await author.delete(f"/api/posts/{post['id']}")
    gone = await author.post("/api/posts", body, **key)
    assert gone.status_code == 409
    assert "deleted" in gone.json()["errors"]["Idempotency-Key"]


async def test_what_one_did_can_be_undone_after_losing_access(
    author: Member, reader: Member
) -> None:
    post = await author.write("for many")
    for what in ("like", "repost"):
        assert (await reader.put(f"/api/posts/{post['id']}/{what}")).status_code == 204
    assert (
        await author.patch(f"/api/posts/{post['id']}", {"visibility": "self"})
    ).status_code == 200
    for what in ("like", "repost"):
        assert (await reader.put(f"/api/posts/{post['id']}/{what}")).status_code == 404
        assert (await reader.delete(f"/api/posts/{post['id']}/{what}")).status_code == 204
    seen = await post_of(author, post)
    assert (seen["likes"], seen["reposts"]) == (0, 0)


async def test_replies_are_counted_for_those_who_may_read_them(
    join: Join, author: Member, reader: Member
) -> None:
    stranger = await join()
    post = await author.write("a question")

    async def counts() -> list[int]:
        return [(await post_of(one, post))["replies"] for one in (author, reader, stranger)]

    await stranger.write("for all", reply_to=post["id"])
    own = await reader.write("for me", reply_to=post["id"], visibility="self")
    assert await counts() == [1, 2, 1]
    await author.write("for my followers", reply_to=post["id"], visibility="followers")
    assert await counts() == [2, 3, 1]
    # A reply of a private account is for its followers.
    await reader.patch(f"/api/posts/{own['id']}", {"visibility": "public"})
    assert await counts() == [3, 3, 2]
    await reader.patch("/api/users/me", {"is_private": True})
    assert await counts() == [2, 3, 1]
    await reader.patch("/api/users/me", {"is_private": False})
    assert await counts() == [3, 3, 2]
    # A block hides and uncounts in both directions.
    await author.put(f"/api/users/{stranger.username}/block")
    seen = await post_of(reader, post)
    assert (await post_of(author, post))["replies"] == 2
    assert seen["replies"] == 3
    await reader.delete(f"/api/posts/{own['id']}")
    assert (await post_of(author, post))["replies"] == 1


async def test_going_private_moves_the_counts_of_ones_own_threads(
    join: Join, author: Member, reader: Member
) -> None:
    stranger = await join()
    post = await author.write("one")
    await author.write("two", reply_to=post["id"])
    await stranger.write("three", reply_to=post["id"])

    async def count(reader: Member) -> int:
        return int((await post_of(reader, post))["replies"])

    for is_private in (True, False, True, False):
        answer = await author.patch("/api/users/me", {"is_private": is_private})
        assert answer.status_code == 200, answer.text
        assert await count(author) == await count(reader) == 2
    assert await count(stranger) == 2


async def test_a_reply_that_is_written_while_its_author_goes_private_is_counted_for_followers_only(
    stack: Stack, join: Join, author: Member, reader: Member
) -> None:
    stranger = await join()
    post = await stranger.write("a question")
    async with lasting(stack) as other, other.transaction():
        await other.execute(
            "UPDATE feed.members SET is_private = true WHERE username = $1", author.username
        )
        writing = asyncio.create_task(author.write("an answer", reply_to=post["id"]))
        await eventually(lambda: is_waiting(stack, "insert_post"))
    await writing
    assert [(await post_of(one, post))["replies"] for one in (reader, stranger)] == [1, 0]


async def test_who_is_chosen_to_end_a_deadlock_does_what_was_asked(
    stack: Stack, author: Member, reader: Member
) -> None:
    post = await author.write("to be liked no more")
    path = f"/api/posts/{post['id']}/like"

    async def is_chosen() -> bool:
        """Whether PostgreSQL ends what the service asked for, and not what stands against it."""
        await reader.put(path)
        async with lasting(stack) as other:
            # Who waits for this long looks for a deadlock, once, and is ended if there is one.
            await other.execute("SET deadlock_timeout = '5s'")
            trial = other.transaction()
            await trial.start()
            await other.execute("SELECT FROM feed.likes WHERE post_id = $1 FOR UPDATE", post["id"])
            unliking = asyncio.create_task(reader.delete(path))
            await eventually(lambda: is_waiting(stack, "unlike"))
            try:
                await other.execute(
                    "UPDATE feed.posts SET likes_count = likes_count WHERE id = $1", post["id"]
                )
            except asyncpg.DeadlockDetectedError:
                was_chosen = False  # It had looked before this one waited too.
            else:
                was_chosen = True
            await trial.rollback()
        assert (await unliking).status_code == 204
        return was_chosen

    await eventually(is_chosen)


async def test_a_widened_post_reaches_timelines(author: Member, reader: Member) -> None:
    await author.write("before")
    post = await author.write("a draft", visibility="self")
    assert [one["text"] for one in await reader.home()] == ["before"]
    await author.patch(f"/api/posts/{post['id']}", {"visibility": "followers"})

    async def arrived() -> bool:
        return [one["text"] for one in await reader.home()] == ["a draft", "before"]

    await eventually(arrived)
    await author.patch(f"/api/posts/{post['id']}", {"visibility": "self"})
    assert [one["text"] for one in await reader.home()] == ["before"]


async def test_a_repost_reaches_the_followers_of_who_shares_it(
    join: Join, author: Member, reader: Member
) -> None:
    follower = await join()
    await follower.put(f"/api/users/{reader.username}/follow")
    assert await follower.home() == []
    post = await author.write("worth sharing")
    for _ in range(2):
        assert (await reader.put(f"/api/posts/{post['id']}/repost")).status_code == 204
    (seen,) = await follower.home()
    assert (seen["id"], seen["reposted_by"]["username"]) == (post["id"], reader.username)
    assert seen["reposts"] == 1
    assert (await post_of(reader, post))["reposted"] is True
    # Who follows the author too sees it once, as the author's.
    await follower.put(f"/api/users/{author.username}/follow")
    (seen,) = await follower.home()
    assert "reposted_by" not in seen
    await follower.delete(f"/api/users/{author.username}/follow")
    assert (await reader.delete(f"/api/posts/{post['id']}/repost")).status_code == 204
    assert await follower.home() == []


async def test_only_posts_for_many_are_reposted(author: Member, reader: Member) -> None:
    post = await author.write("between us", visibility="followers")
    answer = await reader.put(f"/api/posts/{post['id']}/repost")
    assert (answer.status_code, (await post_of(author, post))["reposts"]) == (403, 0)


async def test_a_quote_shows_what_its_reader_may_read(
    join: Join, author: Member, reader: Member
) -> None:
    stranger = await join()
    quoted = await author.write("the original", quotable_by="followers")
    refused = await stranger.post("/api/posts", {"text": "see", "quote_of": quoted["id"]})
    assert (refused.status_code, list(refused.json()["errors"])) == (422, ["quote_of"])
    quote = await reader.write("see", quote_of=quoted["id"])
    seen = await post_of(stranger, quote)
    assert (seen["quote"]["id"], seen["quote"]["text"]) == (quoted["id"], "the original")
    await author.put(f"/api/users/{stranger.username}/block")
    seen = await post_of(stranger, quote)
    assert (seen["quote_of"], seen["quote"]) == (quoted["id"], None)
    await author.delete(f"/api/posts/{quoted['id']}")
    assert (await post_of(reader, quote))["quote"] is None


async def test_a_post_for_the_mentioned_is_read_by_them_alone(
    join: Join, author: Member, reader: Member
) -> None:
    friend = await join()
    post = await author.write(f"@{friend.username}, a word", visibility="mentioned")
    assert post["mentions"] == [friend.username]
    assert (await post_of(friend, post))["text"] == post["text"]
    assert (await reader.get(f"/api/posts/{post['id']}")).status_code == 404
    assert await reader.home() == []


async def test_pages_count_what_the_reader_may_read(
    join: Join, author: Member, reader: Member
) -> None:
    other = await join()
    await reader.put(f"/api/users/{other.username}/follow")
    texts = []
    for number in range(6):
        texts.append((await author.write(f"kept {number}"))["text"])
        await other.write(f"hidden {number}", visibility="public")
    await other.put(f"/api/users/{reader.username}/block")
    by_number = [
        item["text"] for page in (1, 2, 3) for item in await reader.home(page=page, limit=2)
    ]
    assert by_number == texts[::-1]


async def test_a_cursor_neither_skips_nor_repeats_while_others_post_and_delete(
    author: Member, reader: Member
) -> None:
    posts = [await author.write(f"number {number}") for number in range(6)]
    first = (await reader.get("/api/feed/home", params={"limit": 2})).json()
    await author.delete(f"/api/posts/{posts[5]['id']}")
    await author.write("newer")
    second = (
        await reader.get("/api/feed/home", params={"limit": 2, "cursor": first["next_cursor"]})
    ).json()
    assert [item["text"] for item in second["items"]] == ["number 3", "number 2"]
    third = await reader.get("/api/feed/home", params={"limit": 2, "cursor": second["next_cursor"]})
    assert [item["text"] for item in third.json()["items"]] == ["number 1", "number 0"]
    assert third.json()["next_cursor"] is None


async def test_after_gives_what_is_new_since(join: Join, author: Member, reader: Member) -> None:
    sharer = await join()
    await reader.put(f"/api/users/{sharer.username}/follow")
    old = await author.write("old")
    strange = await (await join()).write("a stranger's")
    await sharer.put(f"/api/posts/{strange['id']}/repost")
    new = [await author.write(f"new {number}") for number in range(3)]
    assert [item["id"] for item in await reader.home(after=old["id"])] == [
        *(post["id"] for post in reversed(new)),
        strange["id"],
    ]
    shared = (await reader.home())[3]
    since = shared["reposted_by"]["id"]
    assert [item["id"] for item in await reader.home(after=since, limit=2)] == [
        new[2]["id"],
        new[1]["id"],
    ]
    assert await reader.home(after=new[2]["id"]) == []
    assert (await reader.get("/api/feed/home?after=yesterday")).status_code == 422


async def test_a_plain_request_is_counted_under_its_route(stack: Stack, reader: Member) -> None:
    async def counted() -> float:
        text = (await reader.client.get(f"http://127.0.0.1:{stack.ports['feed']}/metrics")).text
        wanted = 'http_requests_total{method="GET",route="/feed/home",service="feed-service",status="200"} '
        return sum(
            float(line[len(wanted) :]) for line in text.splitlines() if line.startswith(wanted)
        )

    before = await counted()
    assert (await reader.get("/api/feed/home?limit=5")).status_code == 200
    assert await counted() == before + 1


async def test_a_plain_request_is_answered_as_any_other(author: Member, reader: Member) -> None:
    await author.write("one", visibility="university")
    await reader.put(f"/api/posts/{(await author.write('two'))['id']}/repost")
    for query in ("", "limit=1", "limit=1&page=2", "page=3&limit=100"):
        hot = await reader.get(f"/api/feed/home?{query}")
        # A percent sign leads to the handler.
        encoded = query.replace("i", "%69").replace("page", "p%61ge") or "%6cimit=20"
        framework = await reader.get(f"/api/feed/home?{encoded}")
        assert (hot.status_code, hot.json()) == (200, framework.json())
        assert hot.headers["content-type"] == framework.headers["content-type"]
    for query in ("limit=0", "limit=101", "limit=x", "page=0", "cursor=!", "cursor=AAAA", "x=1"):
        answer = await reader.get(f"/api/feed/home?{query}")
        assert answer.status_code == 422, query
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_post_of_pictures_needs_no_text_and_takes_each_picture_once(
    author: Member, reader: Member
) -> None:
    picture = await _picture(author)
    for body, field in [
        ({"media_ids": [picture, picture]}, "media_ids"),
        ({"media_ids": [str(uuid4())]}, "media_ids"),
        ({"text": " ", "media_ids": [picture]}, "text"),
        ({}, "text"),
    ]:
        refused = await author.post("/api/posts", body)
        assert (refused.status_code, list(refused.json()["errors"])) == (422, [field]), body
    assert (await reader.post("/api/posts", {"media_ids": [picture]})).status_code == 422
    post = await author.write("", media_ids=[picture])

    async def is_ready() -> bool:
        (seen,) = await reader.home()
        (shown,) = seen["media"]
        assert (seen["text"], shown["id"], shown["alt"]) == ("", picture, "A red square")
        return shown["blurhash"] is not None

    await eventually(is_ready)
    url = (await post_of(reader, post))["media"][0]["url"]
    assert (await reader.get(url)).status_code == 200
    assert (await author.post("/api/posts", {"media_ids": [picture]})).status_code == 422
    # It may get one later, and lose it again; what was said stays in its history.
    tag = f"t{author.username}"
    for text in (f"#{tag} for a moment", ""):
        edited = await author.patch(f"/api/posts/{post['id']}", {"text": text})
        assert (edited.status_code, edited.json()["text"]) == (200, text)
    assert (await reader.get(f"/api/feed/tags/{tag}")).json()["items"] == []
    history = (await reader.get(f"/api/posts/{post['id']}/history")).json()
    assert [one["text"] for one in history] == [f"#{tag} for a moment", ""]
    words = await author.write("words alone")
    for one, text in ((post, " "), (words, ""), (words, " ")):
        refused = await author.patch(f"/api/posts/{one['id']}", {"text": text})
        assert (refused.status_code, refused.json()["errors"]) == (
            422,
            {"text": "must not be empty"},
        )
    await author.patch(f"/api/posts/{post['id']}", {"visibility": "self"})
    assert (await reader.get(url)).status_code == 404


async def test_a_members_posts_are_read_without_replies_and_by_pictures(
    author: Member, reader: Member
) -> None:
    first = await author.write("first")
    await author.write("reply", reply_to=first["id"])
    await author.write("", media_ids=[await _picture(author)], reply_to=first["id"])
    await author.write("hidden", media_ids=[await _picture(author)], visibility="self")
    await author.write("last", media_ids=[await _picture(author)])

    async def texts(reader: Member, **params: Any) -> list[str]:
        path = f"/api/users/{author.username}/posts"
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await reader.get(path, params={**params, "limit": 1, "cursor": cursor})).json()
            found += [one["text"] for one in page["items"]]
            cursor = page["next_cursor"]
        return found

    assert await texts(reader) == ["last", "", "reply", "first"]
    assert await texts(reader, exclude_replies=True) == ["last", "first"]
    assert await texts(reader, only_media=True) == ["last", ""]
    assert await texts(author, only_media=True, exclude_replies=True) == ["last", "hidden"]


async def _picture(author: Member) -> str:
    png = BytesIO()
    Image.new("RGB", (40, 30), "red").save(png, "PNG")
    answer = await author.client.post(
        "/api/media",
        files={"file": ("red.png", png.getvalue())},
        data={"alt": "A red square"},
        headers=author.headers,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


PLANS = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1"
"""PostgreSQL makes five for the values at hand before it takes the one for all."""


def queries() -> dict[str, named_queries.NamedQuery]:
    packages = (
        "chitlaq.services.feed",
        *(f"chitlaq.services.feed.{one}" for one in ("posts", "graph")),
    )
    return {one.name: one for one in named_queries.load(*packages)}


async def test_one_post_is_read_with_one_plan(stack: Stack, author: Member) -> None:
    """To plan what a viewer may read takes PostgreSQL ten times as long as to read a post."""
    query = queries()["readable"]
    post = await author.write("planned once")
    connection = await asyncpg.connect(stack.dsn("chitlaq_feed"))
    try:
        statement = await connection.prepare(query.sql)
        for _ in range(12):
            (read,) = await statement.fetch(author.id, [post["id"]])
            assert str(read["id"]) == post["id"]
        plans = await connection.fetch(PLANS, query.sql)
    finally:
        await connection.close()
    assert [tuple(one) for one in plans] == [(7, 5)]


async def test_a_members_posts_and_lists_are_read_with_one_plan(
    stack: Stack, author: Member, reader: Member
) -> None:
    """Whichever page is asked for, of few or of many."""
    post = await author.write("listed with one plan")
    await reader.put(f"/api/users/{author.username}/follow")
    connection = await asyncpg.connect(stack.dsn("chitlaq_feed"))
    try:
        for name, of, more in [
            ("posts_of_member", author, (False, False)),
            ("followers", author, ()),
            ("following", reader, ()),
        ]:
            query = queries()[name]
            statement = await connection.prepare(query.sql)
            for page in range(12):
                cursor = UUID(int=2**128 - 1 if more else 0) if page % 2 else None
                read = await statement.fetch(reader.id, of.id, cursor, 0, 21, *more)
                assert str(read[0]["id"]) in {post["id"], author.id, reader.id}
            plans = await connection.fetch(PLANS, query.sql)
            assert [tuple(one) for one in plans] == [(7, 5)], name
            assert query.is_prepared, name
    finally:
        await connection.close()
