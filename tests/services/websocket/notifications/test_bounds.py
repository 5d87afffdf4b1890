"""Notifications of many are bounded, and none shows what its recipient may not see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from chitlaq.services.websocket.notifications.causes import PART
from tests.conftest import Stack, eventually
from tests.services.feed.crowd import Crowd, Someone

LIKED = """
WITH new AS (
    INSERT INTO feed.likes (post_id, member_id) SELECT $1, m FROM unnest($2::uuid[]) AS m
    RETURNING post_id, member_id
), counted AS (
    UPDATE feed.posts SET likes_count = cardinality($2::uuid[]) WHERE id = $1
)
INSERT INTO jobs.jobs (kind, payload, request_id)
SELECT 'notify', jsonb_build_object('type', 'reaction', 'kind', 'like', 'post_id', post_id,
                                    'author_id', $3::uuid, 'member_id', member_id), '-' FROM new
"""
CAUSES = "SELECT count(*) AS causes FROM websocket.notification_causes WHERE subject_id = $1"
ABOUT_POSTS = {"mention", "reply", "quote"}
ALWAYS = {"like", "repost", "follow"}

Listed = Callable[[Someone], Awaitable[dict[str, Any]]]


@pytest.fixture
async def listed(stack: Stack) -> AsyncIterator[Listed]:
    """Return what reads somebody's notifications."""
    base = f"http://127.0.0.1:{stack.ports['websocket']}"
    async with httpx.AsyncClient(base_url=base, timeout=60) as client:

        async def read(one: Someone) -> dict[str, Any]:
            answer = await client.get("/notifications", headers=one._headers)
            assert answer.status_code == 200, answer.text
            page: dict[str, Any] = answer.json()
            return page

        yield read


async def _has_causes(stack: Stack, post: UUID, count: int) -> bool:
    return bool((await stack.sql(CAUSES, post))[0]["causes"] == count)


@pytest.mark.parametrize("likes", [1200, pytest.param(10_000, marks=pytest.mark.long)])
async def test_likes_of_many_are_one_notification_in_few_transactions(
    stack: Stack, listed: Listed, likes: int
) -> None:
    async with Crowd(stack) as crowd:
        author, *others = await crowd.join(likes + 1)
        (post,) = await stack.sql(
            "INSERT INTO feed.posts (author_id, text) VALUES ($1, 'x') RETURNING id", author.id
        )
        await stack.sql(LIKED, post["id"], [one.id for one in others], author.id)
        await eventually(lambda: _has_causes(stack, post["id"], likes))
        page = await listed(author)
    (one,) = page["items"]
    assert (one["count"], len(one["actors"]), page["unseen"], page["unread"]) == (likes, 5, 1, 1)
    written = await stack.sql(
        "SELECT count(DISTINCT xmin::text) AS transactions FROM websocket.notification_causes"
        " WHERE subject_id = $1",
        post["id"],
    )
    assert written[0]["transactions"] <= likes / 500 + 10


@pytest.mark.parametrize("change", ["edited", "deleted"])
async def test_what_was_told_to_many_is_looked_at_in_parts(
    stack: Stack, listed: Listed, change: str
) -> None:
    """Of a poll of many, a change of its post is no transaction of all; nobody is left out."""
    many = 2 * PART + 100
    async with Crowd(stack) as crowd:
        author, *others = await crowd.join(many + 1)
        post = (await author.ask("POST", "/posts", {"text": "Which one?"})).json()["id"]
        # Nobody voted, so all of it goes when the post is looked at again.
        await stack.sql(
            "WITH told AS (INSERT INTO websocket.notified_accounts (account_id, unseen, unread)"
            " SELECT unnest($2::uuid[]), 1, 1 RETURNING account_id"
            "), begun AS (INSERT INTO websocket.notifications"
            " (recipient_id, kind, subject_id, position, count)"
            " SELECT account_id, 'poll_ended', $1, now(), 1 FROM told RETURNING id, recipient_id"
            ") INSERT INTO websocket.notification_causes"
            " (subject_id, kind, actor_id, recipient_id, notification_id, at)"
            " SELECT $1, 'poll_ended', $3, recipient_id, id, now() FROM begun",
            UUID(post),
            [one.id for one in others],
            author.id,
        )
        if change == "edited":
            await author.ask("PATCH", f"/posts/{post}", {"text": "Which one, then?"})
        else:
            await author.ask("DELETE", f"/posts/{post}")
        await eventually(lambda: _has_causes(stack, UUID(post), 0))
        page = await listed(others[-1])
        assert (page["items"], page["unread"]) == ([], 0)
    written = await stack.sql(
        "SELECT max(n) AS most, sum(n) AS all FROM (SELECT count(*) AS n"
        " FROM websocket.shrunk_notifications WHERE recipient_id = ANY ($1::uuid[]) GROUP BY xmin::text) w",
        [one.id for one in others],
    )
    assert (written[0]["most"], written[0]["all"]) == (PART, many)


