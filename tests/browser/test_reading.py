"""Reading: lists that go on, screens that cannot be shown at once, and pictures that are still being made."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.browser.conftest import visiting
from tests.browser.members import GO_ON, open_ready, sign_in
from tests.browser.test_pseudo_locale import FIRST
from tests.conftest import Member, Stack, eventually
from tests.services.feed.pictures import encoded, picture, uploaded

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

Join = Callable[[], Awaitable[Member]]

IS_BROKEN = """() => {
    const image = document.querySelector(".media img");
    return image !== null && image.complete && image.naturalWidth === 0;
}"""
IS_SHOWN = "() => document.querySelector('.media img').naturalWidth > 0"


async def test_list_goes_on_by_itself_unless_its_reader_does_not_want_that(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    for number in range(45):
        await ada.write(f"number {number}.")
    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await sign_in(visit, ada)
        await open_ready(visit, f"/@{ada.username}")
        posts = page.get_by_role("article")
        await expect(posts).to_have_count(20)

        async def is_read_to_its_end() -> bool:
            await page.evaluate(GO_ON)
            return await posts.count() == 45

        await eventually(is_read_to_its_end)
        shown = [
            re.findall(r"number \d+", one)[0]
            for one in await page.locator(".post .text").all_inner_texts()
        ]
        assert shown == [f"number {number}" for number in reversed(range(45))]

        await open_ready(visit, "/settings/appearance")
        await page.get_by_label("Wait for the button").check()
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("html[data-scrolling=off]")).to_be_attached()
        await open_ready(visit, f"/@{ada.username}")
        more = page.get_by_role("button", name="Show more")
        await more.scroll_into_view_if_needed()
        await page.wait_for_timeout(500)  # in which it would have gone on
        await expect(posts).to_have_count(20)
        await more.click()
        await expect(posts).to_have_count(40)


async def test_screen_that_is_refused_says_why_and_comes_when_it_may(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    member = await join()

    async def refuse(route: Route) -> None:
        await asyncio.sleep(1)
        problem = {"detail": "Explore is away.", "request_id": "asked-1"}
        await route.fulfill(status=503, headers={"Retry-After": "3"}, json=problem)

    async with visiting(browser, stack.issuer, 1400, "light") as visit:
        page = visit.page
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await sign_in(visit, member)
        await open_ready(visit, "/home")
        await page.route("**/api/feed/explore*", refuse, times=1)
        await page.get_by_role("link", name="Explore").first.click()
        main, heading = page.locator("main"), page.locator("h1")
        await expect(main).to_have_attribute("aria-busy", "true")
        await expect(main).to_contain_text("Explore is away.")
        await expect(main).not_to_have_attribute("aria-busy", "true")
        await expect(heading).to_be_focused()
        await expect(page.get_by_role("button", name="Try again in")).to_be_disabled()
        await page.get_by_role("button", name="Copy").click()
        assert await page.evaluate("navigator.clipboard.readText()") == "asked-1"
        await visit.require_accessible()
        # Nobody has to do anything.
        await expect(heading).to_have_text("Explore")
        await expect(heading).to_be_focused()
        await page.go_back()
        await expect(heading).to_have_text("Home")
        await expect(heading).to_be_focused()
        visit.complaints.clear()  # the refusal


async def test_page_without_its_members_name_asks_for_it_and_finds_the_draft(
    browser: Browser, stack: Stack, join: Join
) -> None:
    """The server waits for no part of a page for long, and the member's own profile is one."""
    from playwright.async_api import expect

    ada = await join()

    async def nameless(route: Route) -> None:
        answer = await route.fetch()
        page = await answer.text()
        (text,) = FIRST.findall(page)
        first = json.dumps(json.loads(text) | {"me": None}).replace("<", "\\u003c")
        await route.fulfill(response=answer, body=page.replace(text, first))

    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await sign_in(visit, ada)
        # Chromium does not know where a page is from that a test hands it.
        await page.context.grant_permissions(["local-network-access"])
        await open_ready(visit, "/home")
        text = page.get_by_label("What is on your mind?")
        await text.fill("Half a thought")
        await eventually(
            lambda: page.evaluate("Object.values(localStorage).join().includes('Half')")
        )
        await page.route("**/home", nameless)
        await open_ready(visit, "/home")
        await expect(text).to_have_value("Half a thought")
        assert f"draft:{ada.username}:home" in await page.evaluate("Object.keys(localStorage)")


async def test_picture_that_is_still_made_has_its_place_and_comes_by_itself(
    browser: Browser, stack: Stack, join: Join
) -> None:
    """It may have failed before this page had scripts, or afterwards."""
    from playwright.async_api import expect

    ada = await join()
    media = await uploaded(ada, encoded(picture(320, 200)), alt="Blocks")
    post = await ada.write("Look", media_ids=[media["id"]])
    thread = f"/@{ada.username}/p/{post['id']}"
    scripts = asyncio.Event()

    async def missing(route: Route) -> None:
        await route.fulfill(status=404)

    async def later(route: Route) -> None:
        await scripts.wait()
        await route.continue_()

    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await sign_in(visit, ada)
        await page.route("**/app/main.js", later)
        for is_before in (True, False):
            await page.route("**/api/media/*/*", missing)
            await page.goto(stack.issuer + thread, wait_until="commit")
            if is_before:
                await eventually(lambda: page.evaluate(IS_BROKEN))
            scripts.set()
            await page.wait_for_selector("html[data-ready]")
            image, below = page.get_by_role("img", name="Blocks"), page.locator(".actions").first
            await expect(image).to_have_css("opacity", "0")
            before = (await image.bounding_box(), await below.bounding_box())
            await visit.keep("picture-being-made")
            await page.unroute("**/api/media/*/*")
            await eventually(lambda: page.evaluate(IS_SHOWN))
            await expect(image).to_have_css("opacity", "1")
            assert (await image.bounding_box(), await below.bounding_box()) == before
        # What it says may go: a post of pictures needs no text.
        await page.get_by_role("button", name="More actions").click()
        await page.get_by_role("menuitem", name="Edit").click()
        await page.get_by_label("Text", exact=True).fill("")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("article.main .text")).to_have_count(0)
        await expect(image).to_be_visible()
