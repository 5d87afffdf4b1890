"""Members in a browser: signed in as after the sign-in page, without its password hash."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from chitlaq.core.http import cookies

if TYPE_CHECKING:
    from playwright.async_api import Page

    from tests.browser.conftest import Visit
    from tests.conftest import Member


GO_ON = "() => scrollTo(0, document.body.scrollHeight)"
"""Scroll to the end of what is there, where a list goes on by itself."""


async def sign_in(visit: Visit, member: Member) -> None:
    """Give the browser a member's session, in the cookies of the web application."""
    for name, value, path, site in (
        (cookies.ACCESS, member.token, "/", "Lax"),
        (cookies.REFRESH, member.refresh_token, cookies.REFRESH_PATH, "Strict"),
    ):
        cookie: Any = {"name": name, "value": value, "path": path, "sameSite": site}
        cookie |= {"domain": "localhost", "secure": True, "httpOnly": True}
        await visit.page.context.add_cookies([cookie])


async def open_ready(visit: Visit, path: str) -> None:
    """Open a page, and wait until scripts have taken over."""
    await visit.open(path)
    await visit.page.wait_for_selector("html[data-ready]")


@asynccontextmanager
async def renewing(page: Page) -> AsyncIterator[None]:
    """Do what makes a page open itself again, and wait until scripts have taken over the new one."""
    await page.wait_for_selector("html[data-ready]")
    # A navigation of Playwright's may be a change of the history alone.
    await page.evaluate("() => { document.documentElement.dataset.before = ''; }")
    yield
    await page.wait_for_selector("html[data-ready]:not([data-before])")
