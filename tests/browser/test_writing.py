"""Writing: what is offered, what waits because the server asks to, and what is corrected afterwards."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import Member, Stack, eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator, Page, Route, WebSocketRoute

Join = Callable[[], Awaitable[Member]]


async def offered(page: Page, field: Locator, text: str) -> Locator:
    """Type until something is offered: what was just written may not be found yet."""

    async def is_offered() -> bool:
        await field.fill("")
        await field.press_sequentially(text)
        await page.wait_for_timeout(400)
        return await options.count() > 0

    # A `<select>` has options, too.
    options = page.get_by_role("listbox").get_by_role("option")
    await eventually(is_offered)
    return options.first


async def lose_answer(page: Page, path: str) -> None:
    """Let what is sent next arrive, and its answer not: the connection is gone then."""

    async def lose(route: Route) -> None:
        await route.fetch()
        await page.context.set_offline(True)
        await route.abort()

    await page.route(path, lose, times=1)


async def test_members_and_tags_are_offered_and_what_has_to_wait_is_sent_by_itself(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    eve, ada = await join(), await join()
    tag = f"exam{ada.username}"
    await ada.write(f"Soon #{tag}")
    async with visiting(browser, stack.issuer, 360, "light", has_touch=True) as visit:
        page = visit.page
        await sign_in(visit, eve)
        await open_ready(visit, "/home")
        field = page.get_by_label("What is on your mind?")
        await field.focus()
        await expect(await offered(page, field, f"Hello @{ada.username}")).to_contain_text("@")
        await expect(field).to_have_attribute("aria-activedescendant", "text-home-completions-0")
        await visit.require_accessible()
        await visit.keep("completions-360")
        await page.keyboard.press("Enter")
        await expect(field).to_have_value(f"Hello @{ada.username} ")
        await expect(page.get_by_role("listbox")).to_have_count(0)
        await expect(field).not_to_have_attribute("aria-controls", "text-home-completions")
        await (await offered(page, field, f"Hello #{tag[:-1]}")).tap()
        await expect(field).to_have_value(f"Hello #{tag} ")
        await expect(field).to_be_focused()

        async def refuse(route: Route) -> None:
            await route.fulfill(
                status=429, headers={"Retry-After": "3"}, json={"detail": "Slower."}
            )

        await page.route("**/api/posts", refuse, times=1)
        await page.keyboard.press("Control+Enter")
        waits = page.get_by_role("list", name="Not sent yet")
        await expect(waits).to_contain_text("asks to wait")
        await expect(waits.get_by_role("button", name="Edit")).to_be_visible()
        await expect(page.get_by_role("article").filter(has_text="Hello")).to_have_count(1)
        await expect(waits).to_have_count(0)

        await page.route("**/like", refuse, times=1)
        like = page.get_by_role("article").first.get_by_role("button", name="0 likes")
        await like.click()
        toast = page.locator(".toast")
        await expect(toast).to_contain_text("Slower.")
        again = toast.get_by_role("button", name="Try again", exact=True)
        await again.click()
        await expect(page.get_by_role("button", name="1 like")).to_have_attribute(
            "aria-pressed", "true"
        )


async def test_draft_whose_answer_is_lost_is_kept_once_unless_it_was_edited(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    eve = await join()

    async def kept() -> list[str]:
        items = (await eve.get("/api/users/me/drafts")).json()["items"]
        return [one["post"]["text"] for one in items]

    async def lose(route: Route) -> None:
        await route.fetch()
        await route.abort()

    async with visiting(browser, stack.issuer, 1400, "dark") as visit:
        page = visit.page
        await sign_in(visit, eve)
        await open_ready(visit, "/compose")
        field = page.get_by_label("What is on your mind?")
        await field.fill("Not yet")
        await page.get_by_role("button", name="More settings").click()
        keep = page.get_by_role("button", name="Keep as a draft")
        for text, expected in (
            ("Not yet", ["Not yet"]),
            ("Nor now", ["Then", "Nor now", "Not yet"]),
        ):
            await field.fill(text)
            await page.route("**/api/users/me/drafts", lose, times=1)
            await keep.click()
            await expect(page.get_by_role("alert")).to_be_visible()
            await expect(field).to_have_value(text)
            if len(expected) > 1:
                await field.fill(expected[0])
            await keep.click()
            await expect(field).to_have_value("")
            assert await kept() == expected
            await page.get_by_role("button", name="More settings").click()
        visit.complaints.clear()  # the lost answers


async def test_what_is_edited_after_a_lost_answer_is_there_once(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    eve, ada = await join(), await join()
    talk = (
        await eve.post("/api/conversations", {"kind": "direct", "members": [ada.username]})
    ).json()
    async with visiting(browser, stack.issuer, 360, "dark") as visit:
        page = visit.page
        await sign_in(visit, eve)
        await open_ready(visit, "/home")
        field = page.get_by_label("What is on your mind?")
        await field.fill("Frist version")
        await lose_answer(page, "**/api/posts")
        await page.keyboard.press("Control+Enter")
        await page.get_by_role("button", name="Edit").click()
        await expect(field).to_have_value("Frist version")
        await field.fill("First version")
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_text("Waits for a connection")).to_be_visible()
        await page.context.set_offline(False)
        await expect(page.get_by_role("list", name="Not sent yet")).to_have_count(0)
        posts = (await eve.get(f"/api/users/{eve.username}/posts")).json()["items"]
        assert [one["text"] for one in posts] == ["First version"]
        await expect(page.get_by_role("article")).to_have_count(1)
        await expect(page.get_by_role("article")).to_contain_text("First version")

        # A poll cannot be edited: the one that arrived gives way to the one that was meant.
        await field.fill("Which?")
        await page.get_by_role("button", name="Poll").click()
        await page.get_by_label("Answer 1", exact=True).fill("Red")
        await page.get_by_label("Answer 2", exact=True).fill("Bleu")
        await lose_answer(page, "**/api/posts")
        await field.press("Control+Enter")
        await page.get_by_role("button", name="Edit").click()
        await expect(field).to_have_value("Which?")
        await page.get_by_label("Answer 2", exact=True).fill("Blue")
        await field.press("Control+Enter")
        await expect(page.get_by_text("Waits for a connection")).to_be_visible()
        await page.context.set_offline(False)
        await expect(page.get_by_role("list", name="Not sent yet")).to_have_count(0)
        posts = (await eve.get(f"/api/users/{eve.username}/posts")).json()["items"]
        assert len(posts) == 2
        assert [one["text"] for one in posts[0]["poll"]["options"]] == ["Red", "Blue"]

        async def cut(socket: WebSocketRoute) -> None:
            await socket.close()

        # It would tell that the message is there.
        await page.route_web_socket("**", cut)
        await open_ready(visit, f"/chat/{talk['id']}")
        field = page.get_by_label("Write a message")
        await field.fill("See you at ten")
        path = f"/api/conversations/{talk['id']}/messages"
        await lose_answer(page, f"**{path}")
        await page.keyboard.press("Control+Enter")
        await eventually(lambda: page.evaluate("!navigator.onLine"))
        await page.locator(".waiting").get_by_role("button", name="Edit").click()
        await expect(field).to_have_value("See you at ten")
        await field.fill("See you at two")
        await page.keyboard.press("Control+Enter")
        await page.context.set_offline(False)
        await expect(page.locator(".waiting")).to_have_count(0)
        await expect(page.locator(".message .text")).to_have_text("See you at two")

        async def is_stored() -> bool:
            stored = (await ada.get(path)).json()["items"]
            return [one["text"] for one in stored if not one["event"]] == ["See you at two"]

        # The page shows it before the server has it.
        await eventually(is_stored)
        visit.complaints.clear()  # of the connection
