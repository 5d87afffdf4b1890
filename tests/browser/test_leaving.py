"""What is shown as done is done, also if its page goes at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.browser.conftest import Visit, visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import Member, Stack, eventually
from tests.services.websocket.chat.talking import conversation, say

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator, Route

Join = Callable[[], Awaitable[Member]]


async def press_and_leave(visit: Visit, button: Locator) -> None:
    """Press a button, and leave before the server has heard of it."""
    held: list[Route] = []

    async def hold(route: Route) -> None:
        if route.request.method == "GET":
            await route.continue_()
        else:
            held.append(route)

    await visit.page.route("**/api/**", hold)
    await button.click()
    await eventually(lambda: held)
    await visit.page.goto("about:blank")
    for route in held:
        await route.continue_()
    await visit.page.unroute_all()


async def test_what_is_shown_at_once_is_stored_also_if_its_page_goes(
    browser: Browser, stack: Stack, join: Join
) -> None:
    ada, bob, eve = await join(), await join(), await join()
    post = await bob.write("Look")
    talk_id = (await conversation(ada, bob))["id"]
    talk = f"/api/conversations/{talk_id}"
    await say(bob, talk_id, "Hello")
    await ada.patch("/api/users/me", {"is_private": True})
    await eve.put(f"/api/users/{ada.username}/follow")

    async def is_liked() -> bool:
        return bool((await ada.get(f"/api/posts/{post['id']}")).json()["liked"])

    async def is_followed() -> bool:
        return bool((await ada.get(f"/api/users/{bob.username}")).json()["is_followed"])

    async def is_accepted() -> bool:
        return bool((await eve.get(f"/api/users/{ada.username}")).json()["is_followed"])

    async def is_reacted_to() -> bool:
        return bool((await bob.get(f"{talk}/messages?limit=1")).json()["items"][0]["reactions"])

    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)
        await open_ready(visit, f"/@{bob.username}/p/{post['id']}")
        await press_and_leave(visit, page.get_by_role("button", name="0 likes"))
        await eventually(is_liked)
        await open_ready(visit, f"/@{bob.username}")
        await press_and_leave(visit, page.get_by_role("button", name="Follow", exact=True))
        await eventually(is_followed)
        await open_ready(visit, "/follow-requests")
        await press_and_leave(visit, page.get_by_role("button", name="Accept"))
        await eventually(is_accepted)
        await open_ready(visit, f"/chat/{talk_id}")
        await page.get_by_role("button", name="Message actions").click()
        await press_and_leave(visit, page.get_by_role("menuitemcheckbox").first)
        await eventually(is_reacted_to)


async def test_nothing_is_shown_as_deleted_or_sent_before_this_browser_has_it(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, bob = await join(), await join()
    await ada.post("/api/users/me/drafts", {"post": {"text": "Not yet"}})
    talk = (await conversation(ada, bob))["id"]
    held: list[Route] = []
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)

        # What deletes comes late.
        async def hold(route: Route) -> None:
            held.append(route)

        await page.route("**/app/deleting.js", hold)
        await open_ready(visit, "/drafts")
        drafts = page.get_by_role("list", name="Drafts")
        await page.get_by_role("button", name="Delete").click()
        await expect(drafts).to_contain_text("Not yet")
        await eventually(lambda: held)
        await held[0].continue_()
        await expect(drafts).to_have_text("You deleted this draft.")
        await page.unroute_all()
        await page.goto("about:blank")

        async def is_deleted() -> bool:
            return bool((await ada.get("/api/users/me/drafts")).json()["items"] == [])

        await eventually(is_deleted)

        # What sends does not come before the page goes: the message is a draft as before, and is sent once.
        async def lose_the_first(route: Route) -> None:
            held.append(route)
            if len(held) > 1:
                await route.continue_()

        held.clear()
        await page.route("**/app/outbox.js", lose_the_first)
        await open_ready(visit, f"/chat/{talk}")
        field = page.get_by_label("Write a message")
        await field.fill("Are you there?")
        await page.keyboard.press("Enter")
        await expect(field).to_have_value("")
        await open_ready(visit, f"/chat/{talk}")
        await expect(field).to_have_value("Are you there?")
        await page.get_by_role("button", name="Send").click()
        await expect(page.locator(".message .text")).to_have_text("Are you there?")

        async def is_stored() -> bool:
            stored = (await bob.get(f"/api/conversations/{talk}/messages")).json()["items"]
            return [one["text"] for one in stored if not one["event"]] == ["Are you there?"]

        await eventually(is_stored)
        await page.reload()
        await page.wait_for_selector("html[data-ready]")
        await expect(field).to_have_value("")


async def test_what_is_written_while_a_post_is_taken_is_the_next_draft(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)
        await page.route("**/app/outbox.js", hold)
        await open_ready(visit, "/home")
        field = page.get_by_label("What is on your mind?")
        await field.fill("First.")
        await page.keyboard.press("Control+Enter")
        await field.press("End")
        await field.press_sequentially("Then this")
        await held[0].continue_()
        await expect(page.get_by_role("article")).to_contain_text("First.")
        await expect(field).to_have_value("Then this")
        posts = (await ada.get(f"/api/users/{ada.username}/posts")).json()["items"]
        assert [one["text"] for one in posts] == ["First."]
