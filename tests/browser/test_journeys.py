"""The console by keyboard alone, and without JavaScript."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pyotp

from chitlaq.core.installation.home import Home
from chitlaq.ops.console.access.operators import Operators
from tests.browser.alerts import report
from tests.browser.conftest import Visit, console_of, visiting
from tests.conftest import Stack

if TYPE_CHECKING:
    from playwright.async_api import Browser

PASSWORD = "correct horse battery staple"
MOST_TABS = 60


async def tab_to(visit: Visit, name: str) -> None:
    """Press Tab until what has this name is focused; each stop on the way shows that it is."""
    for _ in range(MOST_TABS):
        await visit.page.keyboard.press("Tab")
        found = await visit.page.evaluate(
            """() => {
                const one = document.activeElement, style = getComputedStyle(one);
                const label = one.ariaLabel || one.labels?.[0]?.textContent || one.textContent;
                const box = one.getBoundingClientRect();
                const at = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
                return {
                    name: label.trim(),
                    isMarked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
                    isCovered: at !== null && !one.contains(at) && !at.contains(one),
                };
            }"""
        )
        assert found["isMarked"], f"the focus on {found['name']!r} cannot be seen"
        assert not found["isCovered"], f"{found['name']!r} is focused behind something"
        if found["name"].startswith(name):
            return
    raise AssertionError(f"{name} is not reached by Tab")


async def test_incident_is_handled_by_keyboard_alone(alone: Stack, browser: Browser) -> None:
    from playwright.async_api import expect

    await report(alone, "CacheDown", "P1", "Valkey is not responding.", component="redis")
    link = alone.command("console", "--as", "ada").stdout.split()[0]
    async with visiting(browser, console_of(alone)) as visit:
        page, press = visit.page, visit.page.keyboard.press
        await page.goto(link)
        await tab_to(visit, "Sign in")
        await press("Enter")
        await page.wait_for_url("**/ops/")

        await press("Tab")
        await expect(page.get_by_text("Skip to content")).to_be_focused()
        await press("Enter")
        await expect(page.locator("main")).to_be_focused()

        await page.goto(page.url.partition("#")[0])
        await tab_to(visit, "Menu")
        await press("Enter")
        await tab_to(visit, "Incidents")
        await press("Enter")
        await expect(page.locator("h1")).to_have_text("Incidents")
        await expect(page.locator("nav a[aria-current]")).to_have_text("Incidents")
        await tab_to(visit, "P1")
        await press("Enter")
        await expect(page.locator("h1")).to_contain_text("Valkey is not responding.")
        await tab_to(visit, "Acknowledge")
        await press("Enter")
        await expect(page.get_by_text("acknowledged by ada")).to_be_visible()
        await tab_to(visit, "What you saw or did")
        await page.keyboard.type("looked at it")
        await tab_to(visit, "Add the note")
        await press("Enter")
        await expect(page.locator(".timeline")).to_contain_text("looked at it")
        await tab_to(visit, "Resolve")
        await press("Enter")
        await expect(page.get_by_label("Why")).to_be_focused()
        await page.keyboard.type("Valkey is back")
        await tab_to(visit, "Resolve")
        await press("Enter")
        await expect(page.locator(".state", has_text="resolved")).to_be_visible()


async def test_operator_signs_in_and_acts_without_javascript(
    alone: Stack, browser: Browser
) -> None:
    from playwright.async_api import expect

    file = alone.home / "logs" / "search.log.7"
    file.parent.mkdir(exist_ok=True)
    file.parent.chmod(0o777)
    file.write_text("old")
    os.utime(file, (0, 0))
    assert alone.command("operators", "add", "cleo", input=f"{PASSWORD}\n").returncode == 0
    operator = Operators(Home(alone.home)).find("cleo")
    assert operator
    async with visiting(browser, console_of(alone), java_script_enabled=False) as visit:
        page = visit.page
        await visit.open("/ops/actions")
        await page.get_by_label("Name").fill("cleo")
        await page.get_by_label("Password").fill(PASSWORD)
        code: str = pyotp.TOTP(operator.totp_secret).at(int(time.time()))
        await page.get_by_label("Code").fill(code)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/ops/actions")

        await page.get_by_role("button", name="Menu").click()
        await page.get_by_role("link", name="Alerts").click()
        await expect(page.locator("h1")).to_have_text("Alerts")
        await page.get_by_role("button", name="Menu").click()
        await page.get_by_role("link", name="Actions").click()
        await page.get_by_role("button", name="Plan prune").click()
        await expect(page.get_by_text(f"remove {file}")).to_be_visible()
        await page.get_by_label("Why").fill("full disk")
        await page.get_by_label("Type prune to confirm").fill("prune")
        await page.get_by_role("button", name="Prune").click()
        # The page asks again by itself while the action goes on.
        await expect(page.get_by_text("removed 1 file")).to_be_visible()
        assert not file.exists()

        await page.get_by_role("button", name="Menu").click()
        await page.get_by_role("button", name="Sign out", exact=True).click()
        await expect(page.locator("h1")).to_have_text("Sign in")


async def test_enter_in_a_field_does_not_confirm(alone: Stack, browser: Browser) -> None:
    from playwright.async_api import expect

    async with visiting(browser, console_of(alone)) as visit:
        page = visit.page
        await visit.sign_in(alone)
        await visit.open("/ops/incidents/open")
        await page.get_by_label("What is wrong").fill("Posts are late")
        await page.get_by_role("button", name="Open the incident").click()
        await expect(page.locator("h1")).to_contain_text("Posts are late")

        await visit.open("/ops/status")
        await page.get_by_text("and a title of your own").click()
        await page.get_by_label("Title instead of").fill("Late posts")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Publish…").click()
        await expect(page.get_by_text("Publish this update?")).to_be_visible()

        await visit.open("/ops/actions")
        await page.get_by_label("A routine").fill("morning")
        await page.get_by_role("button", name="Plan run").click()
        await page.get_by_label("Why").fill("to see")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Run morning…").click()
        await expect(page.get_by_text("Yes, do it")).to_be_visible()


async def test_age_of_what_is_shown_turns_red_when_nothing_new_comes(
    alone: Stack, browser: Browser
) -> None:
    from playwright.async_api import expect

    async with visiting(browser, console_of(alone)) as visit:
        await visit.page.clock.install()
        await visit.sign_in(alone)
        age = visit.page.locator("#age")
        await visit.page.clock.run_for(2_000)
        await expect(age).to_have_text("Checked 2 s ago")
        await expect(age).not_to_have_class("age stale")
        await visit.page.context.set_offline(True)
        await visit.page.clock.run_for(60_000)
        await expect(age).to_have_class("age stale")
        await visit.require_accessible("color-contrast")
        await visit.page.context.set_offline(False)
        await expect(age).not_to_have_class("age stale", timeout=30_000)
        visit.complaints.clear()  # that it was offline
