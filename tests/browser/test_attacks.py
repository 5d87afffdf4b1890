"""What pages of another origin try against somebody who is signed in here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from tests.browser.conftest import visiting
from tests.browser.members import open_ready, sign_in
from tests.conftest import Member, Stack, eventually

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

Join = Callable[[], Awaitable[Member]]

EVIL = "http://evil.test"
ASK = """async origin => {
    const headers = {"Content-Type": "application/json"};
    const asked = [
        ["/api/posts", {method: "POST", headers, body: '{"text":"forged"}'}],
        ["/api/posts", {method: "POST", mode: "no-cors", body: '{"text":"forged"}'}],
        ["/api/users/me", {}],
        ["/api/auth/logout", {method: "POST", mode: "no-cors", body: "{}"}],
        ["/home", {}],
    ];
    const read = [];
    for (const [path, options] of asked) {
        const answer = await fetch(origin + path, {credentials: "include", ...options}).catch(() => null);
        if (answer && answer.type !== "opaque") read.push(path);
    }
    return read;
}"""
SEND_FORM = """([address, name, value]) => {
    const form = Object.assign(document.createElement("form"), {method: "post", action: address});
    form.append(Object.assign(document.createElement("input"), {name, value}));
    document.body.append(form);
    form.submit();
}"""


async def test_other_origin_reads_nothing_changes_nothing_and_frames_nothing(
    browser: Browser, stack: Stack, join: Join
) -> None:
    ada = await join()

    async def evil(route: Route) -> None:
        frame = f'<iframe src="{stack.issuer}/home"></iframe>'
        await route.fulfill(content_type="text/html", body=f"<!doctype html><body>{frame}")

    async with visiting(browser, stack.issuer) as visit:
        page = visit.page
        await sign_in(visit, ada)
        await page.context.route(f"{EVIL}/**", evil)
        await page.goto(EVIL)
        # The browser shows its own page of an error in place of ours.
        await eventually(lambda: page.frames[-1].url.startswith("chrome-error:") or None)
        assert await page.evaluate(ASK, stack.issuer) == []
        for path, field, value in (
            ("/settings/appearance", "theme", "dark"),
            ("/logout", "a", "b"),
        ):
            await page.goto(EVIL)
            await page.evaluate(SEND_FORM, [stack.issuer + path, field, value])
            await page.wait_for_url(f"{stack.issuer}{path}")
            assert "application/problem+json" in await page.evaluate("document.contentType")
        assert (await ada.get(f"/api/users/{ada.username}/posts")).json()["items"] == []
        kept = {one["name"] for one in await page.context.cookies()}
        assert "theme" not in kept
        await open_ready(visit, "/home")
        # What the browser itself says of what it refused.
        visit.complaints.clear()
