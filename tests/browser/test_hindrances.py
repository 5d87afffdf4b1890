"""What hinders a browser: scripts and answers that come late, two tabs, and one that keeps nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.browser.test_outbox import texts
from tests.browser.test_posting import picture
from tests.conftest import Member, Stack, eventually
from tests.services.websocket.chat.talking import conversation

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

Join = Callable[[], Awaitable[Member]]

KEEPS_NOTHING = """
    IDBFactory.prototype.open = () => { throw new DOMException("full", "QuotaExceededError"); };
    const setItem = Storage.prototype.setItem;
    Storage.prototype.setItem = function (key, text) {
        if (key.startsWith("draft:")) throw new DOMException("full", "QuotaExceededError");
        setItem.call(this, key, text);
    };
"""
"""A telephone that has no room left."""
IS_LIVE = "() => document.querySelector('#state > *') !== null"
IS_KEPT = "async path => (await caches.match(path)) !== undefined"


def after(event: asyncio.Event) -> Callable[[Route], Awaitable[None]]:
    async def wait(route: Route) -> None:
        await event.wait()
        await route.continue_()

    return wait


async def test_what_is_pressed_before_scripts_are_there_loses_nothing(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, bob = await join(), await join()
    asked = {"options": ["Red", "Blue"], "expires_in_seconds": 3600}
    post = await bob.write("Which?", poll=asked)
    poll = f"/@{bob.username}/p/{post['id']}"
    talk = f"/chat/{(await conversation(ada, bob))['id']}"
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        # As in Safari.
        await page.add_init_script("delete window.requestIdleCallback")
        await sign_in(visit, ada)
        for path, form, label in (
            ("/home", ".composer", "What is on your mind?"),
            (poll, "form.poll", "Blue"),
            (talk, ".say", "Write a message"),
        ):
            scripts = asyncio.Event()
            await page.route("**/app/main.js", after(scripts), times=1)
            await page.goto(stack.issuer + path, wait_until="commit")
            field, send = page.get_by_label(label), page.locator(f"{form} [type=submit]")
            if form == "form.poll":
                await field.check()
            else:
                await field.fill("Half a thought")
            await send.click()
            scripts.set()
            await page.wait_for_selector("html[data-ready]")
            assert page.url == stack.issuer + path
            if form == "form.poll":
                await expect(field).to_be_checked()
            else:
                await expect(field).to_have_value("Half a thought")
            await send.click()
            await eventually(lambda: page.evaluate(IS_LIVE))
            sent = {".composer": "article.post", "form.poll": "ul.poll", ".say": ".message"}[form]
            await expect(page.locator(sent)).to_have_count(1)


async def test_what_was_read_last_stands_in_for_an_answer_that_comes_late(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, bob = await join(), await join()
    await bob.put(f"/api/users/{ada.username}/follow")
    answers = asyncio.Event()

    async def is_told(count: int) -> bool:
        return len((await ada.get("/api/notifications")).json()["items"]) == count

    await eventually(partial(is_told, 1))
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)
        await open_ready(visit, "/notifications")
        await eventually(lambda: page.evaluate(IS_KEPT, "/notifications"))
        await open_ready(visit, "/compose")
        await page.clock.install()
        await page.route("**/api/notifications?*", after(answers))
        told = page.locator(".told-one")
        await page.get_by_role("link", name="Notifications").first.click()
        await page.clock.run_for(3_500)
        await expect(told).to_have_count(1)
        await expect(page.get_by_text("Last updated")).to_be_visible()
        await bob.write(f"Hello @{ada.username}")
        await eventually(partial(is_told, 2))
        answers.set()
        await expect(told).to_have_count(2)
        await expect(page.get_by_text("Last updated")).to_be_hidden()


async def test_draft_in_two_tabs_is_one_and_goes_from_both_when_it_is_sent(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, bob = await join(), await join()
    talk = f"/chat/{(await conversation(ada, bob))['id']}"
    async with visiting(browser, stack.issuer) as visit:
        first = visit.page
        second = await first.context.new_page()
        await sign_in(visit, ada)
        for path, label in (("/home", "What is on your mind?"), (talk, "Write a message")):
            for page in (first, second):
                await page.goto(stack.issuer + path)
                await page.wait_for_selector("html[data-ready]")
            field, other = first.get_by_label(label), second.get_by_label(label)
            await field.fill("Once")
            await expect(other).to_have_value("Once")
            await field.press("Control+Enter")
            for one in (field, other):
                await expect(one).to_have_value("")
        posts = (await ada.get(f"/api/users/{ada.username}/posts")).json()["items"]
        assert [one["text"] for one in posts] == ["Once"]


async def test_browser_that_keeps_nothing_sends_what_is_written(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await page.add_init_script(KEEPS_NOTHING)
        await sign_in(visit, ada)
        await open_ready(visit, "/home")
        async with page.expect_file_chooser() as choosing:
            await page.get_by_role("button", name="Add pictures").click()
        await (await choosing.value).set_files([picture("red")])
        await page.get_by_label("Description for those").fill("Red")
        await page.context.set_offline(True)
        await page.get_by_label("What is on your mind?").fill("No room left")
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_text("Waits for a connection")).to_be_visible()
        await expect(page.get_by_label("What is on your mind?")).to_have_value("")
        # The page asks before it goes: what waits would be lost.
        assert await page.evaluate("!dispatchEvent(new Event('beforeunload', {cancelable: true}))")
        await page.context.set_offline(False)
        await expect(page.get_by_role("list", name="Not sent yet")).to_have_count(0)
        assert await texts(ada) == ["No room left"]
        assert await page.evaluate("dispatchEvent(new Event('beforeunload', {cancelable: true}))")
        visit.complaints.clear()  # of the connection
