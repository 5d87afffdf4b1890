"""Dashboards and logs in a real browser: drawn, followed, and said when there is nothing to draw."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

import pytest

from tests.browser.conftest import Width, console_of, visiting
from tests.conftest import Stack
from tests.lone_service import lone_service
from tests.ops.checks.prometheus_history import serving

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Route

POSTGRESQL = "/ops/dashboards/chitlaq-postgresql?span=1h"
HAS_LINES = """panel => {
    const canvas = panel.querySelector("canvas");
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const [r, g, b] = getComputedStyle(panel.querySelector(".swatch")).backgroundColor.match(/\\d+/g);
    let found = 0;
    for (let at = 0; at < pixels.length; at += 4)
        if (pixels[at] == r && pixels[at + 1] == g && pixels[at + 2] == b && pixels[at + 3] == 255) found++;
    return found;
}"""


def history() -> str:
    now = int(time.time()) - 60
    lines = ["# TYPE postgresql_connections_active gauge"]
    lines += [
        f'postgresql_connections_active{{state="{state}"}} {value} {at}'
        for state, value in (("idle", 12345), ("</th><script>\u202e", 3))
        for at in range(now - 3000, now, 15)
    ]
    lines += ["# TYPE postgresql_cache_hit_ratio gauge"]
    lines += [f"postgresql_cache_hit_ratio 0.85 {at}" for at in range(now - 3000, now, 15)]
    lines += ["# TYPE postgresql_dead_rows gauge", f'postgresql_dead_rows{{table="a.b"}} 7 {now}']
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
async def watched() -> AsyncIterator[Stack]:
    """ops-service and a Prometheus with a past."""
    async with serving({"past": history()}) as addresses:
        with lone_service("ops-service", "ops", PROMETHEUS_URL=addresses["past"]) as stack:
            yield stack


@pytest.fixture(scope="module")
async def signed_in(watched: Stack, browser: Browser) -> AsyncIterator[Any]:
    async with visiting(browser, console_of(watched)) as visit:
        await visit.sign_in(watched)
        yield await visit.page.context.storage_state()


def panel(page: Page, title: str) -> Any:
    return page.get_by_role("group", name=title, exact=True)


async def test_dashboard_is_drawn_and_says_its_values_in_words(
    watched: Stack, browser: Browser, signed_in: Any
) -> None:
    from playwright.async_api import expect

    async with visiting(
        browser, console_of(watched), 1400, "light", storage_state=signed_in
    ) as visit:
        await visit.open(POSTGRESQL)
        sessions = panel(visit.page, "Sessions")
        # What others named is text, with every character visible.
        await expect(sessions.locator("tbody tr")).to_have_count(2)
        await expect(sessions).to_contain_text(re.compile(r"</th><script>.*3.*3.*3"))
        assert "\u202e" not in await sessions.inner_text()
        idle = sessions.get_by_role("row", name="idle")
        await expect(idle).to_contain_text("12,345")
        assert await sessions.evaluate(HAS_LINES) > 50
        hits = panel(visit.page, "Cache hits since the statistics reset")
        await hits.scroll_into_view_if_needed()
        await expect(hits).to_contain_text("85 %")
        await expect(hits).to_contain_text("Warning below 95 %, critical below 80 %")
        dead = panel(visit.page, "Dead rows")
        await dead.scroll_into_view_if_needed()
        await expect(dead.get_by_role("meter", name="a.b")).to_have_text("7")
        await visit.require_accessible()
        await visit.keep("dashboard-drawn-1400-light")

        # Under the pointer: the values of that moment, in all graphs.
        box = await sessions.locator(".u-over").bounding_box()
        await sessions.scroll_into_view_if_needed()
        box = await sessions.locator(".u-over").bounding_box()
        await visit.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await expect(sessions.locator("th.at")).to_have_text(re.compile(r"\d+ \w+ \d\d:\d\d"))

        await visit.page.emulate_media(color_scheme="dark")
        await expect(sessions.locator("canvas")).to_have_count(1)
        assert await sessions.evaluate(HAS_LINES) > 50
        await visit.page.set_viewport_size({"width": 360, "height": 740})
        await visit.require_accessible()
        await visit.keep("dashboard-drawn-360-dark")
        await visit.page.get_by_role("link", name="Last 6h").click()
        await visit.page.wait_for_url("**span=6h")


@pytest.mark.long
@pytest.mark.parametrize("width", get_args(Width))
async def test_dashboard_is_accessible_in_each_theme_and_width(
    watched: Stack, browser: Browser, signed_in: Any, width: Width
) -> None:
    from playwright.async_api import expect

    async with visiting(
        browser, console_of(watched), width, "light", storage_state=signed_in
    ) as visit:
        await visit.open(POSTGRESQL)
        await expect(panel(visit.page, "Sessions").locator("tbody tr")).to_have_count(2)
        faults = await visit.faults_in_each_theme(f"console/{width}-{{theme}}/drawn", width)
    assert not faults, "\n".join(faults)


async def test_dashboard_without_scripts_is_a_table(
    watched: Stack, browser: Browser, signed_in: Any
) -> None:
    from playwright.async_api import expect

    async with visiting(
        browser, console_of(watched), storage_state=signed_in, java_script_enabled=False
    ) as visit:
        await visit.page.goto(console_of(watched) + POSTGRESQL)
        await visit.page.wait_for_url("**view=table")
        await expect(visit.page.get_by_role("row", name="Cache hits since")).to_contain_text("85 %")


async def test_prometheus_that_is_down_is_said_in_each_panel(
    alone: Stack, browser: Browser
) -> None:
    from playwright.async_api import expect

    async with visiting(browser, console_of(alone)) as visit:
        await visit.sign_in(alone)
        await visit.open("/ops/dashboards/chitlaq-slos")
        await expect(visit.page.locator(".unknown").first).to_contain_text("there is no prometheus")
        await visit.page.get_by_role("button", name="Now").click()
        await expect(visit.page.locator("#updated")).to_contain_text("Updated")


async def test_panel_says_that_it_is_loading_and_when_it_cannot(
    watched: Stack, browser: Browser, signed_in: Any
) -> None:
    from playwright.async_api import expect

    async with visiting(browser, console_of(watched), storage_state=signed_in) as visit:
        answered = asyncio.Event()

        async def answer_later(route: Route) -> None:
            await answered.wait()
            await route.continue_()

        await visit.page.route("**/panels/*", answer_later)
        await visit.open(POSTGRESQL)
        sessions = panel(visit.page, "Sessions")
        await expect(sessions).to_contain_text("Loading…")
        await expect(sessions).to_have_attribute("aria-busy", "true")
        await visit.keep("dashboard-loading-360-dark")
        answered.set()
        await expect(sessions).to_contain_text("12,345")
        await expect(sessions).not_to_contain_text("Loading…")

        await visit.page.unroute_all()
        await visit.page.route("**/vendor/uplot.js", lambda route: route.abort())
        await visit.page.reload()
        await expect(sessions).to_contain_text("Unknown: a script of this page did not load")
        visit.complaints.clear()  # of the script


async def test_logs_are_followed_until_one_scrolls_up_and_stay_few(
    alone: Stack, browser: Browser
) -> None:
    from playwright.async_api import expect

    path = alone.home / "logs" / "feed-service.log"
    path.parent.mkdir(exist_ok=True)

    def write(*events: str) -> None:
        stamp = datetime.now(UTC).isoformat()
        with path.open("a") as file:
            for event in events:
                file.write(f'{{"timestamp":"{stamp}","level":"warning","event":"{event}"}}\n')

    write(*(f"old {number}" for number in range(300)))
    async with visiting(browser, console_of(alone)) as visit:
        await visit.sign_in(alone)
        await visit.open("/ops/logs?service=feed-service")
        rows = visit.page.locator("#log li")
        await expect(rows).to_have_count(200)
        write("<b>new</b>")
        await expect(rows.last).to_contain_text("<b>new</b>")
        await expect(rows.last).to_be_in_viewport()

        await visit.page.locator("#log").evaluate("log => { log.scrollTop = 0; }")
        write("unseen 1", "unseen 2")
        more = visit.page.get_by_role("button", name="2 new lines")
        await expect(more).to_be_visible()
        await expect(rows).to_have_count(201)
        await visit.require_accessible()
        await visit.keep("logs-waiting-360-dark")
        await more.click()
        await expect(rows).to_have_count(203)
        await expect(rows.last).to_be_in_viewport()

        write(*(f"flood {number}" for number in range(700)))
        await expect(rows.last).to_contain_text("flood 699")
        await expect(rows).to_have_count(500)
        await visit.page.get_by_role("button", name="Pause").click()
        write("paused")
        await expect(visit.page.get_by_role("button", name="1 new line")).to_be_visible()
        await visit.page.get_by_role("button", name="Go on").click()
        await expect(rows.last).to_contain_text("paused")
