"""What members are told, and how they find something, in a browser."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from chitlaq.services.websocket.notifications.kinds import KINDS
from chitlaq.web.site.pages import shared_words
from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import Member, Stack, eventually
from tests.services.auth.test_roles import granted
from tests.services.websocket.chat.talking import conversation, say
from tests.services.websocket.notifications.test_announcements import a_department, announced
from tests.services.websocket.notifications.test_announcements import banners as shown_banners

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator, Page

Join = Callable[[], Awaitable[Member]]


async def test_notifications_are_counted_until_they_are_read(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, *others = [await join() for _ in range(4)]
    moderator = await granted(stack, await join(), "moderator")
    text = "The library closes early."
    await announced(moderator, text, **await a_department(stack, ada.id))
    post = await ada.write("Who comes along?")
    for one in others:
        await one.put(f"/api/posts/{post['id']}/like")
    await others[0].put(f"/api/users/{ada.username}/follow")

    async def is_told() -> bool:
        found = (await ada.get("/api/notifications")).json()["items"]
        return {(one["kind"], one["count"]) for one in found} == {
            ("like", 3), ("follow", 1), ("announcement", 1),
        }  # fmt: skip

    await eventually(is_told)
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)
        await open_ready(visit, "/home")
        link = page.get_by_role("link", name="Notifications")
        await expect(link).to_contain_text("3 unread")
        await link.click()
        liked = page.get_by_role("link", name="and 2 others liked your post")
        await expect(liked).to_contain_text("Who comes along?")
        await expect(page.locator("li.unread")).to_have_count(3)
        await page.get_by_role("button", name="Mark all as read").click()
        await expect(link).not_to_contain_text("unread")
        await expect(page.locator("li.unread")).to_have_count(0)
        await liked.click()
        await page.wait_for_url(f"**/p/{post['id']}")
        banners = page.get_by_role("complementary", name="Announcements")
        await expect(banners).to_contain_text(text)
        await banners.get_by_role("button", name="Dismiss").click()
        await expect(banners).to_have_count(0)
        await page.go_back()
        await page.get_by_role("link", name="From people whom you do not follow").click()
        await expect(page.locator("main")).to_contain_text("Nothing is kept apart.")
    assert await shown_banners(ada) == []
    told = (await ada.get("/api/notifications")).json()
    assert (told["unread"], told["unseen"]) == (0, 0)


async def follow(page: Page, door: Locator) -> None:
    """Go on without scripts. A page waits 800 ms for what was found, then offers to try again."""
    async with page.expect_navigation():
        await door.click()
    await ask_again(page)


async def ask_again(page: Page) -> None:
    while await page.locator("main a[href='']").count():
        await page.reload()


async def test_search_finds_with_scripts_and_without(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, bob = await join(), await join()
    word = f"w{bob.username}"
    await bob.patch("/api/users/me", {"display_name": f"Bob {word}"})
    poll = {"options": [f"Yes, {word}", "No"], "expires_in_seconds": 600}
    post = await bob.write(f"Meet me, <b>{word}</b>! #t{word}", poll=poll)
    for place in range(20):
        await bob.write(f"{word} {place}")
    messages = f"/search?q={word}&type=messages"
    async with visiting(browser, stack.issuer, java_script_enabled=False) as visit:
        page = visit.page
        await visit.open("/search")
        box = page.get_by_label("Search for people")
        await box.fill(word)
        await follow(page, page.get_by_role("button", name="Search"))
        await expect(page.locator("main")).to_contain_text(f"Bob {word}")
        await follow(page, page.get_by_role("link", name="Posts"))
        await expect(page.locator("mark").first).to_have_text(word)
        hits = page.locator("a.snippet")
        await expect(hits).to_have_count(20)
        await follow(page, page.get_by_role("link", name="Show more"))
        await expect(hits).to_have_count(1)
        await expect(page.get_by_text(f"Poll: Yes, {word}")).to_be_visible()
        await follow(page, page.get_by_role("link", name="Türkçe"))
        await expect(page.get_by_label("Kişi, gönderi")).to_have_value(word)
        await expect(hits).to_have_count(1)
        await page.context.clear_cookies()
        assert await page.get_by_role("link", name="Messages").count() == 0
        await visit.open(messages)
        await expect(page).to_have_url(re.compile("/login.return_to=.*type%3Dmessages"))
        await visit.open(f"/search?q={word} -from:&type=posts")
        await ask_again(page)
        await expect(page.locator("main")).to_contain_text("has no value")
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)
        await open_ready(visit, "/home")
        await page.get_by_role("link", name="Search").click()
        # Who follows a link is at the heading of the next screen.
        await expect(page.locator("h1")).to_be_focused()
        box = page.get_by_role("combobox")
        await box.press_sequentially(word[:-1])
        await expect(page.get_by_role("option", name=f"Bob {word}")).to_be_visible()
        await box.press("ArrowDown")
        await expect(box).to_have_attribute("aria-activedescendant", "suggestion-0")
        await box.press("Escape")
        await expect(page.get_by_role("listbox")).to_be_hidden()
        await box.fill(word)
        await box.press("Enter")
        await expect(page.get_by_text("1 result", exact=True)).to_be_visible()
        await page.get_by_role("link", name="Tags").click()
        await expect(page.get_by_role("link", name=f"#t{word}")).to_have_count(0)
        await page.get_by_role("link", name="Posts").click()
        await expect(page.get_by_text("21 results", exact=True)).to_be_visible()
        hits = page.locator("a.snippet")
        await page.get_by_role("link", name="Show more").click()
        await expect(hits).to_have_count(21)
        await expect(page.get_by_text(f"Poll: Yes, {word}")).to_be_visible()
        await hits.filter(has_text="Meet me").click()
        await page.wait_for_url(f"**/p/{post['id']}")
        await page.go_back()
        await expect(hits).to_have_count(21)


async def test_message_that_was_found_leads_to_its_place_in_the_conversation(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, bob = await join(), await join()
    word = f"w{bob.username}"
    talk = await conversation(bob, ada)
    for number in range(1, 62):
        await say(bob, talk["id"], f"the {word} of Tuesday" if number == 5 else f"number {number}.")
    path = f"/chat/{talk['id']}?at=5"
    hit, row = f"ol.told a[href='{path}']", "[data-seq='5']"
    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await sign_in(visit, ada)
        await open_ready(visit, "/search?type=messages")
        await page.get_by_role("combobox").fill(word)
        await page.get_by_role("combobox").press("Enter")
        await expect(page.locator("ol.told li")).to_have_count(1)
        await expect(page.locator(f"{hit} mark")).to_have_text(word)
        await page.locator(hit).click()
        await page.wait_for_url(f"**{path}")
        found = page.locator(row)
        await expect(found).to_contain_text("of Tuesday")
        await expect(found).to_be_focused()
        await expect(found).to_be_in_viewport()
        # It has a frame, and no other message has.
        await expect(found.locator(".bubble")).to_have_css("outline-width", "3px")
        await expect(page.locator(".message.target")).to_have_count(1)
        await expect(page.locator("[data-seq='6'] .bubble")).to_have_css("outline-style", "none")
        # The latest 50 are not there: the page is about that message.
        await expect(page.locator("[data-seq='61']")).to_have_count(0)
        await page.go_back()
        await expect(page.locator(hit)).to_be_visible()
    async with visiting(browser, stack.issuer, java_script_enabled=False) as visit:
        await sign_in(visit, ada)
        await visit.open(f"/search?q={word}&type=messages")
        await visit.page.locator(hit).click()
        await expect(visit.page.locator(f"{row}.target")).to_contain_text("of Tuesday")


def test_each_kind_of_notification_has_its_words() -> None:
    words = shared_words("en")
    kinds = {key.split(".")[2] for key in words if key.startswith("notifications.kind.")}
    assert kinds == set(KINDS)
