"""feed-service is killed while it renders a picture, and while it publishes a draft.

Attacks the promises that an accepted picture is shown, without a file too many, and that a scheduled post is
published once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import Member, Stack, eventually
from tests.faults.test_departures import held_up, is_waiting, kill
from tests.faults.test_media import renderers
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
