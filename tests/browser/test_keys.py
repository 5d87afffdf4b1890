"""The keyboard alone: everything that is done often has a key, and no key acts where somebody writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import PASSWORD, Member, Stack, eventually
from tests.services.websocket.chat.talking import conversation, say

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator

Join = Callable[[], Awaitable[Member]]

LIST = "[...document.querySelectorAll('.keys div')].map(one => one.innerText)"
LISTED = """() => [...document.querySelectorAll('.keys dt')]
    .map(one => [...one.querySelectorAll('kbd')].map(key => key.innerText).join(' '))"""
KEYS = [
    "j", "k", "Enter", "n", "r", "l", "b", ".", "/", "g h", "g n", "g c", "Alt ↑ ↓", "↑", "Ctrl Enter", "?",
]  # fmt: skip
"""Each is pressed here, but `.` (test_posting) and `↑` (test_chat_pages)."""
IS_IN_SIGHT = """one => {
    const {x, y, width, height} = one.getBoundingClientRect();
    const there = document.elementFromPoint(x + width / 2, y + height / 2);
    return one.contains(there) || Boolean(there?.closest("label")?.contains(one));
}"""
KEYS_ARE_READY = "() => document.querySelector('#state > .state') !== null"


async def test_keys_go_through_posts_and_pages_and_can_be_switched_off(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    for text in ("older", "newer"):
        await ada.write(text)
    talks = []
    for _ in range(3):
        bob = await join()
        talks.append((await conversation(bob, ada))["id"])
        await say(bob, talks[-1], "Are you there?")
    oldest, middle, newest = talks
    async with visiting(browser, stack.issuer, 1400) as visit:
        page, keys = visit.page, visit.page.keyboard
        await sign_in(visit, ada)
        await open_ready(visit, "/home")
        await page.wait_for_function(KEYS_ARE_READY)
        for pressed, text in (("j", "newer"), ("j", "older"), ("k", "newer"), ("j", "older")):
            await keys.press(pressed)
            await expect(page.locator("article:focus")).to_contain_text(text)
        for pressed, button in (("l", ".like"), ("b", ".bookmark")):
            await keys.press(pressed)
            done = page.locator(f"article:focus {button}")
            await expect(done).to_have_attribute("aria-pressed", "true")
            # With another key it is the browser's, or nobody's.
            for modifier in ("Control", "Meta", "Alt"):
                await keys.press(f"{modifier}+{pressed}")
                await expect(done).to_have_attribute("aria-pressed", "true")
        await keys.press("Enter")
        await expect(page.locator("h1")).to_contain_text("Post")
        await keys.press("r")
        await expect(page.locator("textarea:focus")).to_have_value("")
        await keys.type("jl?gn")
        await expect(page.locator("textarea:focus")).to_have_value("jl?gn")
        await page.locator("textarea:focus").blur()
        for pressed, path in (("gh", "home"), ("gc", "chat"), ("gn", "notifications")):
            await keys.type(pressed)
            await page.wait_for_url(f"**/{path}")
        # From anywhere to what is unread, from both ends of the list, and no further.
        for pressed, talk in (("Up", oldest), ("Up", middle), ("Down", newest)):
            await keys.press(f"Alt+Arrow{pressed}")
            await page.wait_for_url(f"**/chat/{talk}")
            await eventually(partial(is_read, ada, talk))
            if talk == middle:
                await keys.type("gn")
                await page.wait_for_url("**/notifications")
        await keys.press("Alt+ArrowDown")
        await expect(page.get_by_text("There is no other unread conversation")).to_be_visible()
        await keys.press("n")
        await page.wait_for_url("**/compose")
        await expect(page.locator("#text-compose")).to_be_focused()
        await page.locator("#text-compose").blur()
        await keys.press("n")
        await expect(page.locator("#text-compose")).to_be_focused()
        await page.locator("#text-compose").blur()
        await keys.press("/")
        await page.wait_for_url("**/search")
        await expect(page.locator("input[type=search]")).to_be_focused()
        await page.locator("input[type=search]").blur()

        await visit.look("dark", 320)
        await keys.press("?")
        await expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
        await expect(page.get_by_role("heading", name="Keyboard shortcuts")).to_be_focused()
        assert await page.evaluate("document.querySelector('dialog').scrollTop") == 0
        await visit.look("dark", 360)
        listed = await page.evaluate(LIST)
        assert await page.evaluate(LISTED) == KEYS
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


async def is_read(member: Member, talk: str) -> bool:
    return bool((await member.get(f"/api/conversations/{talk}")).json()["unread"] == 0)


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


async def reach(target: Locator) -> None:
    """Press Tab until an element has the focus, and see that it is in sight: under no bar."""
    for _ in range(80):
        if await target.evaluate("one => one === document.activeElement"):
            assert await target.evaluate(IS_IN_SIGHT), await target.evaluate("one => one.outerHTML")
            return
        await target.page.keyboard.press("Tab")
    raise AssertionError(f"{target} cannot be reached with the keyboard")


async def press(target: Locator) -> None:
    await reach(target)
    await target.page.keyboard.press("Enter")


async def enter(target: Locator, text: str) -> None:
    await reach(target)
    await target.page.keyboard.type(text)


async def test_first_day_needs_no_mouse(
    browser: Browser, stack: Stack, join: Join, name: Callable[[], str]
) -> None:
    from playwright.async_api import expect

    ada, eve = await join(), name()
    async with visiting(browser, stack.issuer, 1400, "light") as visit:
        page, keys = visit.page, visit.page.keyboard
        await visit.open("/")
        await press(page.get_by_role("link", name="Join").first)
        await page.wait_for_url("**/join")
        await enter(page.get_by_label("University address"), f"{eve}@example.edu")
        await enter(page.get_by_label("Your name"), "Eve Adams")
        await enter(page.get_by_label("Username"), eve)
        await enter(page.get_by_label("Password"), PASSWORD)
        await keys.press("Enter")
        await press(page.get_by_role("link", name="Open the mailbox"))
        await page.wait_for_url("**/dev/mail")
        mail = page.get_by_role("article").filter(has_text=f"{eve}@example.edu")
        await page.goto(str(await mail.get_by_role("link").get_attribute("href")))
        await enter(page.get_by_label("The password that you"), PASSWORD)
        await keys.press("Enter")
        await press(page.get_by_role("link", name="Sign in"))
        await page.wait_for_url("**/login**")
        await enter(page.get_by_label("Username or address"), eve)
        await enter(page.get_by_label("Password"), PASSWORD)
        await keys.press("Enter")
        await page.wait_for_url("**/home")
        await page.wait_for_function(KEYS_ARE_READY)

        # Both links that skip lead where they say.
        for words, place in (("Skip to the content", "main"), ("Skip to the navigation", "nav")):
            await page.reload()
            await page.wait_for_function(KEYS_ARE_READY)
            await press(page.get_by_role("link", name=words))
            await expect(page.locator(f"{place}:focus")).to_be_attached()
            # Nothing is read anew that would take the focus away.
            await page.wait_for_load_state("networkidle")
            await expect(page.locator(f"{place}:focus")).to_be_attached()

        await enter(page.get_by_label("What is on your mind?"), "Nothing but keys")
        await keys.press("Control+Enter")
        await expect(page.get_by_role("article")).to_contain_text("Nothing but keys")
        await page.locator("textarea:focus").blur()
        await keys.press("/")
        await page.wait_for_url("**/search")
        await keys.type(ada.username)
        await keys.press("Enter")
        await press(page.locator("main a.told-one", has_text=ada.username).first)
        await page.wait_for_url(f"**/@{ada.username}")
        await press(page.get_by_role("button", name="Follow", exact=True))
        await expect(page.get_by_role("button", name="Following")).to_be_visible()
        await press(page.get_by_role("button", name="Message"))
        await page.wait_for_url("**/chat/*")
        await enter(page.get_by_label("Write a message"), "Hello Ada")
        await keys.press("Control+Enter")
        await expect(page.get_by_role("log")).to_contain_text("Hello Ada")

        async def has_arrived() -> bool:
            asked = (await ada.get("/api/conversations?folder=requests")).json()["items"]
            return [one["last"]["text"] for one in asked] == ["Hello Ada"]

        await eventually(has_arrived)
