"""How soon something is kept, said and forgotten, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.browser.conftest import Visit, visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import Member, Stack
from tests.services.websocket.chat.talking import conversation

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator, Page, Route

Join = Callable[[], Awaitable[Member]]

STEP_MS = 200
"""How quickly somebody writes who never pauses."""
NOTE_TYPING = """
    window.typed = [];
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (text) {
        if (JSON.parse(text).type === "typing") window.typed.push(Date.now());
        send.call(this, text);
    };
"""
KEPT = """() => {
    const name = Object.keys(localStorage).find(one => one.startsWith("draft:"));
    return name ? JSON.parse(localStorage.getItem(name)).text : "";
}"""


async def stop_the_clock(visit: Visit, field: Locator) -> None:
    """Wait until a field is the scripts', and let time pass only where the test says so."""
    await field.focus()
    await visit.page.wait_for_load_state("networkidle")
    now = await visit.page.evaluate("Date.now() / 1000")
    await visit.page.clock.pause_at(now + 1)


async def keeps_what_is_written(page: Page, field: Locator) -> bool:
    """Write without a pause, and tell whether all but the last half second of it was always kept."""
    written = "All at once"
    late = []
    for place, letter in enumerate(written):
        await field.press_sequentially(letter)
        await page.clock.run_for(STEP_MS)
        kept = await page.evaluate(KEPT)
        due = written[: max(place + 1 - 500 // STEP_MS, 0)]
        if not (kept.startswith(due) and written.startswith(kept)):
            late.append((due, kept))
    return not late


async def test_drafts_are_kept_within_half_a_second_also_of_who_writes_on_and_of_who_leaves(
    browser: Browser, stack: Stack, join: Join
) -> None:
    grace = await join()
    chat = f"/chat/{(await conversation(grace, await join()))['id']}"
    for path, label in (("/home", "What is on your mind?"), (chat, "Write a message")):
        async with visiting(browser, stack.issuer) as visit:
            page = visit.page
            await page.clock.install()
            await sign_in(visit, grace)
            await open_ready(visit, path)
            field = page.get_by_label(label)
            await stop_the_clock(visit, field)
            assert await keeps_what_is_written(page, field), path
            # Time stands still: whoever leaves now has not waited.
            await field.fill("The end")
            await page.locator(".to-notifications").dispatch_event("click")
            await page.wait_for_url("**/notifications")
            await page.clock.run_for(100)
            assert await page.evaluate(KEPT) == "The end", path


async def test_what_waits_is_sent_as_soon_as_its_writer_or_the_connection_is_back(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()

    async def refuse(route: Route) -> None:
        await route.fulfill(status=502, json={"detail": "Away."})

    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await page.clock.install()
        await sign_in(visit, ada)
        await open_ready(visit, "/home")
        field = page.get_by_label("What is on your mind?")
        await stop_the_clock(visit, field)
        waits = page.get_by_role("list", name="Not sent yet")
        for event in ("focus", "online"):
            await page.route("**/api/posts", refuse, times=1)
            await field.fill(f"Until {event}")
            async with page.expect_response("**/api/posts"):
                await page.keyboard.press("Control+Enter")
            # Time stands still: nothing is tried again by a clock.
            await expect(waits).to_contain_text(f"Until {event}")
            await page.evaluate("event => dispatchEvent(new Event(event))", event)
            await expect(waits).to_have_count(0)
            await expect(page.get_by_role("article").first).to_contain_text(f"Until {event}")
        visit.complaints.clear()  # of what was refused


async def test_typing_is_said_every_three_seconds_and_forgotten_after_six(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, grace = await join(), await join()
    talk = f"/chat/{(await conversation(ada, grace))['id']}"
    async with visiting(browser, stack.issuer) as first, visiting(browser, stack.issuer) as second:
        await first.page.add_init_script(NOTE_TYPING)
        for visit, member in ((first, ada), (second, grace)):
            await visit.page.clock.install()
            await sign_in(visit, member)
            await open_ready(visit, talk)
        field = first.page.get_by_label("Write a message")
        for visit in (first, second):
            # Both hear of each other.
            await expect(visit.page.get_by_text("online", exact=True)).to_be_visible()
            await stop_the_clock(visit, visit.page.get_by_label("Write a message"))
        seen = second.page.get_by_text("is typing")
        await field.press_sequentially("H")
        await expect(seen).to_be_visible()
        await second.page.clock.run_for(5_900)
        await expect(seen).to_be_visible()
        await second.page.clock.run_for(200)
        await expect(seen).to_have_count(0)
        for _ in range(13):
            await first.page.clock.run_for(500)
            await field.press_sequentially("i")
        at = await first.page.evaluate("typed")
    assert [one - at[0] for one in at] == [0, 3_000, 6_000]
