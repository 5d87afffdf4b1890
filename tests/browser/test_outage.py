"""A real outage, handled from a telephone: seen, acknowledged, mended, told."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import httpx
import pytest

from tests.browser import outlines
from tests.browser.alerts import report
from tests.browser.conftest import HEIGHTS, visiting
from tests.conftest import Stack, eventually, start_stack, stop_stack
from tests.ops.console.conftest import Visitor

if TYPE_CHECKING:
    from playwright.async_api import Browser, Locator

SEARCH = "/api/search/users?q=ada"


@pytest.fixture(scope="module")
def public_stack() -> Iterator[Stack]:
    """An installation whose console is reached through nginx, as a telephone must."""
    stack = start_stack(CHITLAQ_OPERATIONS_PUBLIC="true")
    try:
        stack.up()
        yield stack
    finally:
        stop_stack(stack)


@asynccontextmanager
async def holding_lock(stack: Stack, table: str) -> AsyncIterator[int]:
    """Hold a lock as a session does that was forgotten; give its process."""
    connection = await asyncpg.connect(stack.dsn())
    try:
        await connection.execute(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield connection.get_server_pid()
    finally:
        connection.terminate()


async def is_seen_at_once(element: Locator) -> bool:
    """Whether it is on the telephone's screen without scrolling."""
    box = await element.bounding_box()
    return box is not None and box["y"] + box["height"] <= HEIGHTS[360]


async def test_outage_is_handled_from_a_telephone(public_stack: Stack, browser: Browser) -> None:
    from playwright.async_api import expect

    stack = public_stack
    before = stack.ps()["search-service"]["pid"]
    origin = f"http://localhost:{stack.ports['edge']}"
    # A session that waits with a lock: what searches members waits, too, and no restart helps.
    async with (
        holding_lock(stack, "feed.members") as session,
        httpx.AsyncClient(base_url=stack.edge, timeout=60) as members,
        visiting(browser, origin) as visit,
    ):
        assert (await members.get(SEARCH)).status_code == 503
        await report(
            stack, "ServiceDown", "P1", "search-service is not responding.",
            job="search-service", service="search-service",
        )  # fmt: skip
        page = visit.page
        _here, link = stack.command("console", "--as", "ada").stdout.split()
        assert link.startswith(origin)
        await page.goto(link)
        await page.get_by_role("button", name="Sign in").click()

        # What is wrong, what members feel, the cause, Acknowledge, and what to do: without scrolling.
        await expect(page.locator("h1")).to_contain_text(
            re.compile(r"search-service is not responding, since \d\d:\d\d \(9 min\)")
        )
        acknowledge = page.get_by_role("button", name="Acknowledge")
        step = page.get_by_role("button", name="Do it: restart search-service")
        await expect(page.get_by_text("Probable cause")).to_be_visible()
        await expect(page.locator("[data-field=failed]")).to_have_text("100 %")
        await visit.keep("outage-now")
        assert await is_seen_at_once(acknowledge)
        assert await is_seen_at_once(step)
        await visit.require_accessible()

        await acknowledge.click()
        await expect(page.get_by_text("Acknowledged by ada")).to_be_visible()
        await visit.keep("outage-acknowledged")

        await step.click()
        plan = page.locator(".panel").get_by_text(f"restart search-service (process {before}")
        await expect(plan).to_be_visible()
        await page.get_by_label("Why").fill("it hangs")
        await visit.require_accessible()
        await visit.keep("outage-plan")
        await page.get_by_role("button", name="Restart search-service…").click()
        await visit.keep("outage-sure")
        await page.get_by_role("button", name="Yes, do it").click()
        await expect(page.locator(".state", has_text="done")).to_be_visible(timeout=90_000)
        await visit.require_accessible()
        assert stack.ps()["search-service"]["pid"] != before

        await visit.open("/ops/actions")
        await page.get_by_label("A PostgreSQL process").fill(str(session))
        await page.get_by_role("button", name="Plan kill").click()
        await expect(page.get_by_text(f"end session {session} and roll back")).to_be_visible()
        await page.get_by_label("Why").fill("it holds the lock that search waits for")
        await page.get_by_label(f"Type {session} to confirm").fill(str(session))
        await visit.keep("outage-kill")
        await page.get_by_role("button", name=f"Kill {session}").click()
        await expect(page.locator("pre")).to_contain_text(f"ended session {session}")
        await expect(page.locator(".state", has_text="done")).to_be_visible()
        await visit.keep("outage-done")
        assert (await members.get(SEARCH)).status_code == 200

        await visit.open("/ops/incidents/1")
        await page.get_by_label("What you saw or did").fill(
            "a session held a lock; ending it helped"
        )
        await page.get_by_role("button", name="Add the note").click()
        await expect(page.locator(".timeline")).to_contain_text("ending it helped")
        await page.get_by_role("link", name="Tell members").click()
        await page.get_by_label("Where we are").select_option("monitoring")
        await page.get_by_label("What members should know").first.fill("Search answers again.")
        await page.get_by_role("button", name="Publish…").click()
        await page.get_by_role("button", name="Yes, publish").click()
        told = page.locator("section", has_text="What members were told")
        await expect(told.get_by_text("Search answers again.")).to_be_visible()
        await visit.require_accessible()
        await visit.keep("outage-told")
        assert "Search answers again." in (await members.get("/status")).text

        await visit.open("/ops/audit")
        for done in (
            "restart search-service", f"kill {session}", "acknowledged incident 1", "note incident 1",
        ):  # fmt: skip
            await expect(page.get_by_role("link", name=done)).to_be_visible()


