"""A browser keeps a session in cookies, also on http://localhost, and lets no script read them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.browser.conftest import visiting
from tests.conftest import PASSWORD, Member, Stack

if TYPE_CHECKING:
    from playwright.async_api import Browser

Join = Callable[[], Awaitable[Member]]

ASK = """async ([path, body]) => {
    const headers = {"Content-Type": "application/json"};
    const asked = body && {method: "POST", headers, body: JSON.stringify(body)};
    return (await fetch(path, asked || {})).status;
}"""
CONNECT = """() => new Promise(resolve => {
    const socket = new WebSocket(`ws://${location.host}/ws`);
    socket.onmessage = message => { resolve(JSON.parse(message.data).type); socket.close(); };
    socket.onclose = () => resolve("closed");
})"""


async def test_browser_stays_signed_in_by_cookies_that_no_script_reads(
    browser: Browser, stack: Stack, join: Join
) -> None:
    member = await join()
    async with visiting(browser, stack.issuer) as visit:
        await visit.open("/")

        async def ask(path: str, body: dict[str, object] | None = None) -> int:
            status: int = await visit.page.evaluate(ASK, [path, body])
            return status

        assert await ask("/api/users/me") == 401
        wanted = {"login": member.username, "password": PASSWORD, "cookies": True}
        assert await ask("/api/auth/login", wanted) == 200
        assert await visit.page.evaluate("document.cookie") == ""
        await visit.open("/")
        assert await ask("/api/posts", {"text": "from a browser"}) == 201
        assert await visit.page.evaluate(CONNECT) == "signed_in"
        assert await ask("/api/auth/refresh", {}) == 200
        assert await ask("/api/users/me") == 200
        assert await ask("/api/auth/logout", {}) == 204
        kept = {one["name"] for one in await visit.page.context.cookies()}
        assert kept == {"__Host-chitlaq-device"}, "the device stays known"
        assert await ask("/api/users/me") == 401
