"""Unread messages and invitations are told to those who want it, once, until they are read or answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import Member, Stack, eventually
from tests.services.websocket.chat.talking import connected, conversation, received, say
from tests.services.websocket.notifications.carried import NOTHING, carried, push_of
from tests.services.websocket.notifications.push_service import PushService
from tests.services.websocket.notifications.test_notifications import told

Join = Callable[[], Awaitable[Member]]


async def come_of_age(stack: Stack, *conversation_ids: str) -> None:
    """Let the messages of conversations be ten seconds older, and return when they were swept."""
    row, *_ = await stack.sql(
        "UPDATE websocket.messages SET sent_at = sent_at - interval '10 seconds'"
        " WHERE conversation_id = ANY ($1::uuid[]) RETURNING now()",
        conversation_ids,
    )

    async def is_swept() -> bool:
        # The next one is planned in five seconds.
        await stack.sql("UPDATE jobs.jobs SET due_at = now() WHERE kind = 'sweep_messages'")
        rows = await stack.sql(
            "SELECT FROM jobs.jobs WHERE kind = 'sweep_messages' AND (payload->>'since')::timestamptz > $1",
            row["now"],
        )
        return bool(rows)

    await eventually(is_swept, 40)


async def is_told_nothing(member: Member) -> bool:
    return not await told(member)


async def test_unread_message_is_told_once_and_goes_as_soon_as_it_is_read(
    stack: Stack, join: Join
) -> None:
    ada, ben = await join(), await join()
    talk = await conversation(ada, ben)
    await say(ada, talk["id"], "Hello")
    async with connected(stack, ben) as phone:
        await come_of_age(stack, talk["id"])
        frame = await received(phone, "notification")
        (one,) = await told(ben)
        assert frame["notification"] == one
        assert (one["kind"], one["count"], one["text"]) == ("message", 1, None)
        assert [actor["username"] for actor in one["actors"]] == [ada.username]
        assert one["conversation"] == {"id": talk["id"], "kind": "direct", "name": None}
        last = await say(ada, talk["id"], "Are you there?")
        await come_of_age(stack, talk["id"])
        assert await told(ben) == [one]
        await ben.post(f"/api/conversations/{talk['id']}/read", {"seq": last["seq"]})
        gone = await received(phone, "notification_removed")
        assert (gone["id"], gone["unseen"], gone["unread"]) == (one["id"], 0, 0)
    assert await told(ben) == []
    last = await say(ada, talk["id"], "See you")
    await come_of_age(stack, talk["id"])
    (again,) = await eventually(lambda: told(ben))
    await ada.delete(f"/api/conversations/{talk['id']}/messages/{last['seq']}")
    await eventually(lambda: is_told_nothing(ben))
    assert again["id"] != one["id"]


async def test_only_who_takes_part_and_wants_it_is_told_of_a_message(
    stack: Stack, join: Join, push_service: PushService
) -> None:
    ada, ben, muting, archiving, leaving, reading, tired, blocking, stranger = [
        await join() for _ in range(9)
    ]
    joined = (ben, muting, archiving, leaving, reading, tired, blocking)
    group = await conversation(ada, *joined, kind="group", name="all")
    path = f"/api/conversations/{group['id']}"
    request = await conversation(ada, stranger, strangers=True)
    for one in (group, request):
        last = await say(ada, one["id"], "a secret between us")
    until = {"muted_until": "2099-01-01T00:00:00Z"}
    for member, method, where, body in (
        (muting, "PATCH", path, until),
        (archiving, "PATCH", path, {"archived": True}),
        (leaving, "DELETE", f"{path}/members/{leaving.username}", None),
        (reading, "POST", f"{path}/read", {"seq": 100}),
        (tired, "PUT", f"/api/users/{ada.username}/mute", None),
        (blocking, "PUT", f"/api/users/{ada.username}/block", None),
    ):
        answer = await member.client.request(method, where, json=body, headers=member.headers)
        assert answer.status_code < 300, (method, where, answer.text)
    assert last["seq"] == 1
    await come_of_age(stack, request["id"], group["id"])

    (one,) = await eventually(lambda: told(ben, "message"))

    assert one["conversation"] == {"id": group["id"], "kind": "group", "name": "all"}
    for member in (ada, muting, archiving, leaving, reading, tired, blocking, stranger):
        assert await told(member, "message") == [], member.username
    (apart,) = await eventually(lambda: kept_apart(stranger))
    assert (apart["kind"], apart["conversation"]["id"]) == ("message", request["id"])
    everybody = (*joined, stranger)
    left = await carried(stack, push_service, {one.username: one.id for one in everybody})
    to_ben = left.pop(ben.username)
    assert to_ben.pushes == [push_of(one["id"])]
    assert len(to_ben.lines) == 1
    assert "secret" not in str(to_ben.mails)
    assert ada.username not in str(to_ben.mails)
    assert all(there == NOTHING for there in left.values()), left
    await ben.put(f"/api/users/{ada.username}/block")
    await eventually(lambda: is_told_nothing(ben))


async def kept_apart(member: Member) -> list[dict[str, Any]]:
    answer = await member.get("/api/notifications", params={"filtered": "true"})
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_invitation_is_told_until_it_is_answered_or_withdrawn(
    stack: Stack, join: Join, push_service: PushService
) -> None:
    ada, ben, cem, dan = [await join() for _ in range(4)]
    group = await conversation(ada, ben, cem, kind="group", name="all", strangers=True)
    members = f"/api/conversations/{group['id']}/members"
    assert (await ada.put(f"{members}/{dan.username}")).status_code < 300
    for guest in (ben, cem, dan):
        (one,) = await eventually(lambda guest=guest: told(guest))  # type: ignore[misc]
        assert (one["kind"], one["conversation"]["name"]) == ("group_invitation", "all")
        assert [actor["username"] for actor in one["actors"]] == [ada.username]
    await ben.put(f"{members}/{ben.username}")
    await cem.delete(f"{members}/{cem.username}")
    await ada.delete(f"{members}/{dan.username}")
    for guest in (ben, cem, dan):
        await eventually(lambda guest=guest: is_told_nothing(guest))  # type: ignore[misc]
    guests = {guest.username: guest.id for guest in (ben, cem, dan)}
    assert set(map(str, (await carried(stack, push_service, guests)).values())) == {str(NOTHING)}
