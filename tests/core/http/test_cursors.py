"""Whoever asks may make a cursor of any bytes: none of them is a fault."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable

import pytest

from tests.conftest import Member

LISTS = (
    "/api/feed/home",
    "/api/feed/explore",
    "/api/feed/tags/any",
    "/api/users/me/bookmarks",
    "/api/conversations",
    "/api/notifications",
    "/api/search/users?q=a",
    "/api/search/posts?q=a",
    "/api/search/messages?q=a",
    "/api/search/tags?q=a",
)
"""One of each kind of cursor, and some that share one."""
MOST_BYTES = 32


@pytest.mark.parametrize("path", LISTS)
async def test_bytes_that_were_never_given_out_are_refused_or_lead_nowhere(
    path: str, join: Callable[[], Awaitable[Member]]
) -> None:
    eve = await join()
    mark = "&" if "?" in path else "?"
    assert (await eve.get(f"{path}{mark}limit=2")).status_code == 200
    for byte in (0x00, 0x7F, 0xFF):
        for size in range(1, MOST_BYTES + 1):
            cursor = urlsafe_b64encode(bytes([byte]) * size).decode().rstrip("=")
            answer = await eve.get(f"{path}{mark}limit=2&cursor={cursor}")
            assert answer.status_code in {200, 422}, (cursor, answer.text)
