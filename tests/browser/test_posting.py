"""Posts with all that belongs to them, and a feed that does not move."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from tests.browser.conftest import opened, visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import Member, Stack, eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, FilePayload, Route

Join = Callable[[], Awaitable[Member]]


def picture(colour: str) -> FilePayload:
    file = io.BytesIO()
    Image.new("RGB", (320, 200), colour).save(file, "PNG")
    return {"name": f"{colour}.png", "mimeType": "image/png", "buffer": file.getvalue()}


async def test_post_with_pictures_a_poll_and_a_warning_is_written_voted_edited_and_deleted(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    eve, bob = await join(), await join()
    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await sign_in(visit, eve)
        await open_ready(visit, "/home")
        await page.get_by_label("What is on your mind?").fill("Which one?")
        async with page.expect_file_chooser() as choosing:
            await page.get_by_role("button", name="Add pictures").click()
        await (await choosing.value).set_files([picture("red"), picture("blue")])
        descriptions = page.get_by_label("Description for those who do not see it")
        await expect(descriptions).to_have_count(2)
        await descriptions.first.fill("All red")
        await page.get_by_role("button", name="Picture 2: move up").click()
        await page.get_by_role("button", name="Poll").click()
        await page.get_by_label("Answer 1", exact=True).fill("Red")
        await page.get_by_label("Answer 2", exact=True).fill("Blue")
        await page.get_by_role("button", name="Content warning").click()
        await page.get_by_role("textbox", name="Content warning").fill("Colours")
        await visit.require_accessible()
        await visit.keep("composer-360")
        await page.reload()  # nothing of it is lost
        await page.wait_for_selector("html[data-ready]")
        await expect(descriptions.last).to_have_value("All red")
        await page.get_by_role("button", name="Post", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text(
            "1 of 2 pictures without a description"
        )
        await page.get_by_role("button", name="Post anyway").click()
        card = page.get_by_role("article").filter(has_text="Colours")
        await card.get_by_text("Colours").click()
        await expect(card.get_by_role("img")).to_have_count(2)
        await expect(card.get_by_role("img").last).to_have_attribute("alt", "All red")
        # They are still being made when the post is there.
        await eventually(lambda: page.evaluate(ARE_SHOWN))

    written = (await eve.get(f"/api/users/{eve.username}/posts")).json()["items"]
    assert len(written) == 1
    assert [one["alt"] for one in written[0]["media"]] == ["", "All red"]
    thread = f"/@{eve.username}/p/{written[0]['id']}"
    await eventually(lambda: is_ready(eve, written[0]["media"][1]["id"]))
    async with visiting(browser, stack.issuer, 360, "dark") as visit:
        page = visit.page
        await sign_in(visit, bob)
        await open_ready(visit, thread)
        await page.get_by_text("Colours").click()
        await page.get_by_label("Blue").check()
        await page.get_by_role("button", name="Vote").click()
        await expect(page.get_by_text("1 voter")).to_be_visible()
        await expect(page.locator(".poll li").last).to_contain_text("your choice")
        await page.get_by_role("img", name="All red").click()
        large = page.get_by_role("dialog", name="Picture 2")
        await expect(large.get_by_text("All red")).to_be_visible()
        await visit.require_accessible()
        await page.keyboard.press("Escape")
        await expect(large).to_have_count(0)
        await page.get_by_role("button", name="More actions").click()
        await visit.require_accessible()
        await page.get_by_role("menuitem", name="Quote", exact=True).click()
        await page.wait_for_url("**/compose?quote=*")
        await page.get_by_label("What is on your mind?").fill("See this")
        await page.get_by_role("button", name="Post", exact=True).click()
        await page.wait_for_url(f"**/@{bob.username}/p/*")
        await expect(page.locator("blockquote")).to_contain_text(eve.username)

        own = page.locator("article.main")
        await own.get_by_role("button", name="More actions").click()
        await page.get_by_role("menuitem", name="Edit").click()
        await page.get_by_label("Text", exact=True).fill("See that")
        await visit.require_accessible()
        await page.get_by_role("button", name="Save").click()
        await expect(own).to_contain_text("See that")
        await own.get_by_role("link", name="edited").click()
        await expect(page.get_by_role("list", name="What it said before")).to_contain_text(
            "See this"
        )
        await page.go_back()
        await own.get_by_role("button", name="More actions").click()
        await page.get_by_role("menuitem", name="Delete").click()
        await expect(page.locator("main").get_by_text("You deleted this post.")).to_be_visible()
        undo = page.get_by_role("button", name="Undo")
        await expect(undo).to_be_focused()
        await visit.require_accessible()
        await page.keyboard.press("Enter")
        await expect(own).to_contain_text("See that")
        await own.get_by_role("button", name="More actions").click()
        await page.get_by_role("menuitem", name="Delete").click()
        await expect(undo).to_be_visible()
        assert len((await bob.get(f"/api/users/{bob.username}/posts")).json()["items"]) == 1
        await page.goto("about:blank")  # nobody comes back for it

        async def is_deleted() -> bool:
            items = (await bob.get(f"/api/users/{bob.username}/posts")).json()["items"]
            return bool(items == [])

        await eventually(is_deleted)


TOMORROW = timedelta(days=1)
ARE_SHOWN = "[...document.querySelectorAll('.media img')].every(one => one.naturalWidth > 0)"


async def is_ready(member: Member, media: str) -> bool:
    return bool((await member.get(f"/api/media/{media}")).json()["state"] == "ready")


async def test_what_does_not_fit_is_said_before_it_is_sent(
    browser: Browser, stack: Stack, join: Join, tmp_path: Path
) -> None:
    from playwright.async_api import expect

    eve = await join()
    large, text = tmp_path / "big.png", tmp_path / "notes.pdf"
    text.write_bytes(b"%PDF")
    large.touch()
    os.truncate(large, 15_000_001)
    async with visiting(browser, stack.issuer, 1400, "light") as visit:
        page, uploads = visit.page, list[str]()
        page.on("request", lambda one: uploads.append(one.url) if "/api/media" in one.url else None)
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await sign_in(visit, eve)
        await open_ready(visit, "/home")
        field = page.get_by_label("What is on your mind?")
        await field.fill("   ")
        await page.get_by_role("button", name="Post", exact=True).click()
        await expect(page.get_by_role("alert")).to_contain_text("There is nothing to post yet")
        # What hears a paste comes after the page.
        await page.locator("#state > *").first.wait_for(state="attached")
        await page.evaluate("navigator.clipboard.writeText('pasted '.repeat(3_000))")
        await field.fill("")
        await page.keyboard.press("Control+V")
        await expect(page.get_by_text("this field takes 20,000 characters")).to_be_visible()
        assert await field.input_value() == "pasted " * 2_857 + "p"
        # Of so many lines a browser would make nodes for seconds, before it cuts.
        await page.evaluate("navigator.clipboard.writeText('🙂a\\n'.repeat(750_000))")
        await page.keyboard.press("Control+A")
        await page.keyboard.press("Control+V")
        await expect(field).to_have_value("🙂a\n" * 5_000)
        await page.keyboard.press("Backspace")
        await page.keyboard.press("End")
        await page.keyboard.type("b")
        await expect(field).to_have_value("🙂a\n" * 4_999 + "🙂ab")
        await field.fill("Too many")
        async with page.expect_file_chooser() as choosing:
            await page.get_by_role("button", name="Add pictures").click()
        await (await choosing.value).set_files([large, text])
        alerts = page.locator(".pictures").get_by_role("alert")
        await expect(alerts).to_contain_text(
            ["big.png has 15.1 MB; a picture may have 15 MB.", "notes.pdf is no picture of a kind"]
        )
        assert uploads == []
        async with page.expect_file_chooser() as choosing:
            await page.get_by_text("Choose pictures").click()
        await (await choosing.value).set_files([picture("red")] * 6)
        await expect(alerts).to_have_text(
            "At most 4 pictures fit; of those chosen, 2 were left out."
        )


async def test_draft_is_kept_by_the_server_and_goes_when_it_is_posted(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    eve = await join()
    async with visiting(browser, stack.issuer, 1400, "light") as visit:
        page = visit.page
        await sign_in(visit, eve)
        await open_ready(visit, "/compose")
        await page.get_by_label("What is on your mind?").fill("Not yet")
        await page.get_by_role("button", name="More settings").click()
        await page.get_by_role("button", name="Keep as a draft").click()
        await expect(page.get_by_label("What is on your mind?")).to_have_value("")
        await page.locator("main").get_by_role("link", name="Drafts").last.click()
        await expect(page.get_by_role("list", name="Drafts")).to_contain_text("Not yet")
        await page.get_by_role("button", name="Edit").click()
        await page.wait_for_url("**/compose?draft=*")
        await page.get_by_label("What is on your mind?").fill("Now")
        await page.get_by_role("button", name="Post", exact=True).click()
        await page.wait_for_url(f"**/@{eve.username}/p/*")
        assert (await eve.get("/api/users/me/drafts")).json()["items"] == []

        await open_ready(visit, "/compose")
        await page.get_by_label("What is on your mind?").fill("Next year")
        await page.get_by_role("button", name="More settings").click()
        await expect(page.get_by_role("button", name="Schedule")).to_be_disabled()
        await page.get_by_label("Publish at").fill(f"{datetime.now(UTC) + TOMORROW:%Y-%m-%dT%H:%M}")
        await page.get_by_role("button", name="Schedule").click()
        await expect(page.get_by_label("What is on your mind?")).to_have_value("")
        kept = (await eve.get("/api/users/me/drafts")).json()["items"]
        assert [bool(one["scheduled_at"]) for one in kept] == [True]

        await page.locator("main").get_by_role("link", name="Drafts").last.click()
        drafts = page.get_by_role("list", name="Drafts")
        await page.get_by_role("button", name="Delete").click()
        await expect(drafts).to_have_text("You deleted this draft.")
        await expect(page.get_by_role("button", name="Undo")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(drafts).to_contain_text("Next year")
        await page.get_by_role("button", name="Delete").click()
        await expect(drafts).to_have_text("You deleted this draft.")
        assert (await eve.get("/api/users/me/drafts")).json()["items"] == kept
        await page.goto("about:blank")  # nobody comes back for it

        async def is_deleted() -> bool:
            return bool((await eve.get("/api/users/me/drafts")).json()["items"] == [])

        await eventually(is_deleted)


async def test_author_says_who_may_quote_a_post(browser: Browser, stack: Stack, join: Join) -> None:
    from playwright.async_api import expect

    eve, bob = await join(), await join()
    async with (
        visiting(browser, stack.issuer, 360, "light") as own,
        visiting(browser, stack.issuer, 360, "light") as other,
    ):
        page = own.page
        await sign_in(own, eve)
        await sign_in(other, bob)
        await open_ready(own, "/compose")
        await page.get_by_label("What is on your mind?").fill("Not to be quoted")
        await page.get_by_role("button", name="More settings").click()
        await page.get_by_label("Who can quote it").select_option("Nobody")
        await page.get_by_role("button", name="Post", exact=True).click()
        await page.wait_for_url(f"**/@{eve.username}/p/*")
        thread = page.url.removeprefix(stack.issuer)
        post = f"/api/posts/{thread.rpartition('/')[2]}"
        quote = other.page.get_by_role("menuitem", name="Quote", exact=True)
        menu = other.page.get_by_role("menuitem", name="Copy")
        for choice, expected in (("nobody", 0), ("everyone", 1)):
            assert (await eve.get(post)).json()["quotable_by"] == choice
            await open_ready(other, thread)
            await other.page.get_by_role("button", name="More actions").click()
            await expect(menu.first).to_be_visible()
            await expect(quote).to_have_count(expected)
            if choice == "nobody":
                await page.get_by_role("button", name="More actions").click()
                await page.get_by_role("menuitem", name="Edit").click()
                chosen = page.get_by_label("Who can quote it")
                await expect(chosen).to_have_value("nobody")
                await chosen.select_option("Everyone")
                await page.get_by_role("button", name="Save").click()
                await expect(page.get_by_role("dialog")).to_have_count(0)


async def _are_muted(member: Member, count: int) -> bool:
    answer = await member.get("/api/users/me/muted-threads")
    return len(answer.json()["items"]) == count


async def test_quote_is_detached_and_a_conversation_muted_and_unmuted(
    browser: Browser, stack: Stack, join: Join
) -> None:
    from playwright.async_api import expect

    eve, ada = await join(), await join()
    quoted = await eve.write("Mine")
    quote = await ada.write("Look at this", quote_of=quoted["id"])
    async with visiting(browser, stack.issuer, 360, "light") as visit:
        page = visit.page
        await sign_in(visit, eve)
        await open_ready(visit, f"/@{ada.username}/p/{quote['id']}")
        card = page.locator("article.main")
        menu = card.get_by_role("button", name="More actions")
        for name in (
            "Mute this conversation",
            "Unmute this conversation",
            "Mute this conversation",
        ):
            await menu.click()
            await page.get_by_role("menuitem", name=name, exact=True).click()
            await expect(
                page.get_by_role("status").filter(has_text="notifications")
            ).to_be_visible()
            # The status may still be that of the step before.
            wanted = int(not name.startswith("Un"))
            await eventually(partial(_are_muted, eve, wanted))
        await menu.click()
        await page.get_by_role("menuitem", name="Detach my post from it").click()
        await expect(card).to_contain_text("The quoted post is not available.")
        shown = (await ada.get(f"/api/posts/{quote['id']}")).json()
        assert (shown["quote"], shown["quote_detached"]) == (None, True)


async def test_feed_keeps_its_place_while_others_post_and_the_browser_is_closed(
    stack: Stack, join: Join, tmp_path: Path
) -> None:
    from playwright.async_api import expect

    eve, ada = await join(), await join()
    await eve.put(f"/api/users/{ada.username}/follow")
    for place in range(30):
        await ada.write(f"Number {place}\n\n\n\n.")

    async def is_delivered() -> bool:
        return len((await eve.get("/api/feed/home?limit=100")).json()["items"]) == 30

    await eventually(is_delivered)
    async with opened(tmp_path, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, eve)
        await open_ready(visit, "/home")
        # The page of a post has an article, too.
        row = page.get_by_role("feed").get_by_role("article").filter(has_text="Number 5\n")
        await page.get_by_role("article").last.scroll_into_view_if_needed()
        await row.scroll_into_view_if_needed()
        before = await row.bounding_box()
        assert before
        await eventually(lambda: page.evaluate(IS_KEPT))
        for place in range(3):
            await ada.write(f"Newer {place}")

        async def is_told() -> bool:
            return len((await eve.get("/api/feed/home?limit=100")).json()["items"]) == 33

        await eventually(is_told)
        await row.locator("a.time").click()
        await page.wait_for_url("**/p/*")
        await page.go_back()
        await expect(row).to_be_in_viewport()
        await page.reload()
        pill = page.get_by_role("button", name="3 new posts")
        await expect(pill).to_be_visible()
        await expect(row).to_be_in_viewport()
        await expect(page.get_by_text("Newer 2")).to_have_count(0)
        after = await row.bounding_box()
        assert after
        assert abs(after["y"] - before["y"]) < 40
        # What is left in a hurry is left where one was at last.
        seen = await page.evaluate(LEAVE_AT_ONCE)
        await page.wait_for_url("**/p/*")
        assert await page.evaluate(PLACE) == seen
        await page.go_back()
        await expect(pill).to_be_visible()
        await row.scroll_into_view_if_needed()
        # Also whoever reloads before the browser has gone back to where one was.
        await row.locator("a.time").click()
        await page.wait_for_url("**/p/*")
        await page.evaluate("requestAnimationFrame = () => 0")
        await page.go_back()
        await page.locator(".pill").wait_for(state="attached")
        await page.reload()
        await expect(pill).to_be_visible()
        await expect(row).to_be_in_viewport()
    async with opened(tmp_path, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, eve)
        row = page.get_by_role("article").filter(has_text="Number 5\n")
        pill = page.get_by_role("button", name="3 new posts")
        # Whoever reads on while the place is looked for is not moved, and can still go there.
        is_moving = asyncio.Event()

        async def wait(route: Route) -> None:
            await is_moving.wait()
            await route.continue_()

        await page.route(AROUND, wait, times=1)
        await open_ready(visit, "/home")
        await page.locator(".pill").wait_for(state="attached")
        await page.keyboard.press("Tab")
        is_moving.set()
        back = page.get_by_role("button", name="Back to where you were")
        await expect(back).to_be_visible()
        await expect(page.get_by_text("Newer 2")).to_be_in_viewport()
        await back.click()
        await expect(row).to_be_in_viewport()
        await expect(pill).to_be_visible()
        # A place that cannot be read at the moment is not given up; nor does the list go on there by itself.
        await page.route(FURTHER, busy)
        await page.reload()
        retry = page.get_by_role("button", name="Try again")
        await expect(retry).to_be_disabled()
        await expect(page.get_by_text("could not be loaded")).to_be_visible()
        await page.unroute(FURTHER, busy)
        await expect(pill).to_be_visible()
        await expect(retry).to_have_count(0)
        await expect(row).to_be_in_viewport()
        again = await row.bounding_box()
        assert again
        assert abs(again["y"] - before["y"]) < 40
        await page.keyboard.press(".")
        await expect(page.get_by_text("Newer 2")).to_be_in_viewport()

        for place in range(22):
            await ada.write(f"Latest {place}")
        await eventually(lambda: page.evaluate(LOOK))
        await page.get_by_role("button", name="More than 20 new posts").click()
        await expect(page.get_by_text("Latest 21")).to_be_in_viewport()
        await expect(page.get_by_text("Latest 0")).to_have_count(0)
        await page.get_by_role("button", name="Load missing posts").click()
        await expect(page.get_by_text("Latest 0")).to_be_attached()
        await expect(page.get_by_role("button", name="Load missing posts")).to_have_count(0)


AROUND = "**/api/feed/home?limit=100&*"
"""What is read to find the place."""
FURTHER = "**/api/feed/home?limit=*&cursor=*"


async def busy(route: Route) -> None:
    await route.fulfill(status=503, headers={"Retry-After": "1"}, json={"detail": "Later."})


LOOK = """() => {
    document.dispatchEvent(new Event("visibilitychange"));
    return document.querySelector(".pill")?.textContent.includes("20");
}"""
# Whoever scrolls before the module is there that keeps the place, scrolls on.
IS_KEPT = """() => {
    dispatchEvent(new Event("scroll"));
    return Object.keys(localStorage).some(name => name.startsWith("place:"));
}"""
PLACE = """() => {
    const name = Object.keys(localStorage).find(name => name.startsWith("place:"));
    return name ? JSON.parse(localStorage.getItem(name)).post : null;
}"""
# Scroll, and follow a link before what was scrolled to has been kept.
LEAVE_AT_ONCE = """async () => {
    scrollBy(0, -900);
    const frame = () => new Promise(requestAnimationFrame);
    await frame();
    await frame();
    const row = [...document.querySelectorAll(".feed > [data-id]")]
        .find(one => one.getBoundingClientRect().bottom > 0);
    row.querySelector("a.time").click();
    return row.dataset.id;
}"""
