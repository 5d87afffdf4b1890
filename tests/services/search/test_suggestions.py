"""Suggestions come as fast as one types: few are weighed, and a plain request goes past the framework."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Member
from tests.services.websocket.chat.talking import Join, conversation

PATH = "/api/search/suggest"


async def suggested(by: Member, **asked: str) -> dict[str, Any]:
    answer = await by.get(PATH, params=asked)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_box_has_each_kind_and_is_the_same_by_both_ways(join: Join) -> None:
    """The framework answers what is not written plainly, as a query that ends with `&`."""
    viewer, other = await join(), await join()
    word = f"quibba{other.username}"
    await other.patch("/api/users/me", {"display_name": f"{word.title()} Ørsted"})
    for number in range(6):
        await other.write(f"{number} #{word} #{word}too")
    await conversation(viewer, other, kind="group", name=f"{word} club")
    await viewer.get("/api/search/posts", params={"q": f"{word} notes"})
    body = await suggested(viewer, q=word[:-1].upper(), limit="5")
    assert [one["username"] for one in body["members"]] == [other.username]
    tags = [(one["tag"], one["posts"], one["is_count_exact"]) for one in body["tags"]]
    assert tags == [(word, 4, False), (f"{word}too", 4, False)]
    assert [one["name"] for one in body["conversations"]] == [f"{word} club"]
    by_framework = (await viewer.get(f"{PATH}?q={word[:-1]}&limit=5&")).json()
    assert by_framework == {**body, "searches": by_framework["searches"]}
    assert (await suggested(viewer, q=f"@{word}")) == {
        "members": body["members"], "tags": [], "conversations": [], "searches": []
    }  # fmt: skip
    marked = await suggested(viewer, q=f"#{word}")
    assert (marked["tags"], marked["members"]) == (body["tags"], [])


@pytest.mark.parametrize("more", [{"page": "2"}, {"cursor": "A"}, {"limit": "21"}, {"limit": "0"}])
async def test_suggestions_have_no_other_pages(join: Join, more: dict[str, str]) -> None:
    viewer = await join()
    answer = await viewer.get(PATH, params={"q": "ada", **more})
    assert answer.status_code == 422, answer.text


async def test_group_that_is_called_just_so_comes_before_more_recent_ones(join: Join) -> None:
    viewer, other = await join(), await join()
    for name in ("Bo", "The Bo Society", "Bouldering", "Bookworms", "Botany", "Boatsmen"):
        await conversation(viewer, other, kind="group", name=name)
    found = [one["name"] for one in (await suggested(viewer, q="bo"))["conversations"]]
    assert found == ["Bo", "The Bo Society", "Boatsmen"]
