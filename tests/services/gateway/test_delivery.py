"""What is sent to browsers: packed, and kept for as long as it is true."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import httpx

from tests.conftest import PASSWORD, Member

Join = Callable[[], Awaitable[Member]]

PACKED = {"Accept-Encoding": "gzip"}
FOR_EVER = "public, max-age=31536000, immutable"


async def test_static_files_are_kept_for_ever_and_changed_by_their_address(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/reset")).text
    style = re.findall(r'<link rel="stylesheet" href="([^"]+)">', page)[-1]
    answer = await client.get(style, headers=PACKED)
    assert answer.headers["Cache-Control"] == FOR_EVER
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    plain = await client.get(style, headers={"Accept-Encoding": "identity"})
    assert plain.text == answer.text
    assert "Content-Encoding" not in plain.headers
    # A page of another version finds its files, and keeps none that may not be of its version.
    other = await client.get(re.sub("[0-9a-f]{12}", "0" * 12, style))
    assert (other.status_code, other.headers["Cache-Control"]) == (200, "no-store")
    for missing in ("page.css/x", "..%2fpages.py", "%2e%2e/pages.py", "none.js", "vendor"):
        answer = await client.get(style.replace("page.css", missing))
        assert answer.status_code in (400, 404), missing


async def test_lists_are_packed_and_secrets_are_not(client: httpx.AsyncClient, join: Join) -> None:
    member = await join()
    for number in range(5):
        await member.post("/api/posts", {"text": f"{number} " + "lorem ipsum dolor " * 30})
    page = await client.get("/api/feed/home", headers={**PACKED, **member.headers})
    assert page.headers["Content-Encoding"] == "gzip"
    assert len(page.json()["items"]) == 5
    body = {"login": member.username, "password": PASSWORD}
    for _ in range(5):
        await client.post("/api/auth/login", json=body)
    devices = await client.get("/api/auth/sessions", headers={**PACKED, **member.headers})
    assert len(devices.content) > 1000
    assert "Content-Encoding" not in devices.headers
