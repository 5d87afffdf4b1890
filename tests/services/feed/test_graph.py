"""Requests to follow, blocks, privacy and suggestions, as members meet them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from tests.conftest import Member, Stack, eventually
from tests.services.feed.crowd import Crowd

Join = Callable[..., Awaitable[Member]]


async def names(member: Member, path: str) -> list[str]:
    answer = await member.get(path)
    assert answer.status_code == 200, answer.text
    return [item["username"] for item in answer.json()["items"]]


async def test_private_member_is_asked_and_decides(join: Join) -> None:
    author, asker, other = await join(), await join(), await join()
    post = await author.write("for followers")
    await author.patch("/api/users/me", {"is_private": True})
    path = f"/api/users/{author.username}/follow"
    for _ in range(2):
        assert (await asker.put(path)).status_code == 202
    assert (await other.put(path)).status_code == 202
    assert await asker.home() == []
    assert await names(author, "/api/users/me/follow-requests") == [other.username, asker.username]
    accepted = f"/api/users/me/follow-requests/{asker.username}"
    for _ in range(2):
        assert (await author.put(accepted)).status_code == 204
    assert [item["id"] for item in await asker.home()] == [post["id"]]
    assert (await asker.put(path)).status_code == 204
    refused = f"/api/users/me/follow-requests/{other.username}"
    for _ in range(2):
        assert (await author.delete(refused)).status_code == 204
    assert (await author.put(refused)).status_code == 404
    assert (await other.get(f"/api/users/{author.username}")).json()["is_requested"] is False
    assert (await other.put(path)).status_code == 202
    assert (await other.delete(path)).status_code == 204
    assert await names(author, "/api/users/me/follow-requests") == []
    assert (await author.delete(f"/api/users/me/followers/{asker.username}")).status_code == 204
    assert await asker.home() == []
    assert (await author.get("/api/users/me")).json()["followers"] == 0


async def test_going_public_accepts_all_who_wait(stack: Stack, join: Join) -> None:
    """However many: more than one transaction accepts."""
    author = await join()
    await author.write("hello")
    await author.patch("/api/users/me", {"is_private": True})
    async with Crowd(stack) as crowd:
        who = await crowd.join(3)
        for one in who:
            assert (await one.ask("PUT", f"/users/{author.username}/follow")).status_code == 202
        await stack.sql(
            "INSERT INTO feed.follow_requests (requester_id, requested_id)"
            " SELECT id, $1 FROM feed.members WHERE id <> $1 ON CONFLICT DO NOTHING",
            author.id,
        )
        await author.patch("/api/users/me", {"is_private": False})

        async def all_follow() -> bool:
            (left,) = await stack.sql(
                "SELECT (SELECT count(*) FROM feed.follow_requests WHERE requested_id = m.id) AS waiting,"
                " m.followers_count = (feed.follows_counted_for(m.id)).followers AS right"
                " FROM feed.members m WHERE m.id = $1",
                author.id,
            )
            return bool(left["waiting"] == 0 and left["right"])

        await eventually(all_follow)
        assert len((await who[0].json("/feed/home"))["items"]) == 1
        await stack.sql("DELETE FROM feed.follows WHERE followed_id = $1", author.id)
        await _repaired(stack)


async def test_going_public_is_completed_after_a_crash(stack: Stack, join: Join) -> None:
    """As after a kill between the commit and the acceptances: only the job remains."""
    author, waiting = await join(), await join()
    await author.patch("/api/users/me", {"is_private": True})
    assert (await waiting.put(f"/api/users/{author.username}/follow")).status_code == 202
    await stack.sql("UPDATE feed.members SET is_private = false WHERE id = $1", author.id)
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id)"
        " VALUES ('accept_follow_requests', jsonb_build_object('member_id', $1::uuid), 'x')",
        author.id,
    )

    async def is_followed() -> bool:
        seen = (await waiting.get(f"/api/users/{author.username}")).json()
        return (seen["is_followed"], seen["is_requested"], seen["followers"]) == (True, False, 1)

    await eventually(is_followed)


async def _repaired(stack: Stack) -> None:
    """Let feed-service repair all counters now."""
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id) VALUES ('repair_counters', '{}', 'x')"
    )

    async def is_done() -> bool:
        return not await stack.sql(
            "SELECT FROM jobs.jobs WHERE kind = 'repair_counters' AND due_at < now() + interval '1 h'"
        )

    await eventually(is_done)


async def test_counters_that_something_else_changed_are_repaired(stack: Stack, join: Join) -> None:
    member, follower = await join(), await join()
    await follower.put(f"/api/users/{member.username}/follow")
    await stack.sql(
        "UPDATE feed.members SET followers_count = 7, following_count = 3 WHERE id = $1", member.id
    )
    post = await member.write("counted")
    await follower.put(f"/api/posts/{post['id']}/like")
    await follower.write("an answer", reply_to=post["id"])
    await stack.sql(
        "UPDATE feed.posts SET likes_count = 5, reposts_count = 6, replies_count = 0 WHERE id = $1",
        post["id"],
    )
    faults = "SELECT counter, stored, counted FROM feed.counter_faults(1000000) WHERE id = $1"
    found = {tuple(row) for row in await stack.sql(faults, member.id)}
    assert found == {("followers", 7, 1), ("following", 3, 0)}
    found = {tuple(row) for row in await stack.sql(faults, post["id"])}
    assert found == {("likes", 5, 1), ("reposts", 6, 0), ("replies", 0, 1)}
    await _repaired(stack)
    assert await stack.sql(faults, member.id) == []
    profile = (await member.get("/api/users/me")).json()
    assert (profile["followers"], profile["following"]) == (1, 0)
    assert await stack.sql(faults, post["id"]) == []
    seen = (await member.get(f"/api/posts/{post['id']}")).json()
    assert (seen["likes"], seen["replies"], seen["reposts"]) == (1, 1, 0)
    (planned,) = await stack.sql(
        "SELECT count(*) FROM jobs.jobs WHERE kind = 'repair_counters' AND due_at > now()"
    )
    assert planned["count"] <= 1


async def test_blocked_member_blocks_back_and_learns_nothing_from_the_answers(join: Join) -> None:
    one, two, third = await join(), await join(), await join()
    await third.put(f"/api/users/{one.username}/follow")
    await one.put(f"/api/users/{third.username}/follow")
    await one.put(f"/api/users/{two.username}/block")
    profile = f"/api/users/{one.username}"
    assert (await two.get(profile)).status_code == 404
    for what, body in (("block", None), ("mute", None)):
        for act in (two.put, two.delete, two.put):
            answer = await act(f"{profile}/{what}")
            to_stranger = await act(f"/api/users/{third.username}/{what}")
            assert (answer.status_code, answer.content) == (to_stranger.status_code, b""), body
    assert (await two.get(profile)).status_code == 404
    assert one.username in await names(two, "/api/users/me/blocks")
    assert one.username in await names(two, "/api/users/me/mutes")
    # Two has blocked back: one's own unblocking alone shows neither.
    await one.delete(f"/api/users/{two.username}/block")
    assert (await one.get(f"/api/users/{two.username}")).status_code == 404
    assert (await two.get(profile)).json()["is_blocked"] is True
    assert (await two.put(f"{profile}/follow")).status_code == 409
    await two.delete(f"{profile}/block")
    assert (await two.put(f"{profile}/follow")).status_code == 204
    assert (await two.get("/api/users/nobody_there/block")).status_code == 405
    assert (await two.put("/api/users/nobody_there/block")).status_code == 404


async def test_blocker_and_blocked_are_in_no_list_that_the_other_reads(join: Join) -> None:
    one, two, third = await join(), await join(), await join()
    for member in (one, two):
        await member.put(f"/api/users/{third.username}/follow")
        await third.put(f"/api/users/{member.username}/follow")
    await one.put(f"/api/users/{two.username}/block")
    for direction in ("followers", "following"):
        path = f"/api/users/{third.username}/{direction}"
        assert set(await names(third, path)) == {one.username, two.username}
        assert await names(one, path) == [one.username]
        assert await names(two, path) == [two.username]
    # Nor in what the other is told of the lists' lengths.
    for reader, count in ((third, 2), (one, 1), (two, 1)):
        profile = (await reader.get(f"/api/users/{third.username}")).json()
        assert (profile["followers"], profile["following"]) == (count, count)


VIEWERS = ("oneself", "followed", "same university", "elsewhere", "follower")


@pytest.fixture
async def people(stack: Stack, join: Join) -> dict[str, Member]:
    await stack.add_university("Elsewhere College", "elsewhere.example")
    made = {
        "oneself": await join(), "followed": await join("elsewhere.example"),
        "same university": await join(), "elsewhere": await join("elsewhere.example"),
        "follower": await join("elsewhere.example"),
    }  # fmt: skip
    own = made["oneself"]
    await own.put(f"/api/users/{made['followed'].username}/follow")
    await made["follower"].put(f"/api/users/{own.username}/follow")
    return made


ADMITTED = {
    "everyone": set(VIEWERS),
    "university": {"oneself", "same university"},
    "followed": {"oneself", "followed"},
    "nobody": {"oneself"},
}


async def test_privacy_says_who_finds_a_member_and_who_sees_their_followers(
    client: httpx.AsyncClient, people: dict[str, Member]
) -> None:
    own = people["oneself"]
    for audience, admitted in ADMITTED.items():
        wanted = {"may_find": audience, "may_see_followers": audience, "may_mention": audience}
        assert (await own.put("/api/users/me/privacy", wanted)).status_code == 204
        stored = (await own.get("/api/users/me/privacy")).json()
        assert {key: stored[key] for key in wanted} == wanted
        for name, viewer in people.items():
            found = await names(viewer, f"/api/search/users?q={own.username}")
            assert (own.username in found) == (name in admitted), (audience, name)
            answer = await viewer.get(f"/api/users/{own.username}/followers")
            assert (answer.status_code == 200) == (name in admitted), (audience, name)
            profile = (await viewer.get(f"/api/users/{own.username}")).json()
            assert profile["shows_followers"] is (name in admitted)
        found = (await client.get(f"/api/search/users?q={own.username}")).json()["items"]
        assert bool(found) == (audience == "everyone")
        answer = await client.get(f"/api/users/{own.username}/following")
        assert (answer.status_code == 200) == (audience == "everyone")


async def test_who_may_mention_is_asked_in_the_query(
    stack: Stack, people: dict[str, Member]
) -> None:
    own = people.pop("oneself")
    for audience, admitted in ADMITTED.items():
        await own.put("/api/users/me/privacy", {"may_mention": audience})
        for name, author in people.items():
            found = await stack.sql(
                "SELECT id FROM feed.mentionable_members($1) WHERE username = $2",
                author.id, own.username,
            )  # fmt: skip
            assert bool(found) == (name in admitted), (audience, name)


async def test_who_may_message_is_the_same_setting_in_both_places(join: Join) -> None:
    member = await join()
    await member.put(
        "/api/conversations/privacy", {"may_message": "followed", "shares_read": False}
    )
    assert (await member.get("/api/users/me/privacy")).json()["may_message"] == "followed"
    await member.put("/api/users/me/privacy", {"may_message": "university"})
    chat = (await member.get("/api/conversations/privacy")).json()
    assert (chat["may_message"], chat["shares_read"]) == ("university", False)
    assert (await member.get("/api/users/me/privacy")).json()["may_mention"] == "everyone"


async def test_suggestions_say_why_and_leave_out_who_is_known_or_hidden(
    stack: Stack, join: Join
) -> None:
    me, friend, second, far, blocked, hidden, muted, grouped, colleague = await asyncio.gather(
        *(join() for _ in range(9))
    )
    for one in (friend, second):
        await me.put(f"/api/users/{one.username}/follow")
        for other in (far, blocked, hidden, muted):
            await one.put(f"/api/users/{other.username}/follow")
    await friend.put(f"/api/users/{second.username}/follow")
    await blocked.put(f"/api/users/{me.username}/block")
    await hidden.put("/api/users/me/privacy", {"may_find": "nobody"})
    await me.put(f"/api/users/{muted.username}/mute")
    await me.put(f"/api/users/{grouped.username}/follow")
    begun = await grouped.post(
        "/api/conversations", {"kind": "group", "name": "g", "members": [me.username]}
    )
    assert begun.status_code == 201
    await grouped.delete(f"/api/users/{me.username}/follow")
    await me.delete(f"/api/users/{grouped.username}/follow")
    for one in (me, colleague):
        await one.patch("/api/users/me", {"department": "Numismatics"})

    items = (await me.get("/api/users/me/suggestions?limit=100")).json()["items"]

    told = {item["username"]: (item["reason"], item["count"], item["why"]) for item in items}
    assert told[far.username] == ("followed", 2, "2 people you follow follow them")
    assert told[colleague.username] == ("department", 1, "Also in Numismatics")
    assert items[0]["username"] == far.username
    unwanted = {one.username for one in (me, friend, second, blocked, hidden, muted)}
    assert not unwanted & told.keys()
    if grouped.username in told:  # unless the invitation waits
        assert told[grouped.username] == ("groups", 1, "1 group with you")
    await friend.put("/api/users/me/privacy", {"may_see_followers": "nobody"})
    items = (await me.get("/api/users/me/suggestions?limit=100")).json()["items"]
    (item,) = [one for one in items if one["username"] == far.username]
    assert item["why"] == "1 person you follow follows them"


async def test_profile_shows_what_was_written_and_to_strangers_less_of_a_private_one(
    client: httpx.AsyncClient, join: Join
) -> None:
    member, viewer = await join(), await join()
    change = {
        "bio": "See https://example.edu/me.\nNot https://", "pronouns": "she/her",
        "department": "Physics", "graduation_year": 2027,
        "fields": [{"name": "Office", "value": "Room 214"}, {"name": "אתר", "value": "example.edu"}],
    }  # fmt: skip
    answer = await member.patch("/api/users/me", change)
    assert answer.status_code == 200, answer.text
    seen = (await client.get(f"/api/users/{member.username}")).json()
    assert {key: seen[key] for key in change} == change
    assert seen["bio_links"] == ["https://example.edu/me"]
    assert (seen["avatar_url"], seen["banner_url"]) == (None, None)
    await member.patch("/api/users/me", {"is_private": True, "graduation_year": None})
    outside = (await client.get(f"/api/users/{member.username}")).json()
    assert (outside["display_name"], outside["is_private"]) == (f"Member {member.username}", True)
    assert [outside[key] for key in change] == ["", "", "", None, []]
    inside = (await viewer.get(f"/api/users/{member.username}")).json()
    assert (inside["bio"], inside["graduation_year"]) == (change["bio"], None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("display_name", "\u200b"),
        ("display_name", "a\u202eb"),
        ("display_name", "a\x07b"),
        ("display_name", "\u0301"),
        ("bio", "\u200b"),
        ("bio", "\x1b\x07"),
        ("pronouns", "she\nher"),
        ("pronouns", "x" * 41),
        ("department", "\u202e"),
        ("graduation_year", 1492),
        ("graduation_year", "2027"),
        ("fields", [{"name": "a", "value": "b"}] * 5),
        ("fields", [{"name": "\u200b", "value": "b"}]),
        ("fields", [{"name": "a", "value": "b", "href": "c"}]),
    ],
)
async def test_profile_that_shows_nothing_or_deceives_is_refused(
    join: Join, field: str, value: object
) -> None:
    member = await join()
    before = (await member.get("/api/users/me")).json()
    answer = await member.patch("/api/users/me", {field: value})
    assert answer.status_code == 422, answer.text
    assert any(name.startswith(field) for name in answer.json()["errors"]), answer.text
    assert (await member.get("/api/users/me")).json() == before
