"""The status page as members see it, in both languages, on a telephone and on paper, without JavaScript."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.core.languages import LANGUAGES
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.statuspage import site, snapshot
from chitlaq.web.console.status.pages import STALE_AFTER_MINUTES
from tests.browser import outlines, status_states
from tests.browser.conftest import THEMES, Visit, Width, visiting
from tests.conftest import Stack, eventually
from tests.lone_edge import Edge
from tests.ops.statuspage.full_page import SETTINGS, fill

if TYPE_CHECKING:
    from playwright.async_api import Browser

PAGES = {"page": "", "history": "/history", "subscribe": "/subscribe"}
OF_THEMES = ("color-contrast", "link-in-text-block", "target-size")
"""Rules of axe that look at what differs between themes: colours and borders."""


async def write(edge: Edge, state: status_states.Arrange, folder: Path, minutes: int = 0) -> str:
    """Write the page as it is in a state, and as it was these minutes ago; return its origin."""
    with OpsDatabase(Home(folder)) as database:
        await state(database)
        at = datetime.now(UTC) - timedelta(minutes=minutes)
        said = await snapshot.taken(database, SETTINGS, at)
    site.put(edge.home.status_page, site.content(said, SETTINGS))
    return f"http://localhost:{edge.port}"


@pytest.fixture
async def page(lone_edge: Edge, tmp_path: Path) -> str:
    return await write(lone_edge, fill, tmp_path)


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
@pytest.mark.parametrize("state", [*status_states.STATES, "stale"])
async def test_page_is_accessible_in_each_state_theme_and_width(
    browser: Browser, lone_edge: Edge, tmp_path: Path, state: str, width: Width
) -> None:
    minutes = STALE_AFTER_MINUTES + 1 if state == "stale" else 0
    arrange = status_states.STATES.get(state, fill)
    origin = await write(lone_edge, arrange, tmp_path, minutes)
    faults: list[str] = []
    async with visiting(browser, origin, width, THEMES[0]) as visit:
        for language in LANGUAGES:
            for name in status_states.PAGES.get(state, ("page",)):
                await visit.open(f"/status/{language}{PAGES[name]}")
                for days in await visit.page.locator("summary").all():
                    await days.click()
                kept = f"status/{width}-{{theme}}-{language}/{state}-{name}"
                faults += await visit.faults_in_each_theme(kept, width)
    assert not faults, "\n".join(faults)


async def subscribing(visit: Visit, stack: Stack, language: str) -> AsyncIterator[str]:
    """Do with the page what a subscriber does, and stop at each answer on the way."""
    written = Home(stack.home).status_page / "status.json"
    # A stack that has just begun has measured nothing yet.
    await eventually(written.exists)
    button = visit.page.locator("main button")
    address = f"s{secrets.token_hex(6)}@example.edu"
    for name in ("refused", "asked"):
        await visit.open(f"/status/{language}/subscribe")
        await visit.page.locator("#address").fill(address)
        if name == "refused":
            for choice in await visit.page.get_by_role("checkbox").all():
                await choice.uncheck()
        await button.click()
        await visit.page.wait_for_url("**/status/subscribe")
        yield name
    (row,) = await stack.sql("SELECT links FROM mail.messages WHERE to_address = $1", address)
    await visit.page.goto(row["links"][0])
    yield "confirm"
    await button.click()
    await button.wait_for(state="detached")
    yield "confirmed"
    await visit.page.goto(f"{row['links'][0]}x")
    yield "broken-link"


async def test_subscription_is_asked_for_and_confirmed_on_accessible_pages(
    browser: Browser, stack: Stack
) -> None:
    async with visiting(browser, stack.issuer, 320, "light") as visit:
        await visit.speak("tr")
        titles = []
        async for _ in subscribing(visit, stack, "tr"):
            await visit.require_accessible()
            titles.append(await visit.page.locator("h1").inner_text())
    assert titles == [
        "Olmadı", "E\u2011postanıza bakın", "Aboneliğinizi onaylayın", "Gelişmeleri alacaksınız", "Olmadı",
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", get_args(Width))
async def test_answers_are_accessible_in_each_theme_and_width(
    browser: Browser, stack: Stack, width: Width, language: str
) -> None:
    faults: list[str] = []
    async with visiting(browser, stack.issuer, width, THEMES[0]) as visit:
        await visit.speak(language)
        async for name in subscribing(visit, stack, language):
            kept = f"status/{width}-{{theme}}-{language}/answer-{name}"
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
