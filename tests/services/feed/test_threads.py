"""Threads, histories, quotes and bookmarks: what each reader is shown of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Member, eventually
from tests.services.feed.test_lists import pages

Join = Callable[..., Awaitable[Member]]


def tombstone(post: dict[str, Any]) -> dict[str, Any]:
    return {"id": post["id"], "deleted": True, "post": None}


def place(branch: dict[str, Any]) -> dict[str, Any]:
    return {name: branch[name] for name in ("id", "deleted", "post")}


def texts(branch: dict[str, Any]) -> dict[str, Any]:
    """The texts of a tree, each with those of its branches."""
    return {
        one["post"]["text"] if one["post"] else "deleted": texts(one) for one in branch["replies"]
    }


async def thread(reader: Member | httpx.AsyncClient, post: dict[str, Any], query: str = "") -> Any:
    answer = await reader.get(f"/api/posts/{post['id']}/thread{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_thread_shows_what_a_post_answers_and_what_answers_it(join: Join) -> None:
    ada, eve = await join(), await join()
    root = await ada.write("root")
    answer = await eve.write("answer", reply_to=root["id"])
    other = await ada.write("other", reply_to=root["id"])
    below = await ada.write("below", reply_to=answer["id"])
    deeper = await eve.write("deeper", reply_to=below["id"])
    deepest = await eve.write("deepest", reply_to=deeper["id"])
    found = await thread(eve, root)
    assert (found["post"]["text"], found["ancestors"], found["has_earlier"]) == ("root", [], False)
    assert texts(found) == {"answer": {"below": {"deeper": {}}}, "other": {}}
    assert found["replies"][1]["post"]["id"] == other["id"]
    found = await thread(eve, deeper)
    assert [place["post"]["text"] for place in found["ancestors"]] == ["root", "answer", "below"]
    assert found["replies"][0]["post"]["id"] == deepest["id"]


async def test_deleted_and_unreadable_posts_leave_tombstones_that_say_nothing(
    client: httpx.AsyncClient, join: Join
) -> None:
    ada, eve, reader = await join(), await join(), await join()
    await eve.put(f"/api/users/{ada.username}/follow")
    root = await ada.write("root")
    deleted = await ada.write("deleted", reply_to=root["id"], content_warning="secret")
    hidden = await ada.write("hidden", reply_to=root["id"], visibility="followers")
    await ada.write("hidden without an answer", reply_to=root["id"], visibility="self")
    await eve.write("below deleted", reply_to=deleted["id"])
    below = await eve.write("below hidden", reply_to=hidden["id"])
    gone = await eve.write("gone without an answer", reply_to=root["id"])
    await ada.delete(f"/api/posts/{deleted['id']}")
    await eve.delete(f"/api/posts/{gone['id']}")
    for one in (reader, client):
        found = await thread(one, root)
        assert [place(branch) for branch in found["replies"]] == [
            tombstone(deleted),
            tombstone(hidden),
        ]
        assert [texts(branch) for branch in found["replies"]] == [
            {"below deleted": {}},
            {"below hidden": {}},
        ]
        above = (await thread(one, below))["ancestors"]
        assert above[1:] == [tombstone(hidden)]
        assert place(await thread(one, hidden)) == tombstone(hidden)
        assert (await one.get(f"/api/posts/{gone['id']}/thread")).status_code == 404
    assert (await thread(eve, hidden))["post"]["text"] == "hidden"
    await reader.put(f"/api/users/{eve.username}/block")
    assert (await thread(reader, root))["replies"] == []
    assert (await reader.get(f"/api/posts/{hidden['id']}/thread")).status_code == 404


async def test_wide_threads_continue_without_gaps(join: Join) -> None:
    ada = await join()
    root = await ada.write("root")
    first = await ada.write("0", reply_to=root["id"])
    for number in range(1, 5):
        await ada.write(str(number), reply_to=root["id"])
    for number in range(7):
        await ada.write(f"below {number}", reply_to=first["id"])
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await thread(ada, root, f"?limit=2{cursor and '&cursor='}{cursor}")
        found += [branch["post"]["text"] for branch in page["replies"]]
        cursor = page["next_cursor"]
    assert found == ["0", "1", "2", "3", "4"]
    branch = (await thread(ada, root))["replies"][0]
    assert list(texts(branch)) == [f"below {number}" for number in range(5)]
    rest = await thread(ada, first, f"?cursor={branch['next_cursor']}")
    assert list(texts(rest)) == ["below 5", "below 6"]


async def test_history_tells_what_was_told(client: httpx.AsyncClient, join: Join) -> None:
    ada, eve = await join(), await join()
    post = await ada.write("for me", visibility="self")
    path = f"/api/posts/{post['id']}"

    async def history(reader: Member | httpx.AsyncClient) -> list[str]:
        answer = await reader.get(f"{path}/history")
        return [one["text"] for one in answer.json()] if answer.status_code == 200 else []

    await ada.patch(path, {"text": "first", "visibility": "public"})
    assert (await ada.patch(path, {})).json()["edited_at"] is not None
    await ada.patch(path, {"text": "second"})
    await ada.patch(path, {"text": "second"})
    assert await history(ada) == ["first", "for me"]
    assert await history(eve) == await history(client) == ["first"]
    await ada.patch(path, {"visibility": "followers"})
    assert await history(eve) == []
    await ada.patch(path, {"visibility": "public"})
    await ada.delete(path)
    assert (await ada.get(f"{path}/history")).status_code == 404


async def test_history_keeps_what_was_for_others_than_those_who_read_now(join: Join) -> None:
    ada, follower, bob, carol = await join(), await join(), await join(), await join()
    await follower.put(f"/api/users/{ada.username}/follow")
    post = await ada.write("for followers", visibility="followers")
    path = f"/api/posts/{post['id']}"

    async def history(reader: Member) -> list[str]:
        return [one["text"] for one in (await reader.get(f"{path}/history")).json()]

    await ada.patch(path, {"text": "edited"})
    assert await history(follower) == ["for followers"]
    await ada.patch(path, {"text": f"@{bob.username}", "visibility": "mentioned"})
    assert await history(bob) == []
    await ada.patch(path, {"text": f"@{carol.username}"})
    assert await history(carol) == []
    assert len(await history(ada)) == 3


async def test_change_of_nothing_changes_nothing(join: Join) -> None:
    ada = await join()
    post = await ada.write("as it was", content_warning="careful")
    for change in ({}, {"text": "as it was"}, {"visibility": "public"}):
        answer = await ada.patch(f"/api/posts/{post['id']}", change)
        assert (answer.status_code, answer.json()) == (200, post)
    assert (await ada.get(f"/api/posts/{post['id']}/history")).json() == []


async def test_widened_post_reaches_timelines_that_exist(join: Join) -> None:
    ada, eve = await join(), await join()
    await eve.put(f"/api/users/{ada.username}/follow")
    post = await ada.write("for me", visibility="self")
    assert await eve.home() == []
    assert await eve.home() == [], "now from its timeline in Valkey"
    await ada.patch(f"/api/posts/{post['id']}", {"visibility": "followers"})

    async def arrived() -> bool:
        return [one["id"] for one in await eve.home()] == [post["id"]]

    await eventually(arrived)


async def test_the_quoted_decides_who_quotes_and_can_detach(
    client: httpx.AsyncClient, join: Join
) -> None:
    ada, eve, friend = await join(), await join(), await join()
    await friend.put(f"/api/users/{ada.username}/follow")
    for audience, allowed in (
        ("everyone", [ada, eve, friend]),
        ("followers", [ada, friend]),
        ("nobody", [ada]),
    ):
        post = await ada.write(audience, quotable_by=audience)
        for one in (ada, eve, friend):
            answer = await one.post("/api/posts", {"text": "look", "quote_of": post["id"]})
            assert answer.status_code == (201 if one in allowed else 422), (audience, answer.text)
    post = await ada.write("quote me")
    quote = await eve.write("see", quote_of=post["id"])
    assert quote["quote"]["text"] == "quote me"
    path = f"/api/posts/{post['id']}/quotes"
    assert [one["id"] for one in (await client.get(path)).json()["items"]] == [quote["id"]]

    assert (await eve.delete(f"{path}/{quote['id']}")).status_code == 404
    for _ in range(2):
        assert (await ada.delete(f"{path}/{quote['id']}")).status_code == 204
    seen = (await client.get(f"/api/posts/{quote['id']}")).json()
    assert (seen["text"], seen["quote"], seen["quote_of"]) == ("see", None, None)
    assert seen["quote_detached"] is True
    assert (await client.get(path)).json()["items"] == []


async def test_quote_is_null_for_who_may_not_read_the_quoted(
    client: httpx.AsyncClient, join: Join
) -> None:
    ada, eve, blocked = await join(), await join(), await join()
    post = await ada.write("of the university", visibility="university")
    quote = await eve.write("see", quote_of=post["id"])
    await ada.put(f"/api/users/{blocked.username}/block")
    path = f"/api/posts/{quote['id']}"
    assert (await eve.get(path)).json()["quote"]["text"] == "of the university"
    for one in (client, blocked):
        seen = (await one.get(path)).json()
        assert (seen["text"], seen["quote"]) == ("see", None)
        assert (await one.get(f"/api/posts/{post['id']}/quotes")).status_code == 404
    await ada.delete(f"/api/posts/{post['id']}")
    assert (await eve.get(path)).json()["quote"] is None


async def test_who_may_quote_is_shown_and_changed(join: Join) -> None:
    ada, eve = await join(), await join()
    post = await ada.write("mine", quotable_by="followers")
    path = f"/api/posts/{post['id']}"
    assert post["quotable_by"] == (await eve.get(path)).json()["quotable_by"] == "followers"
    changed = (await ada.patch(path, {"quotable_by": "nobody"})).json()
    assert (changed["quotable_by"], changed["edited_at"]) == ("nobody", None)
    assert (await eve.get(path)).json()["quotable_by"] == "nobody"


@pytest.mark.parametrize("blocker", ["quoted", "quoting"])
async def test_block_takes_a_quote_away_from_everybody_while_it_holds(
    client: httpx.AsyncClient, join: Join, blocker: str
) -> None:
    ada, eve, reader = await join(), await join(), await join()
    post = await ada.write("quote me")
    quote = await eve.write("look at her", quote_of=post["id"])
    await reader.put(f"/api/users/{eve.username}/follow")
    one, other = (ada, eve) if blocker == "quoted" else (eve, ada)

    async def quoted() -> set[str | None]:
        seen = [
            (await who.get(f"/api/posts/{quote['id']}")).json() for who in (eve, reader, client)
        ]
        seen += await reader.home()
        return {each["quote"] and each["quote"]["text"] for each in seen}

    async def quotes() -> list[str]:
        answer = await client.get(f"/api/posts/{post['id']}/quotes")
        return [each["id"] for each in answer.json()["items"]]

    assert await quoted() == {"quote me"}
    await one.put(f"/api/users/{other.username}/block")
    assert (await quoted(), await quotes()) == ({None}, [])
    await one.delete(f"/api/users/{other.username}/block")
    assert (await quoted(), await quotes()) == ({"quote me"}, [quote["id"]])


async def test_likes_and_reposts_name_whom_the_viewer_may_see(join: Join) -> None:
    ada, eve, bob = await join(), await join(), await join()
    post = await ada.write("popular")
    for kind in ("like", "repost"):
        for one in (eve, bob):
            assert (await one.put(f"/api/posts/{post['id']}/{kind}")).status_code == 204

    async def named(reader: Member, kind: str) -> set[str]:
        found = await pages(reader, f"/api/posts/{post['id']}/{kind}s", 1)
        return {one["username"] for page in found for one in page}

    for kind in ("like", "repost"):
        assert await named(ada, kind) == {eve.username, bob.username}
    await ada.put(f"/api/users/{bob.username}/block")
    seen = (await ada.get(f"/api/posts/{post['id']}")).json()
    for kind in ("like", "repost"):
        assert await named(ada, kind) == {eve.username}
        assert seen[f"{kind}s"] == 1
        assert (await bob.get(f"/api/posts/{post['id']}/{kind}s")).status_code == 404


async def test_bookmarks_are_listed_by_when_they_were_made_and_nobody_else_sees_them(
    join: Join,
) -> None:
    ada, eve = await join(), await join()
    posts = [await ada.write(str(number)) for number in range(4)]
    for number in (2, 0, 3, 0):
        assert (await eve.put(f"/api/posts/{posts[number]['id']}/bookmark")).status_code == 204
    found = await pages(eve, "/api/users/me/bookmarks", 2)
    assert [[one["text"] for one in page] for page in found] == [["3", "0"], ["2"]]
    assert all(one["bookmarked"] for page in found for one in page)
    assert await pages(ada, "/api/users/me/bookmarks", 2) == [[]]
    assert (await ada.get(f"/api/posts/{posts[0]['id']}")).json()["bookmarked"] is False

    await ada.delete(f"/api/posts/{posts[3]['id']}")
    await ada.patch(f"/api/posts/{posts[0]['id']}", {"visibility": "self"})
    assert [one["text"] for one in (await pages(eve, "/api/users/me/bookmarks", 9))[0]] == ["2"]
    assert (await eve.put(f"/api/posts/{posts[0]['id']}/bookmark")).status_code == 404
    for number in (0, 2):
        assert (await eve.delete(f"/api/posts/{posts[number]['id']}/bookmark")).status_code == 204
    await ada.patch(f"/api/posts/{posts[0]['id']}", {"visibility": "public"})
    assert await pages(eve, "/api/users/me/bookmarks", 9) == [[]]


async def test_post_for_the_mentioned_is_theirs_alone(
    client: httpx.AsyncClient, join: Join
) -> None:
    ada, eve, follower = await join(), await join(), await join()
    for one in (eve, follower):
        await one.put(f"/api/users/{ada.username}/follow")
    post = await ada.write(f"psst @{eve.username}", visibility="mentioned")
    assert post["mentions"] == [eve.username]
    path = f"/api/posts/{post['id']}"
    assert (await eve.get(path)).json()["text"] == post["text"]
    assert [one["id"] for one in await ada.home()] == [post["id"]]
    for reader in (follower, client):
        assert (await reader.get(path)).status_code == 404
        listed = await reader.get(f"/api/users/{ada.username}/posts")
        assert listed.json()["items"] == []
    assert (await eve.get(f"/api/users/{ada.username}")).json()["posts"] == 1
    assert (await follower.get(f"/api/users/{ada.username}")).json()["posts"] == 0
    answer = await eve.write(f"yes @{ada.username}", reply_to=post["id"], visibility="mentioned")
    assert (await ada.get(path)).json()["replies"] == 1
    assert texts(await thread(ada, post)) == {answer["text"]: {}}
    assert (await eve.put(f"{path}/repost")).status_code == 403

    await ada.patch(path, {"text": f"not for you @{follower.username}"})
    assert (await eve.get(path)).status_code == 404
    assert (await follower.get(path)).status_code == 200
