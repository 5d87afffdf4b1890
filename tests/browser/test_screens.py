"""Every screen of the console, while nothing but ops-service runs: readable, reachable, nothing broken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, get_args
from uuid import UUID

import pytest

from chitlaq.core.installation.home import Home
from chitlaq.ops.checks.model import Section, Verdict
from chitlaq.ops.checks.runner import Result, Run
from chitlaq.ops.console.pages import SCREENS
from chitlaq.ops.database.database import OpsDatabase
from chitlaq.ops.history import run_history
from chitlaq.ops.incidents import incidents
from chitlaq.ops.statuspage import maintenance, published
from chitlaq.ops.statuspage.published import UpdateStatus
from tests.browser import console_states, outlines
from tests.browser.alerts import report
from tests.browser.conftest import Visit, Width, console_of, visiting
from tests.conftest import Stack, eventually
from tests.lone_service import lone_service

if TYPE_CHECKING:
    from playwright.async_api import Browser

RUN = UUID("01a216b3-3fde-74d9-86da-915a17037628")
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
    "routine-run": f"/ops/routines/runs/{RUN}",
}
UNFILLED = """() => {
    const right = one => one.getBoundingClientRect().right;
    return [...document.querySelectorAll(".panels > :last-child")]
        .filter(one => right(one.parentElement) - right(one) > 1)
        .map(one => `leaves a part of its row empty: ${one.outerHTML.slice(0, 150)}`);
}"""
ROSTER = """
timezone = "Asia/Kathmandu"
[people.ada]
name = "Ada"
channels = [{ url = "ada@example.edu" }]
[rotations.primary]
[[rotations.primary.layers]]
people = ["ada"]
first_day = 2026-01-01
handover = "mon 09:00"
[levels]
on-call = "primary"
"""


@pytest.fixture(scope="module")
async def alone() -> AsyncIterator[Stack]:
    """ops-service alone, with somebody on call, a run, a published incident, and announced work."""
    with lone_service("ops-service", "ops", CHITLAQ_OPERATIONS_TIMEZONE="Asia/Kathmandu") as stack:
        home, now = Home(stack.home), datetime.now(UTC)
        home.oncall_file.write_text(ROSTER)
        await report(
            stack,
            "ServiceDown",
            "P1",
            "search-service is not responding.",
            service="search-service",
        )
        await report(stack, "Watchdog", "none", "Alerts travel.")
        result = Result(
            "feed.health", "Feed answers", Section.SERVICES, Verdict.OK, "in 12 ms", {}, [], "", 0.1
        )
        with OpsDatabase(home) as database:
            await run_history.store(
                database, Run(RUN, "morning", now, 1.5, Verdict.OK, "ada", "vm", [result])
            )
            await eventually(lambda: incidents.listed(database, limit=1))
            await published.publish(database, 1, UpdateStatus.INVESTIGATING, "ada")
            begin = now + timedelta(days=1)
            await maintenance.add(
                database, ["chat"], begin, begin + timedelta(hours=1), "New disks", "ada"
            )
        yield stack


@pytest.fixture(scope="module")
async def signed_in(alone: Stack, browser: Browser) -> AsyncIterator[Visit]:
    """A visit that has signed in. Others would cost twice as much."""
    async with visiting(browser, console_of(alone)) as visit:
        await visit.sign_in(alone)
        yield visit


@pytest.mark.parametrize("name", PAGES)
async def test_screen_is_accessible_on_a_phone_and_on_a_desk(signed_in: Visit, name: str) -> None:
    from playwright.async_api import expect

    visit = signed_in
    await visit.look("dark", 360)
    await visit.open(PAGES[name])
    main = visit.page.locator("main")
    await expect(main).to_contain_text("Times: Asia/Kathmandu (UTC+0545)")
    await expect(main).not_to_contain_text("`")  # A command looks like one.
    await outlines.require(main, name)
    await visit.require_accessible()
    await visit.keep(f"{name}-360-dark")
    for width in (768, 1400):
        await visit.look("light", width)
        assert not await visit.page.evaluate(UNFILLED)
    await visit.require_accessible("color-contrast", "target-size")
    await visit.keep(f"{name}-1400-light")
    assert not visit.complaints


async def test_menu_names_all_screens(signed_in: Visit) -> None:
    await signed_in.look("light", 1400)
    await signed_in.open("/ops/")
    await outlines.require(signed_in.page.get_by_role("navigation"), "menu")


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
@pytest.mark.parametrize("width", get_args(Width))
@pytest.mark.parametrize("name", PAGES)
async def test_screen_is_accessible_in_each_theme_and_width(
    alone: Stack, browser: Browser, signed_in: Visit, name: str, width: Width
) -> None:
    known = await signed_in.page.context.storage_state()
    async with visiting(browser, console_of(alone), width, storage_state=known) as visit:
        await visit.open(PAGES[name])
        faults = await visit.faults_in_each_theme(f"console/{width}-{{theme}}/{name}", width)
    assert not faults, "\n".join(faults)


async def test_sign_in_is_accessible(alone: Stack, browser: Browser) -> None:
    async with visiting(browser, console_of(alone)) as visit:
        await visit.open("/ops/sign-in")
        await visit.require_accessible()
        await visit.keep("sign-in-360-dark")
        await outlines.require(visit.page.locator("body"), "sign-in")


@pytest.fixture(scope="module")
def empty() -> Iterator[Stack]:
    """ops-service alone, of which nothing has been asked yet, and where nobody is called."""
    with lone_service("ops-service", "ops") as stack:
        yield stack


@pytest.mark.long
@pytest.mark.parametrize("width", get_args(Width))
async def test_empty_screens_are_accessible(empty: Stack, browser: Browser, width: Width) -> None:
    faults: list[str] = []
    async with visiting(browser, console_of(empty), width) as visit:
        await visit.sign_in(empty)
        for screen in SCREENS:
            await visit.open(screen.path)
            kept = f"console/{width}-{{theme}}/empty{screen.path.replace('/', '-')}"
            faults += await visit.faults_in_each_theme(kept, width)
    assert not faults, "\n".join(faults)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("width", get_args(Width))
async def test_states_of_screens_are_accessible(
    alone: Stack, browser: Browser, width: Width
) -> None:
    faults: list[str] = []
    async with visiting(browser, console_of(alone), width) as visit:
        await visit.sign_in(alone)
        for number, (name, arrange) in enumerate(console_states.STATES.items()):
            await arrange(visit, alone)
            kept = f"console/{width}-{{theme}}/{number:02}-{name}"
            found = await visit.faults_in_each_theme(kept, width)
            faults += [f"{name} {one}" for one in found]
    assert not faults, "\n".join(faults)
