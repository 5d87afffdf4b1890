"""The chat in two browsers: what one writes, the other sees, and both still have it after a reload."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from chitlaq.web.site import modules
from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.browser.test_members_pages import KIB, packed
from tests.conftest import Member, Stack, eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

Join = Callable[[], Awaitable[Member]]


KEEP_SOCKETS = """
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
        constructor(...given) { super(...given); window.sockets.push(this); }
    };
"""


async def write(page: Page, text: str) -> None:
    await page.get_by_label("Write a message").fill(text)
    await page.get_by_role("button", name="Send").click()


async def test_two_members_write_to_each_other_and_keep_what_they_wrote(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, grace = await join(), await join()
    async with (
        visiting(browser, stack.issuer, 1400, "light") as first,
        visiting(browser, stack.issuer) as second,
    ):
        await sign_in(first, ada)
        await sign_in(second, grace)
        await first.page.add_init_script(KEEP_SOCKETS)
        await open_ready(first, f"/@{grace.username}")
        await first.page.get_by_role("button", name="Message").click()
        await first.page.wait_for_url("**/chat/*")
        path = first.page.url.removeprefix(stack.issuer)
        await write(first.page, "Hello Grace")
        # Who does not follow the writer is asked first.
        await open_ready(second, "/chat")
        await second.page.get_by_role("button", name="Accept").click()
        await second.page.wait_for_url(f"**{path}")
        await expect(second.page.get_by_role("log")).to_contain_text("Hello Grace")

        await write(second.page, "Hello Ada")
        await expect(first.page.get_by_role("log")).to_contain_text("Hello Ada")
        await expect(first.page.get_by_role("status").first).to_contain_text("Hello Ada")
        await write(first.page, "How is the compiler?")
        await expect(second.page.get_by_role("log")).to_contain_text("How is the compiler?")

        async def is_read() -> bool:
            found: dict[str, Any] = (await grace.get(f"/api/conversations{path[5:]}")).json()
            return (found["unread"], found["read_seq"]) == (0, 3)

        await eventually(is_read)

        # What is missed while the connection is lost comes when it is back.
        await first.page.evaluate("sockets.at(-1).close()")
        sent = {"text": "It runs", "client_id": "missed"}
        await grace.post(f"/api/conversations{path[5:]}/messages", sent)
        await expect(first.page.get_by_role("log")).to_contain_text("It runs")

        # What does not get through says so, and arrives once when it is tried again.
        await first.page.context.set_offline(True)
        await write(first.page, "Lost?")
        await expect(first.page.get_by_text("Not sent.")).to_be_visible()
        await first.page.context.set_offline(False)
        await first.page.get_by_role("button", name="Try again").click()
        await expect(second.page.get_by_role("log")).to_contain_text("Lost?")

        for visit in (first, second):
            await open_ready(visit, path)
            said = await visit.page.locator(".message .text").all_inner_texts()
            assert said == ["Hello Grace", "Hello Ada", "How is the compiler?", "It runs", "Lost?"]
        first.complaints[:] = [one for one in first.complaints if "ERR_INTERNET" not in one]


async def test_long_conversation_is_a_window_that_can_be_moved(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, grace = await join(), await join()
    begun = (
        await ada.post("/api/conversations", {"kind": "direct", "members": [grace.username]})
    ).json()
    await grace.put(f"/api/conversations/{begun['id']}/members/{grace.username}")
    for number in range(1, 302):
        sent = {"text": f"number {number}.", "client_id": str(number)}
        await grace.post(f"/api/conversations/{begun['id']}/messages", sent)
    async with visiting(browser, stack.issuer) as visit:
        await sign_in(visit, ada)
        await open_ready(visit, f"/chat/{begun['id']}")
        rows = visit.page.locator("[data-seq]")
        await expect(rows).to_have_count(50)
        for shown in (100, 150, 200, 250, 250):
            edge = await rows.first.get_attribute("data-seq")
            await visit.page.get_by_role("button", name="Show earlier messages").click()
            await expect(rows.first).not_to_have_attribute("data-seq", edge or "")
            await expect(rows).to_have_count(shown)
        assert await visit.page.evaluate("document.querySelectorAll('*').length") <= 1500
        await visit.page.get_by_role("button", name="To the latest").click()
        await expect(rows).to_have_count(50)
        await expect(rows.last).to_contain_text("number 301.")
    for view in ("chat", "conversation"):
        assert sum(packed(name) for name in modules.of_view(view)) <= 60 * KIB
    assert packed("app.css") + packed("tokens.css") + packed("chat.css") <= 12 * KIB
