"""Servers are killed while a picture is rendered, a draft is published, and posts are delivered.

Attacks the promises that an accepted picture is shown, without a file too many, that a scheduled post is
published once, and that a post reaches all who follow its author.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from chitlaq.services.feed.timelines.cache import STEP
from tests.conftest import Member, Stack, eventually
from tests.faults.test_departures import held_up, is_waiting, kill
from tests.faults.test_media import renderers
from tests.services.feed.crowd import Crowd, Someone
from tests.services.feed.pictures import encoded, picture, upload
from tests.services.feed.test_drafts import DRAFTS, keep, later, make_due, written
from tests.services.feed.test_media import stored

Join = Callable[..., Awaitable[Member]]


async def test_picture_is_rendered_although_the_service_is_killed_meanwhile(
    stack: Stack, join: Join
) -> None:
    """While the confined process works, and when the files are stored and the row does not say so yet."""
    ada = await join()
    made = (await upload(ada, encoded(picture(2500, 2500)))).json()
    await eventually(lambda: bool(renderers(stack)))
    await kill(stack, "feed-service")
    async with held_up(stack, "feed.media_files"):
        await eventually(lambda: is_waiting(stack, "INSERT INTO feed.media_files"))
        await kill(stack, "feed-service")

    async def is_ready() -> bool:
        answer = await ada.get(f"/api/media/{made['id']}")
        assert answer.status_code == 200
        assert answer.json()["state"] != "failed"
        return bool(answer.json()["state"] == "ready")

    await eventually(is_ready)
    (row,) = await stack.sql("SELECT name FROM feed.media WHERE id = $1", made["id"])

    async def is_what_the_rows_say() -> bool:
        objects = await stack.sql(
            "SELECT object FROM feed.media_objects WHERE object LIKE '%' || $1 || '%'", row["name"]
        )
        return {one["object"] for one in objects} == {
            file for file in stored(stack) if row["name"] in file
        }

    await eventually(is_what_the_rows_say)
    assert list((stack.home / "uploads").iterdir()) == []


async def test_draft_is_published_once_although_the_service_is_killed_meanwhile(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    await ben.put(f"/api/users/{ada.username}/follow")
    draft = await keep(ada, "once #killed", scheduled_at=later(hours=1))
    async with held_up(stack, "feed.post_tags"):
        await make_due(stack, draft)
        await eventually(lambda: is_waiting(stack, "INSERT INTO feed.post_tags"))
        await kill(stack, "feed-service")

    async def seen() -> list[dict[str, Any]]:
        answer = await ben.get("/api/feed/home")
        assert answer.status_code == 200
        return [one for one in answer.json()["items"] if one["text"] == "once #killed"]

    await eventually(seen)
    assert len(await seen()) == 1
    assert await written(ada) == ["once #killed"]
    assert (await ada.get(DRAFTS)).json()["items"] == []


async def test_posts_reach_all_followers_although_servers_are_killed_amid_their_delivery(
    stack: Stack, join: Join
) -> None:
    """Each acknowledged post is once in each home, though the cache, the worker or the database died."""
    ada = await join()
    async with Crowd(stack) as crowd:
        followers = await crowd.join(STEP + 20)
        await stack.sql(
            "WITH new AS (INSERT INTO feed.follows (follower_id, followed_id)"
            "  SELECT f, $1 FROM unnest($2::uuid[]) f RETURNING follower_id)"
            " UPDATE feed.members m SET following_count = following_count + (m.id <> $1)::integer,"
            "  followers_count = followers_count"
            "   + CASE WHEN m.id = $1 THEN cardinality($2::uuid[]) ELSE 0 END"
            " WHERE m.id = $1 OR m.id IN (SELECT follower_id FROM new)",
            ada.id,
            [one.id for one in followers],
        )
        acknowledged: list[str] = []

        async def is_right(reader: Someone) -> bool:
            items = (await reader.json("/feed/home?page=1&limit=100"))["items"]
            found = [item["id"] for item in items]
            return len(found) == len(set(found)) and set(acknowledged) <= set(found)

        async def are_all_right() -> bool:
            return all(await asyncio.gather(*map(is_right, followers)))

        for victim in ("redis", "feed-service", "postgres"):
            # From now on, all have timelines to which posts are added.
            await eventually(are_all_right)
            pid = (await asyncio.to_thread(stack.ps))[victim]["pid"]
            writing = [
                asyncio.create_task(ada.post("/api/posts", {"text": f"{victim} {number}"}))
                for number in range(8)
            ]
            await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)
            os.kill(pid, signal.SIGKILL)
            answers = await asyncio.gather(*writing, return_exceptions=True)
            written = [
                one for one in answers if isinstance(one, httpx.Response) and one.status_code == 201
            ]
            assert written, answers
            acknowledged += [one.json()["id"] for one in written]
        await eventually(are_all_right)
