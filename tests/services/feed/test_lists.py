"""A member's followers, follows and posts: exactly these, in order, page by page without gaps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Member

Join = Callable[..., Awaitable[Member]]
Item = dict[str, Any]


async def pages(reader: httpx.AsyncClient | Member, path: str, limit: int) -> list[list[Item]]:
    """Read a list to its end by ``next_cursor``."""
    found: list[list[Item]] = []
    cursor: str | None = ""
    while cursor is not None:
        params = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        answer = await reader.get(path, params=params)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        cursor = answer.json()["next_cursor"]
    return found


@pytest.fixture
async def people(join: Join) -> list[Member]:
    """Eight members; the first follows all others and is followed by them."""
    first, *others = [await join() for _ in range(8)]
    for other in others:
        assert (await other.put(f"/api/users/{first.username}/follow")).status_code == 204
        assert (await first.put(f"/api/users/{other.username}/follow")).status_code == 204
    return [first, *others]


@pytest.mark.parametrize("direction", ["followers", "following"])
async def test_list_of_members_is_complete_and_in_order(
    people: list[Member], direction: str
) -> None:
    first, *others = people
    path = f"/api/users/{first.username}/{direction}"
    in_order = [member.username for member in sorted(others, key=lambda member: member.id)]

    by_cursor = await pages(first, path, 3)
    assert [len(page) for page in by_cursor] == [3, 3, 1]
    assert [item["username"] for page in by_cursor for item in page] == in_order

    by_number = [(await first.get(f"{path}?limit=3&page={page}")).json() for page in (1, 2, 3, 4)]
    assert [item["username"] for page in by_number for item in page["items"]] == in_order
    assert by_number[2]["next_cursor"] is None

    (card,) = by_cursor[2]
    assert card == {
        "username": in_order[-1],
        "display_name": f"Member {in_order[-1]}",
        "department": "",
        "university": "Example University",
        "avatar_url": None,
    }
    profile = (await first.get(f"/api/users/{first.username}")).json()
    assert profile[direction] == len(others)


@pytest.mark.parametrize("direction", ["followers", "following"])
async def test_last_page_has_no_next_cursor(people: list[Member], direction: str) -> None:
    path = f"/api/users/{people[0].username}/{direction}"
    assert [len(page) for page in await pages(people[0], path, 7)] == [7]


async def test_unfollowed_and_blocked_members_are_in_no_list(
    client: httpx.AsyncClient, people: list[Member]
) -> None:
    first, leaver, blocked, blocker, *others = people
    await leaver.delete(f"/api/users/{first.username}/follow")
    await first.put(f"/api/users/{blocked.username}/block")
    await blocker.put(f"/api/users/{first.username}/block")

    async def listed(direction: str) -> set[str]:
        found = await pages(client, f"/api/users/{first.username}/{direction}", 100)
        return {item["username"] for page in found for item in page}

    assert await listed("followers") == {other.username for other in others}
    assert await listed("following") == {other.username for other in [leaver, *others]}
    for direction in ("followers", "following", "posts"):
        path = f"/api/users/{first.username}/{direction}"
        assert (await blocked.get(path)).status_code == 404
        assert (await others[0].get(path)).status_code == 200


async def test_lists_of_a_private_member_are_for_followers_and_the_member(
    client: httpx.AsyncClient, people: list[Member], join: Join
) -> None:
    first, *others = people
    stranger = await join()
    written = await first.write("for my followers")
    assert (await first.patch("/api/users/me", {"is_private": True})).status_code == 200
    for direction in ("followers", "following"):
        path = f"/api/users/{first.username}/{direction}"
        for allowed in (first, others[0]):
            found = await pages(allowed, path, 100)
            assert {item["username"] for item in found[0]} == {one.username for one in others}
        assert (await stranger.get(path)).status_code == 403
        assert (await client.get(path)).status_code == 403
    path = f"/api/users/{first.username}/posts"
    for allowed in (first, others[0]):
        assert [item["id"] for item in (await pages(allowed, path, 100))[0]] == [written["id"]]
    assert await pages(stranger, path, 100) == [[]]
    assert await pages(client, path, 100) == [[]]


async def test_posts_of_a_member_are_complete_and_newest_first(
    client: httpx.AsyncClient, join: Join
) -> None:
    author, other = await join(), await join()
    await other.write("not the author's")
    written = [await author.write(f"post {number}") for number in range(6)]
    written.append(await author.write("a reply", reply_to=written[0]["id"]))
    deleted = await author.write("deleted")
    await author.delete(f"/api/posts/{deleted['id']}")
    own = await author.write("own", visibility="self")
    await author.put(f"/api/posts/{written[0]['id']}/like")

    path = f"/api/users/{author.username}/posts"
    newest_first = [post["id"] for post in reversed(written)]
    by_cursor = await pages(client, path, 3)
    assert [len(page) for page in by_cursor] == [3, 3, 1]
    assert [item["id"] for page in by_cursor for item in page] == newest_first
    by_number = [(await client.get(f"{path}?limit=3&page={page}")).json() for page in (1, 2, 3)]
    assert [item["id"] for page in by_number for item in page["items"]] == newest_first

    (oldest,) = by_cursor[2]
    assert (oldest["text"], oldest["author"]["username"]) == ("post 0", author.username)
    assert (oldest["likes"], oldest["replies"], oldest["liked"]) == (1, 1, False)
    (mine,) = await pages(author, path, 100)
    assert [item["id"] for item in mine] == [own["id"], *newest_first]
    assert mine[-1]["liked"] is True


async def test_new_post_does_not_shift_the_next_page(client: httpx.AsyncClient, join: Join) -> None:
    author = await join()
    written = [await author.write(f"post {number}") for number in range(4)]
    path = f"/api/users/{author.username}/posts"
    page = (await client.get(f"{path}?limit=2")).json()
    await author.write("meanwhile")
    rest = (await client.get(f"{path}?limit=2&cursor={page['next_cursor']}")).json()
    found = [item["id"] for item in page["items"] + rest["items"]]
    assert found == [post["id"] for post in reversed(written)]
