"""Members are told once of what others do, as long as it is so and they may see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import Member, eventually

Join = Callable[[], Awaitable[Member]]


async def told(member: Member, *kinds: str) -> list[dict[str, Any]]:
    """Return a member's notifications of these kinds, or of all, the latest first."""
    answer = await member.get("/api/notifications")
    assert answer.status_code == 200, answer.text
    return [one for one in answer.json()["items"] if not kinds or one["kind"] in kinds]


async def counted(member: Member) -> tuple[int, int]:
    page = (await member.get("/api/notifications")).json()
    return page["unseen"], page["unread"]


async def test_like_is_told_once_and_goes_when_it_is_taken_back(join: Join) -> None:
    ada, grace = await join(), await join()
    post = await ada.write("Hello")
    for _ in range(2):
        assert (await grace.put(f"/api/posts/{post['id']}/like")).status_code == 204

    (one,) = await eventually(lambda: told(ada))

    assert one["kind"] == "like"
    assert one["count"] == 1
    assert [actor["username"] for actor in one["actors"]] == [grace.username]
    assert one["post"]["id"] == post["id"]
    assert one["post"]["text"] == "Hello"
    assert not one["seen"]
    assert not one["read"]
    assert await counted(ada) == (1, 1)
    await grace.delete(f"/api/posts/{post['id']}/like")
    await eventually(lambda: _is_empty(ada))
    assert await counted(ada) == (0, 0)


async def _is_empty(member: Member) -> bool:
    return not await told(member)


async def test_likes_of_a_post_are_one_notification_that_grows_until_it_is_read(join: Join) -> None:
    ada, grace, joan, mary = [await join() for _ in range(4)]
    post = await ada.write("Hello")
    await grace.put(f"/api/posts/{post['id']}/like")
    (first,) = await eventually(lambda: told(ada))
    seen = await ada.post("/api/notifications/read", {"seen_until": first["id"]})
    assert seen.json()["unseen"] == 0
    assert seen.json()["unread"] == 1

    await joan.put(f"/api/posts/{post['id']}/like")

    (grown,) = await eventually(lambda: _with(ada, count=2))
    assert grown["id"] == first["id"]
    assert grown["updated_at"] > first["updated_at"]
    assert [actor["username"] for actor in grown["actors"]] == [joan.username, grace.username]
    assert await counted(ada) == (1, 1), "grown, it is unseen again"
    read = (await ada.post("/api/notifications/read", {"until": grown["updated_at"]})).json()
    assert read == {
        "seen_until": grown["updated_at"],
        "read_until": grown["updated_at"],
        "unseen": 0,
        "unread": 0,
    }
    await mary.put(f"/api/posts/{post['id']}/like")
    newer, older = await eventually(lambda: _both(ada))
    assert newer["count"] == 1
    assert not newer["read"]
    assert (older["id"], older["count"], older["read"]) == (first["id"], 2, True)


async def _with(member: Member, count: int) -> list[dict[str, Any]]:
    return [one for one in await told(member) if one["count"] == count]


async def _both(member: Member) -> list[dict[str, Any]] | None:
    found = await told(member)
    return found if len(found) == 2 else None


async def test_reading_refuses_what_is_no_position(join: Join) -> None:
    ada = await join()
    outside = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")
    unknown = "019ac000-0000-7000-8000-000000000000"
    for until in ("", "yesterday", "2026-11-26T12:00:00", unknown, *outside):
        answer = await ada.post("/api/notifications/read", {"until": until})
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["until"]), until
    assert (await ada.post("/api/notifications/read", {})).status_code == 422
    nothing = await ada.post("/api/notifications/read", {"until": "2030-01-01T00:00:00Z"})
    assert nothing.json() == {"seen_until": None, "read_until": None, "unseen": 0, "unread": 0}
