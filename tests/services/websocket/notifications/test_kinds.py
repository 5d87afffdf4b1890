"""Each kind is told when its cause begins, and goes with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from tests.conftest import Member, Stack, eventually
from tests.services.websocket.notifications.test_notifications import counted, told

Join = Callable[[], Awaitable[Member]]
Told = list[tuple[str, str, str | None]]


async def done(member: Member, method: str, path: str, body: object = None) -> Any:
    answer = await member.client.request(method, path, json=body, headers=member.headers)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None


async def what(member: Member) -> Told:
    """Return what a member is told, without its order: kinds, who did it, and the post that it is about."""
    return sorted(
        (one["kind"], one["actors"][0]["username"], one["post"] and one["post"]["id"])
        for one in await told(member)
    )


async def becomes(member: Member, *expected: tuple[str, str, str | None]) -> None:
    """Wait until a member is told exactly that, and it is all unread."""

    async def is_so() -> bool:
        is_same = await what(member) == sorted(expected)
        return is_same and await counted(member) == (len(expected), len(expected))

    try:
        await eventually(is_so, seconds=20)
    except AssertionError:
        raise AssertionError(f"{await what(member)} is not {sorted(expected)}") from None


async def test_what_posts_say_is_told_and_goes_when_they_say_it_no_more(join: Join) -> None:
    ada, grace = await join(), await join()
    name = grace.username
    own = (await ada.write("Hello"))["id"]
    reply = (await grace.write(f"@{ada.username} Hi", reply_to=own))["id"]
    quote = (await grace.write(f"@{ada.username} See", quote_of=own))["id"]
    mention = (await grace.write(f"@{ada.username}!"))["id"]
    await grace.write(f"@{ada.username}?", visibility="self")
    expected = [("reply", name, reply), ("quote", name, quote), ("mention", name, mention)]
    await becomes(ada, *expected)

    await done(grace, "PATCH", f"/api/posts/{mention}", {"text": "Nobody"})
    await done(ada, "DELETE", f"/api/posts/{own}/quotes/{quote}")
    expected = [("reply", name, reply), ("mention", name, quote)]
    await becomes(ada, *expected)
    await done(grace, "PATCH", f"/api/posts/{mention}", {"text": f"again @{ada.username}"})
    await done(grace, "PATCH", f"/api/posts/{reply}", {"visibility": "self"})
    await becomes(ada, ("mention", name, quote), ("mention", name, mention))
    await done(grace, "DELETE", f"/api/posts/{quote}")
    await becomes(ada, ("mention", name, mention))


async def test_reposts_and_a_deleted_post_take_their_notifications_along(join: Join) -> None:
    ada, grace = await join(), await join()
    own = (await ada.write("Hello"))["id"]
    await done(grace, "PUT", f"/api/posts/{own}/repost")
    await done(grace, "PUT", f"/api/posts/{own}/like")
    both = ("repost", grace.username, own), ("like", grace.username, own)
    await becomes(ada, *both)
    await done(grace, "DELETE", f"/api/posts/{own}/repost")
    await becomes(ada, both[1])
    await done(ada, "DELETE", f"/api/posts/{own}")
    await becomes(ada)


async def test_follows_requests_and_acceptances(join: Join) -> None:
    ada, grace = await join(), await join()
    await done(grace, "PUT", f"/api/users/{ada.username}/follow")
    await becomes(ada, ("follow", grace.username, None))
    await done(grace, "DELETE", f"/api/users/{ada.username}/follow")
    await becomes(ada)

    await done(ada, "PATCH", "/api/users/me", {"is_private": True})
    await done(grace, "PUT", f"/api/users/{ada.username}/follow")
    await becomes(ada, ("follow_request", grace.username, None))
    await done(ada, "PUT", f"/api/users/me/follow-requests/{grace.username}")
    await becomes(ada)
    await becomes(grace, ("follow_accepted", ada.username, None))
    await done(grace, "DELETE", f"/api/users/{ada.username}/follow")
    await becomes(grace)


async def test_poll_that_ended_is_told_to_its_author_and_its_voters(
    stack: Stack, join: Join
) -> None:
    ada, grace, joan = [await join() for _ in range(3)]
    poll = {"options": ["a", "b"], "expires_in_seconds": 300}
    post = (await ada.write("Well?", poll=poll))["id"]
    await done(grace, "PUT", f"/api/posts/{post}/vote", {"choices": [0]})
    at = await stack.sql(
        "SELECT due_at = (SELECT expires_at FROM feed.polls WHERE post_id = $1) AS is_at_its_end, id"
        " FROM jobs.jobs WHERE kind = 'notify' AND payload->>'post_id' = $2 AND due_at > now()",
        post,
        post,
    )
    assert [row["is_at_its_end"] for row in at] == [True]
    await stack.sql("UPDATE feed.polls SET expires_at = now() WHERE post_id = $1", post)
    await stack.sql("UPDATE jobs.jobs SET due_at = now() WHERE id = $1", at[0]["id"])

    await becomes(grace, ("poll_ended", ada.username, post))
    (own,) = await eventually(lambda: told(ada))
    assert (own["kind"], own["actors"], own["count"], own["post"]["id"]) == (
        "poll_ended",
        [],
        1,
        post,
    )
    assert await told(joan) == []


async def test_block_and_going_private_hide_at_once_and_take_out(join: Join) -> None:
    ada, grace, joan = [await join() for _ in range(3)]
    own = (await ada.write("Hello"))["id"]
    for other in (grace, joan):
        await done(other, "PUT", f"/api/posts/{own}/like")
        await done(other, "PUT", f"/api/users/{ada.username}/follow")
    by_joan = (await joan.write(f"@{ada.username}"))["id"]

    async def is_all() -> bool:
        return len(await told(ada)) == 3 and (await told(ada, "like"))[0]["count"] == 2

    await eventually(is_all)
    await done(grace, "PUT", f"/api/users/{ada.username}/block")
    assert {name for one in await told(ada) for name in names(one)} == {joan.username}
    await done(joan, "PATCH", "/api/users/me", {"is_private": True})
    assert await told(ada, "mention") == []
    await becomes(ada, ("like", joan.username, own), ("follow", joan.username, None))
    assert (await told(ada, "like"))[0]["count"] == 1
    assert by_joan not in str(await told(ada))


def names(notification: dict[str, Any]) -> list[str]:
    return [actor["username"] for actor in notification["actors"]]


async def test_muted_are_not_told_but_what_was_told_stays(join: Join) -> None:
    ada, grace, joan = [await join() for _ in range(3)]
    own = (await ada.write("Hello"))["id"]
    await done(grace, "PUT", f"/api/posts/{own}/like")
    await becomes(ada, ("like", grace.username, own))
    await done(ada, "PUT", f"/api/users/{grace.username}/mute")
    await done(ada, "PUT", "/api/users/me/muted-words", {"words": [{"word": "spoiler"}]})
    await grace.write(f"@{ada.username} Hi")
    await done(grace, "PUT", f"/api/users/{ada.username}/follow")
    await joan.write(f"@{ada.username} the spoiler")
    await done(joan, "PUT", f"/api/users/{ada.username}/follow")
    await becomes(ada, ("like", grace.username, own), ("follow", joan.username, None))


async def test_who_leaves_is_seen_in_no_notification(stack: Stack, join: Join) -> None:
    ada, grace = await join(), await join()
    await grace.write(f"@{ada.username}")
    await eventually(lambda: told(ada, "mention"))
    await stack.sql("SELECT feed.hide_member($1, true)", grace.id)
    assert await told(ada) == []
    await becomes(ada)
