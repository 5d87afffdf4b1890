"""What members choose: where they are told, when not, and what ends digests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from chitlaq.services.websocket.notifications.kinds import KINDS, SECURITY
from tests.conftest import Member, Stack, eventually

Join = Callable[..., Awaitable[Member]]

PATH = "/api/notifications/settings"
EVERYWHERE = {"in_app": True, "push": True, "mail": True}
QUIET = {"from": "22:30", "until": "07:00", "time_zone": "Pacific/Chatham"}


async def test_settings_are_told_as_they_hold_and_replaced_as_a_whole(join: Join) -> None:
    member = await join()
    told = dict[str, object].fromkeys(KINDS, EVERYWHERE)
    new = {
        "kinds": told,
        "quiet_hours": None,
        "digest": "off",
        "filter_strangers": False,
    }
    assert (await member.get(PATH)).json() == new
    chosen: dict[str, object] = {
        "kinds": {"like": {"in_app": False}, "follow": {"push": False}},
        "quiet_hours": QUIET,
        "digest": "weekly",
        "filter_strangers": True,
    }
    answer = await member.put(PATH, chosen)
    assert answer.status_code == 200, answer.text
    nowhere = {"in_app": False, "push": False, "mail": False}
    expected = chosen | {"kinds": told | {"like": nowhere, "follow": EVERYWHERE | {"push": False}}}
    assert answer.json() == (await member.get(PATH)).json() == expected
    # What the server returns can be sent back.
    assert (await member.put(PATH, answer.json())).json() == expected
    assert (await member.put(PATH, {})).json() == new


async def test_settings_that_cannot_be_are_refused(join: Join) -> None:
    member = await join()
    refused: list[dict[str, object]] = [
        {"kinds": {"poke": {}}},
        {"kinds": {"like": {"pager": True}}},
        {"digest": "hourly"},
        {"quiet_hours": QUIET | {"time_zone": "Europe/Atlantis"}},
        {"quiet_hours": QUIET | {"time_zone": "../etc/passwd"}},
        {"quiet_hours": QUIET | {"until": "22:30"}},
        {"quiet_hours": QUIET | {"from": "24:00"}},
        {"quiet_hours": {"from": "22:30", "until": "07:00"}},
    ]
    refused += [
        {"kinds": {kind: {channel: False}}} for kind in SECURITY for channel in ("in_app", "mail")
    ]
    for body in refused:
        answer = await member.put(PATH, body)
        assert answer.status_code == 422, (body, answer.text)
    assert (await member.put(PATH, {"kinds": {"new_device": {"push": False}}})).status_code == 200


async def test_digest_is_due_in_the_morning_of_the_members_time_zone(
    join: Join, stack: Stack
) -> None:
    member = await join()
    await member.put(PATH, {"digest": "daily", "quiet_hours": QUIET})
    (row,) = await stack.sql(
        "SELECT digest_due_at > now() AND digest_due_at < now() + interval '26 hours' AS is_next,"
        " to_char(digest_due_at AT TIME ZONE 'Pacific/Chatham', 'HH24:MI') AS at"
        " FROM websocket.notification_settings WHERE account_id = $1",
        member.id,
    )
    assert dict(row) == {"is_next": True, "at": "08:00"}


async def test_link_in_a_mail_ends_digests_without_signing_in_but_not_by_looking(
    join: Join, stack: Stack
) -> None:
    member = await join()
    await member.put(PATH, {"digest": "daily"})
    (row,) = await stack.sql(
        "SELECT unsubscribe_token FROM websocket.notification_settings WHERE account_id = $1",
        member.id,
    )
    link = f"/unsubscribe?token={row['unsubscribe_token']}"
    page = await member.client.get(link)
    assert page.status_code == 200
    assert f'action="{link}"' in page.text
    assert (await member.get(PATH)).json()["digest"] == "daily"
    # As a mail program does it (RFC 8058).
    for _ in range(2):
        ended = await member.client.post(link, data={"List-Unsubscribe": "One-Click"})
        assert ended.status_code == 200
        assert (await member.get(PATH)).json()["digest"] == "off"
    for token in ("", "x", "\0", "0" * 32, member.id):
        unknown = await member.client.post("/unsubscribe", params={"token": token})
        assert unknown.status_code == 404, token


async def told(member: Member, **query: Any) -> list[str]:
    """Who did what with which post, of a member's notifications, the earliest first."""
    page = (await member.get("/api/notifications", params=query)).json()
    return [
        f"{one['actors'][0]['username']} {one['kind']} {one['post']['text']}"
        for one in reversed(page["items"])
    ]


async def test_what_strangers_do_is_kept_apart_and_what_is_off_is_not_told(
    join: Join, stack: Stack
) -> None:
    ada, friend, stranger = await join(), await join(), await join()
    await ada.put(f"/api/users/{friend.username}/follow")
    first, second, third = [await ada.write(text) for text in ("first", "second", "third")]

    async def like(member: Member, post: dict[str, Any]) -> None:
        assert (await member.put(f"/api/posts/{post['id']}/like")).is_success

    async def eventually_told(expected: list[str], **query: Any) -> None:
        async def is_told() -> bool:
            return await told(ada, **query) == expected

        await eventually(is_told)

    await ada.put(PATH, {"filter_strangers": True})
    await like(friend, first)
    await like(stranger, first)
    apart = [f"{stranger.username} like first"]
    await eventually_told(apart, filtered=True)
    await eventually_told([f"{friend.username} like first"])
    page = (await ada.get("/api/notifications", params={"filtered": True})).json()
    assert (page["unseen"], page["unread"]) == (1, 1)
    await ada.put(PATH, {"kinds": {"like": {"in_app": False}}})
    await like(friend, second)

    async def is_looked_at() -> bool:
        return not await stack.sql(
            "SELECT FROM jobs.jobs WHERE kind = 'notify' AND payload ->> 'post_id' = $1",
            second["id"],
        )

    await eventually(is_looked_at)
    await ada.put(PATH, {})
    # What was kept apart stays so; what comes later is as the settings say then.
    await like(stranger, third)
    later = f"{stranger.username} like third"
    await eventually_told([f"{friend.username} like first", later])
    assert await told(ada, filtered=True) == apart
    await stranger.delete(f"/api/posts/{first['id']}/like")
    await eventually_told([], filtered=True)
