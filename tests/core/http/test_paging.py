"""Lists: a handler asks for ``paging``, a client sees `page`, `limit` and `cursor`."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chitlaq.core.http import paging
from chitlaq.core.http.paging import Page, Paging, cursor_after
from chitlaq.core.http.problems import Problem
from chitlaq.services.feed.discovery import discovery
from chitlaq.services.search.tags import tags
from chitlaq.services.search.texts import cursors as texts

IDS = [UUID(int=number) for number in range(1, 8)]


def read(wanted: Paging) -> Page[int]:
    """Read a page of the ids as a query with this window does."""
    before, offset, limit = wanted.window
    rows = [(id_,) for id_ in IDS if before is None or id_ > before][offset : offset + limit]
    return wanted.page_of(rows, lambda row: row[0].int)


async def test_handler_gets_the_requested_page() -> None:
    async def handler(name: str, paging: Paging) -> tuple[str, Paging]:
        return name, paging

    call: Any = paging.expanded(handler)
    assert await call(name="x", page=3, limit=5, cursor=None) == ("x", Paging(3, 5, None))
    assert await call(name="x", page=3, limit=5, cursor=cursor_after(IDS[0])) == (
        "x",
        Paging(3, 5, IDS[0]),
    )
    with pytest.raises(Problem):
        await call(name="x", page=1, limit=5, cursor="no cursor")
    assert paging.expanded(call) is call


@pytest.mark.parametrize("limit", range(1, 9))
def test_paging_by_cursor_or_page_gives_each_item_once(limit: int) -> None:
    by_cursor: list[int] = []
    cursor: str | None = None
    while True:
        page = read(Paging.of(1, limit, cursor))
        by_cursor += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    by_page = [item for number in range(1, 9) for item in read(Paging.of(number, limit)).items]
    assert by_cursor == by_page == list(range(1, 8))


@given(st.text() | st.binary().map(lambda packed: urlsafe_b64encode(packed).decode()))
@pytest.mark.parametrize("read", [Paging.of, texts.Place.of, tags.Last.of, discovery.Place.of])
def test_cursor_of_any_characters_is_a_place_or_refused(
    read: Callable[..., object], cursor: str
) -> None:
    with suppress(Problem):
        read(cursor=cursor)