async def test_console_restarts_the_service_that_serves_it(public_stack: Stack) -> None:
    stack = public_stack
    before = stack.ps()["ops-service"]["pid"]
    async with httpx.AsyncClient(
        base_url=f"http://localhost:{stack.ports['ops']}", timeout=60
    ) as client:
        one = Visitor(client)
        await one.use_link(stack)
        plan = await one.send("/ops/actions/plans", action="restart", target="ops-service")
        begun = await one.send(plan.headers["location"], why="a new certificate")

        async def is_done() -> bool:
            # Signed in all the time, and answered by the one process or the other.
            answer = await one.get(begun.headers["location"])
            assert answer.status_code == 200
            return "the new process has taken over" in answer.text

        await eventually(is_done)
    assert stack.ps()["ops-service"]["pid"] != before
    assert stack.json("ops", "actions")[0]["succeeded"]


async def test_cookie_behind_tls_is_never_sent_without(public_stack: Stack) -> None:
    stack = public_stack
    token = stack.command("console").stdout.split()[0].partition("token=")[2]
    socket = str(stack.home / "run" / "ops-service.0.sock")
    # As nginx passes on what a trusted proxy with TLS sends.
    async with httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=socket), base_url="http://chitlaq.example.edu"
    ) as nginx:
        entered = await nginx.post(
            "/ops/link",
            data={"link": token},
            headers={"Origin": "https://chitlaq.example.edu", "X-Forwarded-Proto": "https"},
        )
    assert entered.status_code == 303
    assert "Secure" in entered.headers["set-cookie"]


async def test_backup_is_taken_and_restored_from_a_telephone(
    public_stack: Stack, browser: Browser
) -> None:
    from playwright.async_api import expect

    stack = public_stack
    async with visiting(browser, f"http://localhost:{stack.ports['edge']}") as visit:
        page = visit.page
        _here, link = stack.command("console", "--as", "ada").stdout.split()
        await page.goto(link)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/ops/")
        await visit.open("/ops/backups")
        await page.get_by_role("button", name="Back up now…").click()
        await page.get_by_label("Why").fill("before a change")
        await page.get_by_role("button", name="Backup").click()
        await page.get_by_role("button", name="Yes, do it").click()
        await expect(page.locator(".state", has_text="done")).to_be_visible(timeout=90_000)

        # The change, which goes wrong.
        await stack.sql("CREATE TABLE public.mistake ()")
        await visit.open("/ops/backups")
        await outlines.require(page.locator("main"), "backups-of-a-stack")
        await page.get_by_role("button", name="Restore chitlaq_").click()
        await expect(page.get_by_text("Lost: all changes after")).to_be_visible()
        await visit.require_accessible()
        await outlines.require(page.locator("main"), "plan")
        backup = await page.locator("label code").inner_text()
        await page.get_by_label("Why").fill("the change was wrong")
        await page.get_by_label(f"Type {backup} to confirm").fill(backup)
        await page.get_by_role("button", name=f"Restore {backup}").click()
        await expect(page.locator("h1")).to_have_text(f"restore {backup}")
        await visit.keep("restore-goes-on-360-dark")
        await expect(page.locator(".state", has_text="done")).to_be_visible(timeout=90_000)
        await expect(page.locator("pre")).to_contain_text(f"Restored from {backup}")
        await visit.require_accessible()
        await outlines.require(page.locator("main"), "action")
        visit.complaints.clear()  # of requests while services were stopped
    await eventually(stack.is_healthy)
    (row,) = await stack.sql("SELECT to_regclass('public.mistake') AS found")
    assert row["found"] is None
