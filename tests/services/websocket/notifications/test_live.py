"""Notifications arrive on every device; what was missed comes with resume; what is kept apart does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection

from chitlaq.core.data.jobs import POLL_SECONDS
from chitlaq.services.websocket.notifications.live import MAX_REPLAYED
from tests.conftest import Member, Stack, eventually
from tests.services.websocket.chat.talking import connected, quiet, received, until
from tests.services.websocket.notifications.test_notifications import told

Join = Callable[[], Awaitable[Member]]


async def resumed(socket: ClientConnection, since: str) -> list[dict[str, Any]]:
    """What is replayed after a position."""
    await quiet(socket)
    await socket.send(json.dumps({"type": "resume", "conversations": {}, "notifications": since}))
    return (await until(socket, "resumed"))[:-1]


async def test_every_device_hears_what_is_new_has_grown_shrunk_and_gone(
    stack: Stack, join: Join
) -> None:
    ada, ben, cem = [await join() for _ in range(3)]
    post = await ada.write("Hello")
    async with connected(stack, ada) as phone, connected(stack, ada) as laptop:
        await ben.put(f"/api/posts/{post['id']}/like")
        for device in (phone, laptop):
            frame = await received(device, "notification")
            assert (frame["unseen"], frame["unread"]) == (1, 1)
            assert frame["notification"] == (await told(ada))[0]
        await cem.put(f"/api/posts/{post['id']}/like")
        grown = await received(phone, "notification")
        assert grown["notification"]["count"] == 2
        assert grown["notification"]["id"] == frame["notification"]["id"]
        assert grown["unread"] == 1
        await cem.delete(f"/api/posts/{post['id']}/like")
        shrunk = await received(phone, "notification")
        assert [one["username"] for one in shrunk["notification"]["actors"]] == [ben.username]
        await ben.delete(f"/api/posts/{post['id']}/like")
        removed = await received(phone, "notification_removed")
        assert removed["id"] == frame["notification"]["id"]
        assert (removed["unseen"], removed["unread"]) == (0, 0)


async def test_what_happens_is_told_long_before_the_next_poll(stack: Stack, join: Join) -> None:
    """Each like follows the frame of the one before: a poll would come a whole period later."""
    ada, ben = await join(), await join()
    posts = [await ada.write("Hello") for _ in range(6)]
    loop, waited = asyncio.get_running_loop(), []
    async with connected(stack, ada) as device:
        for post in posts:
            began = loop.time()
            await ben.put(f"/api/posts/{post['id']}/like")
            await received(device, "notification")
            waited.append(loop.time() - began)
    # The quickest, since others use this machine, too. The first may have met a poll.
    assert min(waited[1:]) < POLL_SECONDS * 0.6


async def test_what_is_read_on_one_device_is_read_on_the_others(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    post = await ada.write("Hello")
    await ben.put(f"/api/posts/{post['id']}/like")
    (one,) = await eventually(lambda: told(ada))
    async with connected(stack, ada) as phone:
        await ada.post("/api/notifications/read", {"seen_until": one["id"]})
        assert await received(phone, "notifications_read") == {
            "type": "notifications_read",
            "seen_until": one["updated_at"],
            "until": None,
            "unseen": 0,
            "unread": 1,
        }
        await ada.post("/api/notifications/read", {"until": one["id"]})
        read = await received(phone, "notifications_read")
        assert (read["until"], read["unread"]) == (one["updated_at"], 0)


async def test_resume_brings_what_is_new_shrunk_and_gone_and_then_how_far_one_has_read(
    stack: Stack, join: Join
) -> None:
    ada, ben, cem = [await join() for _ in range(3)]
    gone, shrunk, new = [await ada.write(text) for text in ("gone", "shrunk", "new")]
    for post, fan in ((gone, ben), (shrunk, ben), (shrunk, cem)):
        await fan.put(f"/api/posts/{post['id']}/like")

    async def liked() -> list[dict[str, Any]] | None:
        found = await told(ada)
        return found if [one["count"] for one in found] in ([2, 1], [1, 2]) else None

    known = {one["post"]["text"]: one for one in await eventually(liked)}
    since = max(one["updated_at"] for one in known.values())
    # As if they had been told long before.
    await stack.sql(
        "UPDATE websocket.notifications SET position = position - interval '1 hour'"
        " WHERE id = ANY ($1::uuid[])",
        [one["id"] for one in known.values()],
    )
    await ben.delete(f"/api/posts/{gone['id']}/like")
    await cem.delete(f"/api/posts/{shrunk['id']}/like")
    await ben.put(f"/api/posts/{new['id']}/like")
    await eventually(lambda: _texts(ada, {"shrunk", "new"}))
    async with connected(stack, ada) as device:
        for position in (since, known["shrunk"]["id"]):
            frames = await resumed(device, position)
            removed, *others, last = frames
            assert (removed["type"], removed["id"]) == ("notification_removed", known["gone"]["id"])
            assert [one["notification"]["post"]["text"] for one in others] == ["shrunk", "new"]
            assert [one["notification"]["count"] for one in others] == [1, 1]
            assert (last["type"], last["unread"]) == ("notifications_read", 2)
        for since in ("yesterday", "0001-01-01T00:00:00+14:00"):
            body = {"type": "resume", "conversations": {}, "notifications": since}
            await device.send(json.dumps(body))
            assert (await received(device, "error"))["status"] == 422
        # Later than any calendar.
        await resumed(device, "ffffffff-ffff-7fff-bfff-ffffffffffff")
        await device.send('{"type":"resume","conversations":{}}')
        assert len(await until(device, "resumed")) == 1


async def _texts(member: Member, wanted: set[str]) -> bool:
    found = await told(member)
    return {one["post"]["text"] for one in found} == wanted and all(
        one["count"] == 1 for one in found
    )


async def test_more_than_is_replayed_is_left_to_the_list(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    post = await ada.write("Hello")
    await ben.put(f"/api/posts/{post['id']}/like")
    (one,) = await eventually(lambda: told(ada))
    await stack.sql(
        "INSERT INTO websocket.notifications (recipient_id, kind, subject_id, position, count)"
        " SELECT $1, 'moderation', $1, now() - n * interval '1 ms', 1 FROM generate_series(1, $2) n",
        ada.id,
        MAX_REPLAYED,
    )
    async with connected(stack, ada) as device:
        frames = await resumed(device, "1970-01-01T00:00:00Z")
        assert [frame["type"] for frame in frames] == ["notifications_gap", "notifications_read"]
        assert frames[0]["until"] == one["updated_at"]


async def test_what_is_kept_apart_is_not_told_live(stack: Stack, join: Join) -> None:
    ada, ben = await join(), await join()
    post = await ada.write("Hello")
    await ben.put(f"/api/posts/{post['id']}/like")
    await eventually(lambda: told(ada))
    await stack.sql(
        "UPDATE websocket.notifications SET is_filtered = true WHERE recipient_id = $1", ada.id
    )
    async with connected(stack, ada) as device:
        frames = await resumed(device, "1970-01-01T00:00:00Z")
        assert [frame["type"] for frame in frames] == ["notifications_read"]


async def test_group_that_grows_without_pause_is_sent_a_few_times_a_second(
    stack: Stack, join: Join
) -> None:
    """However many like a post, a device gets few frames, and the last one is how it is."""
    ada, *fans = [await join() for _ in range(9)]
    post = await ada.write("Hello")
    async with connected(stack, ada) as device:
        began = asyncio.get_running_loop().time()
        for _ in range(3):
            await asyncio.gather(*(fan.put(f"/api/posts/{post['id']}/like") for fan in fans))
            await asyncio.gather(*(fan.delete(f"/api/posts/{post['id']}/like") for fan in fans))
        await asyncio.gather(*(fan.put(f"/api/posts/{post['id']}/like") for fan in fans))
        count = frames = 0
        while count < len(fans):
            frame = await received(device, "notification")
            count, frames = frame["notification"]["count"], frames + 1
        assert frames <= 2 + 4 * (asyncio.get_running_loop().time() - began)
