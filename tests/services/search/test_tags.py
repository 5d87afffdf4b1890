"""Tags are found by their beginning, counted by what the viewer may see, and gone with their last post."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx

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
