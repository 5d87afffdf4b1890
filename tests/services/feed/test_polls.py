"""Polls: one vote each, and the result when it is due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Member, Stack
from tests.services.feed.crowd import Crowd, Someone

Join = Callable[..., Awaitable[Member]]


async def ask(author: Member, *options: str, **fields: Any) -> dict[str, Any]:
    return await author.write("which?", poll={"options": options, **fields})


async def vote(voter: Member, post: dict[str, Any], *choices: int) -> httpx.Response:
    return await voter.put(f"/api/posts/{post['id']}/vote", {"choices": choices})


async def poll(reader: Member | httpx.AsyncClient, post: dict[str, Any]) -> Any:
    return (await reader.get(f"/api/posts/{post['id']}")).json()["poll"]


def votes(seen: Any) -> list[int | None]:
    return [option["votes"] for option in seen["options"]]


async def test_result_is_shown_to_who_has_voted_and_to_all_at_the_end(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    ada, eve, bob = await join(), await join(), await join()
    post = await ask(ada, "yes", "no", expires_in_seconds=600)
    seen = await poll(eve, post)
    assert [option["text"] for option in seen["options"]] == ["yes", "no"]
    assert (votes(seen), seen["voted"], seen["ended"]) == ([None, None], None, False)
    assert votes(post["poll"]) == [0, 0], "its author sees the result"

    answer = await vote(eve, post, 1)
    assert (answer.status_code, votes(answer.json()["poll"])) == (200, [0, 1]), answer.text
    assert (await poll(eve, post))["voted"] == [1]
    for reader in (bob, client):
        seen = await poll(reader, post)
        assert (votes(seen), seen["voters"], seen["voted"]) == ([None, None], 1, None)
    (listed,) = (await client.get(f"/api/users/{ada.username}/posts")).json()["items"]
    assert listed["poll"] == await poll(client, post)

    await stack.sql("UPDATE feed.polls SET expires_at = now() WHERE post_id = $1", post["id"])
    seen = await poll(client, post)
    assert (votes(seen), seen["ended"]) == ([0, 1], True)
    assert (await vote(bob, post, 0)).status_code == 409
    assert (await vote(eve, post, 1)).status_code == 200, "the same again"


async def test_vote_is_counted_once_and_is_final(join: Join) -> None:
    ada, eve, bob = await join(), await join(), await join()
    post = await ask(ada, "a", "b", "c", multiple=True)
    answers = await asyncio.gather(*(vote(eve, post, 2, 0) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert (await vote(eve, post, 1)).status_code == 409
    assert (await vote(bob, post, 0)).status_code == 200
    seen = await poll(ada, post)
    assert (votes(seen), seen["voters"]) == ([2, 0, 1], 2)


async def test_votes_that_a_poll_does_not_take_are_refused(join: Join) -> None:
    ada, eve, blocked = await join(), await join(), await join()
    post = await ask(ada, "a", "b")
    assert (await vote(ada, post, 0)).status_code == 403
    for choices in ((), (2,), (-1,), (0, 1), (0, 0)):
        assert (await vote(eve, post, *choices)).status_code == 422, choices
    await ada.put(f"/api/users/{blocked.username}/block")
    assert (await vote(blocked, post, 0)).status_code == 404
    plain = await ada.write("no poll")
    assert plain["poll"] is None
    assert (await vote(eve, plain, 0)).status_code == 404
    assert (await poll(ada, post))["voters"] == 0


async def test_polls_that_ask_nothing_are_refused_and_none_is_changed(join: Join) -> None:
    ada = await join()
    for options in (
        ["\u00e1", "a\u0301"],
        [],
        ["a"],
        ["a", " a"],
        ["a", ""],
        ["a", "\u200b"],
        list("abcde"),
        ["a", "b" * 101],
    ):
        answer = await ada.post("/api/posts", {"text": "?", "poll": {"options": options}})
        assert answer.status_code == 422, options
    answer = await ada.post("/api/posts", {"text": "?", "poll": {"options": ["a"]}})
    assert answer.json()["errors"] == {"poll.options": "must have at least 2 items"}
    for seconds in (0, 299, 10**9):
        body = {"text": "?", "poll": {"options": ["a", "b"], "expires_in_seconds": seconds}}
        assert (await ada.post("/api/posts", body)).status_code == 422
    post = await ask(ada, "a", "b")
    path = f"/api/posts/{post['id']}"
    change = {"poll": {"options": ["x", "y"]}}
    assert (await ada.patch(path, change)).status_code in {400, 422}
    changed = (await ada.patch(path, {"text": "other words"})).json()
    assert changed["poll"] == post["poll"]


async def test_quoted_poll_is_shown_and_a_deleted_one_is_gone(stack: Stack, join: Join) -> None:
    ada, eve = await join(), await join()
    post = await ask(ada, "a", "b")
    quote = await eve.write("see", quote_of=post["id"])
    assert [option["text"] for option in quote["quote"]["poll"]["options"]] == ["a", "b"]
    await vote(eve, post, 0)
    await ada.delete(f"/api/posts/{post['id']}")
    (left,) = await stack.sql("SELECT count(*) FROM feed.polls WHERE post_id = $1", post["id"])
    assert left["count"] == 0


@pytest.mark.parametrize("size", [40, pytest.param(1000, marks=pytest.mark.long)])
async def test_everybody_who_votes_at_once_is_counted_once(stack: Stack, size: int) -> None:
    """Each sends two different votes in the same moment: one of them counts, and stays."""
    async with Crowd(stack) as crowd:
        author, watcher, *voters = await crowd.join(size + 2)
        body = {"text": "which?", "poll": {"options": ["a", "b", "c"], "expires_in_seconds": 3600}}
        path = f"/posts/{(await author.ask('POST', '/posts', body)).json()['id']}"
        counted = [0, 0, 0]

        async def vote_twice(voter: Someone, first: int, second: int) -> None:
            answers = await asyncio.gather(
                *(voter.ask("PUT", f"{path}/vote", {"choices": [one]}) for one in (first, second))
            )
            assert sorted(one.status_code for one in answers) == [200, 409]
            (seen,) = [one.json()["poll"] for one in answers if one.status_code == 200]
            assert seen["voted"] in ([first], [second])
            counted[seen["voted"][0]] += 1

        for at in range(0, size, 40):
            await asyncio.gather(
                *(
                    vote_twice(voter, number % 3, (number + 1) % 3)
                    for number, voter in enumerate(voters[at : at + 40])
                )
            )
        kept = (await voters[0].json(path))["poll"]["voted"]
        for choice in range(3):
            answer = await voters[0].ask("PUT", f"{path}/vote", {"choices": [choice]})
            assert answer.status_code == (200 if [choice] == kept else 409)

        hidden = (await watcher.json(path))["poll"]
        assert (votes(hidden), hidden["voters"]) == ([None] * 3, size)
        await stack.sql(
            "UPDATE feed.polls SET expires_at = now() WHERE post_id = $1",
            path.removeprefix("/posts/"),
        )
        for reader in (watcher, author, voters[0]):
            shown = (await reader.json(path))["poll"]
            assert (votes(shown), shown["voters"]) == (counted, size)
