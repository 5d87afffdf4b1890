"""Counters while members leave and stay: they hold those whom the lists show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg

from chitlaq.services.feed.departures.recounts import BATCH
from tests.conftest import Member, Stack, eventually
from tests.services.feed.crowd import JOINED

Join = Callable[..., Awaitable[Member]]

POSTS = 2 * BATCH + 20


async def test_who_leaves_is_counted_no_more_and_who_stays_is_again(
    stack: Stack, join: Join
) -> None:
    """Some rows at a time, in transactions of their own, whatever is done to the posts meanwhile."""
    author, leaver, other = await join(), await join(), await join()
    await stack.sql(
        "INSERT INTO feed.posts (author_id, text, likes_count, reposts_count)"
        " SELECT $1, 'liked', 2, 1 FROM generate_series(1, $2)",
        author.id,
        POSTS,
    )
    await stack.sql(
        "INSERT INTO feed.likes (post_id, member_id)"
        " SELECT p.id, m FROM feed.posts p, unnest($2::uuid[]) m WHERE p.author_id = $1",
        author.id,
        [leaver.id, other.id],
    )
    await stack.sql(
        "INSERT INTO feed.reposts (post_id, member_id)"
        " SELECT id, $2 FROM feed.posts WHERE author_id = $1",
        author.id,
        leaver.id,
    )
    posts = [
        str(row["id"])
        for row in await stack.sql(
            "SELECT id FROM feed.posts WHERE author_id = $1 ORDER BY id", author.id
        )
    ]

    async def counted() -> dict[tuple[int, int], int]:
        rows = await stack.sql(
            "SELECT likes_count, reposts_count, count(*) FROM feed.posts"
            " WHERE author_id = $1 AND deleted_at IS NULL GROUP BY 1, 2",
            author.id,
        )
        return {(row[0], row[1]): row[2] for row in rows}

    async def is_right(expected: dict[tuple[int, int], int]) -> bool:
        return await counted() == expected

    async def hide(is_hidden: bool) -> None:
        await stack.sql("SELECT feed.hide_member($1, $2)", leaver.id, is_hidden)

    async def listed(what: str) -> list[str]:
        items = (await author.get(f"/api/posts/{posts[0]}/{what}")).json()["items"]
        return [item["username"] for item in items]

    connection = await asyncpg.connect(stack.dsn())
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM feed.posts WHERE id = $1 FOR UPDATE", posts[-1])
            await hide(True)
            # What comes before the post that somebody holds is done, and stays so.
            await eventually(lambda: is_right({(1, 1): 2 * BATCH, (2, 1): 20}))
            await author.delete(f"/api/posts/{posts[-2]}")
            await other.delete(f"/api/posts/{posts[0]}/like")
    finally:
        await connection.close()
    await eventually(lambda: is_right({(0, 0): 1, (1, 0): POSTS - 2}))
    assert (await listed("likes"), await listed("reposts")) == ([], [])

    await hide(False)
    await eventually(lambda: is_right({(1, 1): 1, (2, 1): POSTS - 2}))
    assert (await listed("likes"), await listed("reposts")) == ([leaver.username],) * 2
    # A job that is run again, and one like back: nothing is counted twice.
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id)"
        " VALUES ('recount_member', jsonb_build_object('member_id', $1::uuid), 'x')",
        leaver.id,
    )
    await leaver.delete(f"/api/posts/{posts[0]}/like")
    await eventually(lambda: is_done(stack, leaver))
    assert await counted() == {(0, 1): 1, (2, 1): POSTS - 2}
    faults = await stack.sql(
        "SELECT * FROM feed.counter_faults(1000000) WHERE id = ANY ($1::uuid[])", posts
    )
    assert faults == []


async def test_follows_are_counted_while_nobody_of_the_two_leaves(stack: Stack, join: Join) -> None:
    """Whatever is followed, unfollowed and counted meanwhile, and in which order they leave and stay."""
    star, leaver, fan, late = await join(), await join(), await join(), await join()
    for follower, followed in ((leaver, star), (fan, star), (star, leaver), (fan, leaver)):
        await follower.put(f"/api/users/{followed.username}/follow")
    await stack.sql(
        JOINED, [f"crowd_of_{leaver.username}_{number}" for number in range(BATCH + 20)]
    )
    await stack.sql(
        "WITH new AS (INSERT INTO feed.follows (follower_id, followed_id)"
        " SELECT id, $1 FROM feed.members WHERE username LIKE $2 RETURNING follower_id),"
        " one AS (UPDATE feed.members SET following_count = 1 WHERE id IN (SELECT follower_id FROM new))"
        " UPDATE feed.members SET followers_count = followers_count + $3 WHERE id = $1",
        leaver.id,
        f"crowd_of_{leaver.username}%",
        BATCH + 20,
    )

    async def hide(member: Member, is_hidden: bool) -> None:
        await stack.sql("SELECT feed.hide_member($1, $2)", member.id, is_hidden)
        await eventually(lambda: is_done(stack, member))

    async def counts(member: Member) -> tuple[int, int]:
        profile = (await late.get(f"/api/users/{member.username}")).json()
        return profile["followers"], profile["following"]

    async def crowd_follows() -> list[int]:
        rows = await stack.sql(
            "SELECT DISTINCT following_count FROM feed.members WHERE username LIKE $1",
            f"crowd_of_{leaver.username}%",
        )
        return [row["following_count"] for row in rows]

    assert (await counts(star), await counts(fan)) == ((2, 1), (0, 2))
    await hide(leaver, True)
    assert (await counts(star), await counts(fan), await crowd_follows()) == ((1, 0), (0, 1), [0])
    listed = (await late.get(f"/api/users/{star.username}/followers")).json()["items"]
    assert [item["username"] for item in listed] == [fan.username]
    # A request of theirs that ends after they left.
    await leaver.delete(f"/api/users/{star.username}/follow")
    await leaver.put(f"/api/users/{fan.username}/follow")
    assert (await counts(star), await counts(fan)) == ((1, 0), (0, 1))
    # What is between two who both leave is counted when both stay.
    await hide(star, True)
    await hide(leaver, False)
    assert (await counts(leaver), await counts(fan)) == ((BATCH + 21, 1), (1, 1))
    await late.put(f"/api/users/{leaver.username}/follow")
    await hide(star, False)
    assert (await counts(star), await counts(fan)) == ((1, 1), (1, 2))
    assert (await counts(leaver), await crowd_follows()) == ((BATCH + 23, 1), [1])
    faults = await stack.sql(
        "SELECT * FROM feed.counter_faults(1000000) WHERE id = ANY ($1::uuid[])",
        [star.id, leaver.id, fan.id, late.id],
    )
    assert faults == []


async def test_what_is_between_two_ends_while_one_of_them_leaves(stack: Stack, join: Join) -> None:
    """Nothing of it is there, and no counter is wrong, if they stay after all."""
    member, leaver, other, blocker = await join(), await join(), await join(), await join()
    of_leaver = f"/api/users/{leaver.username}"
    for one, two in ((member, leaver), (leaver, member), (other, leaver)):
        assert (await one.put(f"/api/users/{two.username}/follow")).status_code == 204
    await member.patch("/api/users/me", {"is_private": True})
    await other.patch("/api/users/me", {"is_private": True})
    assert (await leaver.put(f"/api/users/{other.username}/follow")).status_code == 202
    for one, what in ((member, "mute"), (other, "mute"), (blocker, "block")):
        assert (await one.put(f"{of_leaver}/{what}")).status_code == 204
    await leaver.write("still here")
    await stack.sql("SELECT feed.hide_member($1, true)", leaver.id)
    await eventually(lambda: is_done(stack, leaver))

    # Nothing begins with who leaves.
    for what in ("follow", "mute", "block"):
        assert (await member.put(f"{of_leaver}/{what}")).status_code == 404
    for _again in range(2):
        assert (await member.delete(f"{of_leaver}/follow")).status_code == 204
        assert (
            await member.delete(f"/api/users/me/followers/{leaver.username}")
        ).status_code == 204
        asked = f"/api/users/me/follow-requests/{leaver.username}"
        assert (await other.delete(asked)).status_code == 204
        for one, what in ((member, "mute"), (other, "mute"), (blocker, "block")):
            assert (await one.delete(f"{of_leaver}/{what}")).status_code == 204
    await stack.sql("SELECT feed.hide_member($1, false)", leaver.id)
    await eventually(lambda: is_done(stack, leaver))

    assert await member.home() == []
    for one in (member, other, blocker):
        profile = (await one.get(of_leaver)).json()
        between = ("follows_you", "is_blocked", "is_muted")
        assert not any(profile[what] for what in between), profile
        # One of three follows was not ended.
        assert profile["is_followed"] == (one is other)
        assert (profile["followers"], profile["following"]) == (1, 0)
    for list_of in ("follow-requests", "mutes"):
        assert (await other.get(f"/api/users/me/{list_of}")).json()["items"] == []
    assert (await blocker.get("/api/users/me/blocks")).json()["items"] == []
    faults = await stack.sql(
        "SELECT * FROM feed.counter_faults(1000000) WHERE id = ANY ($1::uuid[])",
        [member.id, leaver.id, other.id],
    )
    assert faults == []


async def is_done(stack: Stack, member: Member) -> bool:
    return not await stack.sql(
        "SELECT FROM jobs.jobs WHERE kind = 'recount_member' AND payload->>'member_id' = $1",
        str(member.id),
    )
