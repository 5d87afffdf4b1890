"""The status page as members see it, in both languages, on a telephone and on paper, without JavaScript."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.languages import LANGUAGES
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.statuspage import site, snapshot
from tests.browser import outlines
from tests.browser.conftest import OF_THEMES, THEMES, Width, visiting
from tests.lone_edge import Edge
from tests.ops.statuspage.full_page import SETTINGS, fill

if TYPE_CHECKING:
    from playwright.async_api import Browser

PAGES = {"page": "", "history": "/history", "subscribe": "/subscribe"}


@pytest.fixture
async def page(lone_edge: Edge, tmp_path: Path) -> AsyncIterator[str]:
    with OpsDatabase(Home(tmp_path)) as database:
        await fill(database)
        said = await snapshot.taken(database, SETTINGS)
        site.put(lone_edge.home.status_page, site.content(said, SETTINGS))
        yield f"http://localhost:{lone_edge.port}"


async def test_page_is_accessible_in_each_language(browser: Browser, page: str) -> None:
    for language in LANGUAGES:
        async with visiting(browser, page, java_script_enabled=True) as visit:
            for name, path in PAGES.items():
                await visit.open(f"/status/{language}{path}")
                await visit.look("dark", 360)
                await visit.require_accessible()
                await visit.keep(f"status-{name}-{language}-360-dark")
                await outlines.require(visit.page.locator("body"), f"status-{name}-{language}")
                for theme in ("contrast", "forced"):
                    await visit.look(theme, 320)
                    await visit.require_accessible(*OF_THEMES)
                    await visit.keep(f"status-{name}-{language}-320-{theme}")
                await visit.look("light", 1400)
                await visit.require_accessible("color-contrast", "target-size")
                await visit.keep(f"status-{name}-{language}-1400-light")
            await visit.page.emulate_media(media="print")
            await visit.open(f"/status/{language}")
            await visit.keep(f"status-page-{language}-print")


@pytest.mark.long
@pytest.mark.parametrize("width", get_args(Width))
async def test_page_is_accessible_in_each_theme_and_width(
    browser: Browser, page: str, width: Width
) -> None:
    faults: list[str] = []
    async with visiting(browser, page, width, THEMES[0]) as visit:
        for language in LANGUAGES:
            for name, path in PAGES.items():
                await visit.open(f"/status/{language}{path}")
                kept = f"status-{name}-{language}-{width}-{{theme}}"
                faults += await visit.faults_in_each_theme(kept, width)
    assert not faults, "\n".join(faults)


async def test_page_is_read_and_turned_without_javascript(browser: Browser, page: str) -> None:
    async with visiting(browser, page, java_script_enabled=False, locale="tr-TR") as visit:
        await visit.open("/status")
        await visit.page.get_by_role("heading", name="Bazı bölümler çalışmıyor").wait_for()
        await visit.page.get_by_role("link", name="English").click()
        await visit.page.get_by_role("heading", name="Some parts do not work").wait_for()
        await visit.page.get_by_text("Days with problems").first.click()
        await visit.page.get_by_role("cell", name="Degraded performance").first.wait_for()
        await visit.page.get_by_role("link", name="Refresh every minute").click()
        await visit.page.get_by_role("link", name="Stop refreshing").wait_for()
        await visit.page.get_by_role("link", name="Get updates by mail").click()
        address = visit.page.get_by_label("Mail address")
        await address.fill("ada@example.edu")
        assert await visit.page.get_by_role("checkbox").count() == 5
