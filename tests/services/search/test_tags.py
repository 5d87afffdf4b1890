"""Tags are found by their beginning, counted by what the viewer may see, and gone with their last post."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx

from chitlaq.services.search.tags import tags
from tests.conftest import Member, Stack

Join = Callable[[], Awaitable[Member]]


async def found(by: Member | httpx.AsyncClient, text: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await by.get(f"/api/search/tags?q={quote(text)}")).json()[
        "items"
    ]
    return items


async def test_tags_are_counted_for_the_viewer_and_go_with_their_last_post(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    author, other = await join(), await join()
    own = author.username
    public = await author.write(f"one #Çağ{own} and #Zug{own}")
    hidden = {"text": f"two #çağ{own} #geheim{own}", "visibility": "self"}
    assert (await author.post("/api/posts", hidden)).status_code == 201
    tag = {"tag": f"Çağ{own}", "posts": 1, "is_count_exact": True}
    for text in (f"cag{own[:4]}", f"#ÇAĞ{own}", f"\uff03çag{own}"):
        assert await found(other, text) == [tag] == await found(client, text), text
    assert (await found(author, f"cag{own}"))[0]["posts"] == 2
    assert await found(other, f"geheim{own}") == []
    assert len(await found(author, f"geheim{own}")) == 1
    suggested = (await other.get(f"/api/search/suggest?q=%23cag{own}")).json()
    assert suggested["tags"] == [tag]
    assert suggested["members"] == []
    assert (await author.delete(f"/api/posts/{public['id']}")).status_code == 204
    assert await found(other, f"cag{own}") == []
    assert await stack.sql("SELECT FROM search.tags WHERE tag = $1", f"zug{own}") == []


async def test_list_of_tags_goes_on_after_the_last_that_was_shown(
    stack: Stack, client: httpx.AsyncClient, join: Join
) -> None:
    author = await join()
    own = f"t{author.username}"
    # One post in sixteen is counted as a use of its tags: this one is, or not, for all alike.
    await author.write(f"#{own} #{own}a #{own}b #{own}c #{own}d")
    use = "UPDATE search.tags SET uses = uses + 16 WHERE tag = $1"
    await stack.sql(use, f"{own}c")
    path = f"/api/search/tags?q={own}&limit=2"
    page = (await client.get(path)).json()
    # Who is called just so comes first, then the most used.
    assert [one["tag"] for one in page["items"]] == [own, f"{own}c"]
    # What is used more meanwhile moves, and puts nothing else out of its place.
    await stack.sql(use, f"{own}b")
    rest: list[str] = []
    while page["next_cursor"] and len(rest) < 9:
        page = (await client.get(f"{path}&page=9&cursor={page['next_cursor']}")).json()
        rest += [one["tag"] for one in page["items"]]
    assert rest == [f"{own}a", f"{own}d"]
    # Others make cursors, too: with what PostgreSQL takes for no text, and of impossible uses.
    made = [tags.Last(tag, uses).encoded() for tag, uses in (("a\0", 1), ("a", 2**40), ("a", -1))]
    for cursor in ("AAAA", "x", "gqFhkA", *made):
        answer = await client.get(f"{path}&cursor={cursor}")
        assert (answer.status_code, list(answer.json()["errors"])) == (422, ["cursor"]), cursor
