"""Nobody lists all members without signing in, and members choose whether they are found from outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import pytest

from chitlaq.core.http.paging import SEEN_BY_ANYBODY
from tests.conftest import Member, Stack

Join = Callable[[], Awaitable[Member]]


@pytest.fixture
async def followed(stack: Stack, join: Join) -> Member:
    """Somebody whom more members follow than anybody may list."""
    member = await join()
    await stack.sql(
        """
        WITH crowd AS (
            INSERT INTO auth.accounts
                (university_id, email, username, display_name, password_hash, verified_at)
            SELECT university_id, n || '.' || email, left(username, 20) || '_' || n, 'Crowd', 'x', now()
            FROM auth.accounts, generate_series(100, 130) AS n WHERE id = $1
            RETURNING id, university_id, username, display_name
        ),
        members AS (
            INSERT INTO feed.members (id, university_id, username, display_name, following_count)
            SELECT *, 1 FROM crowd RETURNING id
        ),
        follows AS (
            INSERT INTO feed.follows (follower_id, followed_id) SELECT id, $1 FROM members RETURNING 1
        )
        UPDATE feed.members SET followers_count = (SELECT count(*) FROM follows) WHERE id = $1
        """,
        member.id,
    )
    return member


async def test_lists_of_members_are_shallow_for_those_who_are_not_signed_in(
    client: httpx.AsyncClient, followed: Member
) -> None:
    """Attacks every list with many pages, long pages, cursors and short texts."""
    followers = f"/api/users/{followed.username}/followers"
    for path, params in (("/api/search/users", {"q": followed.username}), (followers, {})):
        whole = {**params, "limit": "100"}
        assert len((await followed.get(path, params=whole)).json()["items"]) > 30
        first = await client.get(path, params=whole)
        assert len(first.json()["items"]) == SEEN_BY_ANYBODY
        for limit in (1, 7, 100):
            page = -(-SEEN_BY_ANYBODY // limit) + 1
            deeper = await client.get(path, params={**params, "limit": limit, "page": page})
            assert deeper.status_code == 401, (path, limit)
        last = await client.get(path, params={**params, "limit": 15, "page": 2})
        assert len(last.json()["items"]) == SEEN_BY_ANYBODY - 15
    assert (await client.get(followers, params={"limit": 1})).json()["next_cursor"] is None
    cursor = (await followed.get(followers, params={"limit": 1})).json()["next_cursor"]
    assert (await client.get(followers, params={"cursor": cursor})).status_code == 401
    assert (await followed.get(followers, params={"cursor": cursor})).status_code == 200
    for text in ("m", "m1", "@m", " m1 "):
        assert (await client.get("/api/search/users", params={"q": text})).json()["items"] == []


async def test_member_chooses_whether_they_are_found_from_outside(
    client: httpx.AsyncClient, join: Join
) -> None:
    member, friend = await join(), await join()
    await member.put(f"/api/users/{friend.username}/follow")
    places = ("/api/search/users?q=" + member.username, f"/api/users/{friend.username}/followers")

    async def found(by: Member | httpx.AsyncClient) -> list[bool]:
        return [
            member.username in [one["username"] for one in (await by.get(place)).json()["items"]]
            for place in places
        ]

    privacy = "/api/users/me/privacy"
    assert (await member.get(privacy)).json()["is_found_from_outside"] is True
    assert await found(client) == [True, True]
    hidden = await member.put(privacy, {"is_found_from_outside": False})
    assert hidden.status_code == 204
    assert (await member.get(privacy)).json()["is_found_from_outside"] is False
    assert await found(client) == [False, False]
    assert await found(friend) == [True, True]
    assert (await client.get(f"/api/users/{member.username}")).status_code == 200
    await member.put(privacy, {"is_found_from_outside": True})
    await member.patch("/api/users/me", {"is_private": True})
    assert await found(client) == [False, False]
