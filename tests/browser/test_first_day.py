"""The first day in a browser: from the first page to one's own posts, with nothing but the pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import PASSWORD, Member, Stack, eventually

if TYPE_CHECKING:
    import httpx
    from playwright.async_api import Browser

Join = Callable[[], Awaitable[Member]]

SIGNED_OUT_MS = 5000
"""Within which a page is signed out whose session was ended on another device."""


async def test_newcomer_joins_writes_likes_follows_and_leaves(
    browser: Browser, stack: Stack, join: Join, name: Callable[[], str]
) -> None:
    from playwright.async_api import expect

    ada, eve = await join(), name()
    written = await ada.write(f"Who is at #lunch today, @{ada.username}?")
    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await visit.open("/")
        await page.get_by_role("link", name="Join").first.click()
        await page.get_by_label("University address").fill(f"{eve}@example.edu")
        await page.get_by_label("Your name").fill("Eve Adams")
        await page.get_by_label("Username").fill(eve)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Join").click()
        await page.get_by_role("link", name="Open the mailbox").click()
        mail = page.get_by_role("article").filter(has_text=f"{eve}@example.edu")
        await mail.get_by_role("link").click()
        await page.get_by_label("The password that you").fill(PASSWORD)
        await page.get_by_role("button", name="Confirm my address").click()
        await page.get_by_role("link", name="Sign in").click()
        await page.get_by_label("Username or address").fill(eve)
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/home")
        await page.wait_for_selector("html[data-ready]")
        assert "Nobody whom you follow" in await page.locator("main").inner_text()

        await page.get_by_label("What is on your mind?").fill("Good morning #firstday")
        await page.get_by_role("button", name="Post", exact=True).click()
        own = page.get_by_role("article").filter(has_text="Good morning")
        await own.get_by_role("button", name="0 likes").click()
        await expect(own.get_by_role("button", name="1 like")).to_have_attribute(
            "aria-pressed", "true"
        )

        await open_ready(visit, f"/@{ada.username}")
        await page.get_by_role("button", name="Follow", exact=True).click()
        await expect(page.get_by_role("button", name="Following")).to_be_visible()
        await page.get_by_role("article").locator("a.time").click()
        await page.wait_for_url(f"**/@{ada.username}/p/{written['id']}")
        await page.get_by_label("Write a reply").fill("I am")
        await page.get_by_role("button", name="Post", exact=True).click()
        await expect(page.get_by_role("list", name="Replies")).to_contain_text("I am")
        await page.go_back()
        await expect(page.get_by_role("heading", level=1)).to_contain_text(ada.username)
        await page.get_by_role("link", name="Home").click()
        await expect(page.get_by_role("feed")).to_contain_text("Who is at")
        assert await page.evaluate("document.cookie") == "", "no script reads a session"

        await page.get_by_role("link", name="Settings").first.click()
        await page.get_by_role("link", name="Appearance and language").click()
        await page.get_by_label("Dark").check()
        await page.get_by_label("Türkçe").check()
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator("html[data-theme=dark][lang=tr]")).to_be_attached()
        await page.get_by_role("link", name="Ayarlar").first.click()
        await page.get_by_role("button", name="Oturumu kapat").last.click()
        await page.get_by_role("heading", name="Üniversitenizin sosyal ağı").wait_for()
        await visit.open("/home")
        assert "/login?return_to=%2Fhome" in page.url


async def test_session_that_ends_elsewhere_signs_out_at_once_and_loses_no_draft(
    browser: Browser, stack: Stack, join: Join, client: httpx.AsyncClient
) -> None:
    from playwright.async_api import expect

    member = await join()
    async with visiting(browser, stack.issuer, 360, "dark") as visit:
        page = visit.page
        await sign_in(visit, member)
        await open_ready(visit, "/home")
        await page.get_by_label("What is on your mind?").fill("Half a thought")
        await eventually(lambda: page.evaluate("Object.values(localStorage).join().length > 0"))
        await page.reload()
        await expect(page.get_by_label("What is on your mind?")).to_have_value("Half a thought")
        await eventually(lambda: page.evaluate("document.querySelector('#state > *') !== null"))
        # Nobody has to do anything: the page hears that the session has ended.
        elsewhere = await client.post(
            "/api/auth/login", json={"login": member.username, "password": PASSWORD}
        )
        token = {"Authorization": f"Bearer {elsewhere.json()['access_token']}"}
        assert (await client.delete("/api/auth/sessions", headers=token)).status_code == 204
        again = page.get_by_role("dialog", name="Sign in again")
        await again.wait_for(timeout=SIGNED_OUT_MS)
        await visit.require_accessible()
        await expect(page.get_by_label("What is on your mind?")).to_be_hidden()
        await again.get_by_label("Password").fill(PASSWORD)
        await again.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_label("What is on your mind?")).to_have_value("Half a thought")
        await page.get_by_role("button", name="Post", exact=True).click()
        await expect(page.get_by_role("feed")).to_contain_text("Half a thought")
        await open_ready(visit, "/home")
        await expect(page.get_by_role("article")).to_have_count(1)
        await expect(page.get_by_label("What is on your mind?")).to_have_value("")


async def test_page_opened_with_an_old_token_gets_a_new_one(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    member = await join()
    member.token = f"x{member.token}"
    async with visiting(browser, stack.issuer, 360, "dark") as visit:
        # It was renewed last by a clock that was a day ahead.
        await visit.page.add_init_script("localStorage.refreshed ||= Date.now() + 86_400_000")
        await sign_in(visit, member)
        await visit.open(f"/@{member.username}")
        await visit.page.wait_for_selector("html[data-ready]")
        await expect(visit.page.get_by_role("link", name="Settings").first).to_be_visible()
