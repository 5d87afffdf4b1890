"""What a screen says of what is not for its reader, what it prints, and that passwords are managed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import Member, Stack, eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser

Join = Callable[[], Awaitable[Member]]

PASSWORDS = """() => [...document.querySelectorAll("input[type=password]")].map(one => {
    const paste = new ClipboardEvent("paste", {bubbles: true, cancelable: true});
    return [one.autocomplete, one.dispatchEvent(paste)];
})"""
FOLLOW_A_LINK = """path => {
    const link = Object.assign(document.createElement("a"), {href: path});
    document.querySelector("main").append(link);
    link.click();
}"""
"""As one that somebody wrote into a post."""


async def test_what_is_not_for_a_reader_says_no_more_than_it_may(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada, private, blocking = [await join() for _ in range(3)]
    await private.write("For those who follow me")
    await private.patch("/api/users/me", {"is_private": True})
    hidden = await blocking.write("Not for Ada")
    await blocking.put(f"/api/users/{ada.username}/block")
    nowhere = "/@nobody-is-called-so"
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)
        main = page.locator("main")
        # Who blocks is as if they were not, for whoever opens the page and whoever follows a link.
        for path in (f"/@{blocking.username}", f"/@{blocking.username}/p/{hidden['id']}"):
            said = []
            for one in (nowhere, path):
                answer = await page.goto(stack.issuer + one)
                assert answer is not None
                assert answer.status == 404, one
                said.append((await page.title(), await main.inner_text()))
            for one in (nowhere, path):
                await open_ready(visit, "/compose")
                await page.evaluate(FOLLOW_A_LINK, one)
                await page.wait_for_url(f"**{one}")
                await expect(main).to_contain_text("it is not for you")
                said.append((await page.title(), await main.inner_text()))
            assert len(set(said)) == 1, said

        await open_ready(visit, f"/@{private.username}")
        await expect(page.locator("h1")).to_contain_text(private.username)
        await expect(main).to_contain_text("Only followers see these posts.")
        await expect(page.get_by_role("article")).to_have_count(0)
        await page.get_by_role("button", name="Ask to follow").click()
        await expect(page.get_by_role("button", name="Requested")).to_be_visible()

        async def is_asked() -> bool:
            asked = (await private.get("/api/users/me/follow-requests")).json()["items"]
            return [one["username"] for one in asked] == [ada.username]

        await eventually(is_asked)


async def test_screen_that_nobody_answered_for_comes_by_itself_and_none_takes_the_place_of_one_that_is_wanted(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        heading = page.locator("main h1")
        await sign_in(visit, ada)
        await open_ready(visit, "/home")
        await eventually(lambda: page.evaluate("async () => !!(await caches.match('/home'))"))
        await page.route("**/api/**", lambda route: route.abort())
        await page.get_by_role("link", name="Notifications").click()
        await expect(heading).to_have_text("That did not work")
        await page.unroute("**/api/**")
        await expect(heading).to_have_text("Notifications")

        # What was kept is read again as soon as somebody answers: here, who goes on to another screen.
        await page.route("**/api/**", lambda route: route.abort())
        await page.get_by_role("link", name="Home", exact=True).click()
        await expect(heading).to_have_text("Home")
        await expect(page.get_by_text("No connection. Last updated")).to_be_visible()
        await page.unroute("**/api/**")
        await page.get_by_role("link", name="Notifications").click()
        await page.wait_for_url("**/notifications")
        await expect(heading).to_have_text("Notifications")
        visit.complaints[:] = [one for one in visit.complaints if "ERR_FAILED" not in one]


async def test_thread_shows_where_a_post_was_and_goes_on_below_three_levels(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    posts = [await ada.write("level 0")]
    for level in range(1, 6):
        posts.append(await ada.write(f"level {level}", reply_to=posts[-1]["id"]))
    await ada.delete(f"/api/posts/{posts[2]['id']}")
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)
        await open_ready(visit, f"/@{ada.username}/p/{posts[0]['id']}")
        replies = page.get_by_role("list", name="Replies")
        await expect(replies).to_contain_text("This post is not available.")
        await expect(replies.get_by_role("article")).to_have_count(2)
        await replies.get_by_role("link", name="1 more reply").click()
        await page.wait_for_url(f"**/{posts[3]['id']}")
        await expect(page.locator(".ancestor").nth(2)).to_have_text("This post is not available.")
        await expect(replies).to_contain_text("level 5")


async def test_printed_page_is_what_was_written_alone(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    ada = await join()
    lines = "\n".join(f"line {number}" for number in range(20))
    await ada.write(f"{lines}\nhttps://example.org/notes")
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        for member in (None, ada):
            if member:
                await sign_in(visit, member)
            await visit.open(f"/@{ada.username}")
            await page.emulate_media(media="print")
            await expect(page.get_by_text("line 19")).to_be_visible()
            for what in ("header.top", "nav.bar", ".composer", ".actions", ".more"):
                for one in await page.locator(what).all():
                    await expect(one).to_be_hidden()
            folded = page.locator(".text.folded")
            assert await folded.evaluate("one => one.scrollHeight <= one.clientHeight + 1")
            address = "getComputedStyle(document.querySelector('.text a[rel]'), '::after').content"
            assert "https://example.org/notes" in await page.evaluate(address)


async def test_passwords_are_pasted_and_managed(browser: Browser, stack: Stack, join: Join) -> None:
    ada = await join()
    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await visit.open("/login")
        assert await page.evaluate(PASSWORDS) == [["current-password", True]]
        assert await page.locator("[name=login]").get_attribute("autocomplete") in {
            "username", "username webauthn",
        }  # fmt: skip
        await visit.open("/join")
        assert await page.evaluate(PASSWORDS) == [["new-password", True]]
        await sign_in(visit, ada)
        await open_ready(visit, "/settings/security")
        found = await page.evaluate(PASSWORDS)
        assert found
        assert {one for one, _ in found} <= {"current-password", "new-password"}
        assert all(is_pasted for _, is_pasted in found)
