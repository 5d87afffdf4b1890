"""What is written arrives, once: over a lost connection, a lost answer, and a browser that is closed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.conftest import opened, visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import Member, Stack, eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

Join = Callable[[], Awaitable[Member]]


async def texts(member: Member) -> list[str]:
    page = (await member.get(f"/api/users/{member.username}/posts?limit=100")).json()
    return [one["text"] for one in page["items"]]


async def test_post_waits_for_a_connection_also_in_a_closed_browser(
    stack: Stack, join: Join, tmp_path: Path
) -> None:
    from playwright.async_api import expect

    member = await join()
    async with opened(tmp_path, stack.issuer) as visit:
        await sign_in(visit, member)
        await open_ready(visit, "/home")
        await visit.page.get_by_label("What is on your mind?").focus()
        await eventually(lambda: visit.page.evaluate(IS_LOADED))
        await visit.page.context.set_offline(True)
        for text in ("One", "Two"):
            await visit.page.get_by_label("What is on your mind?").fill(text)
            await visit.page.get_by_role("button", name="Post", exact=True).click()
            await expect(visit.page.get_by_role("list", name="Not sent yet")).to_contain_text(text)
        await expect(visit.page.get_by_text("Waits for a connection")).to_have_count(2)
    assert await texts(member) == []
    async with opened(tmp_path, stack.issuer) as visit:
        await sign_in(visit, member)
        await open_ready(visit, f"/@{member.username}")

        async def have_arrived() -> bool:
            return await texts(member) == ["Two", "One"]

        await eventually(have_arrived)


IS_LOADED = """() => {
    const loaded = performance.getEntriesByType("resource").map(({name}) => name.split("/").at(-1));
    return ["outbox.js", "unsent.js", "extras.js", "pictures.js"].every(name => loaded.includes(name));
}"""


async def test_post_whose_answer_is_lost_is_not_written_twice_and_a_refused_one_is_kept(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    member = await join()
    gone = await member.write("soon gone")
    sent: list[str] = []

    async def lose(route: Route) -> None:
        sent.append(await route.request.header_value("Idempotency-Key") or "")
        await route.fetch()
        await route.abort()

    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await sign_in(visit, member)
        await open_ready(visit, "/home")
        await page.route("**/api/posts", lose, times=1)
        await page.get_by_label("What is on your mind?").fill("Only once")
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_role("article").filter(has_text="Only once")).to_have_count(1)
        assert len(sent) == 1
        assert await texts(member) == ["Only once", "soon gone"]
        visit.complaints.clear()  # the lost answer

        await open_ready(visit, f"/@{member.username}/p/{gone['id']}")
        assert (await member.delete(f"/api/posts/{gone['id']}")).status_code == 204
        await page.get_by_label("Write a reply").fill("Too late")
        await page.keyboard.press("Control+Enter")
        await expect(page.get_by_role("list", name="Not sent yet")).to_contain_text("Not sent:")
        await visit.require_accessible()
        await page.set_viewport_size({"width": 1400, "height": 900})
        await page.get_by_role("button", name="Sign out").click()
        asked = page.get_by_role("dialog", name="Sign out, and lose what is not sent?")
        await asked.get_by_role("button", name="Cancel").click()
        await page.get_by_role("button", name="Edit").click()
        await expect(page.get_by_label("Write a reply")).to_have_value("Too late")
        await expect(page.get_by_role("list", name="Not sent yet")).to_have_count(0)

        await page.get_by_role("button", name="Post", exact=True).click()
        await expect(page.get_by_role("list", name="Not sent yet")).to_contain_text("Not sent:")
        await page.get_by_role("button", name="Sign out").click()
        await asked.get_by_role("button", name="Sign out").click()
        await page.wait_for_url(f"{stack.issuer}/")
        assert await page.evaluate(KEPT) == [[], 0], "whoever comes next finds nothing"


async def test_one_tab_sends_for_all_and_what_fails_five_times_waits_for_its_writer(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    member = await join()
    sent: list[str] = []
    async with visiting(browser, stack.issuer, 360, "light") as visit:
        context, tabs = visit.page.context, [visit.page, await visit.page.context.new_page()]
        await sign_in(visit, member)
        for tab in tabs:
            await tab.goto(f"{stack.issuer}/home")
            await tab.wait_for_selector("html[data-ready]")
            await tab.get_by_label("What is on your mind?").focus()
            await eventually(lambda tab=tab: tab.evaluate(IS_LOADED))  # type: ignore[misc]
        await context.set_offline(True)
        for number, tab in enumerate((*tabs, *tabs)):
            await tab.get_by_label("What is on your mind?").fill(f"Post {number}")
            await tab.get_by_role("button", name="Post", exact=True).click()
            await expect(tab.get_by_role("list", name="Not sent yet")).to_contain_text(
                f"Post {number}"
            )
        context.on("response", lambda one: sent.append(f"{one.request.method} {one.url}"))
        await context.set_offline(False)
        for tab in tabs:
            await expect(tab.get_by_role("list", name="Not sent yet")).to_have_count(0)
        assert await texts(member) == [f"Post {number}" for number in (3, 2, 1, 0)]
        assert sent.count(f"POST {stack.issuer}/api/posts") == 4
        await tabs[1].close()
        visit.complaints.clear()  # of the connection

        async def fail(route: Route) -> None:
            await route.fulfill(status=500, json={"detail": "It broke."})

        page = visit.page
        await page.clock.install()
        await page.route("**/api/posts", fail)
        await page.get_by_label("What is on your mind?").fill("Unlucky")
        await page.keyboard.press("Control+Enter")
        waits = page.get_by_role("list", name="Not sent yet")

        async def is_given_up() -> bool:
            await page.clock.run_for(1000)
            return "Not sent: It broke." in await waits.inner_text()

        await expect(waits).to_contain_text("Unlucky")
        await eventually(is_given_up)
        await visit.require_accessible()
        await page.unroute("**/api/posts")
        await waits.get_by_role("button", name="Try again").click()
        await expect(page.get_by_role("article").filter(has_text="Unlucky")).to_have_count(1)
        visit.complaints.clear()  # what failed


KEPT = "indexedDB.databases().then(all => [all, localStorage.length])"
