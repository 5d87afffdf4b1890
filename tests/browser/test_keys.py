"""The keyboard alone: everything that is done often has a key, and no key acts where somebody writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import PASSWORD, Member, Stack

if TYPE_CHECKING:
    from playwright.async_api import Browser

Join = Callable[[], Awaitable[Member]]

LIST = "[...document.querySelectorAll('.keys div')].map(one => one.innerText)"
KEYS_ARE_READY = "() => document.querySelector('#state > .state') !== null"


async def test_keys_go_through_posts_and_pages_and_can_be_switched_off(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    for text in ("older", "newer"):
        await ada.write(text)
    async with visiting(browser, stack.issuer, 1400) as visit:
        page, keys = visit.page, visit.page.keyboard
        await sign_in(visit, ada)
        await open_ready(visit, "/home")
        await page.wait_for_function(KEYS_ARE_READY)
        for pressed, text in (("j", "newer"), ("j", "older"), ("k", "newer"), ("j", "older")):
            await keys.press(pressed)
            await expect(page.locator("article:focus")).to_contain_text(text)
        await keys.press("l")
        await expect(page.locator("article:focus .like")).to_have_attribute("aria-pressed", "true")
        await keys.press("Enter")
        await expect(page.locator("h1")).to_contain_text("Post")
        await keys.press("r")
        await expect(page.locator("textarea:focus")).to_have_value("")
        await keys.type("jl?gn")
        await expect(page.locator("textarea:focus")).to_have_value("jl?gn")
        await page.locator("textarea:focus").blur()
        await keys.type("gn")
        await page.wait_for_url("**/notifications")
        await keys.press("/")
        await page.wait_for_url("**/search")
        await expect(page.locator("input[type=search]")).to_be_focused()
        await page.locator("input[type=search]").blur()

        await keys.press("?")
        await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        listed = await page.evaluate(LIST)
        await visit.require_accessible()
        await visit.keep("keys-help")
        await page.get_by_role("link", name="Settings").last.click()
        await page.wait_for_url("**/settings/shortcuts")
        assert await page.evaluate(LIST) == listed
        await page.get_by_label("Single keys act").uncheck()
        await page.get_by_role("button", name="Save").click()
        await visit.require_accessible()
        await open_ready(visit, "/home")
        await page.wait_for_function(KEYS_ARE_READY)
        await keys.press("j")
        await expect(page.locator("article:focus")).to_have_count(0)


async def test_session_that_is_ended_elsewhere_ends_the_page_and_numbers_follow_what_happens(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, bob = await join(), await join()
    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await sign_in(visit, ada)
        await open_ready(visit, "/explore")
        await page.wait_for_function(KEYS_ARE_READY)
        await bob.put(f"/api/users/{ada.username}/follow")
        await expect(page.get_by_role("link", name="Notifications")).to_contain_text("1")
        await ada.post("/api/auth/logout")
        again = page.get_by_role("dialog", name="Sign in again")
        await again.wait_for()
        await expect(page.locator("main")).to_be_hidden()
        await again.get_by_label("Password").fill(PASSWORD)
        await again.get_by_role("button", name="Sign in").click()
        await expect(page.locator("main")).to_be_visible()
