"""The chat in two browsers: what one writes, the other sees, and both still have it after a reload."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.browser.test_posting import picture
from tests.conftest import Member, Stack, eventually
from tests.services.websocket.chat.talking import conversation, say

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator, Page

Join = Callable[[], Awaitable[Member]]


KEEP_SOCKETS = """
    window.sockets = [];
    window.WebSocket = class extends WebSocket {
        constructor(...given) { super(...given); window.sockets.push(this); }
    };
"""


LOOKS = """() => [...document.querySelectorAll(".told *")].map(one => {
    const {display, color, backgroundColor, padding, borderRadius, textAlign} = getComputedStyle(one);
    return [one.className, display, color, backgroundColor, padding, borderRadius, textAlign].join();
})"""
"""What is seen of the list of notifications."""


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
        await first.page.get_by_label("Write a message").fill("  ")
        await first.page.get_by_role("button", name="Send").click()
        await expect(first.page.get_by_text("There is nothing to send yet")).to_be_visible()
        await write(first.page, "Hello Grace")
        # Who does not follow the writer is asked first.
        await open_ready(second, "/chat")
        await second.page.get_by_role("button", name="Accept").click()
        await second.page.wait_for_url(f"**{path}")
        await expect(second.page.get_by_role("log")).to_contain_text("Hello Grace")

        await write(second.page, "Hello Ada")
        await expect(second.page.get_by_label("Write a message")).to_be_focused()
        await expect(first.page.get_by_role("log")).to_contain_text("Hello Ada")
        await expect(first.page.get_by_role("status").first).to_contain_text("Hello Ada")
        await write(first.page, "How is the compiler?")
        await expect(second.page.get_by_role("log")).to_contain_text("How is the compiler?")

        async def is_read(seq: int) -> bool:
            found: dict[str, Any] = (await grace.get(f"/api/conversations{path[5:]}")).json()
            return (found["unread"], found["read_seq"]) == (0, seq)

        await eventually(partial(is_read, 3))

        # Nobody has read what came while they looked elsewhere; a burst is told as a number.
        await second.page.evaluate("document.hasFocus = () => false")
        for number in range(5):
            sent = {"text": f"{number}", "client_id": f"burst-{number}"}
            await ada.post(f"/api/conversations{path[5:]}/messages", sent)
        told = second.page.get_by_role("status").filter(has_text=re.compile(r"\d new messages"))
        await expect(told).to_be_attached()
        await expect(second.page.get_by_role("log")).to_contain_text("4")
        assert not await is_read(8)
        await second.page.evaluate("delete document.hasFocus; dispatchEvent(new Event('focus'))")
        await eventually(partial(is_read, 8))

        # What is missed while the connection is lost comes when it is back.
        await first.page.evaluate("sockets.at(-1).close()")
        sent = {"text": "It runs", "client_id": "missed"}
        await grace.post(f"/api/conversations{path[5:]}/messages", sent)
        await expect(first.page.get_by_role("log")).to_contain_text("It runs")

        # What is written without a connection waits, also in a page that is closed; so does a draft.
        await first.page.context.set_offline(True)
        for text in ("Lost?", "No."):
            await write(first.page, text)
        await expect(first.page.get_by_text("Waits for a connection")).to_have_count(2)
        await write(second.page, "Meanwhile")
        await first.page.get_by_label("Write a message").fill("A draft")
        await first.page.close()
        first.page = await first.page.context.new_page()
        await first.page.context.set_offline(False)
        await open_ready(first, "/home")
        await expect(second.page.get_by_role("log")).to_contain_text("No.")

        said = [
            "Hello Grace",
            "Hello Ada",
            "How is the compiler?",
            *"01234",
            "It runs",
            "Meanwhile",
            "Lost?",
            "No.",
        ]
        for visit in (first, second):
            await open_ready(visit, path)
            assert await visit.page.locator(".message .text").all_inner_texts() == said
        await expect(first.page.get_by_label("Write a message")).to_have_value("A draft")
        first.complaints[:] = [one for one in first.complaints if "ERR_INTERNET" not in one]


async def test_no_other_screen_looks_like_the_chat_after_it(
    browser: Browser, stack: Stack, join: Join
) -> None:
    ada, grace = await join(), await join()
    await ada.put(f"/api/users/{grace.username}/follow")
    async with visiting(browser, stack.issuer) as visit:
        await sign_in(visit, grace)
        await open_ready(visit, "/home")
        for link in ("Chat", "Notifications", "Chat", "Notifications"):
            await visit.page.get_by_role("link", name=link).click()
            await visit.page.wait_for_url(f"**/{link.lower()}")
        await visit.page.locator(".told-one").wait_for()
        after = await visit.page.evaluate(LOOKS)
        await open_ready(visit, "/notifications")
        assert after == await visit.page.evaluate(LOOKS)


async def test_member_answers_reacts_changes_deletes_and_leaves_for_later(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, grace = await join(), await join()
    await ada.put(f"/api/users/{grace.username}/follow")
    talk = await conversation(grace, ada)
    for number in range(1, 61):
        await say(grace, talk["id"], f"number {number}.")
    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page

        async def choose(row: Locator, action: str) -> None:
            await row.get_by_role("button", name="Message actions").click()
            await page.get_by_role("menuitem", name=action, exact=True).click()

        await sign_in(visit, ada)
        # The message that was asked for has the focus; its answer leads back to it.
        await open_ready(visit, f"/chat/{talk['id']}?at=5")
        asked = page.locator("[data-seq='5']")
        await expect(asked).to_be_focused()
        await expect(asked).to_be_in_viewport()
        await choose(asked, "Reply")
        await page.keyboard.type("An answer")
        await page.keyboard.press("Control+Enter")
        answer = page.locator(".message.own")
        await expect(answer).to_contain_text("number 5.")
        await expect(page.get_by_text("An answer")).to_be_in_viewport()

        await answer.get_by_role("button", name="Message actions").focus()
        await page.keyboard.press("Enter")
        await visit.require_accessible()
        await page.keyboard.press("Enter")
        await expect(answer.get_by_role("button", name="👍 1")).to_have_attribute(
            "aria-pressed", "true"
        )
        await answer.get_by_role("button", name="👍 1").click()
        await expect(answer.get_by_role("button", name="👍")).to_have_count(0)

        # In an empty field, the arrow leads to what one wrote last.
        await page.get_by_label("Write a message").focus()
        await page.keyboard.press("ArrowUp")
        await page.get_by_label("Write a message").fill("A better answer")
        await page.keyboard.press("Control+Enter")
        await expect(answer.locator(".text")).to_have_text("A better answer")
        await choose(answer, "Earlier versions")
        await expect(page.get_by_role("dialog")).to_contain_text("An answer")
        await visit.require_accessible()
        await page.get_by_role("button", name="Close").click()
        await choose(answer, "Delete")
        await page.get_by_role("button", name="Undo").click()
        await expect(answer).not_to_contain_text("deleted")
        await choose(answer, "Delete")
        await expect(answer).to_contain_text("This message was deleted.")

        chats = page.locator(".to-chat")
        await expect(chats).not_to_contain_text("something new")
        await choose(page.locator("[data-seq='59']"), "Mark unread from here")
        await expect(chats).to_contain_text("1 conversation with something new")
        await expect(page).to_have_title(re.compile(r"^\(\d+\) "))
        await open_ready(visit, f"/chat/{talk['id']}")
        await expect(page.locator(".divider + li")).to_have_attribute("data-seq", "59")


async def test_group_is_begun_settled_and_left(browser: Browser, stack: Stack, join: Join) -> None:
    from playwright.async_api import expect

    ada, grace, eve = [await join() for _ in range(3)]
    for member in (grace, eve):
        await member.put(f"/api/users/{ada.username}/follow")
    async with (
        visiting(browser, stack.issuer, 360, "dark") as first,
        visiting(browser, stack.issuer, 1400, "light") as second,
    ):
        page, other = first.page, second.page
        await sign_in(first, ada)
        await sign_in(second, grace)
        await open_ready(second, "/chat")
        await open_ready(first, "/chat")
        await page.get_by_role("button", name="New conversation").click()
        for member in (grace, eve):
            await page.get_by_label("People").fill(member.username)
            await page.get_by_role("button", name=f"@{member.username}").click()
        await page.get_by_label("Name of the group").fill("Readers")
        await first.require_accessible()
        await page.get_by_role("button", name="Begin").click()
        await page.wait_for_url("**/chat/*")
        await other.get_by_role("link", name="Readers").click()
        # Who types is seen while they do.
        await page.get_by_label("Write a message").press_sequentially("We")
        await expect(other.get_by_text("is typing")).to_be_visible()
        await page.keyboard.type(" read")
        await page.get_by_role("button", name="Send").click()
        await expect(other.get_by_role("log")).to_contain_text("We read")
        await expect(other.get_by_text("is typing")).to_have_count(0)
        await expect(page.get_by_text("Seen by 1")).to_be_visible()
        # Pictures are described, or one says that they need not be.
        async with page.expect_file_chooser() as chooser:
            await page.get_by_role("button", name="Add pictures").click()
        await (await chooser.value).set_files(picture("red"))
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_role("button", name="Send anyway")).to_be_visible()
        await first.require_accessible()
        await page.get_by_role("button", name="Add a description").click()
        await expect(page.get_by_label("Description")).to_be_focused()
        await page.keyboard.type("All red")
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(other.get_by_role("img", name="All red")).to_be_visible()
        # What is said of them may come, and go again.
        sent = page.locator(".message.own", has=page.get_by_role("img", name="All red"))
        for text in ("Look", ""):
            await sent.get_by_role("button", name="Message actions").click()
            await page.get_by_role("menuitem", name="Edit", exact=True).click()
            await page.get_by_label("Write a message").fill(text)
            await page.get_by_role("button", name="Save").click()
            changed = other.locator(".message", has=other.get_by_role("img", name="All red"))
            await expect(changed.locator(".edited")).to_be_attached()
            await expect(changed.locator(".text")).to_have_count(int(bool(text)))

        async def act(of: Page, action: str) -> None:
            await of.get_by_role("button", name="Conversation actions").click()
            await of.get_by_role("menuitem", name=action, exact=True).click()

        await act(page, "About the group")
        await page.get_by_label("Name of the group").fill("Writers")
        await page.get_by_role("button", name="Save").click()
        await expect(other.get_by_role("heading", level=1)).to_have_text("Writers")
        await page.locator(".group-head input").set_input_files(picture("red"))
        await expect(page.locator(".group-head img")).to_be_visible()
        await expect(other.locator(".talk-head img")).to_be_visible()
        await page.locator(".person", has_text=grace.username).get_by_role("button").click()
        await page.get_by_role("menuitem", name="Make admin").click()
        await expect(page.locator(".person", has_text="Admin")).to_have_count(1)
        await page.locator(".person", has_text=eve.username).get_by_role("button").click()
        await page.get_by_role("menuitem", name="Remove from the group").click()
        await expect(page.locator(".person", has_text=eve.username)).to_have_count(0)
        await first.require_accessible()
        await page.get_by_role("button", name="Close").click()

        await act(page, "Mute")
        await page.get_by_role("button", name="For a week").click()
        await act(page, "Archive")
        await page.wait_for_url("**/chat")
        await expect(page.get_by_text("No conversation yet")).to_be_visible()
        await page.get_by_role("link", name="Archived conversations").click()
        await expect(page.get_by_role("link", name="Writers")).to_be_visible()

        await act(other, "Leave")
        await other.get_by_role("dialog").get_by_role("button", name="Leave").click()
        await other.wait_for_url("**/chat")
        await expect(other.get_by_role("link", name="Writers")).to_have_count(0)


async def test_conversation_of_5000_messages_is_a_window_that_can_be_moved(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, grace = await join(), await join()
    talk = await conversation(ada, grace)
    await stack.sql(
        "INSERT INTO websocket.messages (conversation_id, seq, sender_id, client_id, text, sent_at)"
        " SELECT $1, n, $2, n::text, 'number ' || n || '.', now() - make_interval(mins => 5001 - n)"
        " FROM generate_series(1, 5000) n",
        UUID(talk["id"]), UUID(grace.id),
    )  # fmt: skip
    await stack.sql(
        "UPDATE websocket.conversations SET last_seq = 5000, last_at = now() WHERE id = $1",
        UUID(talk["id"]),
    )
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        rows = page.locator("[data-seq]")

        async def move(button: str, edge: Locator, shown: int) -> None:
            before = await edge.get_attribute("data-seq")
            await page.get_by_role("button", name=button).click()
            await expect(edge).not_to_have_attribute("data-seq", before or "")
            await expect(rows).to_have_count(shown)

        await sign_in(visit, ada)
        # It opens where reading ended, which is not the end, and nothing that is further below has been read.
        await open_ready(visit, f"/chat/{talk['id']}")
        await expect(rows).to_have_count(50)
        await expect(page.locator(".divider + li")).to_have_attribute("data-seq", "1")
        await expect(page.locator(".divider")).to_be_in_viewport()
        await page.get_by_role("button", name="To the latest").click()
        await expect(rows.last).to_contain_text("number 5000.")

        async def is_read() -> bool:
            return bool((await ada.get(f"/api/conversations/{talk['id']}")).json()["unread"] == 0)

        await eventually(is_read)
        await open_ready(visit, f"/chat/{talk['id']}")
        await expect(rows).to_have_count(50)
        for shown in (100, 150, 200, 200):
            top = await rows.first.get_attribute("data-seq")
            known = await page.locator(f"[data-seq='{top}']").element_handle()
            await move("Show earlier messages", rows.first, shown)
            # What one reads stays where it is, and what it is: the very same nodes.
            await expect(page.locator(f"[data-seq='{top}']")).to_be_in_viewport()
            assert known is not None
            assert await known.evaluate("row => row.isConnected")
        assert await page.evaluate("document.querySelectorAll('*').length") <= 1500
        await page.get_by_role("button", name="To the latest").click()
        await expect(rows).to_have_count(50)
        await expect(rows.last).to_contain_text("number 5000.")

        await open_ready(visit, f"/chat/{talk['id']}?at=2500")
        await expect(page.locator("[data-seq='2500']")).to_be_focused()
        for shown in (100, 150, 200, 200):
            await move("Show later messages", rows.last, shown)
        assert await page.evaluate("document.querySelectorAll('*').length") <= 1500
        day = (datetime.now(UTC) - timedelta(days=1)).date()
        await open_ready(visit, f"/chat/{talk['id']}?at={day}")
        await expect(page.locator("li.target")).to_be_focused()
