"""Of members who match as well, those who post come first; of what is not for everybody, nothing is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import pytest

from tests.conftest import Member, Stack, eventually

Join = Callable[[], Awaitable[Member]]

ACTIVE_ON = "SELECT active_on FROM search.members WHERE member_id = $1"
OLDER = """
INSERT INTO feed.posts (id, author_id, text, visibility)
VALUES (uuidv7(make_interval(days => -$2::integer)), $1, 'older', 'public')
"""


async def namesakes(join: Join, count: int) -> tuple[str, Sequence[Member]]:
    """Members of one name, of whom the first joined first: who is equal to others stands so."""
    members = [await join() for _ in range(count)]
    name = f"Sieglinde {members[0].username}"
    for one in members:
        assert (await one.patch("/api/users/me", {"display_name": name})).is_success
    return name, members


async def order(viewer: Member, name: str) -> list[str]:
    """The usernames that a search and a suggestion show, which are the same."""
    found = (await viewer.get("/api/search/users", params={"q": name})).json()["items"]
    suggested = (await viewer.get("/api/search/suggest", params={"q": name})).json()["members"]
    names = [one["username"] for one in found]
    assert [one["username"] for one in suggested] == names
    return names


async def test_of_equal_members_who_posted_last_comes_first(stack: Stack, join: Join) -> None:
    name, (silent, early, late, viewer) = await namesakes(join, 4)
    await viewer.patch("/api/users/me", {"display_name": "Viewer"})
    names = [one.username for one in (silent, early, late)]
    assert await order(viewer, name) == names
    await stack.sql(OLDER, early.id, 5)
    assert await order(viewer, name) == [names[1], names[0], names[2]]
    post = await late.write("good morning")
    assert await order(viewer, name) == [names[2], names[1], names[0]]
    before = await stack.sql("SELECT xmin FROM search.members WHERE member_id = $1", late.id)
    second = await late.write("good evening")
    after = await stack.sql("SELECT xmin FROM search.members WHERE member_id = $1", late.id)
    assert before == after, "a day's first post is noted, the others write nothing"
    await stack.sql(OLDER, silent.id, 40)
    assert (await stack.sql(ACTIVE_ON, silent.id))[0]["active_on"] is None
    assert (await late.delete(f"/api/posts/{second['id']}")).is_success
    assert (await order(viewer, name))[0] == names[2], "another post of theirs is there"
    assert (await late.delete(f"/api/posts/{post['id']}")).is_success
    assert await order(viewer, name) == [names[1], names[0], names[2]]


@pytest.mark.parametrize("visibility", ["university", "followers", "self", "mentioned"])
async def test_post_that_is_not_for_everybody_moves_nobody(
    stack: Stack, join: Join, visibility: str
) -> None:
    """Attacks what the order of namesakes would tell a stranger."""
    name, (first, second, viewer) = await namesakes(join, 3)
    await viewer.patch("/api/users/me", {"display_name": "Viewer"})
    post = await second.write(f"for @{first.username}", visibility=visibility)
    assert await order(viewer, name) == [first.username, second.username]
    assert (await stack.sql(ACTIVE_ON, second.id))[0]["active_on"] is None
    path = f"/api/posts/{post['id']}"
    assert (await second.patch(path, {"visibility": "public"})).is_success
    assert await order(viewer, name) == [second.username, first.username]
    assert (await second.patch(path, {"visibility": visibility})).is_success
    assert await order(viewer, name) == [first.username, second.username]


async def test_private_member_is_not_told_to_be_active(stack: Stack, join: Join) -> None:
    name, (first, second, viewer) = await namesakes(join, 3)
    await viewer.patch("/api/users/me", {"display_name": "Viewer"})
    await second.write("hello")
    assert await order(viewer, name) == [second.username, first.username]
    assert (await second.patch("/api/users/me", {"is_private": True})).is_success
    assert await order(viewer, name) == [first.username, second.username]
    await second.write("hello again")
    assert (await stack.sql(ACTIVE_ON, second.id))[0]["active_on"] is None
    assert (await second.patch("/api/users/me", {"is_private": False})).is_success
    assert await order(viewer, name) == [second.username, first.username]


async def test_job_finds_who_was_active_before_and_explain_shows_it(
    stack: Stack, join: Join
) -> None:
    name, (first, second, viewer) = await namesakes(join, 3)
    await viewer.patch("/api/users/me", {"display_name": "Viewer"})
    await second.write("hello")
    # As a migration finds it.
    await stack.sql("UPDATE search.members SET active_on = NULL WHERE member_id = $1", second.id)
    assert await order(viewer, name) == [first.username, second.username]
    await stack.sql(
        "INSERT INTO jobs.jobs (kind, payload, request_id) VALUES ('index_activity', '{}', 'x')"
    )

    async def is_noted() -> bool:
        return (await stack.sql(ACTIVE_ON, second.id))[0]["active_on"] is not None

    await eventually(is_noted)
    assert await order(viewer, name) == [second.username, first.username]
    explained = stack.json("search", "explain", name, "--as", viewer.username)
    members = explained["ways"][0]["members"]
    assert [one["activity"] for one in members] == [1, 0]
    assert members[0]["points"] == members[1]["points"] + 1
    assert (members[0]["active_on"] is None, members[1]["active_on"]) == (False, None)
