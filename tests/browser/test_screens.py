"""Every screen of the console, while nothing but ops-service runs: readable, reachable, nothing broken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, get_args

import pytest

from chitlaq.ops.console.pages import SCREENS
from tests.browser.alerts import report
from tests.browser.conftest import Theme, Visit, Width, console_of, visiting
from tests.conftest import Stack

if TYPE_CHECKING:
    from playwright.async_api import Browser

PAGES = {
    **{one.title.lower().replace(" ", "-"): one.path for one in SCREENS},
    "incident": "/ops/incidents/1",
    "incident-open": "/ops/incidents/open",
    "incident-resolve": "/ops/incidents/1/resolve",
    "incident-severity": "/ops/incidents/1/severity",
    "dashboard": "/ops/dashboards/chitlaq-overview",
    "dashboard-table": "/ops/dashboards/chitlaq-postgresql?view=table",
    "programs": "/ops/services/programs",
    "incident-merge": "/ops/incidents/1/merge",
}


@pytest.fixture(scope="module")
async def signed_in(alone: Stack, browser: Browser) -> AsyncIterator[Visit]:
    """A visit that has signed in, to a console with an incident. Others would cost twice as much."""
    await report(
        alone, "ServiceDown", "P1", "search-service is not responding.", service="search-service"
    )
    async with visiting(browser, console_of(alone)) as visit:
        await visit.sign_in(alone)
        yield visit


@pytest.mark.parametrize("name", PAGES)
async def test_screen_is_accessible_on_a_phone_and_on_a_desk(signed_in: Visit, name: str) -> None:
    visit = signed_in
    await visit.look("dark", 360)
    await visit.open(PAGES[name])
    await visit.require_accessible()
    await visit.keep(f"{name}-360-dark")
    await visit.look("light", 1400)
    await visit.require_accessible("color-contrast", "target-size")
    await visit.keep(f"{name}-1400-light")
    assert not visit.complaints


async def test_first_screen_is_read_in_the_order_in_which_one_needs_it(signed_in: Visit) -> None:
    from playwright.async_api import expect

    await signed_in.open("/ops/")
    await expect(signed_in.page.locator("main")).to_match_aria_snapshot(
        """
        - heading /search-service is not responding, since/ [level=1]
        - region "What members feel"
        - paragraph: /Probable cause/
        - paragraph: /Last change/
        - button "Acknowledge"
        - paragraph: /On call/
        - region /Runbook/:
          - 'button "Do it: restart search-service"'
        """
    )


@pytest.mark.long
@pytest.mark.parametrize("theme", get_args(Theme))
@pytest.mark.parametrize("width", get_args(Width))
@pytest.mark.parametrize("name", PAGES)
async def test_screen_is_accessible_in_each_theme_and_width(
    alone: Stack, browser: Browser, signed_in: Visit, name: str, width: Width, theme: Theme
) -> None:
    known = await signed_in.page.context.storage_state()
    async with visiting(browser, console_of(alone), width, theme, storage_state=known) as visit:
        await visit.open(PAGES[name])
        await visit.require_accessible()
        await visit.keep(f"{name}-{width}-{theme}")


async def test_sign_in_is_accessible(alone: Stack, browser: Browser) -> None:
    async with visiting(browser, console_of(alone)) as visit:
        await visit.open("/ops/sign-in")
        await visit.require_accessible()
        await visit.keep("sign-in-360-dark")