async def test_post_that_mentions_fifty_is_one_job_and_is_told_to_each_once(
    stack: Stack, listed: Listed
) -> None:
    async with Crowd(stack) as crowd:
        author, *others = await crowd.join(51)
        text = " ".join(f"@{one.username}" for one in others)
        post = UUID((await author.ask("POST", "/posts", {"text": text})).json()["id"])
        jobs = await stack.sql(
            "SELECT FROM jobs.jobs WHERE kind = 'notify' AND payload->>'post_id' = $1", str(post)
        )
        assert len(jobs) <= 1
        await eventually(lambda: _has_causes(stack, post, 50))
        assert [one["kind"] for one in (await listed(others[7]))["items"]] == ["mention"]
        await author.ask("PATCH", f"/posts/{post}", {"text": f"only @{others[7].username}"})
        await eventually(lambda: _has_causes(stack, post, 1))


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("recipient blocks", set()),
        ("actor blocks", set()),
        ("actor leaves", set()),
        ("actor becomes private", ALWAYS),
        ("posts narrowed", ALWAYS),
        ("posts deleted", ALWAYS),
        ("recipient's post deleted", {"follow", *ABOUT_POSTS}),
    ],
)
async def test_nothing_is_shown_that_the_recipient_may_not_see(
    stack: Stack, listed: Listed, change: str, left: set[str]
) -> None:
    """Kind by relation: at once in the list, and in the counters when its job has run."""
    async with Crowd(stack) as crowd:
        ada, eve = await crowd.join(2)
        own = (await ada.ask("POST", "/posts", {"text": "own"})).json()["id"]
        posts = [
            (await eve.ask("POST", "/posts", {"text": text, **about})).json()["id"]
            for text, about in (
                (f"@{ada.username} secret", {}),
                ("secret", {"reply_to": own}),
                ("secret", {"quote_of": own}),
            )
        ]
        for path in (f"/posts/{own}/like", f"/posts/{own}/repost", f"/users/{ada.username}/follow"):
            await eve.ask("PUT", path)

        async def has(kinds: set[str]) -> bool:
            page = await listed(ada)
            found = [one["kind"] for one in page["items"]]
            return sorted(found) == sorted(kinds) and page["unread"] == len(kinds)

        await eventually(lambda: has(ABOUT_POSTS | ALWAYS))
        match change:
            case "recipient blocks":
                await ada.ask("PUT", f"/users/{eve.username}/block")
            case "actor blocks":
                await eve.ask("PUT", f"/users/{ada.username}/block")
            case "actor leaves":
                await stack.sql("SELECT feed.hide_member($1, true)", eve.id)
            case "actor becomes private":
                await eve.ask("PATCH", "/users/me", {"is_private": True})
            case "posts narrowed":
                for post in posts:
                    await eve.ask("PATCH", f"/posts/{post}", {"visibility": "self"})
            case "posts deleted":
                for post in posts:
                    await eve.ask("DELETE", f"/posts/{post}")
            case _:
                await ada.ask("DELETE", f"/posts/{own}")
        shown = await listed(ada)
        assert {one["kind"] for one in shown["items"]} == left
        if left <= ALWAYS:
            assert "secret" not in str(shown)
        if not left:
            assert eve.username not in str(shown)
        await eventually(lambda: has(left))
